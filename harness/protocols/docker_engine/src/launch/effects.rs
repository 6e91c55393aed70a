//! What is so with the containers of a slot, by their processes and cgroups, and by what the daemon has of them.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::effects::effect;
use protocol::launch::{Daemon, Place};
use session::sandbox::Cgroup;
use session::{Recorder, until};

use super::api::Api;
use super::conditions::list;
use super::dockerd::Dockerd;
use super::place::data;
use crate::operations::{CONTAINER, LIVING, OTHERS, SHIM, STATE};

/// Where daemons put the cgroups of their containers, below that of the slot.
const PARENT: &str = "docker";
/// What shims are called.
const SHIM_PROGRAM: &str = "containerd-shim";
/// How long the shim of a container that is over may take to end, in its own time. It takes some 50 ms.
pub(super) const SHIM_END: Duration = Duration::from_secs(2);
/// What a daemon says of a container that was never started.
const CREATED: &str = "created";

/// Writes down what became of the container of conditions, whether shims are left, and how many other containers there are.
pub(super) async fn write(daemon: &Daemon<Dockerd>, recorder: &Recorder) {
    let place = &daemon.place;
    // One that does not answer says nothing of its containers.
    let Ok(containers) = Api(&daemon.address).get("/containers/json?all=1").await else { return };
    let name = format!("/{CONTAINER}");
    let own = list(&containers).find(|container| list(&container["Names"]).any(|other| *other == *name));
    let state = own.map_or("gone", |own| {
        let cgroup = cgroup(place, own["Id"].as_str().unwrap_or_default());
        match (lives(&cgroup), cgroup.frozen()) {
            (true, Ok(true)) => "paused",
            (true, _) => "running",
            (false, _) if own["State"] == CREATED => CREATED,
            (false, _) => "exited",
        }
    });
    effect(recorder, STATE, state);
    let has_left = || shims(place).iter().any(|id| !lives(&cgroup(place, id)));
    let are_gone = until(daemon, SHIM_END, || Ok::<_, Infallible>(!has_left())).await.unwrap_or(false);
    effect(recorder, SHIM, if are_gone { "gone" } else { "left" });
    let others = list(&containers).count() - usize::from(own.is_some());
    effect(recorder, OTHERS, &others.to_string());
}

/// Writes down the containers whose processes live, by the names that the daemon's files have for them.
pub(super) fn write_living(place: &Place, recorder: &Recorder) {
    let records = fs::read_dir(data(place).join("containers")).into_iter().flatten().flatten();
    let living = records.filter(|record| lives(&cgroup(place, &record.file_name().to_string_lossy())));
    let mut names: Vec<_> =
        living.filter_map(|record| name_in(&record.path().join("config.v2.json"))).collect();
    names.sort_unstable();
    effect(recorder, LIVING, &names.join(","));
}

fn name_in(record: &Path) -> Option<String> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    Some(record["Name"].as_str()?.trim_start_matches('/').to_owned())
}

/// The containers that have a shim, by their ids.
pub(super) fn shims(place: &Place) -> Vec<String> {
    let processes = fs::read_dir(place.slot.path("/proc")).into_iter().flatten().flatten();
    let lines =
        processes.map(|process| fs::read_to_string(process.path().join("cmdline")).unwrap_or_default());
    lines.filter_map(|line| id_in(&line)).collect()
}

/// The id of its container, from the arguments of a shim.
fn id_in(line: &str) -> Option<String> {
    let mut arguments = line.split('\0');
    let is_shim = arguments.next()?.rsplit('/').next()?.starts_with(SHIM_PROGRAM);
    arguments.find(|argument| *argument == "-id").filter(|_| is_shim)?;
    arguments.next().map(ToOwned::to_owned)
}

fn cgroup(place: &Place, id: &str) -> Cgroup {
    Cgroup::at(place.slot.cgroup().path().join(PARENT).join(id))
}

/// Whether anything in a cgroup goes on.
fn lives(cgroup: &Cgroup) -> bool {
    let has_ended = |pid: &i32| {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        stat.ok().and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X']))).unwrap_or(true)
    };
    cgroup.processes().unwrap_or_default().iter().any(|pid| !has_ended(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_arguments() {
        let line = "/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0c0ffee\0-address\0/run/x\0";
        assert_eq!(id_in(line).as_deref(), Some("c0ffee"));
        for other in ["/usr/bin/containerd\0-id\0x\0", "containerd-shim-runc-v2\0-v\0", ""] {
            assert_eq!(id_in(other), None, "{other}");
        }
    }
}
