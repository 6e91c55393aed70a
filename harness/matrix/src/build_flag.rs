//! `--build lxc@dev=path:target/release/lxcd,role=server`: a build of the user's own, for one run.
//!
//! ```text
//! <protocol or alias>@<id>=<source>[,dialect=<dialect>][,version=<version>][,role=<role>][,arg=<text>]…[,set=<word>=<value>]…
//!
//! source    path:<path> | container:<image>[@<digest>] | dockerfile:<path>
//! ```
//!
//! `role`, `arg` and `set` may be repeated; two commas stand for one in a value. What stands in an argument and is
//! filled in when the build is started, as `{socket}`, makes a command line of it (`protocol::launch`). Without `role` the build plays both ends; without `dialect` it is
//! read by the dialect of the newest build of `builds.toml`; without `version` its version is its
//! dialect, so expectations about that release hold for the branch as well.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::builds::{Builds, ImageName, Name};
use crate::section::FromText;
use crate::{Build, BuildId, Role, Source};

/// A build given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFlag {
    /// Name or alias of the protocol.
    pub protocol: String,
    /// Id of the build.
    pub id: BuildId,
    /// Where it comes from: an executable or a directory, an image, or the file that one is built of.
    pub source: Source,
    /// Dialect, if it is not that of the newest build.
    pub dialect: Option<String>,
    /// Version, if it is not the dialect.
    pub version: Option<String>,
    /// Roles; empty for both.
    pub roles: Vec<Role>,
    /// How it is run, in the words of the protocol.
    pub settings: BTreeMap<String, String>,
}

/// Why a text is no `--build`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildFlagError {
    /// The text has another form.
    #[error(
        "`{text}` is not a build: {reason}; expected `<protocol>@<id>=path:<path>[,dialect=...][,role=...]`"
    )]
    Form {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The builds of the protocol have no newest one to take the dialect from.
    #[error(
        "`{id}` needs a dialect, as `{protocol}` has no build with a numeric version: add `,dialect=...`, one of {known}"
    )]
    NoDialect {
        /// The build.
        id: BuildId,
        /// The protocol.
        protocol: String,
        /// Its dialects.
        known: String,
    },
}

impl fmt::Display for BuildFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, args) = match &self.source {
            Source::Path { path, args } => (path.display().to_string(), &**args),
            Source::Dockerfile { path } => (path.display().to_string(), [].as_slice()),
            Source::Container { image, digest: None } => (image.clone(), [].as_slice()),
            Source::Container { image, digest: Some(digest) } => (format!("{image}@{digest}"), [].as_slice()),
            // No flag brings these.
            Source::Reference { .. } | Source::Debian(_) | Source::Recorded => (String::new(), [].as_slice()),
        };
        write!(f, "{}@{}={}:{}", self.protocol, self.id, self.source.word(), place.replace(',', ",,"))?;
        for (key, value) in [("dialect", &self.dialect), ("version", &self.version)] {
            if let Some(value) = value {
                write!(f, ",{key}={value}")?;
            }
        }
        for role in &self.roles {
            write!(f, ",role={role}")?;
        }
        for arg in args {
            write!(f, ",arg={}", arg.replace(',', ",,"))?;
        }
        self.settings
            .iter()
            .try_for_each(|(word, value)| write!(f, ",set={word}={}", value.replace(',', ",,")))
    }
}

impl FromStr for BuildFlag {
    type Err = BuildFlagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: &str| BuildFlagError::Form { text: text.to_owned(), reason: reason.to_owned() };
        let (name, source) = text.split_once('=').ok_or_else(|| error("it has no `=`"))?;
        let (protocol, id) = name.split_once('@').ok_or_else(|| error("it has no `@` before the `=`"))?;
        let protocol = Name::from_text(protocol).map_err(|bad| error(&bad.message))?.0;
        let id = BuildId::from_text(id).map_err(|bad| error(&bad.message))?;
        let (word, source) = source.split_once(':').unwrap_or_default();
        let mut parts = parts(source).into_iter();
        let place = parts.next().unwrap_or_default();
        let mut flag = Self {
            protocol,
            id,
            source: read_source(word, place).map_err(|reason| error(&reason))?,
            dialect: None,
            version: None,
            roles: Vec::new(),
            settings: BTreeMap::new(),
        };
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                let known = "expected `dialect=`, `version=`, `role=`, `arg=` or `set=` after a comma";
                error(&format!("`{part}` has no `=`; {known}"))
            })?;
            flag.set(key, value).map_err(|reason| error(&reason))?;
        }
        Ok(flag)
    }
}

