//! Agents that come as a command line of a user's own, kept from harm as all real ones are.

use std::collections::BTreeMap;

use session::{BoxFuture, LaunchError, LaunchErrorKind, Launcher, Server, Start, Transport};
use transcript::Endpoint;
use transcript::evidence;

use super::agent::capabilities;
use super::guard::{Guard, Guarded};
use crate::names::BLOCKED;
use protocol::launch::{OwnServers, ready, within};

/// Starts agents, and ends those that may do more than read.
pub(super) struct OwnAgents(pub(super) OwnServers);

impl Launcher for OwnAgents {
    fn endpoint(&self) -> Endpoint {
        self.0.endpoint()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.0.environment()
    }

    fn transport(&self, simulated: Transport) -> evidence::Transport {
        self.0.transport(simulated)
    }

    fn start(&self, how: Start) -> BoxFuture<'_, Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            let agent = self.0.start(how).await?;
            let address = agent.address().clone();
            let asked = || async { capabilities(&address).await.ok() };
            let enabled = within(how.deadline, ready(asked, || None)).await;
            let guard = enabled.and_then(|enabled| {
                let help = format!("start it with `arg=-b,arg={}`", BLOCKED.join(",,"));
                Guard::of(&enabled).map_err(|why| LaunchErrorKind::Setup(format!("{why}; {help}")))
            });
            match guard {
                Ok(guard) => Ok(Box::new(Guarded { agent, guard }) as Box<dyn Server>),
                Err(kind) => {
                    agent.stop().await;
                    Err(LaunchError::new(format!("ask {} what it may do", self.endpoint().id), kind))
                }
            }
        })
    }
}
