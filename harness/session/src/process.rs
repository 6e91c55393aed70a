//! The one way to run a process: bounded output, a deadline, a sure end.
//!
//! A process gets its own process group, nothing on its standard input, and at most
//! [`CAPTURE_BYTES_MAX`] kept bytes per output stream, however much it prints. When the deadline
//! passes, or the future is dropped, the whole group is killed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use transcript::ExitStatus;

/// Most bytes kept of the beginning, and again of the end, of one output stream.
pub const CAPTURE_END_BYTES_MAX: usize = 64 << 10;
/// Most bytes kept of one output stream.
pub const CAPTURE_BYTES_MAX: usize = 2 * CAPTURE_END_BYTES_MAX;
/// How long output is still awaited when the process has ended but something that it started holds
/// the stream open.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The program, by path or by name.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables that it gets besides those of wireskew; `None` removes one.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Its working directory, if not that of wireskew.
    pub dir: Option<PathBuf>,
}

/// How a process ended and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended; `None` when the deadline passed and it was killed.
    pub exit: Option<ExitStatus>,
    /// What it printed.
    pub stdout: Captured,
    /// What it complained about.
    pub stderr: Captured,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exit == Some(ExitStatus::Code(0))
    }

    /// The last lines of its complaints, or of its output where it complained of nothing.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let said = if self.stderr.is_empty() { &self.stdout } else { &self.stderr };
        said.tail(lines)
    }
}

/// The beginning and the end of an output stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: u64,
}

impl Captured {
    /// Whether nothing was printed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// What was kept; where bytes were dropped, a line in the middle says how many.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.head.clone();
        if self.dropped > 0 {
            all.extend_from_slice(format!("\n[{} bytes dropped]\n", self.dropped).as_bytes());
        }
        all.extend_from_slice(&self.tail);
        all
    }

    /// As [`Captured::bytes`], as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<_> = text.trim_end().lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or(&[]).join("\n")
    }

    fn push(&mut self, mut bytes: &[u8]) {
        let room = CAPTURE_END_BYTES_MAX - self.head.len().min(CAPTURE_END_BYTES_MAX);
        if let Some((first, rest)) = bytes.split_at_checked(room) {
            self.head.extend_from_slice(first);
            bytes = rest;
        } else {
            self.head.extend_from_slice(bytes);
            return;
        }
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(CAPTURE_END_BYTES_MAX);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    /// Reads a stream to its end. What was read so far stays in `self` when the future is dropped.
    pub(crate) async fn fill(&mut self, stream: impl AsyncRead + Unpin) {
        read_all(stream, |bytes| self.push(bytes)).await;
    }
}

/// Reads a stream to its end. One that cannot be read has ended: the exit status tells the rest.
async fn read_all(mut stream: impl AsyncRead + Unpin, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        take(buffer.get(..count).unwrap_or(&[]));
    }
}

impl From<&[u8]> for Captured {
    fn from(bytes: &[u8]) -> Self {
        let mut captured = Self::default();
        captured.push(bytes);
        captured
    }
}

/// Reads both output streams while `ended` is awaited, then gives what is left a short time.
pub(crate) async fn capture<T>(
    stdout: impl AsyncRead + Unpin,
    stderr: impl AsyncRead + Unpin,
    ended: impl Future<Output = T>,
) -> (T, Captured, Captured) {
    let (mut out, mut err) = (Captured::default(), Captured::default());
    let result = {
        let reading = async {
            tokio::join!(out.fill(stdout), err.fill(stderr));
        };
        tokio::pin!(reading, ended);
        tokio::select! {
            result = &mut ended => {
                let _ = tokio::time::timeout(OUTPUT_GRACE, reading).await;
                result
            }
            () = &mut reading => ended.await,
        }
    };
    (result, out, err)
}

impl Invocation {
    /// A program with arguments.
    pub fn new<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: args.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Runs it to its end or to the deadline.
    ///
    /// # Errors
    /// When it cannot be started, e.g. because there is no such program.
    pub async fn run(&self, deadline: Duration) -> io::Result<Output> {
        let start = Instant::now();
        let mut child = self.command().spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("output was not piped"))?;
        let ended = async {
            let status = tokio::time::timeout(deadline, child.wait()).await;
            drop(group);
            if status.is_err() {
                // The group was killed: this only takes the status away.
                let _ = child.wait().await;
            }
            status
        };
        let (status, stdout, stderr) = capture(stdout, stderr, ended).await;
        let exit = status.ok().transpose()?.map(exit_status);
        Ok(Output { exit, stdout, stderr, took: start.elapsed() })
    }
}

