//! Reference clients: virsh of a release, without its process.
//!
//! ```text
//! virsh.rs      a session: opening, closing, what an answer is taken for
//! commands.rs   what each command calls and prints     lists.rs   lists and what they fall back to
//! defects.rs    faults that can be switched on
//! ```

mod commands;
mod defects;
mod lists;
mod virsh;

use std::time::Duration;

use matrix::{Build, Role};
use protocol::Made;
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use session::{Client, ClientReport, LaunchError, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use virsh::Virsh;

use crate::beside::Beside;
use crate::claims::{self, Printed};
use crate::dialect::{DIALECTS, Dialect, NoReply};
use crate::operations::{self, Operation};
use crate::rpc::{Habits, Rpc};

pub(crate) use defects::CLIENT_DEFECTS;

/// How long a client that gives up waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// virsh of a build with defects switched on.
///
/// # Errors
/// There is no dialect of that version, or no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, CLIENT_DEFECTS, switched_on)?;
    Ok(call::client(part.endpoint("virsh"), Sessions { dialect: part.dialect, switches: part.switches }))
}

/// virsh of one release.
struct Sessions {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Tools for Sessions {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name).filter(|operation| operation.lacking_in(self.dialect.name).is_none())
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let address = server.address().clone();
        let mut beside = Beside::open(&address).await;
        let trace = (recorder.clone(), ConnId(1));
        let session = async {
            let Ok(rpc) = Rpc::connect(&address, Some(trace), self.habits()).await else {
                return (1, String::new(), "error: failed to connect to the hypervisor\n".to_owned(), None);
            };
            let mut virsh = Virsh::new(rpc, self.dialect, &self.switches);
            let exit = virsh.carry_out(operation).await;
            (exit, virsh.stdout, virsh.stderr, virsh.file)
        };
        let ended = beside.during(operation, tokio::time::timeout(deadline, session)).await;
        let (exit, stdout, stderr, file) = match ended {
            Ok((exit, stdout, stderr, file)) => (Some(ExitStatus::Code(exit)), stdout, stderr, file),
            Err(_elapsed) => (None, String::new(), String::new(), None),
        };
        protocol::effects::claim_exit(recorder, exit);
        let printed = Printed { stdout: &stdout, stderr: &stderr, file: file.as_deref() };
        beside.report(operation, &claims::read(operation, &printed), recorder).await;
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() })
    }
}

impl Sessions {
    fn habits(&self) -> Habits {
        let deaf = self.switches.has(defects::WAITS_FOR_EVER);
        let gives_up = self.dialect.client.no_reply == NoReply::GivesUp && !deaf;
        Habits {
            expects_next_serial: self.switches.has(defects::MISTAKES_SERIALS),
            ignores_errors: deaf,
            patience: gives_up.then_some(PATIENCE),
        }
    }
}

#[cfg(test)]
mod tests;
