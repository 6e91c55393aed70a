//! `builds list`, `builds fetch` and `builds update`: Debian builds in the cache, pinned and locked. `builds images`: what
//! containers of them are made of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use matrix::{Build, BuildId, BuildsLock, DebianSource, LockedBuild, LockedPackage, Source, SourceKind};
use runner::{Project, ProtocolFiles};
use session::rootfs::{self, Cache, Fetched, Manifest, Package, RootfsErrorKind};
use tokio::task::JoinSet;

use crate::args::{Builds, Global};
use crate::exit::Exit;
use crate::{Done, Failure, terminal};

/// How long making one root file system may take. Twenty seconds are usual.
const FETCH_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// A Debian build of the project.
struct Debian {
    protocol: String,
    id: BuildId,
    source: DebianSource,
}

pub(crate) fn builds(global: &Global, args: &Builds) -> Done {
    let project = Project::load(&global.root, &registry::all(), &[])?;
    let cache = Cache::at(Cache::default_directory());
    match args {
        Builds::List => list(&project, &cache),
        Builds::Images => images(&project, &cache),
        Builds::Fetch { ids } => {
            let runtime = tokio::runtime::Runtime::new().map_err(Failure::setup)?;
            runtime.block_on(fetch(global, &project, &cache, ids))
        }
        Builds::Update { ids, pinned } => {
            let runtime = tokio::runtime::Runtime::new().map_err(Failure::setup)?;
            runtime.block_on(update(global, &project, &cache, ids, *pinned))
        }
    }
}

fn list(project: &Project, cache: &Cache) -> Done {
    let mut out = String::new();
    for files in project.protocols.values() {
        for build in files.builds.iter() {
            let words: Vec<String> = match &build.like {
                Some(like) => like_words(like, build),
                None => build.sources.iter().map(|s| source_words(files, build, s, cache)).collect(),
            };
            out.push_str(&format!("{}@{}\t{}\n", build.protocol, build.id, words.join("; ")));
        }
    }
    terminal::print(&out);
    Ok(Exit::AsExpected.into())
}

/// Where the images of builds come from that are containers:
///
/// ```text
/// import  <image>  <digest of the root>  <root>     of the root file system of the same build, which is in the cache
/// fetch   <image>  <build>                          the same, which is not there yet
/// pull    <image>  <digest>                         from a registry
/// ```
fn images(project: &Project, cache: &Cache) -> Done {
    let mut out = String::new();
    for build in project.protocols.values().flat_map(|files| files.builds.iter()) {
        let Some(Source::Container { image, digest }) = build.source(SourceKind::Container) else { continue };
        let words = match (digest, build.source(SourceKind::Debian)) {
            _ if build.like.is_some() => continue,
            (Some(digest), _) => ["pull", image, digest].join("\t"),
            (None, Some(Source::Debian(debian))) => match cache.find(debian).map_err(Failure::setup)? {
                Some(found) => {
                    format!("import\t{image}\t{}\t{}", found.manifest.digest(), found.root.display())
                }
                None => format!("fetch\t{image}\t{}@{}", build.protocol, build.id),
            },
            // Whoever brings such an image knows where it is from.
            (None, _) => continue,
        };
        out.push_str(&words);
        out.push('\n');
    }
    terminal::print(&out);
    Ok(Exit::AsExpected.into())
}

fn like_words(like: &BuildId, build: &Build) -> Vec<String> {
    let settings = build.settings.iter().map(|(key, value)| format!("{key} = {value}"));
    std::iter::once(format!("as {like}")).chain(settings).collect()
}

fn source_words(files: &ProtocolFiles, build: &Build, source: &Source, cache: &Cache) -> String {
    match source {
        Source::Debian(debian) => {
            let pins: Vec<_> =
                debian.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
            let state = match cache.find(debian) {
                Ok(Some(_)) => "fetched".to_owned(),
                Ok(None) => "not fetched; `wireskew builds fetch` gets it".to_owned(),
                Err(error) => error.to_string(),
            };
            format!("debian {}: {} ({state})", debian.suite, pins.join(", "))
        }
        Source::Recorded => {
            let of = |f: &&std::sync::Arc<runner::Fixture>| f.client == build.id || f.server == build.id;
            format!("recorded: {} fixtures", files.fixtures().all.iter().filter(of).count())
        }
        Source::Path { path, .. } => format!("path {}", path.display()),
        Source::Container { image, digest: None } => format!("container {image}"),
        Source::Container { image, digest: Some(digest) } => format!("container {image}@{digest}"),
        Source::Dockerfile { path } => format!("dockerfile {}", path.display()),
        Source::Reference { .. } => "reference".to_owned(),
    }
}