impl BuildFlag {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("`{key}=` is empty"));
        }
        match key {
            "dialect" => self.dialect = Some(value.to_owned()),
            "version" => self.version = Some(value.to_owned()),
            "role" => self.roles.push(Role::from_text(value).map_err(|bad| bad.message)?),
            "arg" => match &mut self.source {
                Source::Path { args, .. } => args.push(value.to_owned()),
                other => return Err(format!("a `{}` takes no `arg=`", other.word())),
            },
            "set" => {
                let setting =
                    value.split_once('=').filter(|(word, value)| !word.is_empty() && !value.is_empty());
                let (word, value) =
                    setting.ok_or_else(|| format!("`set={value}` is no `set=<word>=<value>`"))?;
                self.settings.insert(word.to_owned(), value.to_owned());
            }
            _ => {
                let known = ["dialect", "version", "role", "arg", "set"];
                let help = crate::error::did_you_mean(key, "keys", known);
                return Err(format!("unknown key `{key}`, {}", help.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// The build that the flag means, with what it leaves open taken from the builds of its protocol, which has these
    /// dialects.
    ///
    /// # Errors
    /// When it has no dialect and there is no newest build to take it from.
    pub fn to_build(&self, builds: &Builds, dialects: &[&str]) -> Result<Build, BuildFlagError> {
        let dialect = match (&self.dialect, builds.newest()) {
            (Some(dialect), _) => dialect.clone(),
            (None, Some(newest)) => newest.dialect.clone(),
            (None, None) => {
                return Err(BuildFlagError::NoDialect {
                    id: self.id.clone(),
                    protocol: builds.protocol.to_string(),
                    known: dialects.join(", "),
                });
            }
        };
        let mut roles = self.roles.clone();
        if roles.is_empty() {
            roles = vec![Role::Client, Role::Server];
        }
        roles.sort_unstable();
        roles.dedup();
        Ok(Build {
            id: self.id.clone(),
            protocol: builds.protocol.clone(),
            roles,
            version: self.version.clone().unwrap_or_else(|| dialect.clone()),
            dialect,
            sources: vec![self.source.clone()],
            like: None,
            settings: self.settings.clone(),
        })
    }
}

fn read_source(word: &str, place: String) -> Result<Source, String> {
    match word {
        "path" | "dockerfile" if place.is_empty() => Err("the path is empty".to_owned()),
        "path" => Ok(Source::Path { path: place.into(), args: Vec::new() }),
        "dockerfile" => Ok(Source::Dockerfile { path: place.into() }),
        "container" => {
            let name = ImageName::from_text(&place).map_err(|bad| bad.message)?;
            Ok(name.into_source())
        }
        _ => {
            let known = "`path:...`, `container:...` or `dockerfile:...`";
            Err(format!("the source must be {known}; others belong in `builds.toml`"))
        }
    }
}

/// The parts between single commas; two commas are one within a part.
fn parts(source: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        let part = match c {
            ',' if rest.next_if_eq(&',').is_none() => {
                parts.push(String::new());
                continue;
            }
            _ => parts.last_mut(),
        };
        part.into_iter().for_each(|part| part.push(c));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILDS: &str = r#"
        protocol = "lxc-command"
        alias = "lxc"
        build = [
            { id = "4.0.6", recorded = true },
            { id = "7.0.0", dialect = "7.0", recorded = true },
            { id = "ideal", reference = true },
        ]
    "#;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let builds = Builds::parse("builds.toml", BUILDS).expect("the test's own builds parse");
        let result = text.parse::<BuildFlag>().and_then(|flag| flag.to_build(&builds, &[]));
        let shown = match result {
            Ok(build) => {
                let settings: String =
                    build.settings.iter().map(|(word, value)| format!(" {word}={value}")).collect();
                format!(
                    "{} {} {} {:?} {:?}{settings}",
                    build.id, build.version, build.dialect, build.roles, build.sources
                )
            }
            Err(BuildFlagError::Form { reason, .. }) => reason,
            Err(other) => other.to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn takes_what_is_left_open_from_the_newest_build() {
        check(
            "lxc@dev=path:./target/x",
            r#"dev 7.0 7.0 [Client, Server] [Path { path: "./target/x", args: [] }]"#,
        );
        check(
            "lxc-command@dev=path:/a=b,dialect=4.0.6,role=server",
            r#"dev 4.0.6 4.0.6 [Server] [Path { path: "/a=b", args: [] }]"#,
        );
        check(
            "lxc@dev=path:x,version=7.1,arg=-v,arg=--x=y,role=server,role=client,role=server",
            r#"dev 7.1 7.0 [Client, Server] [Path { path: "x", args: ["-v", "--x=y"] }]"#,
        );
        check(
            "lxc@dev=container:my/lxc:7.0,role=server",
            r#"dev 7.0 7.0 [Server] [Container { image: "my/lxc:7.0", digest: None }]"#,
        );
        check(
            "lxc@dev=dockerfile:ci/Dockerfile",
            r#"dev 7.0 7.0 [Client, Server] [Dockerfile { path: "ci/Dockerfile" }]"#,
        );
        check(
            "lxc@dev=path:x,,y,arg=a,,b,arg={socket},set=heartbeat=1000",
            r#"dev 7.0 7.0 [Client, Server] [Path { path: "x,y", args: ["a,b", "{socket}"] }] heartbeat=1000"#,
        );
    }

    #[test]
    fn is_written_as_it_was_read() {
        let pinned = format!("lxc@dev=container:my/lxc:7.0@sha256:{},role=server", "0a".repeat(32));
        for text in [
            "lxc@dev=path:x,arg=a,,b,set=heartbeat=1000",
            "lxc@dev=path:x,dialect=4.0.6,role=server",
            "lxc@dev=dockerfile:x,,y/Dockerfile",
            "lxc@dev=container:my/lxc",
            &pinned,
        ] {
            let flag: BuildFlag = text.parse().expect("the test's own flag parses");
            assert_eq!(flag.to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_flag() {
        check("lxc", "it has no `=`");
        check("dev=path:x", "it has no `@` before the `=`");
        check("lxc@=path:x", "`` cannot be a name");
        check("lxc@a..b=path:x", "`a..b` cannot be a name");
        check("lxc@probe=path:x", "`probe` is the harness's own script");
        check(
            "lxc@dev=debian:sid",
            "the source must be `path:...`, `container:...` or `dockerfile:...`; others belong in `builds.toml`",
        );
        check("lxc@dev=path:", "the path is empty");
        check("lxc@dev=dockerfile:", "the path is empty");
        check("lxc@dev=container:", "`` is not a name of an image");
        check("lxc@dev=container:x@latest", "`latest` is not a digest");
        check("lxc@dev=container:x,arg=-v", "a `container` takes no `arg=`");
        check("lxc@dev=path:x,dialct=7", "unknown key `dialct`, did you mean `dialect`?");
        check("lxc@dev=path:x,role=sever", "unknown role `sever`");
        check("lxc@dev=path:x,dialect=", "`dialect=` is empty");
        check("lxc@dev=path:x,set=heartbeat", "`set=heartbeat` is no `set=<word>=<value>`");
        check(
            "lxc@dev=path:x,y",
            "`y` has no `=`; expected `dialect=`, `version=`, `role=`, `arg=` or `set=` after a comma",
        );
    }

    #[test]
    fn needs_a_dialect_where_no_build_has_a_version() {
        let builds = Builds::parse("b", "protocol = 'p'\nbuild = [{ id = 'ideal', reference = true }]")
            .expect("the test's own builds parse");
        let flag: BuildFlag = "p@dev=path:x".parse().expect("the test's own flag parses");
        let error =
            flag.to_build(&builds, &["1.0", "ideal"]).expect_err("no build has a version").to_string();
        let expect = "`dev` needs a dialect, as `p` has no build with a numeric version: add `,dialect=...`, one of 1.0, ideal";
        assert_eq!(error, expect);
    }

    #[test]
    fn a_flag_for_a_known_id_puts_its_source_first() {
        let mut builds = Builds::parse("builds.toml", BUILDS).expect("the test's own builds parse");
        let flag: BuildFlag = "lxc@4.0.6=path:x,dialect=4.0.6".parse().expect("the test's own flag parses");
        let build = flag.to_build(&builds, &[]).expect("the dialect is given");
        builds.add(build);
        let known = builds.get(&BuildId::new("4.0.6")).expect("it is still there");
        let words: Vec<_> = known.sources.iter().map(Source::word).collect();
        assert_eq!(words, ["path", "recorded"]);
        assert_eq!(builds.iter().count(), 3);
    }
}
