//! Daemons of a real build as clients of shims.
//!
//! Every operation but `start` begins with a container that a daemon of the shim's build has left running. Then the daemon under test
//! is started over the same state:
//!
//! ```text
//! take-over   it looks at the container, pauses, resumes and kills it, and removes what is left of it
//! upgrade     it does so while it runs a container of its own; both are asked to end, and say with what they end
//! rollback    it starts a container of its own, then the first daemon takes over again; both are asked to end
//! start       it finds nothing, and starts a container with the program of the shim: see program.rs
//! state/*     what says where the shim is has been changed meanwhile: see ../state.rs
//! ```
//!
//! A daemon that does not understand what it finds kills the container and removes its bundle. So effects are read while things go
//! on, from the container's cgroup and processes: a container that is to be removed at the end was not to be at the beginning.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use matrix::CaseKind;
use protocol::effects::{claim, claim_exit, effect};
use protocol::installed::Installed;
use protocol::launch::{Place, within};
use protocol::reference::call::{Tools, client};
use session::process::Output;
use session::proxy::Proxy;
use session::sandbox;
use session::{Address, Client, ClientReport, LaunchError, LaunchErrorKind, Recorder, Server};
use transcript::evidence::Observation;
use transcript::{ConnId, ExitStatus};
use verdict::checks::{LOADS, Loads, RUNS};
use wire::Direction;

use super::containerd::{Running, Start};
use super::effects::{Container, in_time, write_bundle, yes_or_no};
use super::place::{self, met};
use super::{LEFT, NEW, program, stand_in};
use crate::operations::{
    self, INSTALLED, KEPT, LEFT_BY_DAEMON, LISTED, NEW_KEPT, NEW_STATUS, Operation, PAUSED, RESUMED, STARTED,
    STATE, STATUS,
};
use crate::state::{self, Files};

/// How long a daemon may take to come up. It takes 0.1 s; 1.4.13 waits 100 s for a shim that is not there.
pub(super) const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long a container may take to end that was killed, or to be ready for that.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// How long the kernel may take to freeze what it was told to freeze.
const FREEZE_DEADLINE: Duration = Duration::from_millis(500);
/// How long a daemon is left alone before it is asked whether a container has ended, and how often it is asked at most.
const LISTED_AGAIN: Duration = Duration::from_millis(50);
const LISTED_MAX: usize = 20;
/// How long the proxy may take to see the end of a connection.
const PROXY_DEADLINE: Duration = Duration::from_secs(1);
/// What a daemon says of a container that it has found.
const IS_RUNNING: &str = "running";
/// Key of what ctr said that failed.
const REFUSED: &str = "ctr";

/// The daemon of one build.
#[derive(Debug)]
pub(super) struct Containerd {
    real: Arc<Installed>,
}

impl Tools for Containerd {
    type Operation = Operation;

    /// All begin with the same condition.
    const PREPARED: bool = false;

    /// The others are for reference daemons.
    fn operation(&self, name: &str) -> Option<&'static Operation> {
        let operation = operations::operation(name)?;
        let is_real = [LEFT_BY_DAEMON, INSTALLED].contains(&operation.before);
        (is_real || operation.kind == CaseKind::State).then_some(operation)
    }

    fn command(&self, _operation: &Operation) -> Vec<String> {
        ["containerd", "-c", "/wireskew/config.toml"].map(str::to_owned).to_vec()
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let error = |kind| self.real.error("run", kind);
        if operation.before != INSTALLED {
            server.prepare(LEFT_BY_DAEMON).await?;
        }
        let asked = match met(server.address()) {
            Some(met) => self.meet(operation, met, recorder, deadline).await,
            None => self.meet_elsewhere(operation, server.address(), recorder, deadline).await,
        };
        let asked = asked.map_err(error)?;
        server.effects(recorder).await;
        claim_exit(recorder, asked.exit);
        Ok(ClientReport { exit: asked.exit, stdout: asked.stdout, stderr: asked.stderr })
    }
}

impl Containerd {
    /// A client with that build's.
    pub(super) fn client(real: Arc<Installed>) -> Arc<dyn Client> {
        client(real.endpoint.clone(), Self { real })
    }