impl Invocation {
    /// Starts it and lets it run until it is ended. Dropping it kills the whole group.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> io::Result<Running> {
        let mut child = self.command().spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("output was not piped"))?;
        let said = Arc::new(Said::default());
        let reading = tokio::spawn({
            let said = Arc::clone(&said);
            async move {
                let out = read_all(stdout, |bytes| lock(&said.stdout).push(bytes));
                let err = read_all(stderr, |bytes| lock(&said.stderr).push(bytes));
                tokio::join!(out, err);
            }
        });
        Ok(Running { child, group, reading, said, start: Instant::now() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }
}

/// A process that runs until it is ended.
#[derive(Debug)]
pub struct Running {
    child: tokio::process::Child,
    group: Group,
    reading: JoinHandle<()>,
    said: Arc<Said>,
    start: Instant,
}

/// What a process has printed so far.
#[derive(Debug, Default)]
struct Said {
    stdout: Mutex<Captured>,
    stderr: Mutex<Captured>,
}

fn lock(said: &Mutex<Captured>) -> MutexGuard<'_, Captured> {
    // Text that a panic left unfinished is still text.
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Its pid; none when it has ended and was waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it did by itself.
    ///
    /// # Errors
    /// What `waitpid(2)` gives.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?.map(exit_status))
    }

    /// The last lines of its complaints so far, or of its output where it complained of nothing.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let complaints = lock(&self.said.stderr);
        if complaints.is_empty() { lock(&self.said.stdout).tail(lines) } else { complaints.tail(lines) }
    }

    /// Kills it with everything in its group and waits for that; how it ended, and what it printed.
    pub async fn kill(self) -> Output {
        let Self { mut child, group, reading, said, start } = self;
        drop(group);
        let exit = child.wait().await.ok().map(exit_status);
        // What left its group may hold the streams open for ever.
        let _ = tokio::time::timeout(OUTPUT_GRACE, reading).await;
        let [stdout, stderr] = [&said.stdout, &said.stderr].map(|said| std::mem::take(&mut *lock(said)));
        Output { exit, stdout, stderr, took: start.elapsed() }
    }
}

/// Kills a process group when it is dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // ESRCH: nothing of the group is left, as it should be.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The exit status in the words of transcripts.
#[must_use]
pub fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Gone,
    }
}

/// Finds a program in `PATH`, then in the system directories.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(script: &str, deadline_ms: u64, exit: Option<ExitStatus>, stdout: &str, stderr: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run =
            async { Invocation::new("sh", ["-c", script]).run(Duration::from_millis(deadline_ms)).await };
        let output = runtime.and_then(|runtime| runtime.block_on(run)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((output.exit, output.stdout.text().as_str()), (exit, stdout));
        assert_eq!(output.stderr.text(), stderr);
        assert!(output.took < Duration::from_secs(4), "took {:?}", output.took);
    }

    #[test]
    fn reports_code_and_output() {
        check("echo out; echo err >&2; exit 3", 5000, Some(ExitStatus::Code(3)), "out\n", "err\n");
    }

    #[test]
    fn reports_signal() {
        check("kill -SEGV $$", 5000, Some(ExitStatus::Signal(11)), "", "");
    }

    #[test]
    fn kills_at_the_deadline_and_keeps_what_was_printed() {
        check("echo early; sleep 20", 300, None, "early\n", "");
    }

    #[test]
    fn does_not_wait_for_a_daemon_that_holds_the_output() {
        check("sleep 20 & echo started", 5000, Some(ExitStatus::Code(0)), "started\n", "");
    }

    #[test]
    fn what_was_started_runs_until_it_is_killed_with_its_children() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap_or_else(|e| panic!("{e}")).block_on(async {
            let script = "sleep 20 & echo $!; echo started >&2; wait";
            let mut running = Invocation::new("sh", ["-c", script]).start().unwrap_or_else(|e| panic!("{e}"));
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(running.pid().is_some() && matches!(running.ended(), Ok(None)));
            assert_eq!(running.tail(1), "started");
            let output = running.kill().await;
            assert_eq!((output.exit, output.tail(9).as_str()), (Some(ExitStatus::Signal(9)), "started"));
            let child = PathBuf::from(format!("/proc/{}/cmdline", output.stdout.text().trim()));
            let until = Instant::now() + Duration::from_secs(2);
            while std::fs::read(&child).is_ok_and(|line| line.starts_with(b"sleep")) {
                assert!(Instant::now() < until, "the child is still there");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    #[test]
    fn standard_input_is_empty() {
        check("cat; echo end", 5000, Some(ExitStatus::Code(0)), "end\n", "");
    }

    #[test]
    fn a_flood_is_kept_at_both_ends_only() {
        let mut captured = Captured::default();
        for _ in 0..100 {
            captured.push(&[b'x'; 10_000]);
        }
        captured.push(b"end");
        assert!(captured.bytes().len() < CAPTURE_BYTES_MAX + 64);
        assert!(captured.text().ends_with("xend"));
        assert!(captured.text().contains(&format!("[{} bytes dropped]", 1_000_003 - CAPTURE_BYTES_MAX)));
    }
}