/// The Debian builds that are asked for. One that is like another is had when that one is.
fn wanted(project: &Project, ids: &[String]) -> Result<Vec<Debian>, Failure> {
    let mut known = Vec::new();
    let mut asked = vec![false; ids.len()];
    let mut wanted = Vec::new();
    for files in project.protocols.values() {
        let mut needed = BTreeSet::new();
        for build in files.builds.iter() {
            if !build.sources.iter().any(|source| matches!(source, Source::Debian(_))) {
                continue;
            }
            known.push(format!("{}@{}", build.protocol, build.id));
            for (id, asked) in ids.iter().zip(&mut asked) {
                if is_called(files, build, id) {
                    *asked = true;
                    needed.insert(build.like.as_ref().unwrap_or(&build.id));
                }
            }
            if ids.is_empty() {
                needed.insert(build.like.as_ref().unwrap_or(&build.id));
            }
        }
        wanted.extend(files.builds.iter().filter(|build| needed.contains(&build.id)).filter_map(debian));
    }
    if let Some((unknown, _)) = ids.iter().zip(&asked).find(|(_, asked)| !**asked) {
        let text = format!("no Debian build is called `{unknown}`; there are {}", known.join(", "));
        return Err(Failure::text(Exit::Usage, text));
    }
    Ok(wanted)
}

/// Whether `lxc@4.0.6`, `lxc-command@4.0.6` or `4.0.6` means this build. The last may mean builds of several protocols.
fn is_called(files: &ProtocolFiles, build: &Build, name: &str) -> bool {
    match name.split_once('@') {
        Some((protocol, id)) => files.builds.is_called(protocol) && build.id.as_str() == id,
        None => build.id.as_str() == name,
    }
}

fn debian(build: &Build) -> Option<Debian> {
    let source = build.sources.iter().find_map(|source| match source {
        Source::Debian(source) => Some(source.clone()),
        _ => None,
    });
    Some(Debian { protocol: build.protocol.to_string(), id: build.id.clone(), source: source? })
}

async fn fetch(global: &Global, project: &Project, cache: &Cache, ids: &[String]) -> Done {
    let mut tasks = JoinSet::new();
    for build in wanted(project, ids)? {
        let lock = read_lock(&global.root, &build.protocol)?;
        let locked = lock.builds.get(&build.id).map(locked_packages);
        let cache = cache.clone();
        tasks.spawn(async move {
            let fetched = cache.fetch(&build.source, locked.as_deref(), FETCH_DEADLINE).await;
            (build, locked.is_some(), fetched)
        });
    }
    let mut worst = Exit::AsExpected;
    while let Some(joined) = tasks.join_next().await {
        let (build, is_locked, fetched) = joined.map_err(|panic| Failure::text(Exit::Internal, panic))?;
        let name = format!("{}@{}", build.protocol, build.id);
        match fetched {
            Ok(fetched) => {
                terminal::print(&fetched_words(&name, &fetched, is_locked));
                let exit = if fetched.drift.iter().any(|drift| drift.is_another_build(&build.source.packages))
                {
                    eprintln!("{name}: this is not the build that was locked");
                    Exit::MissingBuild
                } else if fetched.drift.is_empty() {
                    Exit::AsExpected
                } else {
                    Exit::Unexpected
                };
                worst = worse(worst, exit);
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                let exit = match error.kind {
                    RootfsErrorKind::VersionGone { .. } => Exit::MissingBuild,
                    _ => Exit::Setup,
                };
                worst = worse(worst, exit);
            }
        }
    }
    Ok(worst.into())
}

/// An unavailable build outweighs a set-up that fails, and both outweigh packages that drifted.
fn worse(one: Exit, other: Exit) -> Exit {
    let weight = |exit| match exit {
        Exit::MissingBuild => 3,
        Exit::Setup => 2,
        Exit::Unexpected => 1,
        _ => 0,
    };
    if weight(other) > weight(one) { other } else { one }
}

fn fetched_words(name: &str, fetched: &Fetched, is_locked: bool) -> String {
    let manifest = &fetched.rootfs.manifest;
    let how = if fetched.cached { "in the cache" } else { "fetched" };
    let against = match (is_locked, fetched.drift.len()) {
        (false, _) => "not in builds.lock; `wireskew builds update` writes it".to_owned(),
        (true, 0) => "as locked".to_owned(),
        (true, count) => format!("{count} packages are not as locked"),
    };
    let mut out = format!("{name}: {how}, {} packages, {against}\n", manifest.packages.len());
    for note in &manifest.notes {
        out.push_str(&format!("  note: {note}\n"));
    }
    for drift in &fetched.drift {
        out.push_str(&format!("  {drift}\n"));
    }
    out
}