    /// Carries an operation out behind a proxy.
    async fn meet(
        &self,
        operation: &'static Operation,
        (slot, of_shim): (Arc<dyn sandbox::Place>, Arc<Installed>),
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<Asked, LaunchErrorKind> {
        let place = place::within(&self.real, Arc::clone(&slot)).await?;
        let before = place::within(&of_shim, slot).await?;
        // Ours still leads to the shim itself.
        let proxy = place::stand_before(&place, |listen, shim| {
            Proxy::start(listen, shim, recorder.clone(), ConnId(1))
        })?;
        let mut story = Story { place: &place, recorder, deadline, sees: true, asked: Asked::default() };
        let told = match protocol::effects::Operation::name(operation) {
            "upgrade" => story.upgrade().await,
            "rollback" => story.rollback(&before).await,
            "take-over" => story.look_around().await,
            "start" => story.start_other(&before).await,
            name => story.find_changed(name).await,
        };
        story.end_behind(proxy, told).await
    }

    /// The same with a shim that runs elsewhere. What it does is seen there; the bundle is here.
    async fn meet_elsewhere(
        &self,
        operation: &'static Operation,
        shim: &Address,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<Asked, LaunchErrorKind> {
        let name = protocol::effects::Operation::name(operation);
        if name != "take-over" {
            let why = format!("`{name}` needs a daemon of the server's release, and it has none");
            return Err(LaunchErrorKind::Setup(why));
        }
        let (place, proxy) = stand_in::open(&self.real, shim, recorder).await?;
        let mut story = Story { place: &place, recorder, deadline, sees: false, asked: Asked::default() };
        let told = story.look_around().await;
        let asked = story.end_behind(proxy, told).await;
        write_bundle(&Container::new(&place, LEFT), recorder);
        place.slot.close().await;
        asked
    }
}

/// What came of what was asked with ctr.
#[derive(Debug, Default)]
struct Asked {
    /// How the first one ended that failed, or the last one.
    exit: Option<ExitStatus>,
    failed: bool,
    /// The daemon was lost: it did not come up, or ended.
    lost: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Asked {
    fn take(&mut self, output: &Output) {
        if !self.failed {
            self.exit = output.exit;
            self.failed = !output.success();
        }
        self.stdout.extend(output.stdout.bytes());
        self.stderr.extend(output.stderr.bytes());
    }
}

/// A daemon over what another one has left.
struct Taken<'a> {
    daemon: Running<'a>,
    /// The first process of the container as it was before.
    first: Option<i32>,
    /// What the daemon says that the container is.
    is: String,
}

/// An operation that goes on.
struct Story<'a> {
    place: &'a Place,
    recorder: &'a Recorder,
    deadline: Duration,
    /// Whether the container is one that can be seen.
    sees: bool,
    asked: Asked,
}

impl<'a> Story<'a> {
    /// The end of it, when the proxy has seen all. A connection that stays open is closed then.
    async fn end_behind(
        self,
        proxy: Proxy,
        told: Result<(), LaunchErrorKind>,
    ) -> Result<Asked, LaunchErrorKind> {
        let _ = in_time(PROXY_DEADLINE, || proxy.open() == 0).await;
        proxy.stop().await;
        match told {
            Err(kind) if !self.asked.lost => Err(kind),
            _ => Ok(self.asked),
        }
    }

    async fn look_around(&mut self) -> Result<(), LaunchErrorKind> {
        let Taken { daemon, first, .. } = self.take_over().await?;
        self.see(LEFT, KEPT, first);
        self.see_that_known(&daemon, &[LEFT]).await?;
        self.ask(&daemon, &["task", "metrics", LEFT]).await?;
        self.ask(&daemon, &["task", "ps", LEFT]).await?;
        self.pause_and_resume(&daemon).await?;
        self.end(&daemon, LEFT, "9", STATUS).await?;
        daemon.end().await
    }

    async fn upgrade(&mut self) -> Result<(), LaunchErrorKind> {
        let Taken { daemon, first, .. } = self.take_over().await?;
        self.see(LEFT, KEPT, first);
        self.see_that_known(&daemon, &[LEFT]).await?;
        let new = self.start_new(&daemon).await?;
        self.pause_and_resume(&daemon).await?;
        self.see(NEW, NEW_KEPT, new);
        for (id, status) in [(LEFT, STATUS), (NEW, NEW_STATUS)] {
            self.end(&daemon, id, "15", status).await?;
        }
        daemon.end().await
    }

    async fn rollback(&mut self, before: &Place) -> Result<(), LaunchErrorKind> {
        let Taken { daemon, first, .. } = self.take_over().await?;
        let new = self.start_new(&daemon).await?;
        daemon.end().await?;
        finds_shim(before, NEW)?;
        let daemon = self.up(before).await?;
        self.ask(&daemon, &["task", "ls"]).await?;
        self.see_that_run(&[(LEFT, first), (NEW, new)]);
        self.see(LEFT, KEPT, first);
        self.see(NEW, NEW_KEPT, new);
        self.see_that_known(&daemon, &[LEFT, NEW]).await?;
        self.pause_and_resume(&daemon).await?;
        for (id, status) in [(LEFT, STATUS), (NEW, NEW_STATUS)] {
            self.end(&daemon, id, "15", status).await?;
        }
        daemon.end().await
    }

