//! Monitors of a real build.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use session::containers::Rights;
use session::process::Output;
use session::sandbox::{self, Cgroup, PlaceCommand, PlaceError, Sandbox};
use session::{Address, Connection, LaunchErrorKind, Recorder, Stage};
use transcript::ExitStatus;

use super::{TOOL_DEADLINE, container, environment};
use crate::effects::{self, Before, CONTAINER, LXCPATH};
use crate::{names, request};
use protocol::installed::{Installed, Process, setup};
use protocol::launch::{Daemon, Daemons, Place, QUESTION_DEADLINE, ask, ready};

/// Length of a response's head.
const RESPONSE_LEN: usize = 16;
/// How often a question is asked that was not answered.
const QUESTIONS: usize = 5;
/// How long until a question is asked again.
const QUESTION_RETRY: Duration = Duration::from_millis(1);
/// Number of the signal by which a container is asked to stop.
const SIGPWR: u32 = 30;
/// The device that the operation `cgroup` allows, and that nothing else does.
const PROBED_DEVICE: &str = "c 10 229";

/// The monitors of one build.
#[derive(Debug)]
pub(super) struct Monitors;

/// A running monitor with its container.
pub(super) type Monitor = Daemon<Monitors>;

impl Daemons for Monitors {
    /// The pid of init in the slot's pid namespace.
    type Kept = i32;

    fn command_line(&self, real: &Installed) -> Vec<String> {
        let mut argv = vec!["lxc-start".to_owned()];
        argv.extend(real.args.iter().cloned());
        let rest = ["-P", LXCPATH, "-n", CONTAINER, "-d", "-l", "WARN", "-o", "/wireskew/start.log"];
        argv.extend(rest.map(str::to_owned));
        argv
    }

    fn environment(&self) -> BTreeMap<String, String> {
        environment()
    }

    /// A slot with the files of a container in it.
    async fn open(&self, real: &Arc<Installed>) -> Result<Place, LaunchErrorKind> {
        let sandbox = Sandbox::inside().ok_or_else(|| setup(PlaceError::NoSandbox))?;
        let rootfs = container::ROOTFS.path(&sandbox, &real.root, &real.cache).await?;
        Place::open_with(real, Rights::StartsContainers, |work| container::prepare(work, rootfs)).await
    }

    fn address(&self, place: &Place) -> Address {
        let name = format!("{LXCPATH}/{CONTAINER}/command").into_bytes();
        Address::InSlot(Arc::clone(&place.slot), name)
    }

    async fn start(&self, place: &Place) -> Result<(Process, i32), LaunchErrorKind> {
        // The deadline is the caller's, around all of this.
        let command = place.command(self.command_line(&place.real));
        let output = place.run(&command, Duration::MAX, None).await?;
        if !output.success() {
            return Err(LaunchErrorKind::Ended(why_not_started(place, &output)));
        }
        let (slot, address) = (&*place.slot, self.address(place));
        // It goes into the background: until it answers nobody knows which process it is, nor whether it has ended.
        let runs = || async { (state(&address).await.ok() == Some(names::RUNNING)).then_some(()) };
        ready(runs, || None).await?;
        let answer = question(&address, &request::plain(names::GET_INIT_PID, 0)).await?;
        if answer.ret != 0 {
            return Err(LaunchErrorKind::Ended(format!("GET_INIT_PID is answered {}", answer.ret)));
        }
        let init = answer.data;
        // A process that is pid 1 does not get signals for which it has set no handler yet.
        ready(|| async { catches_power_failure(slot, init).then_some(()) }, || None).await?;
        let monitor =
            parent(slot, init).ok_or_else(|| LaunchErrorKind::Ended("init has no parent".to_owned()))?;
        Ok((Process::new(&place.slot, monitor), i32::try_from(init).unwrap_or_default()))
    }

    async fn prepare(&self, monitor: &Monitor, condition: &str) -> Result<(), LaunchErrorKind> {
        if condition == Before::Frozen.condition() { freeze(&monitor.place).await } else { Ok(()) }
    }

    async fn effects(&self, monitor: &Monitor, recorder: &Recorder) {
        let state = state_at_last(&monitor.address).await.map(|number| names::state_text(i64::from(number)));
        if let Some(state) = state {
            effects::effect(recorder, effects::STATE, &state);
        }
        if let Some(Ok(frozen)) = payload(&monitor.place).map(|cgroup| cgroup.frozen()) {
            effects::effect(recorder, effects::FROZEN, effects::yes_or_no(frozen));
            if !frozen && let Some(allowed) = device_allowed(&monitor.place).await {
                effects::effect(recorder, effects::DEVICE_RULE, effects::yes_or_no(allowed));
            }
        }
    }
}

