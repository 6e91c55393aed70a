//! No container outlives its run.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use session::sandbox::{is_over, used_shared};
use testcontainers::core::client::docker_client_instance;

/// The label of a container that names its run, by the directory of that.
pub(crate) const RUN_LABEL: &str = "wireskew.run";

/// How long until it is looked again for containers of a run that is over: one may have been asked for and not yet be there.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How often at most it is looked.
const LOOKS_MAX: u32 = 20;
/// How often it is asked whether a container is gone.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// How long one may take to go.
const GONE_DEADLINE: Duration = Duration::from_secs(20);
/// What an engine answers about what it does not have, and about what it does already.
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

/// Removes the containers of a run that is over, by its directory. It is called by the cleaner of a sandbox:
/// see [`session::sandbox::hook_and`].
pub fn clean(run: &Path) {
    if !used_shared(run) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            let mut before = None;
            for _ in 0..LOOKS_MAX {
                let removed = remove_if(|of| of == run).await.ok();
                if removed.is_none() || (removed, before) == (Some(0), Some(0)) {
                    return;
                }
                before = removed;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
    }
}

/// Removes what dead runs have left.
pub(crate) async fn sweep() -> Result<usize, Error> {
    remove_if(is_over).await
}

/// Removes the containers of some runs; how many there were.
async fn remove_if(is_wanted: impl Fn(&Path) -> bool) -> Result<usize, Error> {
    let docker = docker_client_instance().await.map_err(|error| Error::from(std::io::Error::other(error)))?;
    let filters = HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let mut removed = 0;
    for container in docker.list_containers(Some(options)).await? {
        let run = container.labels.unwrap_or_default().remove(RUN_LABEL);
        let (Some(run), Some(id)) = (run, container.id) else { continue };
        if is_wanted(Path::new(&run)) {
            remove(&docker, &id).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes a container, by its name or its id, and waits until it is gone. That it is gone already is no error, nor that somebody
/// removes it: a container that ends is removed by its engine.
pub(crate) async fn remove(docker: &Docker, container: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let until = tokio::time::Instant::now() + GONE_DEADLINE;
    match docker.remove_container(container, Some(options)).await {
        Ok(()) => return Ok(()),
        Err(error) => match status(&error) {
            Some(NOT_FOUND) => return Ok(()),
            Some(CONFLICT) => {}
            _ => return Err(error),
        },
    }
    while tokio::time::Instant::now() < until {
        match docker.inspect_container(container, None).await {
            Err(error) if status(&error) == Some(NOT_FOUND) => return Ok(()),
            _ => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
    Err(std::io::Error::other(format!("container {container} does not go")).into())
}

/// What the engine has answered.
pub(crate) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
