//! Builds that are installed: in a Debian root or in a directory of the user's own. What launchers of all protocols
//! share: where the build is, how its root is shown in a slot of the sandbox, and what is seen of its processes.
//!
//! ```text
//! <slot>/w          files of the slot; every root shows them as /wireskew
//! <slot>/r/<root>   the root of a build, as it is mounted in the slot
//! ```
//!
//! A build that is an image runs in a container instead, whose root is that of the build.

mod process;
mod root;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix::{Build, DebianSource, Source};
use session::containers::{Engine, Image, Rights};
use session::rootfs::{Cache, MOUNT_POINT, hex_sha256};
use session::sandbox::{Place, PlaceCommand, PlaceError, Sandbox, Slot};
use session::{LaunchError, LaunchErrorKind};
use transcript::Endpoint;

use crate::Bench;
pub use process::Process;
pub(crate) use process::watch;
pub use root::{Kind, Root};

/// The directory of a slot in which roots are mounted.
const ROOTS: &str = "r";

/// What a build is recognised by, and where a directory of its tools may have them.
#[derive(Debug, Clone, Copy)]
pub struct Software {
    /// Its name, e.g. `lxc`.
    pub name: &'static str,
    /// The program that must be there.
    pub program: &'static str,
    /// The package of Debian that has it.
    pub package: &'static str,
    /// Directories below a root directory in which that program may be.
    pub in_root: &'static [&'static str],
    /// Directories below a tree of the user's own in which programs may be; the empty one is the tree itself.
    pub programs: &'static [&'static str],
    /// Directories below it in which libraries may be.
    pub libraries: &'static [&'static str],
}

/// A build that is there.
#[derive(Debug)]
pub struct Installed {
    /// What is written down of it.
    pub endpoint: Endpoint,
    /// Where it is.
    pub root: Root,
    /// Arguments put before those of the launcher.
    pub args: Vec<String>,
    /// Where fetched builds are.
    pub cache: Cache,
    /// What starts its containers, if it is an image.
    container: Option<(Arc<dyn Engine>, Image)>,
}

impl Installed {
    /// Finds a build.
    ///
    /// # Errors
    /// It was not fetched or is not where it was said to be.
    pub fn find(
        software: &'static Software,
        build: &Build,
        source: &Source,
        bench: &Bench,
    ) -> Result<Self, LaunchError> {
        let cache = Cache::at(bench.cache_dir.clone());
        let endpoint = Endpoint {
            id: build.id.to_string(),
            name: software.name.to_owned(),
            version: Some(build.version.clone()),
            details: build.settings.clone(),
            ..Endpoint::default()
        };
        let found = match source {
            Source::Debian(debian) => Self::debian(software, endpoint, debian, cache),
            Source::Path { path, args } => Self::path(software, endpoint, path, args, cache),
            Source::Container { .. } | Source::Dockerfile { .. } => {
                Self::image(software, endpoint, source, bench, cache)
            }
            _ => {
                let why = format!("source `{}` is not an installed build", source.word());
                Err(LaunchErrorKind::Setup(why))
            }
        };
        found.map_err(|kind| LaunchError::new(format!("find {} {}", build.protocol, build.id), kind))
    }

    fn debian(
        software: &'static Software,
        endpoint: Endpoint,
        source: &DebianSource,
        cache: Cache,
    ) -> Result<Self, LaunchErrorKind> {
        let found = cache.find(source).map_err(|error| LaunchErrorKind::Setup(error.to_string()))?;
        let rootfs = found.ok_or_else(|| LaunchErrorKind::Missing {
            why: format!("the root file system of {} is not in the cache", source.suite),
            hint: "fetch it: wireskew builds fetch".to_owned(),
        })?;
        let endpoint = Endpoint {
            package: pinned(source, software.package),
            source: Some(format!("debian {}", source.suite)),
            digest: Some(rootfs.manifest.digest()),
            ..endpoint
        };
        let root = Root::new(Kind::Whole(rootfs.root), software);
        Ok(Self { endpoint, root, args: Vec::new(), cache, container: None })
    }

