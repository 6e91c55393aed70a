//! `daemon.json`: what a file says, and what each release refuses of it.
//!
//! ```text
//! {"runtimes": {"wrap": {"path": "runc", "runtimeArgs": ["--debug"]}},
//!  "default-runtime": "wrap", "live-restore": true, "labels": ["a=1"], "debug": true, "min-api-version": "1.40"}
//! ```
//!
//! At a start what the file says is all there is. A reload changes only the keys that the file has: `{}` and `null` change
//! nothing, and a runtime goes with `{"runtimes": {}}` (`moby/moby@v20.10.24:daemon/reload_unix.go`, `reloadPlatform`, and later
//! releases alike). Measured on 20.10.5, 20.10.24, 26.1.5, 28.5.2 and 29.7.2: 18 files that are wrong in different ways.

use std::collections::BTreeMap;

use wire::json::{Document, Kind, Rules, Value};

use crate::dialect::{Dialect, Wrappers};

/// The runtime that is always there, and whose name is taken.
pub(crate) const STOCK: &str = "runc";
/// Keys that real daemons know too, and that change nothing here.
const OTHER_KEYS: [&str; 27] = [
    "authorization-plugins",
    "bridge",
    "containerd",
    "data-root",
    "dns",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "group",
    "hosts",
    "icc",
    "init",
    "insecure-registries",
    "ip-forward",
    "ip-masq",
    "iptables",
    "log-driver",
    "log-level",
    "log-opts",
    "max-concurrent-downloads",
    "pidfile",
    "registry-mirrors",
    "shutdown-timeout",
    "storage-driver",
    "tls",
    "userland-proxy",
];
/// The longest name of a file.
const NAME_LEN_MAX: usize = 255;

/// What Go reads as JSON: what is no text becomes U+FFFD.
const RULES: Rules = Rules { broken_utf8: true, lone_surrogates: true, ..Rules::STRICT };

/// A runtime as the user has written it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuntimeEntry {
    /// The OCI runtime.
    pub path: String,
    /// What it is called with.
    pub args: Vec<String>,
    /// The shim, where it is no OCI runtime behind the usual one.
    pub kind: String,
}

/// The configuration of the user, as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Runtimes by name, without the one that is always there.
    pub runtimes: BTreeMap<String, RuntimeEntry>,
    /// The runtime of containers that name none.
    pub default_runtime: String,
    /// Whether containers outlive a daemon that is ended.
    pub live_restore: bool,
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// Whether it says more in its log.
    pub debug: bool,
    /// The lowest version of the API, where a file has said one. No reload changes it.
    pub min_api_version: Option<String>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            runtimes: BTreeMap::new(),
            default_runtime: STOCK.to_owned(),
            live_restore: false,
            labels: Vec::new(),
            debug: false,
            min_api_version: None,
        }
    }
}

/// When a configuration was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// When it was read.
    Reading,
    /// When it was to be applied.
    Applying,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct BadConfiguration {
    /// When.
    pub stage: Stage,
    /// Why, in the daemon's words.
    pub reason: String,
}

fn bad(stage: Stage, reason: impl Into<String>) -> BadConfiguration {
    BadConfiguration { stage, reason: reason.into() }
}

/// What a file says: only the keys that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    runtimes: Option<BTreeMap<String, RuntimeEntry>>,
    default_runtime: Option<String>,
    live_restore: Option<bool>,
    labels: Option<Vec<String>>,
    debug: Option<bool>,
    min_api_version: Option<String>,
    /// What is refused although it could be read.
    pub objection: Option<BadConfiguration>,
}

impl Given {
    /// Reads a file. `flags` are the keys that the command line has already said.
    ///
    /// # Errors
    /// It is no JSON, or a key has a value of another type.
    pub(crate) fn read(bytes: &[u8], dialect: &Dialect, flags: &[String]) -> Result<Self, BadConfiguration> {
        let refuse = |reason: String| bad(Stage::Reading, reason);
        if bytes.trim_ascii().is_empty() {
            let taken = dialect.takes_empty_configuration;
            return if taken { Ok(Self::default()) } else { Err(refuse("EOF".to_owned())) };
        }
        let document = Document::parse(bytes, RULES).map_err(|error| refuse(error.to_string()))?;
        let root = document.root();
        if root.is_null() {
            return Ok(Self::default());
        }
        if root.kind() != Kind::Object {
            let what = go_kind(root.kind());
            return Err(refuse(format!("json: cannot unmarshal {what} into Go value of type config.Config")));
        }
        let mut given = Self::default();
        let (mut unknown, mut twice) = (Vec::new(), Vec::new());
        for (key, value) in root.members() {
            let known = given.take(&key, value, dialect).map_err(refuse)?;
            if !known && !OTHER_KEYS.contains(&&*key) {
                unknown.push(key.clone().into_owned());
            }
            if flags.iter().any(|flag| *flag == *key) {
                twice.push(key.into_owned());
            }
        }
        given.objection = given.objection(&unknown, &twice).map(refuse);
        Ok(given)
    }

