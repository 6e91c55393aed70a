//! `matrices/<protocol>/builds.toml`: the peers that exist.
//!
//! ```toml
//! protocol = "lxc-command"
//! alias = "lxc"                   # short name for `--build lxc@dev=path:…`
//!
//! [[build]]
//! id = "4.0.6"
//! version = "4.0.6"               # if absent, the id
//! dialect = "4.0.6"               # if absent, the version
//! roles = ["client", "server"]    # if absent, both
//! recorded = true                 # its fixtures are under `fixtures/<protocol>/`
//! path = "/opt/lxc"               # or { path = "…", args = ["…"] }
//! debian = { suite = "bullseye", packages = ["lxc=1:4.0.6-2+deb11u2"], extra = ["busybox-static"] }
//! container = "lxc:4.0.6"         # or { image = "…", digest = "sha256:…" }, or "…@sha256:…"
//! dockerfile = "lxc/Dockerfile"   # relative to this file; its folder is the context
//! reference = { defects = [] }    # or `true`
//!
//! [[build]]
//! id = "4.0.6-german"
//! like = "4.0.6"                  # a build above: its sources, and its version, dialect and roles unless said
//! settings = { locale = "de_DE.UTF-8" }   # how it is run; the words belong to the protocol
//! ```
//!
//! What a build is `like` is fetched and locked once, under the id of that one. A Debian source may have
//! `locales = ["de_DE.UTF-8"]`: they are compiled in its root, and their message catalogues are kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use crate::builds_lock::Digest;
use crate::error::{ConfigError, Location, did_you_mean, read_text};
use crate::section::{BadText, FromText, Section, read_document};
use crate::version::Version;
use crate::{Build, BuildId, DebianSource, Role, Source};

/// The builds of one protocol.
#[derive(Debug, Clone)]
pub struct Builds {
    /// Name of the protocol.
    pub protocol: Arc<str>,
    /// A short name that `--build` understands as well.
    pub alias: Option<String>,
    /// In the order of the file; those added by flags come last.
    builds: Vec<Build>,
    locations: BTreeMap<BuildId, Location>,
}

impl Builds {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut builds = Self::parse(&path.display().to_string(), &read_text(path)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for source in builds.builds.iter_mut().flat_map(|build| &mut build.sources) {
            if let Source::Dockerfile { path } = source {
                *path = folder.join(&*path);
            }
        }
        Ok(builds)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let protocol = root.required::<Name>("protocol");
            let alias = root.optional::<Name>("alias");
            let protocol_name = protocol.as_ref().map_or("", |name| &name.0).to_owned();
            let mut above: Vec<Build> = Vec::new();
            let read = root.tables("build", |section| {
                let (id, build) = read_build(section, &protocol_name, &above)?;
                above.push(build.clone());
                Some((id, build))
            });
            let mut spans = BTreeMap::new();
            let mut locations = BTreeMap::new();
            let mut builds = Vec::with_capacity(read.len());
            for (id, build) in read {
                if let Some(first) = spans.insert(build.id.clone(), id.span()) {
                    let message = format!("build `{}` is defined twice", build.id);
                    root.context().report(
                        root.problem(id.span(), message, "again here").also(first, "first defined here"),
                    );
                }
                locations.insert(build.id.clone(), root.context().source().locate(&id.span()));
                builds.push(build);
            }
            Some(Self { protocol: protocol?.0.into(), alias: alias.map(|name| name.0), builds, locations })
        })
    }

    /// All builds.
    pub fn iter(&self) -> impl Iterator<Item = &Build> {
        self.builds.iter()
    }

    /// The build with this id.
    #[must_use]
    pub fn get(&self, id: &BuildId) -> Option<&Build> {
        self.builds.iter().find(|build| build.id == *id)
    }

    /// Where the build is defined; `None` for one that a flag brought.
    #[must_use]
    pub fn location(&self, id: &BuildId) -> Option<&Location> {
        self.locations.get(id)
    }

    /// Whether a name means this protocol: its own name or its alias.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        *self.protocol == *name || self.alias.as_deref() == Some(name)
    }

    /// The build with the highest version. Versions that are no dotted numbers (`ideal`) do not
    /// count; of equal ones the first counts.
    #[must_use]
    pub fn newest(&self) -> Option<&Build> {
        let mut newest: Option<(Version, &Build)> = None;
        for build in &self.builds {
            let Ok(version) = build.version.parse::<Version>() else { continue };
            if newest.as_ref().is_none_or(|(highest, _)| version > *highest) {
                newest = Some((version, build));
            }
        }
        newest.map(|(_, build)| build)
    }

    /// Adds a build that a flag brought. If the id is known, its sources are put before the known
    /// ones, and its version, dialect and roles count from now on; its settings stay where the flag says no other.
    pub fn add(&mut self, build: Build) {
        match self.builds.iter_mut().find(|known| known.id == build.id) {
            Some(known) => {
                let mut sources = build.sources;
                sources.append(&mut known.sources);
                let (like, mut settings) = (known.like.take(), std::mem::take(&mut known.settings));
                settings.extend(build.settings);
                *known = Build { sources, like, settings, ..build };
            }
            None => self.builds.push(build),
        }
    }

    /// The hint behind an id that does not exist.
    pub(crate) fn suggest(&self, unknown: &str) -> Option<String> {
        did_you_mean(unknown, "builds", self.builds.iter().map(|build| build.id.as_str()))
    }
}

