//! What is so with the containers of a slot, by their processes and cgroups, and by what the daemon has of them.

use std::fs;
use std::path::Path;

use protocol::effects::effect;
use protocol::launch::Place;
use session::Recorder;
use session::sandbox::Cgroup;

use super::api::Api;
use super::conditions::list;
use crate::operations::{CONTAINER, OTHERS, STATE};

/// Where daemons put the cgroups of their containers, below that of the slot.
const PARENT: &str = "docker";
/// What a daemon says of a container that was never started.
const CREATED: &str = "created";

/// Writes down what became of the container of conditions, and how many others there are.
pub(super) async fn write(place: &Place, api: Api<'_>, recorder: &Recorder) {
    // One that does not answer says nothing of its containers.
    let Ok(containers) = api.get("/containers/json?all=1").await else { return };
    let is_own =
        |names: &serde_json::Value| list(names).any(|name| name.as_str() == Some(&format!("/{CONTAINER}")));
    let own = list(&containers).find(|container| is_own(&container["Names"]));
    let state = own.map_or("gone", |own| {
        let cgroup =
            Cgroup::at(place.slot.cgroup().path().join(PARENT).join(own["Id"].as_str().unwrap_or_default()));
        match (lives(&cgroup), cgroup.frozen()) {
            (true, Ok(true)) => "paused",
            (true, _) => "running",
            (false, _) if own["State"] == CREATED => CREATED,
            (false, _) => "exited",
        }
    });
    effect(recorder, STATE, state);
    let others = list(&containers).count() - usize::from(own.is_some());
    effect(recorder, OTHERS, &others.to_string());
}

/// Whether anything in a cgroup goes on.
fn lives(cgroup: &Cgroup) -> bool {
    let has_ended = |pid: &i32| {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        stat.ok().and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X']))).unwrap_or(true)
    };
    cgroup.processes().unwrap_or_default().iter().any(|pid| !has_ended(pid))
}