    fn objection(&self, unknown: &[String], twice: &[String]) -> Option<String> {
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Some(format!("the following directives don't match any configuration option: {unknown}"));
        }
        if !twice.is_empty() {
            let what = "the following directives are specified both as a flag and in the configuration file";
            return Some(format!("{what}: {}", twice.join(", ")));
        }
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for label in self.labels.iter().flatten() {
            let Some((key, value)) = label.split_once('=') else {
                return Some(format!("bad attribute format: {label}"));
            };
            let before = values.insert(key, value).filter(|before| *before != value);
            if let Some(before) = before {
                return Some(format!("conflict labels for {key}={value} and {key}={before}"));
            }
        }
        None
    }

    /// Takes one key, and says whether there is such a one.
    fn take(&mut self, key: &str, value: Value<'_>, dialect: &Dialect) -> Result<bool, String> {
        match key {
            "runtimes" => self.runtimes = Some(runtimes(value)?),
            "default-runtime" => self.default_runtime = Some(text(key, value)?),
            "live-restore" => self.live_restore = Some(flag(key, value)?),
            "debug" => self.debug = Some(flag(key, value)?),
            "labels" => self.labels = Some(texts(key, value)?),
            "min-api-version" if dialect.takes_min_api_version => {
                self.min_api_version = Some(text(key, value)?)
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether it has runtimes.
    pub(crate) fn has_runtimes(&self) -> bool {
        self.runtimes.is_some()
    }

    /// What holds behind a start with this file.
    pub(crate) fn alone(&self) -> Configuration {
        let configuration = self.over(&Configuration::default());
        Configuration { min_api_version: self.min_api_version.clone(), ..configuration }
    }

    /// What holds behind a reload of this file.
    pub(crate) fn over(&self, before: &Configuration) -> Configuration {
        let named = self.default_runtime.clone().filter(|name| !name.is_empty());
        Configuration {
            runtimes: self.runtimes.clone().unwrap_or_else(|| before.runtimes.clone()),
            default_runtime: named.unwrap_or_else(|| before.default_runtime.clone()),
            live_restore: self.live_restore.unwrap_or(before.live_restore),
            labels: self.labels.clone().unwrap_or_else(|| before.labels.clone()),
            debug: self.debug.unwrap_or(before.debug),
            min_api_version: before.min_api_version.clone(),
        }
    }
}

impl Configuration {
    /// What a release refuses when it applies it.
    ///
    /// # Errors
    /// That.
    pub(crate) fn check(&self, dialect: &Dialect) -> Result<(), BadConfiguration> {
        let refuse = |reason: String| Err(bad(Stage::Applying, reason));
        for (name, entry) in &self.runtimes {
            if name == STOCK {
                return refuse(format!("runtime name '{STOCK}' is reserved"));
            }
            if !dialect.takes_pathless_runtime && entry.path.is_empty() && entry.kind.is_empty() {
                return refuse(format!("runtime {name}: either a runtimeType or a path must be configured"));
            }
            let leads_away = name.contains('/') || matches!(name.as_str(), "" | "." | "..");
            if leads_away && !dialect.takes_runtime_names_that_lead_away {
                return refuse(format!("runtime name '{name}' leads out of the directory of scripts"));
            }
            // The suffix of a script that is named after its content has 57 bytes.
            let behind = if dialect.wrappers == Wrappers::Name { 0 } else { 57 };
            if name.contains('\0') || name.len() + behind > NAME_LEN_MAX {
                return refuse(format!("open runtimes/{name}: file name too long"));
            }
        }
        let default = &self.default_runtime;
        if default != STOCK && !self.runtimes.contains_key(default) {
            return refuse(format!("specified default runtime '{default}' does not exist"));
        }
        Ok(())
    }
}

fn runtimes(value: Value<'_>) -> Result<BTreeMap<String, RuntimeEntry>, String> {
    object("runtimes", value)?;
    let mut runtimes = BTreeMap::new();
    for (name, value) in value.members() {
        object("runtimes", value)?;
        let mut entry = RuntimeEntry::default();
        for (key, value) in value.members() {
            match &*key {
                "path" => entry.path = text("runtimes.path", value)?,
                "runtimeArgs" => entry.args = texts("runtimes.runtimeArgs", value)?,
                "runtimeType" => entry.kind = text("runtimes.runtimeType", value)?,
                // Go passes over the members of a structure that it does not know.
                _ => {}
            }
        }
        runtimes.insert(name.into_owned(), entry);
    }
    Ok(runtimes)
}

fn object(key: &str, value: Value<'_>) -> Result<(), String> {
    let is = value.is_null() || value.kind() == Kind::Object;
    if is { Ok(()) } else { Err(mistaken(key, value, "map[string]types.Runtime")) }
}

fn text(key: &str, value: Value<'_>) -> Result<String, String> {
    if value.is_null() {
        return Ok(String::new());
    }
    value.text().map(Into::into).ok_or_else(|| mistaken(key, value, "string"))
}

fn texts(key: &str, value: Value<'_>) -> Result<Vec<String>, String> {
    if !value.is_null() && value.kind() != Kind::Array {
        return Err(mistaken(key, value, "[]string"));
    }
    value.items().map(|item| text(key, item)).collect()
}

fn flag(key: &str, value: Value<'_>) -> Result<bool, String> {
    if value.is_null() {
        return Ok(false);
    }
    value.as_bool().ok_or_else(|| mistaken(key, value, "bool"))
}

fn mistaken(key: &str, value: Value<'_>, expected: &str) -> String {
    let is = go_kind(value.kind());
    format!("json: cannot unmarshal {is} into Go struct field Config.{key} of type {expected}")
}

fn go_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "bool",
        Kind::Number => "number",
        Kind::Text => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}
