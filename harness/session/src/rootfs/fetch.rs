//! Making a root file system with `mmdebstrap`.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use matrix::DebianSource;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Semaphore;

use super::manifest::read_packages;
use super::{
    Cache, Drift, LOG, MANIFEST, MOUNT_POINT, Manifest, Package, ROOT, Rootfs, RootfsError, RootfsErrorKind,
    context, drift, label,
};
use crate::process::{Invocation, Output, find_program};
use crate::sandbox::Obstacle;

/// Most fetches at the same time: they are bound by one disk and one network.
static FETCHES: Semaphore = Semaphore::const_new(2);
/// How often a lock that somebody else holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(200);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 12;
/// Where the hook writes what it knows of the packages, below the root.
const PACKAGES: &str = "wireskew/packages";
/// Variable that names the user's mirror of every state of the archive; there is none by default.
const SNAPSHOT_MIRROR: &str = "WIRESKEW_SNAPSHOT_MIRROR";
/// Brings the sources from which a locale is compiled.
const LOCALES_PACKAGE: &str = "locales";
/// What a hook says before the name and version of a package that is gone.
const GONE: &str = "wireskew: gone: ";
/// Debian's test suites are re-signed daily and expire within a week; a mirror that lags is no attack.
const ALLOW_EXPIRED: &str = "Acquire::Check-Valid-Until \"false\"";

/// A root file system that was fetched, or was there already.
#[derive(Debug)]
pub struct Fetched {
    /// The root file system.
    pub rootfs: Rootfs,
    /// How it differs from what was locked; empty where nothing was.
    pub drift: Vec<Drift>,
    /// Whether it was in the cache already.
    pub cached: bool,
}

impl Cache {
    /// Makes the root file system of this source, unless it is there, and compares its packages with those locked.
    ///
    /// # Errors
    /// See [`RootfsErrorKind`].
    pub async fn fetch(
        &self,
        source: &DebianSource,
        locked: Option<&[Package]>,
        deadline: Duration,
    ) -> Result<Fetched, RootfsError> {
        let fetched = |rootfs: Rootfs, cached| {
            let drift = locked.map(|locked| drift(locked, &rootfs.manifest.packages)).unwrap_or_default();
            Fetched { rootfs, drift, cached }
        };
        if let Some(rootfs) = self.find(source)? {
            return Ok(fetched(rootfs, true));
        }
        let result = tokio::time::timeout(deadline, self.make(source)).await;
        let result = result.unwrap_or(Err(RootfsErrorKind::Deadline(deadline.as_secs())));
        result
            .map(|(rootfs, cached)| fetched(rootfs, cached))
            .map_err(|kind| RootfsError { build: label(source), kind })
    }

    async fn make(&self, source: &DebianSource) -> Result<(Rootfs, bool), RootfsErrorKind> {
        possible()?;
        if source.snapshot.is_some() && snapshot_mirror().is_none() {
            let what = "a build is pinned to a snapshot, and no mirror of snapshots is named";
            return Err(Obstacle::new(what, format!("export {SNAPSHOT_MIRROR}=URL")).into());
        }
        check_words(source)?;
        fs::create_dir_all(self.directory())
            .map_err(context(format!("make `{}`", self.directory().display())))?;
        let _lock = lock(&self.lock_file(source)).await?;
        // Whoever held the lock before may have made it.
        if let Some(rootfs) = self.find(source).map_err(|error| error.kind)? {
            return Ok((rootfs, true));
        }
        let _permit = FETCHES.acquire().await;
        let partial = self.partial(source);
        // Under the lock it can only be what a killed fetch left.
        remove_partial(&partial)?;
        fs::create_dir(&partial).map_err(context(format!("make `{}`", partial.display())))?;
        let notes = bootstrap(source, &partial).await?;

        let listed = partial.join(ROOT).join(PACKAGES);
        let text = fs::read_to_string(&listed).map_err(context("read what the hook wrote"))?;
        fs::remove_file(&listed).map_err(context("remove what the hook wrote"))?;
        let packages = read_packages(&text).map_err(RootfsErrorKind::Malformed)?;
        let manifest = Manifest { suite: source.suite.clone(), packages, notes };
        check_versions(source, &manifest)?;
        fs::write(partial.join(MANIFEST), manifest.to_json()).map_err(context("write the manifest"))?;
        let entry = self.entry(source);
        fs::rename(&partial, &entry).map_err(context(format!("rename to `{}`", entry.display())))?;
        Ok((Rootfs { root: entry.join(ROOT), manifest }, false))
    }
}