    fn image(
        software: &'static Software,
        endpoint: Endpoint,
        source: &Source,
        bench: &Bench,
        cache: Cache,
    ) -> Result<Self, LaunchErrorKind> {
        let image = bench.engine.find(source).map_err(|obstacle| LaunchErrorKind::Missing {
            why: obstacle.what,
            hint: format!("try: {}", obstacle.help),
        })?;
        let said = format!("{} {}", source.word(), image.name);
        let endpoint = Endpoint { source: Some(said), digest: Some(image.digest.clone()), ..endpoint };
        let root = Root::new(Kind::Image(image.id.clone()), software);
        let container = Some((Arc::clone(&bench.engine), image));
        Ok(Self { endpoint, root, args: Vec::new(), cache, container })
    }

    fn path(
        software: &'static Software,
        endpoint: Endpoint,
        path: &Path,
        args: &[String],
        cache: Cache,
    ) -> Result<Self, LaunchErrorKind> {
        let program = software.program;
        let missing = |why: String| LaunchErrorKind::Missing {
            why,
            hint: format!("give the directory that holds {program}, or a root directory that has it"),
        };
        let path = path.canonicalize().map_err(|error| missing(format!("`{}`: {error}", path.display())))?;
        let directory = if path.is_dir() { path.clone() } else { path.parent().unwrap_or(&path).to_owned() };
        let below = |place: &&str| Some(directory.join(place).join(program)).filter(|file| file.is_file());
        // A prefix has a `bin` too, but no users.
        let is_root = directory.join("etc/passwd").is_file();
        let in_root = software.in_root.iter().find_map(below).filter(|_| is_root);
        let kind = match &in_root {
            Some(_) => Kind::Whole(directory.clone()),
            None => Kind::Tools(directory.clone()),
        };
        if in_root.is_some() && !directory.join(MOUNT_POINT).is_dir() {
            return Err(LaunchErrorKind::Missing {
                why: format!("`{}` has no directory `{MOUNT_POINT}` to mount over", directory.display()),
                hint: format!("make it: mkdir {}", directory.join(MOUNT_POINT).display()),
            });
        }
        let found = in_root.or_else(|| software.programs.iter().find_map(below));
        let file = found.ok_or_else(|| missing(format!("no {program} in `{}`", directory.display())))?;
        let digest = std::fs::read(&file).map(|bytes| format!("sha256:{}", hex_sha256(&bytes)));
        let endpoint =
            Endpoint { source: Some("path".to_owned()), digest: digest.ok(), modified: true, ..endpoint };
        let root = Root::new(kind, software);
        Ok(Self { endpoint, root, args: args.to_vec(), cache, container: None })
    }

    /// An error that says what was attempted with which build.
    pub fn error(&self, attempt: &str, kind: impl Into<LaunchErrorKind>) -> LaunchError {
        LaunchError::new(format!("{attempt} {} {}", self.endpoint.name, self.endpoint.id), kind)
    }

    /// Opens a place for its processes: a slot, or a container of its image. Its root is still to be shown there.
    ///
    /// # Errors
    /// There is no sandbox, or something cannot be made; then nothing of the place stays.
    pub(crate) async fn open(&self, rights: Rights) -> Result<Arc<dyn Place>, PlaceError> {
        if let Some((engine, image)) = &self.container {
            return engine.open(image, rights).await;
        }
        let sandbox = Sandbox::inside().ok_or(PlaceError::NoSandbox)?;
        let slot: Arc<dyn Place> = Arc::new(Slot::open(&sandbox).await?);
        for directory in [slot.directory().join(ROOTS), slot.work()] {
            let made = std::fs::create_dir(directory);
            made.map_err(|source| PlaceError::Io { what: "make a directory of the slot", source })?;
        }
        Ok(slot)
    }

    /// Shows the build's root in a place, once, and says where.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub async fn mount(&self, slot: &dyn Place) -> Result<PathBuf, PlaceError> {
        match (slot.image(), self.root.image()) {
            (None, None) => {}
            (there, own) if there == own => return Ok(PathBuf::from("/")),
            _ => {
                let why = "a container has the root of its own image and no other: both sides have to be of one image, \
                           or none of one";
                return Err(PlaceError::Refused {
                    what: "show a root in another build's place",
                    why: why.to_owned(),
                });
            }
        }
        let target = slot.directory().join(ROOTS).join(self.root.name());
        if !target.is_dir() {
            slot.mount(self.root.steps(&target, &slot.work())).await?;
        }
        Ok(target)
    }

    /// A command of the build, as it runs in a slot in which the build's root was mounted.
    pub fn command(&self, mounted: PathBuf, argv: Vec<String>) -> PlaceCommand {
        PlaceCommand { root: mounted, argv, env: self.root.environment(), ..PlaceCommand::default() }
    }
}

