//! What needs root: the sandbox and its slots. Chosen by `WIRESKEW_LIVE=1`.
//!
//! No libtest here: the program runs itself again inside the sandbox, as `wireskew` does.
#![expect(clippy::disallowed_methods, reason = "real processes run on real time")]
#![allow(clippy::print_stdout, reason = "a test program tells its results to people")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use session::sandbox::{self, Cgroup, Filesystem, Input, MountStep, Place, PlaceCommand, Sandbox, Slot};
use session::{Address, Connection, Listener, Look, Worker};
use transcript::ExitStatus as Exit;

/// How soon after its end nothing of a run may be left.
const GONE_DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Some(status) = sandbox::hook() {
        return ExitCode::from(status);
    }
    let mode = std::env::args().nth(1).unwrap_or_default();
    if ["workload", "slots"].contains(&mode.as_str()) {
        if Sandbox::inside().is_none() {
            return ExitCode::from(sandbox::enter().expect("a sandbox is possible: the tests checked it"));
        }
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        match mode.as_str() {
            "workload" => runtime.block_on(workload()),
            _ => runtime.block_on(slots()),
        }
        return ExitCode::from(7);
    }
    if std::env::var_os("WIRESKEW_LIVE").is_none_or(|value| value != "1") {
        println!(
            "NOT RUN: sandbox and slots. They need root: WIRESKEW_LIVE=1 cargo test -p session --test live"
        );
        return ExitCode::SUCCESS;
    }
    sandbox::needed_and_possible().expect("WIRESKEW_LIVE=1 asks for a machine where a sandbox is possible");
    let tests: [(&str, fn()); 6] = [
        ("passes_the_exit_status_on", passes_the_exit_status_on),
        ("nothing_stays_after_sigint", nothing_stays_after_sigint),
        ("nothing_stays_after_sigterm", nothing_stays_after_sigterm),
        ("nothing_stays_after_kill_9", nothing_stays_after_kill_9),
        ("what_a_killed_cleaner_leaves_is_swept", what_a_killed_cleaner_leaves_is_swept),
        ("slots_are_alike_and_apart", slots_are_alike_and_apart),
    ];
    for (name, test) in tests {
        let start = Instant::now();
        test();
        println!("ok: {name} ({} ms)", start.elapsed().as_millis());
    }
    ExitCode::SUCCESS
}

/// A run in a temporary directory of its own, so that what it leaves can be told from what others leave.
struct Run {
    child: Child,
    temp: tempfile::TempDir,
}

impl Run {
    fn start(mode: &str) -> Self {
        let temp = tempfile::tempdir().expect("a temporary directory can be made");
        let child = spawn(mode, temp.path());
        Self { child, temp }
    }

    /// Waits until the run says that everything is up.
    fn up(&mut self) {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        assert_eq!(line, "up\n");
        assert!(!self.left().is_empty(), "a run without traces would prove nothing");
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the run is there");
        self.child.wait().expect("it is our child")
    }