/// What is missing for fetching.
fn possible() -> Result<(), Obstacle> {
    if !rustix::process::geteuid().is_root() {
        return Err(Obstacle::new("making a root file system needs root", "sudo wireskew builds fetch"));
    }
    for (program, package) in [("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux"), ("apt-get", "apt")] {
        if find_program(program).is_none() {
            return Err(Obstacle::program(program, package));
        }
    }
    Ok(())
}

/// Waits for an exclusive lock. It ends with the file, also when we are killed.
async fn lock(path: &Path) -> Result<File, RootfsErrorKind> {
    let file = File::create(path).map_err(context(format!("make `{}`", path.display())))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOCK_RETRY).await,
            Err(error) => return Err(context(format!("lock `{}`", path.display()))(error.into())),
        }
    }
}

fn remove_partial(partial: &Path) -> Result<(), RootfsErrorKind> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(context(format!("remove `{}`", partial.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Runs mmdebstrap; what was unusual.
async fn bootstrap(source: &DebianSource, partial: &Path) -> Result<Vec<String>, RootfsErrorKind> {
    let root = partial.join(ROOT);
    let mut output = mmdebstrap(&arguments(source, &root, &[])).await?;
    let mut notes = Vec::new();
    if !output.success() && is_expired(&output) {
        notes.push(format!(
            "the Release file of {} on the mirror has expired; its signature was verified, its age was not",
            source.suite
        ));
        remove_partial(&root)?;
        output = mmdebstrap(&arguments(source, &root, &[ALLOW_EXPIRED])).await?;
    }
    let log = partial.join(LOG);
    fs::write(&log, output.stderr.bytes()).map_err(context("write the log"))?;
    if output.success() {
        return Ok(notes);
    }
    // The log is small and tells why; the rest would only take space.
    remove_partial(&root)?;
    Err(failure(source, &output, &log))
}

fn arguments(source: &DebianSource, root: &Path, apt_options: &[&str]) -> Vec<String> {
    let mut include: Vec<_> =
        source.packages.iter().map(|(name, version)| format!("{name}={version}")).collect();
    include.extend(source.extra.iter().cloned());
    if !source.locales.is_empty() {
        include.push(LOCALES_PACKAGE.to_owned());
    }
    let mut args = base_arguments(source, apt_options);
    args.push("--variant=minbase".to_owned());
    args.push("--format=directory".to_owned());
    args.push(format!("--include={}", include.join(",")));
    // A root that was not completely written is thrown away anyway.
    args.push("--dpkgopt=force-unsafe-io".to_owned());
    args.extend(source.packages.iter().map(|(name, version)| version_hook(name, version)));
    for unread in ["doc", "man", "locale", "info"] {
        args.push(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
    }
    for locale in &source.locales {
        let language = locale.split('_').next().unwrap_or(locale);
        args.push(format!("--dpkgopt=path-include=/usr/share/locale/{language}/*"));
        args.push(locale_hook(locale));
    }
    // The indices are still there when this runs: what apt knows of exactly the installed versions.
    let hook = format!(
        "mkdir -p \"$1/{MOUNT_POINT}\" && dpkg-query --admindir=\"$1/var/lib/dpkg\" --show \
         --showformat='${{Package}}:${{Architecture}}=${{Version}}\\n' | sed 's/:all=/=/' | \
         APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" xargs apt-cache show --no-all-versions >\"$1/{PACKAGES}\""
    );
    args.push(format!("--customize-hook={hook}"));
    args.push(source.suite.clone());
    args.push(root.display().to_string());
    args.extend(mirrors(source, snapshot_mirror().as_deref()));
    args
}

fn base_arguments(source: &DebianSource, apt_options: &[&str]) -> Vec<String> {
    let mut args = vec!["--mode=root".to_owned(), "--aptopt=Acquire::Languages \"none\"".to_owned()];
    args.extend(apt_options.iter().map(|option| format!("--aptopt={option}")));
    if source.snapshot.is_some() {
        args.push(format!("--aptopt={ALLOW_EXPIRED}"));
    }
    args
}

fn snapshot_mirror() -> Option<String> {
    std::env::var(SNAPSHOT_MIRROR).ok().filter(|mirror| !mirror.is_empty())
}

/// Lines for `sources.list`, if the archive is to be that of another day.
fn mirrors(source: &DebianSource, mirror: Option<&str>) -> Vec<String> {
    let (Some(day), Some(mirror)) = (&source.snapshot, mirror) else { return Vec::new() };
    let suite = &source.suite;
    vec![
        format!("deb {mirror}/debian/{day} {suite} main"),
        format!("deb {mirror}/debian-security/{day} {suite}-security main"),
    ]
}

/// Runs mmdebstrap in namespaces of its own: its mounts and processes end with it, also when it is killed.
async fn mmdebstrap(args: &[String]) -> Result<Output, RootfsErrorKind> {
    let wrapped = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap"];
    let all = wrapped.iter().copied().chain(args.iter().map(String::as_str));
    let invocation =
        Invocation::new("unshare", all).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    // The deadline is that of the whole fetch; dropping the future kills the group.
    invocation.run(Duration::MAX).await.map_err(context("run mmdebstrap"))
}

fn is_expired(output: &Output) -> bool {
    let text = output.stderr.text();
    text.contains("Release file for") && text.contains("is expired")
}

/// Why mmdebstrap failed, as far as its words tell.
fn failure(source: &DebianSource, output: &Output, log: &Path) -> RootfsErrorKind {
    let text = output.stderr.text();
    if let Some((package, version)) = version_gone(source, &text) {
        let newest = first_in_madison(&text, &package);
        return RootfsErrorKind::VersionGone { package, version, suite: source.suite.clone(), newest };
    }
    let unreachable =
        ["Could not resolve", "Temporary failure resolving", "Could not connect", "Unable to connect"];
    if let Some(line) = text.lines().find(|line| unreachable.iter().any(|words| line.contains(words))) {
        return RootfsErrorKind::NoNetwork(line.trim().to_owned());
    }
    RootfsErrorKind::Failed { log: log.to_owned(), tail: output.tail(TAIL_LINES) }
}

/// A hook that fails early when the pinned version is gone, and says which ones there are.
fn version_hook(name: &str, version: &str) -> String {
    format!(
        "--extract-hook=export APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\"; apt-cache show '{name}={version}' >/dev/null || \
         {{ echo '{GONE}{name}={version}' >&2; apt-cache madison '{name}' >&2; exit 1; }}"
    )
}

/// A hook that compiles a locale, `de_DE.UTF-8` from the description `de_DE` and the character set.
fn locale_hook(locale: &str) -> String {
    let name = locale.split('.').next().unwrap_or(locale);
    format!("--customize-hook=chroot \"$1\" localedef --no-archive -i '{name}' -f UTF-8 '{locale}'")
}

/// The pinned package whose hook said that it is gone.
fn version_gone(source: &DebianSource, text: &str) -> Option<(String, String)> {
    let said = |(name, version): &&(String, String)| {
        text.lines().any(|line| line.strip_prefix(GONE) == Some(&format!("{name}={version}")))
    };
    source.packages.iter().find(said).cloned()
}

/// Names and versions become part of a shell line: nothing but what Debian allows in them passes.
fn check_words(source: &DebianSource) -> Result<(), RootfsErrorKind> {
    let snapshot = source.snapshot.iter();
    let names = source.packages.iter().flat_map(|(name, version)| [name, version]);
    for word in names.chain(&source.extra).chain([&source.suite]).chain(&source.locales).chain(snapshot) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+-.:~_".contains(c);
        if word.is_empty() || word.starts_with('-') || !word.chars().all(allowed) {
            let why = format!("`{word}` is not a name of a suite, package or locale and no version");
            return Err(RootfsErrorKind::Malformed(why));
        }
    }
    Ok(())
}

/// The newest version of a package in the suite of this source.
///
/// # Errors
/// When the mirror cannot be asked.
pub async fn newest(source: &DebianSource, package: &str) -> Result<Option<String>, RootfsErrorKind> {
    possible()?;
    check_words(&DebianSource { extra: vec![package.to_owned()], ..source.clone() })?;
    let ask =
        format!("--customize-hook=APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-cache madison '{package}' >&2");
    let run = async |apt_options: &[&str]| {
        let mut args = base_arguments(source, apt_options);
        args.extend(
            ["--variant=custom", "--format=null", &ask, &source.suite, "/dev/null"].map(str::to_owned),
        );
        args.extend(mirrors(source, snapshot_mirror().as_deref()));
        mmdebstrap(&args).await
    };
    let mut output = run(&[]).await?;
    if !output.success() && is_expired(&output) {
        output = run(&[ALLOW_EXPIRED]).await?;
    }
    if !output.success() {
        return Err(RootfsErrorKind::Malformed(format!("mmdebstrap failed: {}", output.tail(TAIL_LINES))));
    }
    Ok(first_in_madison(&output.stderr.text(), package))
}

/// `apt-cache madison` prints `package | version | origin`, the newest first.
fn first_in_madison(text: &str, package: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut columns = line.split('|').map(str::trim);
        (columns.next() == Some(package)).then(|| columns.next().map(str::to_owned))?
    })
}

/// What was asked for must be what is there.
fn check_versions(source: &DebianSource, manifest: &Manifest) -> Result<(), RootfsErrorKind> {
    for (name, version) in &source.packages {
        let installed = manifest.package(name).map(|package| package.version.as_str());
        if installed != Some(version) {
            let installed = installed.unwrap_or("none");
            return Err(RootfsErrorKind::Malformed(format!(
                "`{name}` {version} was asked for, {installed} came"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> DebianSource {
        DebianSource {
            suite: "bookworm".to_owned(),
            packages: vec![("lxc".to_owned(), "1:5.0.2-1".to_owned())],
            extra: vec!["busybox-static".to_owned()],
            locales: Vec::new(),
            snapshot: Some("20250101T000000Z".to_owned()),
        }
    }

    fn output(stderr: &str) -> Output {
        Output {
            exit: Some(transcript::ExitStatus::Code(25)),
            stdout: crate::process::Captured::default(),
            stderr: crate::process::Captured::from(stderr.as_bytes()),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn understands_that_a_version_is_gone() {
        let said =
            "E: x\nwireskew: gone: lxc=1:5.0.2-1\n       lxc | 1:5.0.2-1+deb12u4 | http://m bookworm/main\n";
        let error = failure(&source(), &output(said), Path::new("/log"));
        assert_eq!(
            error.to_string(),
            "`lxc` 1:5.0.2-1 is gone from bookworm, the newest there is 1:5.0.2-1+deb12u4; to take that, \
             `wireskew builds update`"
        );
        let said = "wireskew: gone: lxc=1:5.0.2-1\nN: Unable to locate package lxc\n";
        let error = failure(&source(), &output(said), Path::new("/log"));
        assert!(error.to_string().contains("which has no such package"), "{error}");
        assert_eq!(version_gone(&source(), "wireskew: gone: lxc=1:5.0.2-10\n"), None);
    }

    #[test]
    fn tells_an_unreachable_mirror_from_other_failures() {
        let error = failure(&source(), &output("Err:1\n  Could not resolve 'm'\n"), Path::new("/log"));
        assert!(
            matches!(&error, RootfsErrorKind::NoNetwork(line) if line == "Could not resolve 'm'"),
            "{error}"
        );
        let error = failure(&source(), &output("E: no space left\n"), Path::new("/log"));
        assert_eq!(error.to_string(), "mmdebstrap failed; the end of `/log`:\nE: no space left");
    }

    #[test]
    fn refuses_words_that_the_shell_would_read() {
        check_words(&source()).expect("these are fine");
        for bad in ["x; reboot", "$(id)", "a'b", "", "-o", "a b"] {
            let error = check_words(&DebianSource { extra: vec![bad.to_owned()], ..source() });
            assert!(error.is_err(), "{bad}");
        }
    }

    #[test]
    fn understands_the_table_of_versions() {
        let said = "I: running hooks\n   lxc | 1:5.0.2-1+deb12u4 | http://m bookworm/main\n   lxc | 1:5.0.2-1 | http://m\n";
        assert_eq!(first_in_madison(said, "lxc").as_deref(), Some("1:5.0.2-1+deb12u4"));
        assert_eq!(first_in_madison(said, "lx"), None);
    }

    #[test]
    fn a_locale_is_compiled_and_its_messages_are_kept() {
        let german = DebianSource { locales: vec!["de_DE.UTF-8".to_owned()], ..source() };
        let args = arguments(&german, Path::new("/r"), &[]);
        for wanted in [
            "--include=lxc=1:5.0.2-1,busybox-static,locales",
            "--dpkgopt=path-include=/usr/share/locale/de/*",
            "--customize-hook=chroot \"$1\" localedef --no-archive -i 'de_DE' -f UTF-8 'de_DE.UTF-8'",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted}: {args:?}");
        }
        let bad = DebianSource { locales: vec!["de'; reboot".to_owned()], ..source() };
        assert!(check_words(&bad).is_err());
    }

    #[test]
    fn a_snapshot_names_its_mirror() {
        let lines = mirrors(&source(), Some("http://mirror"));
        assert_eq!(
            lines.first().map(String::as_str),
            Some("deb http://mirror/debian/20250101T000000Z bookworm main")
        );
        assert_eq!(mirrors(&source(), None), Vec::<String>::new());
        let args = arguments(&source(), Path::new("/r"), &[]);
        assert!(args.contains(&"--include=lxc=1:5.0.2-1,busybox-static".to_owned()));
    }
}
