//! How a build is run: `settings` in `builds.toml`.
//!
//! ```toml
//! settings = { pin = "1.41" }          # a CLI: DOCKER_API_VERSION
//! settings = { min-api = "1.44" }      # a daemon: DOCKER_MIN_API_VERSION
//! settings = { ping = "fails" }        # a reference daemon: 500 to every ping, and the version all the same
//! settings = { ping = "get-only" }     # a proxy in front of it that does not let HEAD through
//! ```

use std::collections::BTreeMap;

use crate::version::ApiVersion;

/// The version that a CLI is told to ask for.
pub(crate) const PIN: &str = "pin";
/// The lowest version that a daemon is told to take.
pub(crate) const MIN_API: &str = "min-api";

/// How pings are answered.
pub(crate) const PING: &str = "ping";

/// How pings are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ping {
    /// As the release does.
    #[default]
    Answered,
    /// With 500, and the version in the head.
    Fails,
    /// By a proxy that refuses HEAD.
    GetOnly,
}

/// What the settings of a daemon say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// The lowest version that it is told to take.
    pub min_api: Option<ApiVersion>,
    /// How pings are answered.
    pub ping: Ping,
}

impl Settings {
    /// Reads those of a daemon.
    ///
    /// # Errors
    /// A word that nobody knows, or a version that is none.
    pub(crate) fn read(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in settings {
            match key.as_str() {
                MIN_API => {
                    let version = value.parse().map_err(|error| format!("`{MIN_API}`: {error}"))?;
                    read.min_api = Some(version);
                }
                PING => {
                    read.ping = match value.as_str() {
                        "fails" => Ping::Fails,
                        "get-only" => Ping::GetOnly,
                        _ => return Err(format!("`{PING}` is `fails` or `get-only`, and not `{value}`")),
                    };
                }
                _ => return Err(format!("no setting `{key}` of a daemon; there are {MIN_API}, {PING}")),
            }
        }
        Ok(read)
    }

    /// The same of a real daemon, which answers pings as it does.
    ///
    /// # Errors
    /// The same, or how pings are answered.
    pub(crate) fn of_real(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        match settings.contains_key(PING) {
            true => Err(format!("`{PING}` is a setting of reference daemons")),
            false => Self::read(settings),
        }
    }
}

/// The version that a CLI is told to ask for.
///
/// # Errors
/// A word that nobody knows.
pub(crate) fn pin(settings: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    match settings.keys().find(|key| *key != PIN) {
        Some(key) => Err(format!("no setting `{key}` of a CLI; there is {PIN}")),
        None => Ok(settings.get(PIN).cloned()),
    }
}
