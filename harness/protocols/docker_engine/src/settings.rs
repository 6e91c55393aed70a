//! How a build is run: `settings` in `builds.toml`.
//!
//! ```toml
//! settings = { pin = "1.41" }          # a CLI: DOCKER_API_VERSION
//! settings = { min-api = "1.44" }      # a daemon: DOCKER_MIN_API_VERSION
//! ```

use std::collections::BTreeMap;

use crate::version::ApiVersion;

/// The version that a CLI is told to ask for.
pub(crate) const PIN: &str = "pin";
/// The lowest version that a daemon is told to take.
pub(crate) const MIN_API: &str = "min-api";

/// What the settings of a daemon say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// The lowest version that it is told to take.
    pub min_api: Option<ApiVersion>,
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
                _ => return Err(format!("no setting `{key}` of a daemon; there is {MIN_API}")),
            }
        }
        Ok(read)
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
