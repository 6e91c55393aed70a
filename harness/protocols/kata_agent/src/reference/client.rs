//! The reference client: a runtime that does what its release does, and the ideal one, which works with every agent.
//!
//! The ideal one asks for the version first, writes seccomp in the layout of that release, passes on no capability that it does not
//! know, and knows an agent that has not got a method by the words of agents that do not say UNIMPLEMENTED.

use std::path::Path;
use std::time::Duration;

use matrix::{Build, CaseKind, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use protocol::{Made, effects};
use session::{Address, Client, ClientReport, LaunchError, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use ttrpc::Values;
use ttrpc::reference::client::{Called, Calls, Failed, done, end, exit};
use verdict::checks::{LOADS, LOST, Loads};
use wire::protobuf::Writer;

use super::defects::{self, DEFECTS};
use crate::dialect::{DIALECTS, Dialect};
use crate::operations::{self, Operation};
use crate::persist::{self, File, Read, Reader};
use crate::words;

/// How long a runtime waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only connection of an operation.
const CONN: ConnId = ConnId(1);
/// The services.
const AGENT: &str = "grpc.AgentService";
const HEALTH: &str = "grpc.Health";
/// The container of every operation.
const ID: &str = "c1";
/// A capability that everybody knows, and one that nobody does.
const KNOWN: &str = "CAP_KILL";
const OF_THE_FUTURE: &str = "CAP_FUTURE_THING";
/// `SIGTERM` and `SIGKILL`.
const SIGTERM: u64 = 15;
const SIGKILL: u64 = 9;

/// A runtime with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, &DEFECTS, switched_on)?;
    let runtimes = Runtimes { dialect: part.dialect, switches: part.switches.clone() };
    Ok(call::client(part.endpoint("kata-runtime"), runtimes))
}

struct Runtimes {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Tools for Runtimes {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name)
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let patience = PATIENCE.min(deadline / 2);
        if operation.kind == CaseKind::State {
            self.read_state(operation, server, recorder, patience).await;
            return Ok(end(server, recorder, Some(ExitStatus::Code(0))).await);
        }
        let talked = self.talk(operation, server.address(), recorder, patience).await;
        Ok(end(server, recorder, exit(talked)).await)
    }
}

impl Runtimes {
    async fn talk(
        &self,
        operation: &Operation,
        address: &Address,
        recorder: &Recorder,
        patience: Duration,
    ) -> Result<(), Failed> {
        let trace = Some((recorder.clone(), CONN));
        let mut calls = Calls::connect(address, trace, patience).await?.with_faults(&self.switches);
        done(calls.call(AGENT, "CreateSandbox", &Writer::new().text(1, "vm").text(5, "s1").finish()).await?)?;
        match operation.name {
            "lifecycle" => self.lifecycle(&mut calls, recorder).await,
            "kill" => self.kill(&mut calls, recorder).await,
            "seccomp" => {
                let layout = self.seccomp_of_2_0(&mut calls).await?;
                self.create(&mut calls, &[KNOWN], Some(layout)).await
            }
            "capability" => self.create(&mut calls, &self.known_of(&[KNOWN, OF_THE_FUTURE]), None).await,
            "neighbours" => {
                let neighbour = Writer::new().text(2, "eth0").text(3, "02:00:00:00:00:01");
                let neighbours = Writer::new().message(1, Writer::new().message(1, neighbour)).finish();
                self.or_without(calls.call(AGENT, "AddARPNeighbors", &neighbours).await?)
            }
            "interface" => {
                let address = self.address(&mut calls).await?;
                let interface = Writer::new().text(2, "eth0").text(5, operations::HARDWARE);
                let interface = if address.is_empty() { interface } else { interface.text(6, address) };
                let argument = Writer::new().message(1, interface).finish();
                done(calls.call(AGENT, "UpdateInterface", &argument).await?)?;
                Ok(())
            }
            _ => {
                self.create(&mut calls, &[KNOWN], None).await?;
                if self.switches.has(defects::NEVER_UPDATES_MOUNTS) {
                    return Ok(());
                }
                let mount = Writer::new().text(1, "ephemeral").text(6, "/run/kata-containers/tmp");
                let mounts = Writer::new().message(1, mount).finish();
                let (service, method) = operations::UPDATE_MOUNTS;
                self.or_without(calls.call(service, method, &mounts).await?)
            }
        }
    }

    /// Reads what another release has written down.
    async fn read_state(
        &self,
        operation: &Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        patience: Duration,
    ) {
        let file = if operation.name == operations::RUNTIME_RS { File::Runtime } else { File::Persist };
        let Some(directory) = server.machine() else { return };
        let Some((loads, lost)) = self.read_file(directory, file) else { return };
        if loads == Loads::No && self.switches.has(defects::ENDS_UNREADABLE) {
            self.end_sandbox(server.address(), recorder, patience).await;
        }
        effects::claim(recorder, LOADS, loads.word());
        if !lost.is_empty() {
            effects::claim(recorder, LOST, &lost.join(","));
        }
    }