fn why_not_started(place: &Place, output: &Output) -> String {
    let log = fs::read_to_string(place.work().join("start.log")).unwrap_or_default();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).take(4).collect();
    let said = output.tail(3);
    format!("lxc-start: {:?}; {said}; {}", output.exit, errors.join("; "))
}

/// The container, for a reference server to answer with.
pub(super) async fn stage(monitor: &Monitor) -> Option<Stage> {
    let payload = payload(&monitor.place)?;
    let init = monitor.place.slot.pidfd(monitor.kept).await.ok()?;
    Some(Stage { pid_for_client: monitor.kept, init: Arc::new(init), cgroup: payload.path().to_owned() })
}

async fn freeze(place: &Place) -> Result<(), LaunchErrorKind> {
    let argv = ["lxc-freeze", "-P", LXCPATH, "-n", CONTAINER].map(str::to_owned).to_vec();
    let output = place.run(&place.command(argv), TOOL_DEADLINE, None).await?;
    let frozen = payload(place).is_some_and(|cgroup| cgroup.frozen().unwrap_or(false));
    if output.success() && frozen {
        return Ok(());
    }
    Err(LaunchErrorKind::Setup(format!(
        "lxc-freeze of the same release: {:?} {}",
        output.exit,
        output.tail(3)
    )))
}

/// The cgroup of the container. A suffix is added to its name when the plain one was taken.
fn payload(place: &Place) -> Option<Cgroup> {
    let entries = fs::read_dir(place.slot.cgroup().path()).ok()?;
    let prefix = format!("lxc.payload.{CONTAINER}");
    let found = entries.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))?;
    Some(Cgroup::at(found.path()))
}

/// Whether a process in the container's cgroup may open the device that only the operation under test allows. Any
/// other failure than EPERM means that the device program let it pass.
async fn device_allowed(place: &Place) -> Option<bool> {
    let payload = payload(place)?;
    let script = format!(
        "node=$1/probed; [ -e $node ] || mknod $node {PROBED_DEVICE} || exit 9; \
         echo 0 >$2/cgroup.procs || exit 9; exec 3<$node"
    );
    let argv = ["sh", "-c", &script, "sh"].map(str::to_owned).into_iter().chain(
        [place.slot.directory().to_owned(), place.slot.inside(payload.path())]
            .map(|path| path.display().to_string()),
    );
    let env = vec![
        ("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("LC_ALL".to_owned(), "C".to_owned()),
    ];
    let command = PlaceCommand { root: "/".into(), argv: argv.collect(), env, ..PlaceCommand::default() };
    let output = place.run(&command, QUESTION_DEADLINE, None).await.ok()?;
    match output.exit {
        Some(ExitStatus::Code(9)) | None => None,
        _ => Some(!output.stderr.text().contains("not permitted")),
    }
}

/// The state that the monitor says, or that it is gone; `None` when it is there and does not answer. A monitor that is
/// busy with the end of another connection may close ours (seen on 4.0.6, once in some hundreds): so a second time.
async fn state_at_last(address: &Address) -> Option<i32> {
    for _ in 0..QUESTIONS {
        match state(address).await {
            Ok(number) => return Some(number),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Some(names::STOPPED);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return None,
            Err(_) => tokio::time::sleep(QUESTION_RETRY).await,
        }
    }
    None
}

/// Whether init is ready to be asked to stop: it catches SIGPWR.
fn catches_power_failure(slot: &dyn sandbox::Place, init: i64) -> bool {
    let status = fs::read_to_string(slot.path(format!("/proc/{init}/status"))).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (SIGPWR - 1)) != 0
}

fn parent(slot: &dyn sandbox::Place, pid: i64) -> Option<i32> {
    let stat = fs::read_to_string(slot.path(format!("/proc/{pid}/stat"))).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// What matters of an answer.
struct Answer {
    ret: i32,
    data: i64,
}

/// Asks one question on a connection of its own.
async fn question(address: &Address, question: &Bytes) -> io::Result<Answer> {
    let mut connection = Connection::connect(address, QUESTION_DEADLINE).await?;
    ask(&mut connection, question, |reply| {
        if reply.len() < RESPONSE_LEN {
            return Ok(None);
        }
        let field = |range: std::ops::Range<usize>| reply.get(range).unwrap_or_default();
        let ret = field(0..4).try_into().map(i32::from_le_bytes).unwrap_or_default();
        let data = field(8..16).try_into().map(i64::from_le_bytes).unwrap_or_default();
        Ok(Some(Answer { ret, data }))
    })
    .await
}

async fn state(address: &Address) -> io::Result<i32> {
    let answer = question(address, &request::plain(names::GET_STATE, 0)).await?;
    if answer.ret < 0 {
        return Err(io::Error::from_raw_os_error(-answer.ret));
    }
    Ok(i32::try_from(answer.data).unwrap_or(i32::MAX))
}