    /// Processes, mounts, sockets, cgroups and files that the run has made and that are still there.
    fn left(&self) -> BTreeSet<String> {
        left(self.temp.path())
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let start = Instant::now();
        while !self.left().is_empty() {
            assert!(start.elapsed() < GONE_DEADLINE, "left: {:#?}", self.left());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(mode: &str, temp: &Path) -> Child {
    Command::new(std::env::current_exe().expect("the test program knows itself"))
        .arg(mode)
        .env("TMPDIR", temp)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test program can be started")
}

fn left(temp: &Path) -> BTreeSet<String> {
    let mut left = BTreeSet::new();
    let token = temp.to_string_lossy().into_owned();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_own = pid == std::process::id().to_string();
        if !is_own && String::from_utf8_lossy(&environ).contains(&token) {
            left.insert(format!("process {pid}"));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is there");
    left.extend(mounts.lines().filter(|line| line.contains(&token)).map(|line| format!("mount {line}")));
    let sockets = fs::read_to_string("/proc/net/unix").expect("/proc is there");
    left.extend(sockets.lines().filter(|l| l.contains("wireskew-test")).map(|l| format!("socket {l}")));
    let names: Vec<_> = fs::read_dir(temp).expect("it is ours").flatten().map(|e| e.file_name()).collect();
    let cgroups = Cgroup::own().expect("the tests checked it");
    for entry in fs::read_dir(cgroups.path()).expect("cgroups can be read").flatten() {
        // Other runs may be going on next to the tests.
        if names.contains(&entry.file_name()) || environ_says(&entry.path(), &token) {
            left.insert(format!("cgroup {}", entry.path().display()));
        }
    }
    left.extend(names.iter().map(|name| format!("file {}", name.display())));
    left
}

fn environ_says(cgroup: &Path, token: &str) -> bool {
    let procs = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    procs.lines().any(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environ).contains(token)
    })
}

/// Inside: a slot with a daemon, a frozen child cgroup, a socket and mounts; then nothing for a long time.
async fn workload() {
    let sandbox = Sandbox::inside().expect("main checked it");
    let slot: Arc<dyn Place> = Arc::new(Slot::open(&sandbox).await.expect("a slot can be made"));
    let daemon = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & mkdir $0/deep && echo 1 >$0/deep/cgroup.freeze \
                  && sh -c 'echo 0 >$0/cgroup.procs; sleep 1000' $0/deep </dev/null >/dev/null 2>&1 &";
    let cgroup = slot.cgroup().path().display().to_string();
    let argv = ["sh", "-c", daemon, &cgroup].map(str::to_owned).to_vec();
    let command = PlaceCommand { root: "/".into(), argv, env: path_variable(), ..PlaceCommand::default() };
    let output = slot.run(&command, Duration::from_secs(5), None).await.expect("sh can be run");
    assert!(output.success(), "{output:?}");
    let steps = vec![MountStep::New {
        filesystem: Filesystem::Tmpfs,
        target: slot.directory().to_owned(),
        options: String::new(),
    }];
    slot.mount(steps).await.expect("a tmpfs can be mounted");
    let _listener =
        Listener::bind(Address::InSlot(slot, b"wireskew-test".to_vec()), 1).expect("the name is free");
    println!("up");
    tokio::time::sleep(Duration::from_secs(1000)).await;
}

/// A server that is at work, and is never given a processor.
struct Starved;

impl Worker for Starved {
    fn look(&self) -> Option<Look> {
        Some(Look { busy: true, ..Look::default() })
    }
}

fn path_variable() -> Vec<(String, String)> {
    vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())]
}

fn passes_the_exit_status_on() {
    let mut run = Run::start("slots");
    let status = run.child.wait().expect("it is our child");
    let mut said = String::new();
    run.child.stdout.as_mut().expect("stdout is piped").read_to_string(&mut said).expect("it is text");
    assert_eq!(status.code(), Some(7), "{said}");
    run.assert_nothing_left();
}

fn nothing_stays_after_sigint() {
    check_signal(Signal::INT);
}

fn nothing_stays_after_sigterm() {
    check_signal(Signal::TERM);
}

/// The workload handles no signal, so the default action ends it.
#[track_caller]
fn check_signal(signal: Signal) {
    let mut run = Run::start("workload");
    run.up();
    let start = Instant::now();
    let status = run.end(signal);
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    assert_eq!(status.code(), Some(128 + signal.as_raw()));
    // When the command returns it has cleaned up: nobody has to wait.
    assert_eq!(run.left(), BTreeSet::new());
}

fn nothing_stays_after_kill_9() {
    let mut run = Run::start("workload");
    run.up();
    assert_eq!(run.end(Signal::KILL).signal(), Some(9));
    run.assert_nothing_left();
}

fn what_a_killed_cleaner_leaves_is_swept() {
    let mut run = Run::start("workload");
    run.up();
    for pid in cleaners(&run.temp) {
        kill_process(pid, Signal::KILL).expect("the cleaner is there");
    }
    run.end(Signal::KILL);
    let start = Instant::now();
    while run.left().iter().any(|what| what.starts_with("process") || what.starts_with("mount")) {
        assert!(start.elapsed() < GONE_DEADLINE, "left: {:#?}", run.left());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!run.left().is_empty(), "nobody was there to remove the state directory");
    let status = spawn("slots", run.temp.path()).wait().expect("it is our child");
    assert_eq!(status.code(), Some(7));
    run.assert_nothing_left();
}

fn cleaners(temp: &tempfile::TempDir) -> Vec<Pid> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        if environ.contains("ROLE=cleaner") && environ.contains(&*temp.path().to_string_lossy()) {
            let pid = entry.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            pids.push(pid.expect("a directory with environ is that of a process"));
        }
    }
    assert!(!pids.is_empty(), "there is a cleaner");
    pids
}