    /// Reads a file of a directory: whether it is loaded, and which keys are lost; `None` where there is none.
    fn read_file(&self, directory: &Path, file: File) -> Option<(Loads, Vec<String>)> {
        let release = self.dialect.release();
        let read = persist::load(directory, file, Reader::of(release.as_ref()))?;
        if matches!(read, Read::Nothing(_)) && self.switches.has(defects::WRITES_BESIDE) {
            // A directory of this run; if it is gone, so is the file.
            let _ = std::fs::write(directory.join("unreadable.json"), "{}");
        }
        Some(match read {
            _ if self.switches.has(defects::REWRITES_UNREADABLE) => {
                let _ = std::fs::write(directory.join(file.name()), "{}");
                (Loads::No, Vec::new())
            }
            Read::All if self.switches.has(defects::LOSES_STATE) => {
                (Loads::WithLoss, vec!["PersistVersion".to_owned()])
            }
            Read::Nothing(_) if self.switches.has(defects::LOADS_ANYTHING) => (Loads::Yes, Vec::new()),
            Read::All => (Loads::Yes, Vec::new()),
            Read::Without(lost) => (Loads::WithLoss, lost),
            Read::Nothing(_) => (Loads::No, Vec::new()),
        })
    }

    /// Ends the sandbox of somebody else. What comes of it is seen from outside.
    async fn end_sandbox(&self, address: &Address, recorder: &Recorder, patience: Duration) {
        let calls = Calls::connect(address, Some((recorder.clone(), CONN)), patience).await;
        if let Ok(mut calls) = calls {
            let _ = calls.call(AGENT, "DestroySandbox", b"").await;
        }
    }

    /// A call that an older agent may not know: then there is nothing to be done.
    fn or_without(&self, called: Called) -> Result<(), Failed> {
        let is_older = match called {
            Called::Done(_) => return Ok(()),
            _ => called.is_unknown() || self.dialect.reads_refusals && called.is_unknown_in_words(),
        };
        if is_older && !self.switches.has(defects::NO_FALLBACK) { Ok(()) } else { Err(Failed::Refused) }
    }

    /// Whether the agent has the rules of seccomp where 2.0 has them, as this runtime thinks.
    async fn seccomp_of_2_0(&self, calls: &mut Calls) -> Result<bool, Failed> {
        if self.switches.has(defects::OLD_LAYOUT) {
            return Ok(true);
        }
        let agent = if self.switches.has(defects::ONE_LAYOUT) { None } else { self.agent(calls).await? };
        Ok(agent.unwrap_or(self.dialect).seccomp_of_2_0)
    }

    /// What the device of the interface is called; nothing where the agent cannot read that, and finds the interface without.
    async fn address(&self, calls: &mut Calls) -> Result<&'static str, Failed> {
        let address = self.dialect.addresses.newest();
        let agent =
            if self.switches.has(defects::SENDS_ANY_ADDRESS) { None } else { self.agent(calls).await? };
        Ok(if agent.is_none_or(|agent| agent.addresses.reads(address)) { address } else { "" })
    }

    /// The release of the agent, where the runtime writes for it; the agent may be of one that nobody knows.
    async fn agent(&self, calls: &mut Calls) -> Result<Option<&'static Dialect>, Failed> {
        if !self.dialect.writes_for_agent {
            return Ok(None);
        }
        let version = done(calls.call(HEALTH, "Version", b"").await?)?;
        Ok(DIALECTS.for_version(&Values(&version).text(2)))
    }

    /// The capabilities that are passed on. Whoever leaves out what it does not know warns of it: nobody could grant that.
    fn known_of<'a>(&self, capabilities: &[&'a str]) -> Vec<&'a str> {
        if self.switches.has(defects::DROPS_CAPABILITIES) {
            return Vec::new();
        }
        let passes_on = self.dialect.passes_words_on || self.switches.has(defects::SENDS_ANY_WORD);
        let is_sent = |word: &&&str| passes_on || words::is_capability(word);
        capabilities.iter().filter(is_sent).copied().collect()
    }

    async fn create(
        &self,
        calls: &mut Calls,
        capabilities: &[&str],
        seccomp: Option<bool>,
    ) -> Result<(), Failed> {
        done(calls.call(AGENT, "CreateContainer", &container(capabilities, seccomp)).await?)?;
        Ok(())
    }

    async fn kill(&self, calls: &mut Calls, recorder: &Recorder) -> Result<(), Failed> {
        let of_container = Writer::new().text(1, ID).finish();
        let of_process = || Writer::new().text(1, ID).text(2, ID);
        self.create(calls, &[KNOWN], None).await?;
        done(calls.call(AGENT, "StartContainer", &of_container).await?)?;
        // Nothing ever runs out of memory: this has no end.
        calls.begin(AGENT, "GetOOMEvent", b"").await?;
        let waits = calls.begin(AGENT, "WaitProcess", &of_process().finish()).await?;
        done(calls.call(AGENT, "SignalProcess", &of_process().uint(3, SIGKILL).finish()).await?)?;
        done(calls.call(AGENT, "RemoveContainer", &of_container).await?)?;
        let exit = done(calls.end(waits).await?)?;
        self.claim_status(recorder, &exit);
        Ok(())
    }

    /// Says how a process ended that was waited for.
    fn claim_status(&self, recorder: &Recorder, exit: &[u8]) {
        let status = if self.switches.has(defects::INVENTS_STATUS) { 0 } else { Values(exit).uint(1) };
        effects::claim(recorder, operations::STATUS, &status.to_string());
    }

    async fn lifecycle(&self, calls: &mut Calls, recorder: &Recorder) -> Result<(), Failed> {
        let of_container = Writer::new().text(1, ID).finish();
        let of_process = || Writer::new().text(1, ID).text(2, ID);
        self.create(calls, &[KNOWN], None).await?;
        done(calls.call(AGENT, "StartContainer", &of_container).await?)?;
        let read = done(calls.call(AGENT, "ReadStdout", &of_process().uint(3, 6).finish()).await?)?;
        effects::claim(recorder, operations::STDOUT, Values(&read).text(1).trim_end());
        let waits = calls.begin(AGENT, "WaitProcess", &of_process().finish()).await?;
        done(calls.call(AGENT, "SignalProcess", &of_process().uint(3, SIGTERM).finish()).await?)?;
        let exit = done(calls.end(waits).await?)?;
        self.claim_status(recorder, &exit);
        done(calls.call(AGENT, "RemoveContainer", &of_container).await?)?;
        Ok(())
    }
}

