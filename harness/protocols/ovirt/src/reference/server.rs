//! Starts ports with reference agents behind them.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{Outside, Servers, Site, launcher};
use protocol::{Bench, Made};
use session::{
    Address, BoxFuture, Closes, Injection, LaunchError, LaunchErrorKind, Launcher, Recorder, ServerAct,
};
use tokio::sync::{mpsc, oneshot};
use transcript::evidence::Observation;
use wire::Direction;

use super::engine::{Act, Guest, Guests, Order, Port};
use super::settings::Settings;
use crate::Dialect;
use crate::defects::DEFECTS;
use crate::dialect::DIALECTS;
use crate::model::{Process, Rates, agent};
use crate::scenarios::{NO_HOOKS, PASSES_PER_HEARTBEAT};

/// A launcher of ports with agents of a build behind them, with defects switched on.
///
/// # Errors
/// No agent of that version, no such setting, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, DEFECTS, switched_on)?;
    let settings = part.needs(Settings::read(&build.settings))?;
    let endpoint = super::endpoint(&part, settings, "ovirt-guest-agent");
    let behind = ModelGuests::new(part.needs(find(&part.build.dialect))?, part.switches, settings);
    let guests = move |_deadline| behind.clone();
    Ok(launcher(endpoint, &bench.work_dir, Ports::new(guests, settings.pass())))
}

/// Makes what starts the agents behind a port; each may take so long to be ready.
type MakesGuests = dyn Fn(Duration) -> Box<dyn Guests> + Send + Sync;

/// Ports with the same behind each.
pub(crate) struct Ports {
    guests: Box<MakesGuests>,
    /// From one pass of an agent to the next.
    pass: Duration,
}

impl Ports {
    /// Those behind which these start agents, within a time.
    pub(crate) fn new<G: Guests + 'static>(
        guests: impl Fn(Duration) -> G + Send + Sync + 'static,
        pass: Duration,
    ) -> Self {
        Self { guests: Box::new(move |deadline| Box::new(guests(deadline))), pass }
    }
}

impl Servers for Ports {
    type Machine = Port;

    const BACKLOG: usize = 8;

    async fn make(&self, site: &Site) -> Result<Port, LaunchErrorKind> {
        let guests = (self.guests)(site.deadline);
        Port::start(guests, self.pass, site.deadline).await.map_err(LaunchErrorKind::Setup)
    }
}

fn find(version: &str) -> Result<&'static Dialect, String> {
    let dialect = DIALECTS.for_version(version).filter(|dialect| dialect.agent.is_some());
    dialect.ok_or_else(|| format!("no agent `{version}`"))
}

/// Reference agents of one release.
#[derive(Debug, Clone)]
struct ModelGuests {
    dialect: &'static Dialect,
    switches: Switches,
    guest: agent::Guest,
    pass_us: u64,
}

impl ModelGuests {
    fn new(dialect: &'static Dialect, switches: Switches, settings: Settings) -> Self {
        let pass_us = u64::try_from(settings.pass().as_micros()).unwrap_or(u64::MAX).max(1);
        Self { dialect, switches, guest: agent::Guest::default(), pass_us }
    }
}

impl Guests for ModelGuests {
    fn start(&mut self, now_us: u64) -> BoxFuture<'_, Result<Guest, String>> {
        Box::pin(async move {
            let Self { dialect, switches, guest, pass_us } = self;
            let facts = dialect.agent.clone().ok_or_else(|| format!("`{}` is no agent", dialect.name))?;
            let process = Process::start(facts, switches, Rates::REFERENCE, *guest, *pass_us, now_us);
            Ok(Guest::Model(Box::new(process)))
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn remove_hooks(&mut self) -> Result<(), String> {
        self.guest.hooks = false;
        Ok(())
    }
}

/// What can be done to the agent behind a port. The host's connection stays.
pub(super) struct Control {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) pass: Duration,
    pub(super) deadline: Duration,
}

impl Control {
    /// Has the port do something and waits for it.
    async fn order(&self, act: Act) -> Result<(), LaunchErrorKind> {
        let gone = || LaunchErrorKind::Setup("the port is gone".to_owned());
        let (done, told) = oneshot::channel();
        self.orders.send((act, done)).await.map_err(|_unsent| gone())?;
        told.await.map_err(|_dropped| gone())?.map_err(LaunchErrorKind::Setup)
    }

    async fn write(&self, Injection { writes, closes }: &Injection) -> Result<(), LaunchErrorKind> {
        let last = writes.len().saturating_sub(1);
        for (at, write) in writes.iter().enumerate() {
            if at > 0 {
                // Time for the host to read what came before by itself.
                tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            }
            let closes = *closes == Closes::AtOnce && at == last;
            self.order(Act::Inject(write.clone(), closes)).await?;
        }
        if *closes == Closes::Later {
            tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            self.order(Act::Inject(Bytes::new(), true)).await?;
        }
        Ok(())
    }
}

/// What a look at a port says of the heartbeats behind it.
pub(crate) const HEARTBEAT_MS: &str = "heartbeat_ms";
/// The longest time between two writes of one input.
const GAP_MAX: Duration = Duration::from_millis(20);

impl Outside for Control {
    /// A guest has directories of hooks, unless it is to have none.
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = match condition {
                "" => Ok(()),
                NO_HOOKS => self.order(Act::RemoveHooks).await,
                _ => Err(LaunchErrorKind::Setup("nobody knows this condition".to_owned())),
            };
            done.map_err(|kind| LaunchError::new(format!("`{condition}`"), kind))
        })
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        Some(Box::pin(async move {
            match act {
                ServerAct::Kill => self.order(Act::Kill).await,
                ServerAct::Restart | ServerAct::CrashRestart | ServerAct::Reboot => {
                    self.order(Act::Restart).await
                }
                ServerAct::Reload | ServerAct::Replace(_) | ServerAct::Configure(_) => {
                    Err(LaunchErrorKind::CannotAct)
                }
            }
        }))
    }

    fn replace<'a>(
        &'a mut self,
        by: &'a (dyn Any + Send + Sync),
    ) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        let ports = by.downcast_ref::<Ports>()?;
        Some(Box::pin(self.order(Act::Replace((ports.guests)(self.deadline)))))
    }

    fn inject<'a>(&'a mut self, injection: &'a Injection) -> BoxFuture<'a, Result<(), LaunchErrorKind>> {
        Box::pin(self.write(injection))
    }

    fn release(&mut self) -> BoxFuture<'_, Result<(), LaunchErrorKind>> {
        Box::pin(self.order(Act::Release))
    }

    fn watch(&mut self, recorder: &Recorder) {
        let heartbeat = self.pass * PASSES_PER_HEARTBEAT;
        recorder.observe(
            Direction::ToClient,
            Observation::Of(HEARTBEAT_MS),
            heartbeat.as_millis().to_string(),
        );
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        // A port that is gone has nothing behind it.
        Box::pin(async { drop(self.order(Act::Kill).await) })
    }
}