/// Pins the newest version of every suite unless told not to, fetches it, and writes the lock.
async fn update(global: &Global, project: &Project, cache: &Cache, ids: &[String], pinned: bool) -> Done {
    for mut build in wanted(project, ids)? {
        let name = format!("{}@{}", build.protocol, build.id);
        if !pinned {
            repin(global, &mut build).await?;
        }
        let fetched = cache.fetch(&build.source, None, FETCH_DEADLINE).await.map_err(Failure::setup)?;
        let path = lock_path(&global.root, &build.protocol);
        let before = read_lock(&global.root, &build.protocol)?;
        let mut after = before.clone();
        after.builds.insert(build.id.clone(), locked(&fetched.rootfs.manifest));
        let drift = before.drift(&after);
        write(&path, &after.render())?;
        terminal::print(&format!("{name}: {} changes in builds.lock\n", drift.len()));
    }
    Ok(Exit::AsExpected.into())
}

async fn repin(global: &Global, build: &mut Debian) -> Result<(), Failure> {
    let path = global.root.join("matrices").join(&build.protocol).join("builds.toml");
    let suite = build.source.clone();
    for (package, version) in &mut build.source.packages {
        let newest = rootfs::newest(&suite, package).await.map_err(Failure::setup)?;
        let Some(newest) = newest else {
            let text = format!("{} has no package `{package}`", suite.suite);
            return Err(Failure::text(Exit::MissingBuild, text));
        };
        if newest != *version {
            terminal::print(&format!("{}@{}: {package} {version} → {newest}\n", build.protocol, build.id));
            let text = std::fs::read_to_string(&path)
                .map_err(|e| Failure::text(Exit::Setup, format!("cannot read `{}`: {e}", path.display())))?;
            let text = matrix::repin(&text, &build.id, package, &newest).map_err(Failure::setup)?;
            write(&path, &text)?;
            *version = newest;
        }
    }
    Ok(())
}

fn lock_path(root: &Path, protocol: &str) -> PathBuf {
    root.join("matrices").join(protocol).join("builds.lock")
}

/// The lock of a protocol; one that was never written is empty.
fn read_lock(root: &Path, protocol: &str) -> Result<BuildsLock, Failure> {
    let path = lock_path(root, protocol);
    if !path.exists() {
        return Ok(BuildsLock::empty(protocol));
    }
    BuildsLock::load(&path, protocol).map_err(|error| Failure::new(Exit::Setup, error))
}

fn locked(manifest: &Manifest) -> LockedBuild {
    let package = |p: &Package| {
        let key = (p.name.clone(), p.architecture.clone());
        (key, LockedPackage { version: p.version.clone(), sha256: p.sha256.clone() })
    };
    LockedBuild {
        suite: manifest.suite.clone(),
        root: manifest.digest(),
        packages: manifest.packages.iter().map(package).collect(),
    }
}

fn locked_packages(build: &LockedBuild) -> Vec<Package> {
    let package = |((name, architecture), locked): (&(String, String), &LockedPackage)| Package {
        name: name.clone(),
        architecture: architecture.clone(),
        version: locked.version.clone(),
        sha256: locked.sha256.clone(),
    };
    build.packages.iter().map(package).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|e| Failure::text(Exit::Setup, format!("cannot write `{}`: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the builds of this repository.
    #[track_caller]
    fn check(ids: &[&str], expect: Result<&[&str], &str>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let project = Project::load(&root, &registry::all(), &[]).unwrap_or_else(|error| panic!("{error}"));
        let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        let found = wanted(&project, &ids).map_err(|failure| failure.report.to_string());
        match (found, expect) {
            (Ok(found), Ok(expect)) => {
                let names: Vec<_> =
                    found.iter().map(|build| format!("{}@{}", build.protocol, build.id)).collect();
                assert_eq!(names, expect);
            }
            (Err(said), Err(expect)) => assert!(said.starts_with(expect), "{said}"),
            (found, _) => panic!("{:?}", found.map(|found| found.len())),
        }
    }

    #[test]
    fn a_build_is_called_by_its_id_alone_or_with_its_protocol() {
        check(&["lxc@4.0.6"], Ok(&["lxc-command@4.0.6"]));
        check(&["lxc-command@7.0.0", "4.0.6"], Ok(&["lxc-command@4.0.6", "lxc-command@7.0.0"]));
        check(&["7.0.0"], Ok(&["libvirt-remote@7.0.0", "lxc-command@7.0.0"]));
        check(&["libvirt@9.0.0-german", "libvirt@9.0.0"], Ok(&["libvirt-remote@9.0.0"]));
        check(&["lxc@4.0.7"], Err("no Debian build is called `lxc@4.0.7`"));
        check(&["tuxedo@4.0.6"], Err("no Debian build is called `tuxedo@4.0.6`"));
        check(&["lxc@ideal"], Err("no Debian build is called `lxc@ideal`"));
    }
}
