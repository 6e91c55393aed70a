//! The CLI of a real build.

use std::sync::Arc;
use std::time::Duration;

use protocol::effects;
use protocol::installed::Installed;
use protocol::launch::Place;
use protocol::reference::call::{Tools, client};
use session::rootfs::MOUNT_POINT;
use session::{Address, Client, ClientReport, LaunchError, Recorder, Server};
use transcript::ExitStatus;

use crate::claims;
use crate::operations::{self, Operation, PRINTED, REFUSED};

/// Where the recording proxy listens, for the CLI and below its directory.
const PROXY: &str = "proxy";
/// What of a root's environment a CLI gets. The rest of what it heeds would make another one of it.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// The CLI of one build.
#[derive(Debug)]
pub(super) struct Docker {
    real: Arc<Installed>,
    pin: Option<String>,
}

impl Docker {
    /// A client with that build's, which is told to ask for that version.
    pub(super) fn client(real: Arc<Installed>, pin: Option<String>) -> Arc<dyn Client> {
        client(real.endpoint.clone(), Self { real, pin })
    }

    /// What is set for it, besides where it finds programs.
    fn variables(&self) -> Vec<(String, String)> {
        let below = |name: &str| format!("/{MOUNT_POINT}/{name}");
        let set = [("HOME", below("")), ("DOCKER_HOST", format!("unix://{}", below(PROXY)))];
        let pin = self.pin.iter().map(|pin| ("DOCKER_API_VERSION", pin.clone()));
        set.into_iter().chain(pin).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Tools for Docker {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name)
    }

    fn command(&self, operation: &Operation) -> Vec<String> {
        let pin = self.pin.iter().map(|pin| format!("DOCKER_API_VERSION={pin}"));
        let docker = std::iter::once("docker".to_owned()).chain(self.real.args.iter().cloned());
        pin.chain(docker).chain(operation.argv.iter().map(|word| (*word).to_owned())).collect()
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let error = |kind| self.real.error("run docker of", kind);
        let place = Place::open(&self.real, |_| Ok(Vec::new())).await.map_err(error)?;
        let docker = std::iter::once("docker".to_owned()).chain(self.real.args.iter().cloned());
        let argv = docker.chain(operation.argv.iter().map(|word| (*word).to_owned())).collect();
        let mut command = place.command(argv);
        command.env.retain(|(name, _)| KEPT.contains(&name.as_str()));
        command.env.extend(self.variables());
        let (address, listen) = (server.address().clone(), Address::Path(place.work().join(PROXY)));
        let end = (&address, server.worker());
        let ran = place.run_behind_proxy(listen, end, &command, recorder, deadline).await;
        place.slot.close().await;
        let (output, _descriptors) = ran.map_err(error)?;
        let (stdout, stderr) = (output.stdout.text(), output.stderr.text());
        let has_failed = output.exit != Some(ExitStatus::Code(0));
        if let Some(printed) = claims::printed(operation, &stdout) {
            effects::claim(recorder, PRINTED, &printed);
        }
        if let Some(refused) = claims::refused(&stderr).filter(|_| has_failed) {
            effects::claim(recorder, REFUSED, &refused);
        }
        effects::claim_exit(recorder, output.exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit: output.exit, stdout: output.stdout.bytes(), stderr: output.stderr.bytes() })
    }
}
