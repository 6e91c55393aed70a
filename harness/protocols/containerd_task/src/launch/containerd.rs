//! Daemons of a real build, and what their `ctr` asks of them.

use std::fs;
use std::io;
use std::time::Duration;

use protocol::installed::{Process, setup};
use protocol::launch::{Place, ready};
use rustix::process::Signal;
use session::LaunchErrorKind;
use session::process::Output;
use transcript::ExitStatus;

use super::bundle::specification;
use super::place::entered;

/// How long a daemon may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// How long ctr may take for what prepares something.
const CTR_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of what ctr said that an error shows.
const TAIL_LINES: usize = 4;
/// The configuration, for the daemon. It has no plugin that needs more of the machine than there is.
const CONFIG: &str = "/wireskew/config.toml";
const CONFIG_TEXT: &str = r#"version = 2
root = "/wireskew/lib"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "/run/containerd/containerd.sock"
"#;

/// Whether a daemon finds the state of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It is the first one.
    Anew,
    /// It finds what others have left.
    WithState,
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Running<'a> {
    place: &'a Place,
    process: Process,
}

impl<'a> Running<'a> {
    /// Starts one and waits until it answers. The deadline is the caller's.
    pub(super) async fn start(place: &'a Place, how: Start) -> Result<Self, LaunchErrorKind> {
        if how == Start::Anew {
            fs::write(place.work().join("config.toml"), CONFIG_TEXT)?;
        }
        let mut argv = vec!["containerd"];
        argv.extend(place.real.args.iter().map(String::as_str));
        argv.extend(["-c", CONFIG]);
        let process = place.spawn(&entered(place, "/", &argv)).await?;
        let running = Self { place, process };
        let answers = || async {
            let output = running.ctr(&["version"], CTR_DEADLINE).await.ok()?;
            output.success().then_some(())
        };
        ready(answers, || place.why_ended(&running.process, &[])).await?;
        Ok(running)
    }

    /// Asks it something with the `ctr` of its build.
    pub(super) async fn ctr(&self, argv: &[&str], deadline: Duration) -> Result<Output, LaunchErrorKind> {
        let argv = ["ctr", "--connect-timeout", "1s"].iter().chain(argv).map(|&arg| arg.to_owned());
        let command = self.place.command(argv.collect());
        self.place.run(&command, deadline, Some(&self.process)).await
    }

    /// Starts a container.
    pub(super) async fn run_container(&self, id: &str) -> Result<(), LaunchErrorKind> {
        let argv = self.to_run(id)?;
        let argv: Vec<_> = argv.iter().map(String::as_str).collect();
        self.must(&argv).await
    }

    /// Makes a container known that is not started.
    pub(super) async fn make_container(&self, id: &str) -> Result<(), LaunchErrorKind> {
        let argv = self.to_run(id)?;
        // `run -d` starts it as well.
        let options = argv.iter().skip(2).map(String::as_str);
        let argv: Vec<_> = ["containers", "create"].into_iter().chain(options).collect();
        self.must(&argv).await
    }

    async fn must(&self, argv: &[&str]) -> Result<(), LaunchErrorKind> {
        let output = self.ctr(argv, CTR_DEADLINE).await?;
        if output.success() {
            return Ok(());
        }
        let (asked, said) = (argv.join(" "), output.tail(TAIL_LINES));
        Err(LaunchErrorKind::Setup(format!("ctr {asked}: {:?} {said}", output.exit)))
    }

    /// What ctr is asked for a container, whose specification is written down.
    pub(super) fn to_run(&self, id: &str) -> io::Result<Vec<String>> {
        let file = format!("{id}.json");
        fs::write(self.place.work().join(&file), specification(id))?;
        let file = format!("/wireskew/{file}");
        Ok(["run", "-d", "--config", &file, id].map(str::to_owned).to_vec())
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Tells it to end, and waits for that. Containers and shims go on.
    pub(super) async fn end(self) -> Result<(), LaunchErrorKind> {
        match self.process.end(Signal::TERM, END_DEADLINE).await.map_err(setup)? {
            Some(_) => Ok(()),
            None => Err(io::Error::other("SIGTERM did not end the daemon").into()),
        }
    }
}
