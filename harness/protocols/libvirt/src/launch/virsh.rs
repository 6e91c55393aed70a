//! `virsh` of a real build.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session::rootfs::MOUNT_POINT;
use session::{Address, Client, ClientReport, LaunchError, Recorder, Server};

use crate::beside::Beside;
use crate::claims::{self, Printed};
use crate::operations::{self, NEW_INTERFACE_XML, Operation};
use protocol::effects;
use protocol::installed::Installed;
use protocol::launch::Place;
use protocol::reference::call::{Tools, client};

/// Where the recording proxy listens, for the client and below its directory.
const PROXY: &str = "proxy";
/// The files of operations, likewise.
const INTERFACE_FILE: &str = "interface.xml";
const OUTPUT_FILE: &str = "output";

/// The `virsh` of one build.
#[derive(Debug)]
pub(super) struct Virsh {
    real: Arc<Installed>,
}

impl Tools for Virsh {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name)
    }

    fn command(&self, operation: &Operation) -> Vec<String> {
        let below = |name: &str| format!("/{MOUNT_POINT}/{name}");
        let mut line = vec!["virsh".to_owned()];
        line.extend(self.real.args.iter().cloned());
        line.push("-c".to_owned());
        line.push(format!("test+unix:///default?socket={}", below(PROXY)));
        line.push(operation.session(&below(INTERFACE_FILE), &below(OUTPUT_FILE)));
        line
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let error = |kind| self.real.error("run virsh of", kind);
        let files =
            |work: &Path| fs::write(work.join(INTERFACE_FILE), NEW_INTERFACE_XML).map(|()| Vec::new());
        let place = Place::open(&self.real, files).await.map_err(error)?;
        let address = server.address().clone();
        let mut beside = Beside::open(&address).await;
        let (command, listen) =
            (place.command(self.command(operation)), Address::Path(place.work().join(PROXY)));
        let end = (&address, server.worker());
        let running = place.run_behind_proxy(listen, end, &command, recorder, deadline);
        let ran = beside.during(operation, running).await;
        let file = fs::read(place.work().join(OUTPUT_FILE)).ok();
        place.slot.close().await;
        let (output, _descriptors) = ran.map_err(error)?;
        effects::claim_exit(recorder, output.exit);
        let (stdout, stderr) = (output.stdout.text(), output.stderr.text());
        let printed = Printed { stdout: &stdout, stderr: &stderr, file: file.as_deref() };
        beside.report(operation, &claims::read(operation, &printed), recorder).await;
        server.effects(recorder).await;
        let (stdout, stderr) = (output.stdout.bytes(), output.stderr.bytes());
        Ok(ClientReport { exit: output.exit, stdout, stderr })
    }
}

impl Virsh {
    /// A client with that build's.
    pub(super) fn client(real: Arc<Installed>) -> Arc<dyn Client> {
        client(real.endpoint.clone(), Self { real })
    }
}
