//! What is so with a daemon before an operation, and how all that is undone.

use std::fs;
use std::time::Duration;

use protocol::installed::{Process, setup};
use protocol::launch::{Place, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use session::LaunchErrorKind;

use super::api::Api;
use super::effects::{SHIM_END, shims};
use super::place;
use crate::configuration;
use crate::operations::{
    BOTH, BOTH_LIVE, COMMAND, CONTAINER, IMAGE, ON_TERMINAL, PLAIN, RELOADED, RUNNING, RUNTIME, TERMINAL,
    TINY, VOLUME, WRAPPED,
};

/// The configuration of a daemon that was told nothing.
pub(super) const NOTHING: &str = "{}\n";
/// How often a daemon is asked whether it has read its configuration again, and how long it may take.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const RELOAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long the containers of a daemon that is told to end have for that, in seconds.
const STOP_TIMEOUT: u32 = 1;

/// A daemon that can be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) place: &'a Place,
    pub(super) process: &'a Process,
    pub(super) api: Api<'a>,
}

impl Told<'_> {
    /// Brings about what a condition says.
    pub(super) async fn prepare(&self, condition: &str) -> Result<(), LaunchErrorKind> {
        let mut words = condition.split(' ');
        let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or(CONTAINER));
        let own: Vec<&str> = words.collect();
        let command = if own.is_empty() { &COMMAND[..] } else { &own[..] };
        let container = Container { name, command, ..Container::default() };
        match word {
            IMAGE => Ok(()),
            RUNNING => self.run(container).await,
            TERMINAL => self.run(Container { command: &ON_TERMINAL, tty: true, ..container }).await,
            WRAPPED | RELOADED | BOTH | BOTH_LIVE => {
                let has_arguments = |info: &Value| info["Runtimes"][RUNTIME]["runtimeArgs"].is_array();
                if word == BOTH_LIVE {
                    let lets_live = |info: &Value| has_arguments(info) && info["LiveRestoreEnabled"] == true;
                    self.reconfigure(configuration::LIVE, lets_live).await?;
                } else {
                    self.reconfigure(configuration::ARGUMENTS, has_arguments).await?;
                }
                self.run(Container { runtime: Some(RUNTIME), ..container }).await?;
                match word {
                    BOTH | BOTH_LIVE => self.run(Container { name: PLAIN, ..container }).await,
                    RELOADED => {
                        let has_none = |info: &Value| {
                            let runtime = &info["Runtimes"][RUNTIME];
                            runtime.is_object() && !runtime["runtimeArgs"].is_array()
                        };
                        self.reconfigure(configuration::NO_ARGUMENTS, has_none).await
                    }
                    _ => Ok(()),
                }
            }
            VOLUME => self.api.post("/volumes/create", &json!({ "Name": name })).await.map(drop),
            _ => Err(LaunchErrorKind::Setup(format!("no condition `{word}`"))),
        }
    }

    async fn run(&self, container: Container<'_>) -> Result<(), LaunchErrorKind> {
        let id = create(self.api, container).await?;
        start(self.api, &id).await
    }

    /// Writes the configuration of that name, and waits until the daemon has it, as what it says of itself shows. What it logs proves
    /// nothing: 28.5.2 says that it has reloaded what it could not apply.
    async fn reconfigure(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Result<(), LaunchErrorKind> {
        configure(self.place, name)?;
        self.process.signal(Signal::HUP).await.map_err(setup)?;
        let applied = async {
            while !is_so(&self.api.get("/info").await?) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        within(RELOAD_DEADLINE, applied).await
    }

    /// Removes all that is there but the image, and sees that nothing is left.
    pub(super) async fn reset(&self) -> Result<(), LaunchErrorKind> {
        let api = self.api;
        for container in list(&api.get("/containers/json?all=1").await?) {
            let id = container["Id"].as_str().unwrap_or_default();
            api.act("DELETE", &format!("/containers/{id}?force=1&v=1")).await?;
        }
        let images = api.get("/images/json").await?;
        let is_ours = |image: &&Value| list(&image["RepoTags"]).any(|tag| tag == TINY);
        for image in list(&images).filter(|image| !is_ours(image)) {
            let id = image["Id"].as_str().unwrap_or_default();
            api.act("DELETE", &format!("/images/{id}?force=1")).await?;
        }
        for volume in list(&api.get("/volumes").await?["Volumes"]) {
            let name = volume["Name"].as_str().unwrap_or_default();
            api.act("DELETE", &format!("/volumes/{name}?force=1")).await?;
        }
        if fs::read_to_string(place::configuration(self.place))? != NOTHING {
            // A reload leaves alone what a configuration does not name.
            let has_none = |info: &Value| info["Runtimes"][RUNTIME].is_null();
            self.reconfigure(configuration::DROPPED, has_none).await?;
            fs::write(place::configuration(self.place), NOTHING)?;
        }
        // A shim ends a little behind its container.
        let gone = async {
            while !shims(self.place).is_empty() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        let _ = within(SHIM_END, gone).await;
        let info = api.get("/info").await?;
        let left = ["Containers", "ContainersRunning"].map(|key| info[key].as_u64().unwrap_or(u64::MAX));
        let shims = shims(self.place).len();
        if left == [0, 0] && shims == 0 {
            return Ok(());
        }
        let [containers, running] = left;
        Err(LaunchErrorKind::Setup(format!(
            "there are {containers} containers left, {running} running, and {shims} shims"
        )))
    }
}

/// Writes the configuration of that name; nobody is told.
pub(super) fn configure(place: &Place, name: &str) -> Result<(), LaunchErrorKind> {
    let unknown = || LaunchErrorKind::Setup(format!("no configuration `{name}`"));
    let text = configuration::text(name).ok_or_else(unknown)?;
    Ok(fs::write(place::configuration(place), text)?)
}

/// The elements of a list; a daemon that has none may say null.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A container that is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) command: &'a [&'a str],
    pub(super) runtime: Option<&'a str>,
    pub(super) tty: bool,
}

/// Makes a container, and returns its id.
pub(super) async fn create(api: Api<'_>, container: Container<'_>) -> Result<String, LaunchErrorKind> {
    let Container { name, command, runtime, tty } = container;
    let mut host = json!({ "NetworkMode": "none" });
    if let Some(runtime) = runtime {
        host["Runtime"] = json!(runtime);
    }
    let body =
        json!({ "Image": TINY, "Cmd": command, "Tty": tty, "StopTimeout": STOP_TIMEOUT, "HostConfig": host });
    let made = api.post(&format!("/containers/create?name={name}"), &body).await?;
    made["Id"]
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| LaunchErrorKind::Setup(format!("no id in `{made}`")))
}

/// Starts it.
pub(super) async fn start(api: Api<'_>, id: &str) -> Result<(), LaunchErrorKind> {
    api.act("POST", &format!("/containers/{id}/start")).await
}