    /// Starts a container with the shim of another build, which the daemon may not understand.
    async fn start_other(&mut self, of_shim: &Place) -> Result<(), LaunchErrorKind> {
        program::put(of_shim, self.place).await?;
        let daemon = within(START_DEADLINE, Running::start(self.place, Start::Anew)).await?;
        let first = self.start_new(&daemon).await?;
        effect(self.recorder, STARTED, yes_or_no(first.is_some()));
        if let Some(word) = program::refused(&String::from_utf8_lossy(&self.asked.stderr)) {
            claim(self.recorder, operations::REFUSED, word);
        }
        if first.is_some() {
            self.end(&daemon, NEW, "15", NEW_STATUS).await?;
        }
        daemon.end().await
    }

    /// What stands in the bundle is changed while no daemon runs.
    async fn find_changed(&mut self, name: &str) -> Result<(), LaunchErrorKind> {
        let container = Container::new(self.place, LEFT);
        let bundle = container.bundle();
        state::change(name, &bundle)?;
        let left = Files::read(&bundle);
        let came = self.take_over().await;
        state::write(&left, &bundle, self.recorder);
        let finds_it = came.as_ref().is_ok_and(|taken| taken.is == IS_RUNNING);
        claim(self.recorder, LOADS, if finds_it { Loads::Yes } else { Loads::No }.word());
        came?.daemon.end().await
    }

    /// Starts the daemon under test over what another one has left, and asks what it has found.
    async fn take_over(&mut self) -> Result<Taken<'a>, LaunchErrorKind> {
        finds_shim(self.place, LEFT)?;
        let first = Container::new(self.place, LEFT).first();
        let came = self.up(self.place).await;
        if came.is_err() {
            self.see(LEFT, KEPT, first);
            self.see_that_run(&[(LEFT, first)]);
        }
        let daemon = came?;
        let listed = self.ask(&daemon, &["task", "ls"]).await?;
        self.see_that_run(&[(LEFT, first)]);
        let is = state_in(&listed.stdout.text(), LEFT).unwrap_or_else(|| "none".to_owned());
        claim(self.recorder, STATE, &is);
        Ok(Taken { daemon, first, is })
    }