fn read_build(
    section: &mut Section<'_>,
    protocol: &str,
    above: &[Build],
) -> Option<(Spanned<BuildId>, Build)> {
    let id = section.required::<Spanned<BuildId>>("id");
    let version = section.optional::<String>("version");
    let dialect = section.optional::<String>("dialect");
    let roles = section.optional::<Vec<Role>>("roles");
    let problems_before = section.context().problem_count();
    let like = section.optional::<Spanned<BuildId>>("like");
    let base = like.as_ref().and_then(|like| find_base(section, like, above));
    let own = read_sources(section);
    let settings = section.entries::<String>("settings");
    if section.context().problem_count() == problems_before {
        check_sources(section, like.is_some(), &own);
    }
    if roles.as_ref().is_some_and(Vec::is_empty) {
        section.context().report(section.problem(
            section.span(),
            "the build has no role",
            "`roles` is empty in this build",
        ));
    }
    let id = id?;
    // What a build is like says what it does not say itself; without such a one its id does.
    let version = version.or_else(|| base.map(|base| base.version.clone()));
    let version = version.unwrap_or_else(|| id.get_ref().to_string());
    let dialect = dialect.or_else(|| base.map(|base| base.dialect.clone()));
    let roles = roles.or_else(|| base.map(|base| base.roles.clone()));
    let build = Build {
        id: id.get_ref().clone(),
        protocol: protocol.into(),
        roles: roles.unwrap_or_else(|| vec![Role::Client, Role::Server]),
        dialect: dialect.unwrap_or_else(|| version.clone()),
        version,
        sources: base.map_or(own, |base| base.sources.clone()),
        like: like.map(Spanned::into_inner),
        settings: settings.into_iter().map(|(key, value)| (key.into_inner(), value)).collect(),
    };
    Some((id, build))
}

/// The build above that a build says it is like.
fn find_base<'a>(section: &Section<'_>, like: &Spanned<BuildId>, above: &'a [Build]) -> Option<&'a Build> {
    let found = above.iter().find(|build| build.id == *like.get_ref());
    let problem = |message: String| section.problem(like.span(), message, "no build of its own above");
    match found {
        Some(base) if base.like.is_none() => Some(base),
        Some(base) => {
            let message = format!("`{}` has no sources of its own", base.id);
            let first = base.like.as_ref().map(|first| format!("say `like = \"{first}\"`"));
            section.context().report(problem(message).help(first));
            None
        }
        None => {
            let own = above.iter().filter(|build| build.like.is_none()).map(|build| build.id.as_str());
            let help = did_you_mean(like.get_ref().as_str(), "builds above", own);
            section.context().report(problem(format!("no build `{}` is above", like.get_ref())).help(help));
            None
        }
    }
}

