//! Starts ports with reference agents behind them.

use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{Outside, Servers, Site, launcher};
use protocol::{Bench, Made};
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Recorder, ServerAct};
use tokio::sync::{mpsc, oneshot};
use transcript::evidence::Observation;
use wire::Direction;

use super::engine::{Act, Guest, Guests, Order, Port, Which};
use super::settings::Settings;
use crate::Dialect;
use crate::defects::DEFECTS;
use crate::dialect::DIALECTS;
use crate::inputs::{self, Closes};
use crate::model::{Process, Rates, agent};
use crate::scenarios::PASSES_PER_HEARTBEAT;

/// A launcher of ports with agents of a build behind them, with defects switched on.
///
/// # Errors
/// No agent of that version, no such setting, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, DEFECTS, switched_on)?;
    let settings = part.needs(Settings::read(&build.settings))?;
    let endpoint = super::endpoint(&part, settings, "ovirt-guest-agent");
    let behind = ModelGuests::new(part.needs(find(&build.dialect))?, part.switches, settings);
    let guests = move |_deadline| Box::new(behind.clone()) as Box<dyn Guests>;
    Ok(launcher(endpoint, &bench.work_dir, Ports { guests, pass: settings.pass() }))
}

/// Ports with the same behind each.
pub(crate) struct Ports<F> {
    /// What starts that, within a time.
    pub guests: F,
    /// From one pass of an agent to the next.
    pub pass: Duration,
}

impl<F: Fn(Duration) -> Box<dyn Guests> + Send + Sync + 'static> Servers for Ports<F> {
    type Machine = Port;

    const BACKLOG: usize = 8;

    async fn make(&self, site: &Site) -> Result<Port, LaunchErrorKind> {
        let guests = (self.guests)(site.deadline);
        Port::start(guests, self.pass).await.map_err(LaunchErrorKind::Setup)
    }
}

fn find(version: &str) -> Result<&'static Dialect, String> {
    let dialect = DIALECTS.for_version(version).filter(|dialect| dialect.agent.is_some());
    dialect.ok_or_else(|| format!("no agent `{version}`"))
}

/// Reference agents of any release.
#[derive(Debug, Clone)]
struct ModelGuests {
    first: (&'static Dialect, Switches),
    now: (&'static Dialect, Switches),
    guest: agent::Guest,
    pass_us: u64,
}

impl ModelGuests {
    fn new(dialect: &'static Dialect, switches: Switches, settings: Settings) -> Self {
        let pass_us = u64::try_from(settings.pass().as_micros()).unwrap_or(u64::MAX).max(1);
        let first = (dialect, switches);
        Self { now: first.clone(), first, guest: agent::Guest::default(), pass_us }
    }
}

impl Guests for ModelGuests {
    fn start<'a>(&'a mut self, which: Which<'a>, now_us: u64) -> BoxFuture<'a, Result<Guest, String>> {
        Box::pin(async move {
            match which {
                Which::Same => {}
                Which::First => self.now = self.first.clone(),
                // The defects are those of the build that is replaced.
                Which::Version(version) => self.now = (find(version)?, Switches::default()),
            }
            let (dialect, switches) = &self.now;
            let facts = dialect.agent.clone().ok_or_else(|| format!("`{}` is no agent", dialect.name))?;
            let process = Process::start(facts, switches, Rates::REFERENCE, self.guest, self.pass_us, now_us);
            Ok(Guest::Model(Box::new(process)))
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn set_hooks(&mut self, hooks: bool) -> Result<(), String> {
        self.guest.hooks = hooks;
        Ok(())
    }
}

/// What can be done to the agent behind a port.
///
/// Words of [`Outside::prepare`]:
///
/// ```text
/// replace 1.0.9      another release is behind the port, and the host's connection stays
/// replace            that of the build again
/// half-line          the agent writes half a line and dies
/// inject <input>     the agent is held, and the port sends an input of `inputs.rs`
/// release            the agent goes on
/// hooks, no-hooks    the guest has directories of hooks or has none
/// ```
pub(super) struct Control {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) pass: Duration,
}

impl Control {
    /// Has the port do something and waits for it.
    async fn order(&self, act: Act) -> Result<(), String> {
        let gone = || "the port is gone".to_owned();
        let (done, told) = oneshot::channel();
        self.orders.send((act, done)).await.map_err(|_unsent| gone())?;
        told.await.map_err(|_dropped| gone())?
    }

    async fn inject(&self, name: &str) -> Result<(), String> {
        let input = inputs::input(name).ok_or_else(|| format!("no input `{name}`"))?;
        let last = input.writes.len().saturating_sub(1);
        for (at, write) in input.writes.iter().enumerate() {
            if at > 0 {
                // Time for the host to read what came before by itself.
                tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            }
            let closes = input.closes == Closes::AtOnce && at == last;
            self.order(Act::Inject(Bytes::from_static(write), closes)).await?;
        }
        if input.closes == Closes::Later {
            tokio::time::sleep((self.pass / 2).min(GAP_MAX)).await;
            self.order(Act::Inject(Bytes::new(), true)).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, condition: &str) -> Result<(), String> {
        let (word, argument) = condition.split_once(' ').unwrap_or((condition, ""));
        let act = match word {
            "" => return Ok(()),
            "replace" => Act::Replace((!argument.is_empty()).then(|| argument.to_owned())),
            "half-line" => Act::HalfLine,
            "inject" => return self.inject(argument).await,
            "release" => Act::Release,
            "hooks" => Act::Hooks(true),
            "no-hooks" => Act::Hooks(false),
            _ => return Err(format!("no condition `{condition}`")),
        };
        self.order(act).await
    }
}

/// What a look at a port says of the heartbeats behind it.
pub(crate) const HEARTBEAT_MS: &str = "heartbeat_ms";
/// The longest time between two writes of one input.
const GAP_MAX: Duration = Duration::from_millis(20);

impl Outside for Control {
    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            let done = self.carry_out(condition).await;
            done.map_err(|why| LaunchError::new(format!("`{condition}`"), LaunchErrorKind::Setup(why)))
        })
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        Some(Box::pin(async move {
            let order = match act {
                ServerAct::Kill => Act::Kill,
                ServerAct::Restart | ServerAct::CrashRestart | ServerAct::Reboot => Act::Restart,
                ServerAct::Reload | ServerAct::Replace(_) => return Err(LaunchErrorKind::CannotAct),
            };
            self.order(order).await.map_err(LaunchErrorKind::Setup)
        }))
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
