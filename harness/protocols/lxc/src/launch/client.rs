//! The tools of a real build.

use std::sync::Arc;
use std::time::Duration;

use session::process::Output;
use session::sandbox::{self, Input};
use session::{Address, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::ExitStatus;

use super::PROXY_LXCPATH;
use super::monitor::{self, Monitor, Monitors};
use crate::effects::{self, CONTAINER, Operation};
use protocol::installed::Installed;
use protocol::launch::{DaemonLauncher, Place};
use protocol::reference::call::{Tools, client};

/// What `lxc-console` prints when it has a terminal, and what makes it end.
const CONSOLE_PROMPT: &[u8] = b"to exit the console";
const CONSOLE_QUIT: &[u8] = b"\x01q";

/// The tools of one build.
#[derive(Debug)]
pub(super) struct LxcTools {
    real: Arc<Installed>,
}

/// Where a client runs.
struct Meeting {
    slot: Arc<dyn sandbox::Place>,
    /// The container that a reference server answers with.
    stage: Option<Box<Monitor>>,
}

impl Tools for LxcTools {
    type Operation = Operation;

    /// A reference server is prepared with the container that it answers with.
    const PREPARED: bool = false;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        effects::operation(name)
    }

    fn command(&self, operation: &Operation) -> Vec<String> {
        operation.command_line(PROXY_LXCPATH, CONTAINER)
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let error = |kind| self.real.error("run a tool of", kind);
        let meeting = self.meeting(server, deadline).await?;
        server.prepare(operation.before.condition()).await?;
        let result = self.run_in(&meeting.slot, operation, server.address(), recorder, deadline).await;
        let (output, descriptors) = result.map_err(error)?;
        let exit = if operation.on_terminal { output.exit.map(behind_a_shell) } else { output.exit };
        effects::claim_exit(recorder, exit);
        write_claims(operation, &output, recorder);
        write_own_effects(operation, &output, descriptors, meeting.stage.is_some(), recorder);
        server.effects(recorder).await;
        if let Some(stage) = meeting.stage {
            stage.stop().await;
        }
        let (stdout, stderr) = (output.stdout.bytes(), output.stderr.bytes());
        Ok(ClientReport { exit, stdout, stderr })
    }
}

impl LxcTools {
    /// A client with the tools of that build.
    pub(super) fn client(real: Arc<Installed>) -> Arc<dyn Client> {
        client(real.endpoint.clone(), Self { real })
    }

    /// The slot of a real server; for a reference server, that of a container of our own release, which the
    /// server gets for its stage.
    async fn meeting(&self, server: &mut dyn Server, deadline: Duration) -> Result<Meeting, LaunchError> {
        if let Address::InSlot(slot, _) = server.address() {
            return Ok(Meeting { slot: Arc::clone(slot), stage: None });
        }
        let monitor = DaemonLauncher::new(Arc::clone(&self.real), Monitors).launch(deadline).await?;
        let stage = monitor::stage(&monitor).await.ok_or_else(|| {
            let why = "the container that stands in for a reference server's is gone".to_owned();
            self.real.error("run a tool of", LaunchErrorKind::Ended(why))
        })?;
        server.set_stage(&stage);
        Ok(Meeting { slot: Arc::clone(&monitor.place.slot), stage: Some(Box::new(monitor)) })
    }

    /// Runs the tool behind a proxy; what it printed, and how many descriptors the server passed to it.
    async fn run_in(
        &self,
        slot: &Arc<dyn sandbox::Place>,
        operation: &Operation,
        server: &Address,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<(Output, usize), LaunchErrorKind> {
        let place = Place::within(&self.real, Arc::clone(slot)).await?;
        let name = format!("{PROXY_LXCPATH}/{CONTAINER}/command").into_bytes();
        let listen = Address::InSlot(Arc::clone(slot), name);
        let mut line = self.command(operation);
        if let Some(first) = line.first().cloned() {
            line.splice(0..1, std::iter::once(first).chain(self.real.args.iter().cloned()));
        }
        let mut command = place.command(line);
        if operation.on_terminal {
            command.argv = on_terminal(&command.argv);
            command.input = Input::After { prompt: CONSOLE_PROMPT.to_vec(), typed: CONSOLE_QUIT.to_vec() };
        }
        // A real server is in the same slot.
        place.run_behind_proxy(listen, (server, None), &command, recorder, deadline).await
    }
}

/// `script` passes on what its shell says, and a shell says 128 + N for a command that signal N ended.
fn behind_a_shell(exit: ExitStatus) -> ExitStatus {
    match exit {
        ExitStatus::Code(code @ 129..=192) => ExitStatus::Signal(code - 128),
        other => other,
    }
}

/// The same command on a pseudo terminal of its own. No argument of an operation holds a quote.
fn on_terminal(argv: &[String]) -> Vec<String> {
    let quoted: Vec<_> = argv.iter().map(|arg| format!("'{arg}'")).collect();
    ["script", "-qec", &quoted.join(" "), "/dev/null"].map(str::to_owned).to_vec()
}

/// What the tool says in words.
fn write_claims(operation: &Operation, output: &Output, recorder: &Recorder) {
    let text = output.stdout.text();
    for (claim, _) in operation.claims {
        let said = match *claim {
            effects::STATE => {
                text.lines().find_map(|line| line.strip_prefix("State:")).map(|s| s.trim().to_owned())
            }
            effects::NAMES => Some(text.split_whitespace().collect::<Vec<_>>().join(",")),
            _ => None,
        };
        if let Some(said) = said {
            effects::claim(recorder, claim, &said);
        }
    }
}

/// What only the client's side can see.
fn write_own_effects(
    operation: &Operation,
    output: &Output,
    descriptors: usize,
    staged: bool,
    recorder: &Recorder,
) {
    for (effect, _) in operation.effects {
        match *effect {
            effects::CGROUP => {
                let text = output.stdout.text();
                if let Some(path) = unified_path(&text) {
                    effects::effect(
                        recorder,
                        effects::CGROUP,
                        if is_inside(path) { "inside" } else { "outside" },
                    );
                    effects::detail(recorder, effects::CGROUP, &format!("0::{path}"));
                }
            }
            // A reference server counts its leases itself.
            effects::TTY if !staged => {
                effects::effect(recorder, effects::TTY, effects::yes_or_no(descriptors > 0))
            }
            _ => {}
        }
    }
}

/// The path in the unified hierarchy, from the text of `/proc/self/cgroup`.
fn unified_path(text: &str) -> Option<&str> {
    // On a terminal lines end in a carriage return too.
    text.lines().find_map(|line| line.trim_end_matches('\r').strip_prefix("0::"))
}

/// The process saw its path from the container's cgroup namespace: what lies outside of the container
/// begins with `..`.
fn is_inside(path: &str) -> bool {
    !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_cgroup_of_an_attached_process() {
        let check = |text: &str, inside: Option<bool>| {
            assert_eq!(unified_path(text).map(is_inside), inside, "{text}")
        };
        check("9:name=systemd:/\n0::/.lxc\n", Some(true));
        check("0::/\n", Some(true));
        check("0::/..\n", Some(false));
        check("0::/..\r\n", Some(false));
        check("0::/../../x\n", Some(false));
        check("9:name=systemd:/\n", None);
        check("", None);
    }

    #[test]
    fn a_terminal_gets_one_quoted_line() {
        let argv = ["lxc-console", "-P", "/p", "-t", "1"].map(str::to_owned);
        assert_eq!(on_terminal(&argv).get(2).map(String::as_str), Some("'lxc-console' '-P' '/p' '-t' '1'"));
    }
}
