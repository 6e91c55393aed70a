//! The engine: what it has, and what it starts.

use std::fmt;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use matrix::Source;
use session::BoxFuture;
use session::containers::{Engine, Image, ROOT_LABEL, Rights};
use session::sandbox::{Obstacle, Place, PlaceError};
use testcontainers::GenericBuildableImage;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncBuilder;
use tokio::runtime::{Handle, Runtime};

use crate::container::Container;
use crate::program::Program;
use crate::removal::{status, sweep};

/// How long the engine may take to answer a question.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to build an image.
const BUILD_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// Where an engine listens unless `DOCKER_HOST` says where.
const USUAL: &str = "/var/run/docker.sock";
/// What says where an engine is.
const HOST_VARIABLE: &str = "DOCKER_HOST";
/// What starts one, and what makes the images of this repository.
const STARTS_ONE: &str = "eval \"$(ci/dockerd.sh)\"";
const MAKES_IMAGES: &str = "ci/images.sh";
/// The name of images that are built of a Dockerfile. Their tag follows from where that lies.
const BUILT: &str = "wireskew-built";
/// What an engine answers about what it does not have.
const NOT_FOUND: u16 = 404;

/// The engine that `DOCKER_HOST` names, or the one of this machine. Nothing is asked of it before a build needs it.
#[must_use]
pub fn engine() -> Arc<dyn Engine> {
    Arc::new(Docked { state: Mutex::new(None) })
}

/// An engine that is asked when it is needed.
struct Docked {
    /// What is the same for all containers, once one is needed; or what stands in the way.
    state: Mutex<Option<Result<Arc<Running>, Obstacle>>>,
}

/// What is the same for all containers of a run.
pub(crate) struct Running {
    /// Clients of the engine belong to the runtime in which they were made, and whoever drops a container may have none.
    /// `None` never before the end.
    runtime: Option<Runtime>,
    pub(crate) handle: Handle,
    pub(crate) docker: Docker,
    pub(crate) program: Program,
}

impl fmt::Debug for Docked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Docked")
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The last one to use it may be a task of its own.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    /// Meets the engine, and removes what dead runs have left there.
    fn start() -> Result<Self, Obstacle> {
        let no_program =
            |error| Obstacle::new(format!("this program cannot run in containers: {error}"), STARTS_ONE);
        let program = Program::find().map_err(no_program)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Obstacle::new(format!("no runtime for the engine: {error}"), STARTS_ONE))?;
        let docker = wait(runtime.handle(), ANSWER_DEADLINE, async {
            let docker = docker_client_instance().await.map_err(|error| error.to_string())?;
            docker.ping().await.map_err(|error| error.to_string())?;
            // What cannot be removed now the next run removes.
            let _ = sweep().await;
            Ok::<_, String>(docker)
        });
        match docker.unwrap_or_else(|| Err(format!("no answer within {} s", ANSWER_DEADLINE.as_secs()))) {
            Ok(docker) => {
                Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), docker, program })
            }
            Err(why) => Err(no_engine(&why)),
        }
    }

    /// Does something in the runtime of the engine, and waits for it.
    fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        asked: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let late = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        wait(&self.handle, deadline, asked).unwrap_or_else(late)
    }

    fn image(&self, name: &str, digest: Option<&str>) -> Result<Image, Obstacle> {
        // What was pulled by its digest has no tag.
        let pulled = digest.map(|digest| format!("{}@{digest}", untagged(name)));
        let mut found = self.inspect(pulled.as_deref().unwrap_or(name));
        if pulled.is_some() && found.is_err() {
            found = self.inspect(name);
        }
        let found = found.map_err(|error| no_image(name, digest, &error))?;
        let id = found.id.unwrap_or_default();
        let manifests = found.repo_digests.unwrap_or_default();
        let mut digests =
            manifests.iter().filter_map(|known| known.split_once('@')).map(|(_, digest)| digest);
        if let Some(digest) = digest
            && id != digest
            && !digests.any(|known| known == digest)
        {
            let what = format!("the engine's image `{name}` is `{id}`, and `{digest}` was asked for");
            return Err(Obstacle::new(what, format!("docker pull {name}@{digest}")));
        }
        let root =
            found.config.and_then(|config| config.labels).and_then(|mut labels| labels.remove(ROOT_LABEL));
        Ok(Image { name: name.to_owned(), digest: root.unwrap_or_else(|| id.clone()), id })
    }

    fn inspect(&self, name: &str) -> Result<ImageInspect, Error> {
        let (docker, name) = (self.docker.clone(), name.to_owned());
        self.ask(ANSWER_DEADLINE, async move { docker.inspect_image(&name).await })
    }

    fn build(&self, file: &Path) -> Result<Image, Obstacle> {
        let obstacle = |why: String| {
            let what = format!("`{}` cannot be built: {why}", file.display());
            Obstacle::new(what, format!("docker build -f {} {}", file.display(), folder(file).display()))
        };
        let context = context(file).map_err(|error| obstacle(error.to_string()))?;
        let tag = tag(file);
        let mut image = GenericBuildableImage::new(BUILT, &tag).with_dockerfile(file);
        for (path, name) in context {
            image = image.with_file(path, name);
        }
        let built = wait(&self.handle, BUILD_DEADLINE, async move { image.build_image().await.map(drop) });
        built.unwrap_or_else(|| Ok(())).map_err(|error| obstacle(error.to_string()))?;
        self.image(&format!("{BUILT}:{tag}"), None)
            .map(|image| Image { name: file.display().to_string(), ..image })
    }
}