fn slots_are_alike_and_apart() {
    let mut run = Run::start("slots");
    assert_eq!(run.child.wait().expect("it is our child").code(), Some(7));
}

/// Inside: two slots at the same time use the same names and do not see each other.
async fn slots() {
    let sandbox = Sandbox::inside().expect("main checked it");
    let name = b"wireskew-test".to_vec();
    let port = |slot| Address::TcpInSlot(slot, SocketAddr::from((Ipv4Addr::LOCALHOST, 2375)));
    let mut held = Vec::new();
    for _ in 0..2 {
        let slot: Arc<dyn Place> = Arc::new(Slot::open(&sandbox).await.expect("a slot can be made"));
        let address = Address::InSlot(Arc::clone(&slot), name.clone());
        let listener = Listener::bind(address.clone(), 1).expect("the name is free in every slot");
        Connection::connect(&address, Duration::from_secs(1)).await.expect("it is found in its slot");
        let tcp = port(Arc::clone(&slot));
        let on_port = Listener::bind(tcp.clone(), 1).expect("the port is free in every slot");
        Connection::connect(&tcp, Duration::from_secs(1)).await.expect("it is found in its slot");
        held.push((slot, [listener, on_port]));
    }
    let here = Connection::connect(&Address::Abstract(name), Duration::from_secs(1)).await;
    assert!(here.is_err(), "and nowhere else");

    let script = "cat /proc/self/cgroup | tail -1; (kill -SEGV $$)";
    let mut seen = BTreeSet::new();
    for (slot, _) in &held {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let command =
            PlaceCommand { root: "/".into(), argv, env: path_variable(), ..PlaceCommand::default() };
        let output = slot.run(&command, Duration::from_secs(5), None).await.expect("sh can be run");
        assert_eq!(output.exit, Some(Exit::Signal(11)));
        seen.insert(output.stdout.text());
    }
    assert_eq!(seen, BTreeSet::from(["0::/\n".to_owned()]), "each is the root of its own view");

    let slot = &held[0].0;
    let command = PlaceCommand {
        root: "/".into(),
        argv: ["cat"].map(str::to_owned).to_vec(),
        env: path_variable(),
        input: Input::Bytes(b"typed".to_vec()),
        ..PlaceCommand::default()
    };
    assert_eq!(
        slot.run(&command, Duration::from_secs(5), None).await.expect("cat can be run").stdout.text(),
        "typed"
    );
    // It sleeps while its server is at work, and is waited for; by itself it is not.
    let sleeps = PlaceCommand { argv: ["sleep", "1"].map(str::to_owned).to_vec(), ..command.clone() };
    let short = Duration::from_millis(200);
    let alone = slot.run(&sleeps, short, None).await.expect("sleep can be run");
    assert_eq!(alone.exit, None, "it was killed at its deadline");
    let asking = slot.run(&sleeps, short, Some(&Starved)).await.expect("sleep can be run");
    assert_eq!(asking.exit, Some(Exit::Code(0)));
    let script = "echo Ready; read answer && echo got $answer";
    let asks = PlaceCommand {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        input: Input::After { prompt: b"eady".to_vec(), typed: b"this\n".to_vec() },
        ..command.clone()
    };
    let output = slot.run(&asks, Duration::from_secs(5), None).await.expect("sh can be run");
    assert_eq!(output.stdout.text(), "Ready\ngot this\n");
    let nobody = PlaceCommand {
        argv: ["sh", "-c", "id -u; id -G"].map(str::to_owned).to_vec(),
        user: Some((65534, 65534)),
        ..command.clone()
    };
    let output = slot.run(&nobody, Duration::from_secs(5), None).await.expect("sh can be run");
    assert_eq!(output.stdout.text(), "65534\n65534\n");
    let missing = PlaceCommand { argv: vec!["no-such-program".to_owned()], input: Input::Nothing, ..command };
    let error = slot.run(&missing, Duration::from_secs(5), None).await.expect_err("there is none");
    assert!(error.to_string().contains("No such file"), "{error}");
    for (slot, _) in &held {
        slot.close().await;
        assert!(!slot.directory().exists() && !slot.cgroup().path().exists());
    }
    println!("up");
}