    /// Starts a daemon over what another one has left. One that does not come up over that is no fault of ours.
    async fn up<'p>(&mut self, place: &'p Place) -> Result<Running<'p>, LaunchErrorKind> {
        let came = within(START_DEADLINE, Running::start(place, Start::WithState)).await;
        if let Err(kind) = &came {
            let exit = matches!(kind, LaunchErrorKind::Ended(_)).then_some(ExitStatus::Gone);
            self.lose(exit, format!("containerd: {kind}"));
        }
        came
    }

    /// The daemon is gone, or does not come.
    fn lose(&mut self, exit: Option<ExitStatus>, said: String) {
        self.recorder.observe(Direction::ToServer, Observation::Of(REFUSED), said);
        self.asked.exit = exit;
        self.asked.lost = true;
    }

    /// Starts a container of the daemon's own, and waits until it can be asked to end; its first process.
    async fn start_new(&mut self, daemon: &Running<'_>) -> Result<Option<i32>, LaunchErrorKind> {
        let argv = daemon.to_run(NEW)?;
        let argv: Vec<_> = argv.iter().map(String::as_str).collect();
        let container = Container::new(self.place, NEW);
        if self.ask(daemon, &argv).await?.success() {
            // One that does not come to that is seen not to be there.
            let _ = in_time(END_DEADLINE, || container.catches_term()).await;
        }
        Ok(container.first())
    }

    async fn pause_and_resume(&mut self, daemon: &Running<'_>) -> Result<(), LaunchErrorKind> {
        self.ask(daemon, &["task", "pause", LEFT]).await?;
        let container = Container::new(self.place, LEFT);
        if self.sees {
            // runc 1.0.0-rc93, of the suite of 1.4.13, does not wait for the kernel.
            let is_frozen = in_time(FREEZE_DEADLINE, || container.frozen()).await;
            effect(self.recorder, PAUSED, yes_or_no(is_frozen));
        }
        self.ask(daemon, &["task", "resume", LEFT]).await?;
        if self.sees {
            let goes_on = || container.first().is_some() && !container.frozen();
            effect(self.recorder, RESUMED, yes_or_no(in_time(FREEZE_DEADLINE, goes_on).await));
        }
        Ok(())
    }

    /// Asks a container to end, and what it has ended with; then removes what is left of it.
    async fn end(
        &mut self,
        daemon: &Running<'_>,
        id: &str,
        signal: &str,
        status: &str,
    ) -> Result<(), LaunchErrorKind> {
        self.ask(daemon, &["task", "kill", "-s", signal, id]).await?;
        // One that does not end is seen to be there.
        let container = Container::new(self.place, id);
        let _ = in_time(END_DEADLINE, || container.first().is_none()).await;
        for _ in 0..LISTED_MAX {
            // The kernel knows of the end before the shim does.
            tokio::time::sleep(LISTED_AGAIN).await;
            let listed = self.ask(daemon, &["task", "ls"]).await?;
            if state_in(&listed.stdout.text(), id).as_deref() != Some(IS_RUNNING) {
                break;
            }
        }
        let removed = self.ask(daemon, &["task", "rm", id]).await?;
        if let Some(ended_with) = exit_status_in(&removed.stderr.text()) {
            claim(self.recorder, status, ended_with);
        }
        Ok(())
    }

    /// Writes down whether the first process of a container is there, and is the one that was there before, if one was.
    fn see(&self, id: &str, kept: &str, before: Option<i32>) {
        if !self.sees {
            return;
        }
        let container = Container::new(self.place, id);
        let now = container.first();
        let is_kept = now.is_some() && before.is_none_or(|before| now == Some(before));
        effect(self.recorder, kept, yes_or_no(is_kept && container.bundle().is_dir()));
    }

    /// Writes down whether the first process of every container is the one that was there before.
    fn see_that_run(&self, before: &[(&str, Option<i32>)]) {
        if self.sees {
            let run = before
                .iter()
                .all(|(id, first)| first.is_some() && Container::new(self.place, id).first() == *first);
            effect(self.recorder, RUNS, yes_or_no(run));
        }
    }

    /// Writes down whether a daemon knows containers that others have made: that is kept in its own files, of which no shim knows.
    async fn see_that_known(&mut self, daemon: &Running<'_>, ids: &[&str]) -> Result<(), LaunchErrorKind> {
        let listed = self.ask(daemon, &["containers", "ls", "--quiet"]).await?.stdout.text();
        let is_known = ids.iter().all(|id| listed.lines().any(|line| line.trim() == *id));
        effect(self.recorder, LISTED, yes_or_no(is_known));
        Ok(())
    }

    async fn ask(&mut self, daemon: &Running<'_>, argv: &[&str]) -> Result<Output, LaunchErrorKind> {
        let output = daemon.ctr(argv, self.deadline).await?;
        self.asked.take(&output);
        if !output.success() {
            let said = format!("{}: {}", argv.join(" "), output.tail(1));
            self.recorder.observe(Direction::ToServer, Observation::Of(REFUSED), said);
        }
        if let Some(status) = daemon.ended() {
            self.lose(Some(status), format!("containerd ended at: {}", argv.join(" ")));
            return Err(LaunchErrorKind::Ended("containerd".to_owned()));
        }
        Ok(output)
    }
}

/// Since 1.6 a bundle names the program of its shim, and a daemon whose root has it not takes the container for dead. That is so
/// where one build is a directory of tools and the other one is not, and says nothing of releases.
fn finds_shim(place: &Place, id: &str) -> Result<(), LaunchErrorKind> {
    let named = fs::read_to_string(Container::new(place, id).bundle().join("shim-binary-path"));
    let Ok(named) = named else { return Ok(()) };
    let below = Path::new(named.trim()).strip_prefix("/").unwrap_or(Path::new(&named));
    if place.slot.path(place.root.join(below)).is_file() {
        return Ok(());
    }
    let why = format!("the root of {} has no `{named}`, the shim of a container", place.real.endpoint.id);
    Err(LaunchErrorKind::Setup(format!("{why}; give root directories that have it in the same place")))
}

/// What `ctr task ls` says that a container is: `TASK PID STATUS`, in small letters.
fn state_in(printed: &str, id: &str) -> Option<String> {
    let mut lines = printed.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(id)).then(|| words.nth(1))?).map(str::to_lowercase)
}

/// What `ctr task rm` says that a container has ended with, where that is not 0.
fn exit_status_in(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("non-zero exit code ")?;
    Some(rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ctr_prints() {
        let printed = "TASK    PID    STATUS    \nd1      207    RUNNING\nd2      315    PAUSED\n";
        assert_eq!(state_in(printed, "d2").as_deref(), Some("paused"));
        assert_eq!(state_in(printed, "d3"), None);
        let said =
            "time=\"2026-11-30T20:48:30Z\" level=warning msg=\"task d1 exit with non-zero exit code 7\"\n";
        assert_eq!(exit_status_in(said), Some("7"));
        assert_eq!(exit_status_in("ctr: no running task found"), None);
    }
}