impl Docked {
    fn running(&self) -> Result<Arc<Running>, Obstacle> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.get_or_insert_with(|| Running::start().map(Arc::new)).clone()
    }
}

impl Engine for Docked {
    fn find(&self, source: &Source) -> Result<Image, Obstacle> {
        match source {
            Source::Container { image, digest } => self.running()?.image(image, digest.as_deref()),
            Source::Dockerfile { path } => self.running()?.build(path),
            other => Err(Obstacle::new(format!("a `{}` is no image", other.word()), MAKES_IMAGES)),
        }
    }

    fn open<'a>(
        &'a self,
        image: &'a Image,
        rights: Rights,
    ) -> BoxFuture<'a, Result<Arc<dyn Place>, PlaceError>> {
        Box::pin(async move {
            let refused = |obstacle: Obstacle| PlaceError::Refused {
                what: "meet the engine",
                why: obstacle.to_string(),
            };
            let running = self.running().map_err(refused)?;
            Ok(Container::start(&running, image, rights).await? as Arc<dyn Place>)
        })
    }
}

/// Does something in a runtime, from wherever, and waits for it; `None` when the deadline passed.
fn wait<T: Send + 'static>(
    runtime: &Handle,
    deadline: Duration,
    asked: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (done, result) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        // Nobody waits any more where this fails.
        let _ = done.send(asked.await);
    });
    result.recv_timeout(deadline).ok()
}

fn no_engine(why: &str) -> Obstacle {
    let tried = match std::env::var(HOST_VARIABLE) {
        Ok(host) => format!("{HOST_VARIABLE} says `{host}`"),
        Err(_) => format!("{HOST_VARIABLE} is not set, and at {USUAL} there is none"),
    };
    Obstacle::new(format!("no engine for containers answers: {tried} ({why})"), STARTS_ONE)
}

fn no_image(name: &str, digest: Option<&str>, error: &Error) -> Obstacle {
    if status(error) != Some(NOT_FOUND) {
        return Obstacle::new(format!("the engine does not say what `{name}` is: {error}"), STARTS_ONE);
    }
    let helps = match digest {
        Some(digest) => format!("docker pull {name}@{digest}"),
        None if name.starts_with("wireskew/") => MAKES_IMAGES.to_owned(),
        None => format!("docker pull {name}"),
    };
    Obstacle::new(format!("the engine has no image `{name}`"), helps)
}

/// A name without its tag. What stands behind the last colon is none where a folder follows: `host:5000/x`.
fn untagged(name: &str) -> &str {
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name)
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What lies beside a Dockerfile, with the names of it in the context.
fn context(file: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(file))? {
        let path = entry?.path();
        if path.file_name() != file.file_name() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((path, name));
        }
    }
    found.sort();
    Ok(found)
}

/// A tag that follows from where a file lies.
fn tag(file: &Path) -> String {
    let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let hash = session::rootfs::hex_sha256(path.as_os_str().as_encoded_bytes());
    hash.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_helps_where_there_is_no_image() {
        let of = |status_code| Error::DockerResponseServerError { status_code, message: "x".to_owned() };
        let check = |name: &str, digest: Option<&str>, expect: &str| {
            assert_eq!(no_image(name, digest, &of(404)).to_string(), expect);
        };
        check("a/b:1", None, "the engine has no image `a/b:1`; try: docker pull a/b:1");
        check("a/b", Some("sha256:0"), "the engine has no image `a/b`; try: docker pull a/b@sha256:0");
        check("wireskew/lxc:5", None, "the engine has no image `wireskew/lxc:5`; try: ci/images.sh");
        assert!(no_image("a", None, &of(500)).what.contains("does not say"));
    }

    #[test]
    fn a_name_may_have_a_tag() {
        let names = ["a", "a:1", "host:5000/a", "host:5000/a:1"].map(untagged);
        assert_eq!(names, ["a", "a", "host:5000/a", "host:5000/a"]);
    }

    #[test]
    fn the_context_of_a_dockerfile_is_its_folder() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for name in ["Dockerfile", "tool", "data"] {
            fs::write(dir.path().join(name), "x").expect("it can be written");
        }
        let found = context(&dir.path().join("Dockerfile")).expect("it can be read");
        let names: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["data", "tool"]);
        assert_eq!(folder(Path::new("Dockerfile")), Path::new("."));
        assert_eq!(tag(Path::new("x/Dockerfile")).len(), 16);
    }
}