/// A container with these capabilities, perhaps with a rule of seccomp, in the layout of 2.0 or in the other one.
fn container(capabilities: &[&str], seccomp_of_2_0: Option<bool>) -> bytes::Bytes {
    let in_sets = (1..=4).flat_map(|set| capabilities.iter().map(move |word| (set, word)));
    let capabilities = in_sets.fold(Writer::new(), |sets, (set, word)| sets.text(set, word));
    let process = Writer::new().text(4, "/init").text(6, "/").message(7, capabilities);
    let mut linux = Writer::new().text(5, "/c1");
    if let Some(of_2_0) = seccomp_of_2_0 {
        let rule = Writer::new().text(1, "chmod").text(2, "SCMP_ACT_ERRNO");
        linux = linux
            .message(8, Writer::new().text(1, "SCMP_ACT_ALLOW").message(if of_2_0 { 3 } else { 4 }, rule));
    }
    let spec = Writer::new()
        .text(1, "1.0.2")
        .message(2, process)
        .message(3, Writer::new().text(1, "/run/c1"))
        .message(8, linux);
    Writer::new().text(1, ID).text(2, ID).message(6, spec).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use protocol::dialect::IDEAL;

    use super::*;

    fn runtime(release: &str, switched_on: &[&str]) -> Runtimes {
        let dialect = DIALECTS.named(release).expect("a release of the table");
        let switches = Switches::on(&DEFECTS, Role::Client, switched_on).expect("defects of the table");
        Runtimes { dialect, switches }
    }

    /// What a runtime makes of a file, and whether all that lies beside and in it is as it was.
    fn reads(runtime: &Runtimes, file: File, files: &persist::Files) -> (Option<Loads>, bool) {
        let directory = tempfile::tempdir().expect("a directory for this test");
        persist::lay(directory.path(), files).expect("files can be written");
        let loads = runtime.read_file(directory.path(), file).map(|(loads, _)| loads);
        (loads, persist::lie_alone(directory.path(), files))
    }

    #[test]
    fn a_runtime_that_touches_what_it_refuses_is_seen() {
        let cut = persist::left("persist-cut").expect("it is left behind").files();
        assert_eq!(reads(&runtime(IDEAL, &[]), File::Persist, &cut), (Some(Loads::No), true));
        for defect in ["rewrites-unreadable", "writes-beside"] {
            assert_eq!(reads(&runtime(IDEAL, &[defect]), File::Persist, &cut), (Some(Loads::No), false));
        }
    }

    proptest! {
        /// What was left behind is as it was, whoever wrote it and whoever reads it, whether it is loaded or not.
        #[test]
        fn a_runtime_reads_without_touching_anything(
            release in select(DIALECTS.all().iter().map(|dialect| dialect.name).collect::<Vec<_>>()),
            file in select(File::ALL.to_vec()),
            left in select(persist::LEFT.to_vec()),
            writer in select(DIALECTS.all().iter().map(Dialect::release).collect::<Vec<_>>()),
            is_left in any::<bool>(),
        ) {
            let files = if is_left { left.files() } else { persist::written_by(writer.as_ref()) };
            let (loads, is_untouched) = reads(&runtime(release, &[]), file, &files);
            prop_assert!(is_untouched);
            prop_assert_eq!(loads.is_some(), files.iter().any(|(written, _)| *written == file));
            if release == IDEAL && loads.is_some() {
                let is_due = if is_left && left.is_for_nobody { Loads::No } else { Loads::Yes };
                prop_assert_eq!(loads, Some(is_due));
            }
        }
    }
}