/// A package of a build and its version; the first where the build does not pin that one.
fn pinned(source: &DebianSource, package: &str) -> Option<String> {
    let named = source.packages.iter().find(|(name, _)| name == package);
    named.or(source.packages.first()).map(|(name, version)| format!("{name} {version}"))
}

/// Why a place failed, as the reason why a launch did.
pub fn setup(error: PlaceError) -> LaunchErrorKind {
    match error {
        PlaceError::Io { source, .. } => LaunchErrorKind::Io(source),
        other => LaunchErrorKind::Setup(other.to_string()),
    }
}

/// What matters of this machine for a recording.
pub fn environment() -> BTreeMap<String, String> {
    let uname = rustix::system::uname();
    let arch = uname.machine().to_string_lossy().into_owned();
    BTreeMap::from([("arch".to_owned(), arch)])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SOFTWARE: Software = Software {
        name: "tuxedo",
        program: "tuxd",
        package: "tuxedo",
        in_root: &["usr/bin", "bin"],
        programs: &["", "bin", "src"],
        libraries: &["lib"],
    };

    /// What is found in a directory with these files.
    #[track_caller]
    fn check(files: &[&str], expect: Result<bool, &str>) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for file in files {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().expect("it is below the directory"))
                .and_then(|()| fs::write(file, "x"))
                .expect("it can be written");
        }
        let cache = Cache::at(dir.path().to_owned());
        let found = Installed::path(&SOFTWARE, Endpoint::default(), dir.path(), &[], cache);
        match (found, expect) {
            (Ok(found), Ok(whole)) => assert_eq!(found.root.whole().is_some(), whole, "{files:?}"),
            (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
            (found, _) => panic!("{files:?}: {found:?}"),
        }
    }

    #[test]
    fn tells_a_root_from_a_prefix_and_from_a_build_tree() {
        check(&["usr/bin/tuxd", "etc/passwd", "wireskew/.keep"], Ok(true));
        check(&["bin/tuxd", "etc/passwd", "wireskew/.keep"], Ok(true));
        check(&["bin/tuxd", "etc/tuxd.conf"], Ok(false));
        check(&["src/tuxd"], Ok(false));
        check(&["tuxd"], Ok(false));
    }

    #[test]
    fn names_the_package_that_has_the_program() {
        let pin = |name: &str| (name.to_owned(), "1-2".to_owned());
        let source = DebianSource {
            suite: "forky".to_owned(),
            packages: vec![pin("tuxd"), pin("tuxedo")],
            extra: Vec::new(),
            locales: Vec::new(),
            snapshot: None,
        };
        assert_eq!(pinned(&source, "tuxedo").as_deref(), Some("tuxedo 1-2"));
        assert_eq!(pinned(&source, "other").as_deref(), Some("tuxd 1-2"));
    }

    #[test]
    fn without_an_engine_a_build_that_is_an_image_is_missing() {
        let source = Source::Container { image: "tuxedo:1".to_owned(), digest: None };
        let build = Build {
            id: matrix::BuildId::new("1"),
            protocol: "tuxedo".into(),
            roles: vec![matrix::Role::Server],
            version: "1".to_owned(),
            dialect: "1".to_owned(),
            sources: Vec::new(),
            like: None,
            settings: BTreeMap::new(),
        };
        let error =
            Installed::find(&SOFTWARE, &build, &source, &Bench::new("", "")).expect_err("there is none");
        let expect = "find tuxedo 1: build is missing (this wireskew was built without containers); \
                      try: cargo run --release --features containers -- …";
        assert_eq!(error.to_string(), expect);
    }

    #[test]
    fn says_what_a_directory_lacks() {
        check(&["usr/bin/tuxd", "etc/passwd"], Err("has no directory `wireskew` to mount over"));
        check(&["share/tuxd"], Err("no tuxd in"));
    }
}
