//! Reference clients: the tools of a release, without their processes.

use std::time::Duration;

use matrix::{Build, Role};
use protocol::Made;
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use session::{Client, ClientReport, LaunchError, Recorder, Server};
use transcript::ExitStatus;

use super::super::dialect::{ClientFacts, DIALECTS};
use super::super::effects::{self, Operation};
use super::asking::{Asker, Ended};
use super::defects::DEFECTS;
use super::machine::Machine;

/// The tools of a build with defects switched on.
///
/// # Errors
/// No client of that dialect was measured, or there is no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, DEFECTS, switched_on)?;
    let measured = part.dialect.client;
    let facts = part.needs(
        measured.ok_or_else(|| format!("no client of dialect `{}` was measured", part.dialect.name)),
    )?;
    Ok(call::client(part.endpoint("lxc"), LxcTools { facts, switches: part.switches }))
}

/// The tools of one release.
struct LxcTools {
    facts: ClientFacts,
    switches: Switches,
}

impl Tools for LxcTools {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        effects::operation(name).filter(|operation| !operation.signals_init)
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let machine = Machine::of(server);
        let mut asker = Asker {
            facts: self.facts,
            switches: &self.switches,
            address: server.address(),
            recorder,
            tool: operation.command.first().copied().unwrap_or_default(),
            conns: 0,
            stdout: String::new(),
        };
        let ended = tokio::time::timeout(deadline, asker.carry_out(operation.name, &machine)).await;
        let exit = match ended {
            Err(_elapsed) => None,
            Ok(Ok(())) => Some(ExitStatus::Code(0)),
            Ok(Err(Ended::Exit(code))) => Some(ExitStatus::Code(code)),
            Ok(Err(Ended::Signal(signal))) => Some(ExitStatus::Signal(signal)),
        };
        let stdout = asker.stdout.into_bytes();
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout, stderr: Vec::new() })
    }
}
