//! What needs an engine.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptionsBuilder};
use matrix::Source;
use rustix::process::{Pid, Signal, kill_process};
use session::containers::{Engine, Image, Rights};
use session::sandbox::{self, Filesystem, MountStep, Place, PlaceCommand, Sandbox};
use session::{Address, Connection};
use testcontainers::core::client::docker_client_instance;
use tokio::runtime::Runtime;

/// Which part this process plays, and where the Dockerfile is.
const PART: &str = "WIRESKEW_TEST_PART";
const DOCKERFILE: &str = "WIRESKEW_TEST_DOCKERFILE";
/// The label of a container that names its run.
const RUN_LABEL: &str = "wireskew.run";
/// How long what was killed may take to vanish.
const GONE_DEADLINE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(10);
/// What nobody else sleeps.
const NAP: &str = "8127365";

pub(crate) fn main() -> ExitCode {
    if let Some(status) = sandbox::hook_and(containers::clean) {
        return status.into();
    }
    if let Ok(part) = std::env::var(PART) {
        if part == "no-engine" {
            no_engine();
            return ExitCode::SUCCESS;
        }
        if Sandbox::inside().is_none() {
            return sandbox::enter().unwrap_or_else(|error| panic!("{error}")).into();
        }
        let runtime = Runtime::new().expect("a runtime can be made");
        runtime.block_on(async { if part == "workload" { workload().await } else { work().await } });
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("WIRESKEW_LIVE").is_none() {
        println!("NOT RUN: containers; choose them by WIRESKEW_LIVE=1");
        return ExitCode::SUCCESS;
    }
    says_when_there_is_no_engine();
    let runtime = Runtime::new().expect("a runtime can be made");
    if let Err(error) = runtime.block_on(labelled(|_| true)) {
        println!("NOT RUN: containers; no engine answers ({error}), ci/dockerd.sh starts one");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let dockerfile = tiny(folder.path());
    what_is_done_in_a_container(&runtime, &dockerfile);
    nothing_stays_after(Signal::KILL, &runtime, &dockerfile);
    nothing_stays_after(Signal::INT, &runtime, &dockerfile);
    println!("ok: containers");
    ExitCode::SUCCESS
}

/// An image with a busybox and nothing else: no C library, no loader, no `chroot`.
fn tiny(folder: &Path) -> PathBuf {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|file| file.is_file());
    let busybox = busybox.expect("busybox-static is installed");
    let dockerfile = folder.join("Dockerfile");
    fs::copy(busybox, folder.join("busybox"))
        .and_then(|_| {
            fs::write(folder.join("passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        })
        .and_then(|()| {
            fs::write(&dockerfile, "FROM scratch\nCOPY busybox /bin/sh\nCOPY passwd /etc/passwd\n")
        })
        .expect("it can be written");
    dockerfile
}

fn part(name: &str, dockerfile: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.env(PART, name).env(DOCKERFILE, dockerfile);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The containers of runs that are wanted, by the directories of those.
async fn labelled(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let docker = docker_client_instance().await.map_err(|error| error.to_string())?;
    let filters = HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = docker.list_containers(Some(options)).await.map_err(|error| error.to_string())?;
    let runs = listed.into_iter().filter_map(|container| container.labels?.remove(RUN_LABEL));
    Ok(runs.filter(|run| is_wanted(run)).collect())
}

/// A container that was made for a run, and not started.
async fn make_for(run: &str, image: &str) {
    let docker = docker_client_instance().await.expect("it answered before");
    let labels = Some(HashMap::from([(RUN_LABEL.to_owned(), run.to_owned())]));
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["/bin/sh".to_owned()]),
        labels,
        ..ContainerCreateBody::default()
    };
    docker.create_container(None::<CreateContainerOptions>, body).await.expect("it can be made");
}

fn says_when_there_is_no_engine() {
    let nowhere = "unix:///nonexistent/docker.sock";
    let output =
        part("no-engine", Path::new("")).env("DOCKER_HOST", nowhere).output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.starts_with(&format!("no engine for containers answers: DOCKER_HOST says `{nowhere}` (")),
        "{said}"
    );
    assert!(said.trim_end().ends_with("; try: eval \"$(ci/dockerd.sh)\""), "{said}");
}

/// A process of its own: the client of testcontainers reads its variables once.
fn no_engine() {
    let image = Source::Container { image: "wireskew/none:1".to_owned(), digest: None };
    println!("{}", containers::engine().find(&image).expect_err("there is none"));
}

fn what_is_done_in_a_container(runtime: &Runtime, dockerfile: &Path) {
    let path = dockerfile.to_owned();
    let image =
        containers::engine().find(&Source::Dockerfile { path }).unwrap_or_else(|error| panic!("{error}"));
    // What a dead run has left is removed by the next one.
    runtime.block_on(make_for("/tmp/wireskew-run-of-nobody", &image.id));
    let start = Instant::now();
    let output = part("work", dockerfile).output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?}", start.elapsed());
    print!("{said}");
    assert_eq!(runtime.block_on(labelled(sandbox_is_over)), Ok(Vec::new()), "nothing stays");
}

fn sandbox_is_over(run: &str) -> bool {
    sandbox::is_over(Path::new(run))
}

/// Finds the image of the test.
fn image(engine: &dyn Engine) -> Image {
    let path = PathBuf::from(std::env::var_os(DOCKERFILE).expect("the test says it"));
    engine.find(&Source::Dockerfile { path }).unwrap_or_else(|error| panic!("{error}"))
}

fn sh(script: &str) -> PlaceCommand {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    PlaceCommand { root: "/".into(), argv, ..PlaceCommand::default() }
}

/// Inside.
async fn work() {
    let engine = containers::engine();
    let image = image(&*engine);
    says_what_is_wrong_with_an_image(&*engine, &image);
    let start = Instant::now();
    let place = engine.open(&image, Rights::Plain).await.unwrap_or_else(|error| panic!("{error}"));
    println!("ok: a container is ready after {} ms", start.elapsed().as_millis());
    runs_commands(&*place).await;
    is_seen_and_reached(&place).await;
    let tmpfs =
        || MountStep::New { filesystem: Filesystem::Tmpfs, target: "/tmp".into(), options: String::new() };
    let refused = place.mount(vec![tmpfs()]).await;
    assert!(refused.is_err(), "not every container may mount");
    place.close().await;
    assert!(!place.directory().exists());

    let place = engine.open(&image, Rights::StartsContainers).await.unwrap_or_else(|error| panic!("{error}"));
    place.mount(vec![tmpfs()]).await.unwrap_or_else(|error| panic!("{error}"));
    let child = place.cgroup().child("deep").unwrap_or_else(|error| panic!("{error}"));
    let moves = sh("echo 0 >/sys/fs/cgroup/deep/cgroup.procs && read all </proc/self/cgroup");
    let output = place.run(&moves, SOON, None).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(output.success(), "{output:?}");
    assert_eq!(child.frozen().ok(), Some(false));
    let run = Sandbox::inside().expect("it is").run().display().to_string();
    assert_eq!(labelled(|of| of == run).await.map(|found| found.len()), Ok(1));
    // Dropping it is enough.
    drop(place);
    let until = Instant::now() + GONE_DEADLINE;
    while labelled(|of| of == run).await != Ok(Vec::new()) {
        assert!(Instant::now() < until, "it stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("ok: what is done in a container");
}

fn says_what_is_wrong_with_an_image(engine: &dyn Engine, image: &Image) {
    let find = |name: &str, digest: Option<&str>| {
        let source = Source::Container { image: name.to_owned(), digest: digest.map(str::to_owned) };
        engine.find(&source).map_err(|error| error.to_string())
    };
    let none = find("wireskew/none:1", None).expect_err("there is none");
    assert_eq!(none, "the engine has no image `wireskew/none:1`; try: ci/images.sh");
    let found = find(&image.id, Some(&image.id)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&found.id, &found.digest), (&image.id, &image.id));
    let other = format!("sha256:{}", "0".repeat(64));
    let wrong = find(&image.id, Some(&other)).expect_err("it is another one");
    assert!(wrong.contains("was asked for; try: docker pull"), "{wrong}");
}

async fn runs_commands(place: &dyn Place) {
    fs::write(place.work().join("note"), "here\n").expect("it can be written");
    let check = async |script: &str, user: Option<(u32, u32)>, code: Option<i32>, said: &str| {
        let command = PlaceCommand { user, ..sh(script) };
        let output = place.run(&command, SOON, None).await.unwrap_or_else(|error| panic!("{error}"));
        let exit = output.exit.map_or("killed".to_owned(), |exit| format!("{exit:?}"));
        let expect = code.map_or("Signal(11)".to_owned(), |code| format!("Code({code})"));
        assert_eq!((exit, output.stdout.text().as_str()), (expect, said), "{script}");
    };
    check("read x </wireskew/note; echo $x; exit 3", None, Some(3), "here\n").await;
    check("kill -SEGV $$", None, None, "").await;
    check(
        "cd /proc/self && read x </etc/passwd; echo $x",
        Some((65534, 65534)),
        Some(0),
        "root:x:0:0::/:/bin/sh\n",
    )
    .await;
    check("echo x >/etc/x", None, Some(1), "").await;
    let missing = PlaceCommand { argv: vec!["/bin/no-such-program".to_owned()], ..sh("") };
    let error = place.run(&missing, SOON, None).await.expect_err("there is none");
    assert!(error.to_string().contains("No such file"), "{error}");
    let late = place.run(&sh("while :; do :; done"), Duration::from_millis(100), None).await;
    assert_eq!(late.expect("it can be run").exit, None, "it is killed at its deadline");
}

async fn is_seen_and_reached(place: &Arc<dyn Place>) {
    let null = || fs::File::options().read(true).write(true).open("/dev/null").expect("it is there").into();
    let pid = place.spawn(&sh("while read x; do :; done </dev/zero"), [null(), null(), null()]).await;
    let pid = pid.unwrap_or_else(|error| panic!("{error}"));
    // The kernel changes the name last of all.
    let name = || fs::read_to_string(place.path(format!("/proc/{pid}/comm")));
    let until = Instant::now() + SOON;
    while name().expect("it is seen") != "sh\n" {
        assert!(Instant::now() < until, "{:?}", name());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(fs::read_dir(place.path(format!("/proc/{pid}/fd"))).is_ok_and(|fds| fds.count() > 2));
    assert!(place.look_beside(pid).is_some_and(|look| look.busy));
    place.pidfd(pid).await.unwrap_or_else(|error| panic!("{error}"));
    place.kill(pid, false, Signal::KILL).await.unwrap_or_else(|error| panic!("{error}"));
    let exit = place.wait(pid, SOON).await;
    assert_eq!(exit.map(|exit| format!("{exit:?}")).as_deref(), Some("Signal(9)"));
    assert!(place.look_beside(pid).is_none() && place.ended(pid) == exit);
    let address = Address::InSlot(Arc::clone(place), b"wireskew-test".to_vec());
    let _listener = session::Listener::bind(address.clone(), 1).expect("the name is free in every container");
    Connection::connect(&address, SOON).await.expect("it is found in its container");
    let unix = fs::read_to_string(place.path("/proc/1/net/unix")).expect("it is seen");
    assert!(unix.contains("@wireskew-test"), "{unix}");
}

/// Inside: two containers with processes in them, then nothing for a long time.
async fn workload() {
    let engine = containers::engine();
    let image = image(&*engine);
    let mut places = Vec::new();
    for rights in [Rights::Plain, Rights::StartsContainers] {
        let place = engine.open(&image, rights).await.unwrap_or_else(|error| panic!("{error}"));
        let null =
            || fs::File::options().read(true).write(true).open("/dev/null").expect("it is there").into();
        let script = format!("read x </dev/tty; while :; do sleep {NAP} || read x; done; : {NAP}");
        place.spawn(&sh(&script), [null(), null(), null()]).await.unwrap_or_else(|error| panic!("{error}"));
        places.push(place);
    }
    let run = Sandbox::inside().expect("it is").run().display().to_string();
    make_for(&run, &image.id).await;
    println!("up {run}");
    tokio::time::sleep(Duration::from_secs(1000)).await;
}

struct Workload {
    child: Child,
    run: String,
}

fn start_workload(dockerfile: &Path) -> Workload {
    let mut child = part("workload", dockerfile).spawn().expect("it can be started");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it is text");
    let run = line.trim().strip_prefix("up ").unwrap_or_else(|| panic!("{line}")).to_owned();
    Workload { child, run }
}

fn nothing_stays_after(signal: Signal, runtime: &Runtime, dockerfile: &Path) {
    let mut workload = start_workload(dockerfile);
    let run = workload.run.clone();
    let left = || {
        let mut left = BTreeSet::new();
        let containers = runtime.block_on(labelled(|of| of == run)).unwrap_or_else(|error| panic!("{error}"));
        left.extend(containers.iter().enumerate().map(|(at, _)| format!("container {at}")));
        left.extend(Path::new(&run).exists().then(|| format!("directory {run}")));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(mounts.contains(&run).then(|| "mount".to_owned()));
        left.extend(processes().into_iter().map(|pid| format!("process {pid}")));
        left
    };
    let before = left();
    assert!(before.iter().filter(|what| what.starts_with("container")).count() == 3, "{before:#?}");
    assert!(before.iter().any(|what| what.starts_with("process")), "{before:#?}");
    let pid = Pid::from_raw(workload.child.id().cast_signed()).expect("it runs");
    kill_process(pid, signal).expect("it runs");
    let start = Instant::now();
    workload.child.wait().expect("it is our child");
    while !left().is_empty() {
        assert!(start.elapsed() < GONE_DEADLINE, "left after {signal:?}: {:#?}", left());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("ok: nothing stays after {signal:?} ({} ms)", start.elapsed().as_millis());
}

/// Processes of the workload, anywhere.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(NAP) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