fn read_sources(section: &mut Section<'_>) -> Vec<Source> {
    let path = section.text_or_table(
        "path",
        |path: String| Source::Path { path: path.into(), args: Vec::new() },
        |section| {
            let path = section.required::<String>("path");
            let args = section.optional("args").unwrap_or_default();
            Some(Source::Path { path: path?.into(), args })
        },
    );
    let reference =
        section.flag_or_table("reference", Source::Reference { defects: Vec::new() }, |section| {
            Some(Source::Reference { defects: section.optional("defects").unwrap_or_default() })
        });
    let debian = section.optional_table("debian", read_debian);
    let container = section.text_or_table("container", ImageName::into_source, |section| {
        let name = section.required::<ImageName>("image");
        let digest = section.optional::<Digest>("digest").map(|digest| digest.0);
        let ImageName { image, digest: of_name } = name?;
        Some(Source::Container { image, digest: digest.or(of_name) })
    });
    let dockerfile =
        section.optional::<String>("dockerfile").map(|path| Source::Dockerfile { path: path.into() });
    let recorded = section.optional::<bool>("recorded").unwrap_or(false).then_some(Source::Recorded);
    [path, reference, debian, container, dockerfile, recorded].into_iter().flatten().collect()
}

/// A build has sources of its own or those of another one, never both and never none.
fn check_sources(section: &Section<'_>, like: bool, own: &[Source]) {
    let problem = match (like, own.is_empty()) {
        (true, true) | (false, false) => return,
        (false, true) => section.problem(section.span(), "the build has no source", "this build").help(
            "say where it comes from: `recorded = true`, `reference = true`, `path = ...`, `debian = { ... }`, `container = ...` or `dockerfile = ...`"
                .to_owned(),
        ),
        (true, false) => {
            section.problem(section.span(), "the build has sources besides `like`", "this build").help(
                "leave them out: they are those of the build that it is like".to_owned(),
            )
        }
    };
    section.context().report(problem);
}

fn read_debian(section: &mut Section<'_>) -> Option<Source> {
    let suite = section.required::<Name>("suite");
    let packages = section.required_list::<ExactPackage>("packages");
    let extra = section.optional::<Vec<PackageName>>("extra").unwrap_or_default();
    let locales = section.optional::<Vec<LocaleName>>("locales").unwrap_or_default();
    let snapshot = section.optional::<SnapshotTime>("snapshot");
    Some(Source::Debian(DebianSource {
        suite: suite?.0,
        packages: packages?.into_iter().map(|package| (package.name, package.version)).collect(),
        extra: extra.into_iter().map(|package| package.0).collect(),
        locales: locales.into_iter().map(|locale| locale.0).collect(),
        snapshot: snapshot.map(|time| time.0),
    }))
}

/// Whether a text can be an id within a cell's path.
#[must_use]
pub fn is_plain_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    text.bytes().all(allowed)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && !text.contains("..")
        && !text.ends_with('.')
}

const NAME_RULE: &str =
    "letters, digits, `.`, `_`, `+`, `~` and `-`, without `..`, starting with a letter or digit";

/// A name that can stand in a cell's path.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl FromText for Name {
    const WANTED: &'static str = "a name";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if !is_plain_name(text) {
            return Err(BadText::new(format!("`{text}` cannot be a name"), format!("use {NAME_RULE}")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromText for BuildId {
    const WANTED: &'static str = "the id of a build";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if text == Self::PROBE {
            let help = "choose another id; cells of scripts are called `probe..<server>`".to_owned();
            return Err(BadText::new("`probe` is the harness's own script", help));
        }
        Name::from_text(text).map(|name| Self::new(name.0))
    }
}

impl FromText for Role {
    const WANTED: &'static str = "`client` or `server`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        match text {
            "client" => Ok(Self::Client),
            "server" => Ok(Self::Server),
            _ => Err(BadText::unknown_word(text, "role", &["client", "server"])),
        }
    }
}

struct PackageName(String);

impl FromText for PackageName {
    const WANTED: &'static str = "the name of a Debian package";

    /// <https://www.debian.org/doc/debian-policy/ch-controlfields.html#source>: lower case letters,
    /// digits, `+`, `-` and `.`, at least two, the first a letter or digit.
    fn from_text(text: &str) -> Result<Self, BadText> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let starts_well = text.bytes().next().is_some_and(|byte| !b"+-.".contains(&byte));
        if text.len() < 2 || !text.bytes().all(allowed) || !starts_well {
            return Err(BadText::new(format!("`{text}` is not a name of a Debian package"), None));
        }
        Ok(Self(text.to_owned()))
    }
}

struct ExactPackage {
    name: String,
    version: String,
}

impl FromText for ExactPackage {
    const WANTED: &'static str = "`package=exact-version`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let help =
            || "give the exact version, e.g. `lxc=1:4.0.6-2+deb11u2`; packages of any version go to `extra`";
        let (name, version) = text
            .split_once('=')
            .ok_or_else(|| BadText::new(format!("`{text}` has no version"), help().to_owned()))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
        if version.is_empty() || !version.bytes().all(allowed) {
            return Err(BadText::new(format!("`{version}` is not a Debian version"), help().to_owned()));
        }
        Ok(Self { name: PackageName::from_text(name)?.0, version: version.to_owned() })
    }
}

/// A locale that `localedef(1)` can make without being told more.
struct LocaleName(String);

impl FromText for LocaleName {
    const WANTED: &'static str = "a locale, e.g. `de_DE.UTF-8`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let parts = text.strip_suffix(".UTF-8").and_then(|name| name.split_once('_'));
        let fits = parts.is_some_and(|(language, territory)| {
            (2..=3).contains(&language.len())
                && language.bytes().all(|byte| byte.is_ascii_lowercase())
                && territory.len() == 2
                && territory.bytes().all(|byte| byte.is_ascii_uppercase())
        });
        if !fits {
            let help = "give language, territory and `.UTF-8`, e.g. `de_DE.UTF-8`".to_owned();
            return Err(BadText::new(format!("`{text}` is not a locale"), help));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An image as engines call it, `name[:tag][@sha256:…]`: see
/// <https://github.com/distribution/reference/blob/v0.6.0/reference.go#L4-L25>. What is refused here no engine has.
pub(crate) struct ImageName {
    image: String,
    digest: Option<String>,
}

impl ImageName {
    pub(crate) fn into_source(self) -> Source {
        Source::Container { image: self.image, digest: self.digest }
    }
}

impl FromText for ImageName {
    const WANTED: &'static str = "the name of an image";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let (image, digest) = match text.split_once('@') {
            Some((image, digest)) => (image, Some(Digest::from_text(digest)?.0)),
            None => (text, None),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
        let starts_well = image.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts_well || !image.bytes().all(allowed) || image.ends_with(['/', ':']) {
            let help = "give a name and a tag, e.g. `debian:bookworm`".to_owned();
            return Err(BadText::new(format!("`{text}` is not a name of an image"), help));
        }
        Ok(Self { image: image.to_owned(), digest })
    }
}

struct SnapshotTime(String);

impl FromText for SnapshotTime {
    const WANTED: &'static str = "a snapshot time, e.g. `20261120T000000Z`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let form = "ddddddddTddddddZ";
        let fits = text.len() == form.len()
            && text.chars().zip(form.chars()).all(|(found, wanted)| match wanted {
                'd' => found.is_ascii_digit(),
                _ => found == wanted,
            });
        if !fits {
            return Err(BadText::new(format!("`{text}` is not a snapshot time"), None));
        }
        Ok(Self(text.to_owned()))
    }
}
