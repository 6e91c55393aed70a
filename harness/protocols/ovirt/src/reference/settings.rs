//! How a build is run. One word scales all periods:
//!
//! ```toml
//! settings = { heartbeat = "20" }    # from one heartbeat to the next, in milliseconds; the real agents' is 5000
//! ```
//!
//! The agent's second (its pass and the nap of its reader) and the host's second (from one try to connect to the next)
//! are a fifth of it, as at the real 5 s. A reference host takes the longer one of its own and the agent's.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::HEARTBEAT_MS;
use crate::scenarios::PASSES_PER_HEARTBEAT;

/// The only word, also in the details of an endpoint.
pub(crate) const HEARTBEAT: &str = "heartbeat";
/// The longest: an hour.
const HEARTBEAT_MS_MAX: u64 = 3_600_000;

/// How a build is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// From one heartbeat to the next.
    pub heartbeat: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { heartbeat: Duration::from_millis(HEARTBEAT_MS) }
    }
}

impl Settings {
    /// Reads the settings of a build.
    ///
    /// # Errors
    /// A word or a value that nobody knows.
    pub(crate) fn read(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut heartbeat_ms = HEARTBEAT_MS;
        for (word, value) in settings {
            match (word.as_str(), value.parse::<u64>()) {
                (HEARTBEAT, Ok(ms)) if (1..=HEARTBEAT_MS_MAX).contains(&ms) => heartbeat_ms = ms,
                (HEARTBEAT, _) => {
                    return Err(format!("`{HEARTBEAT}` is a number of milliseconds, not `{value}`"));
                }
                _ => return Err(format!("no setting `{word}`; there is `{HEARTBEAT}`")),
            }
        }
        Ok(Self { heartbeat: Duration::from_millis(heartbeat_ms) })
    }

    /// As details of an endpoint: checks hold a peer to bounds that follow from its heartbeat.
    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(HEARTBEAT.to_owned(), self.heartbeat.as_millis().to_string())])
    }

    /// The second of agent and host.
    pub(crate) fn pass(&self) -> Duration {
        self.heartbeat / PASSES_PER_HEARTBEAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_word() {
        let read =
            |word: &str, value: &str| Settings::read(&BTreeMap::from([(word.to_owned(), value.to_owned())]));
        assert_eq!(Settings::read(&BTreeMap::new()).map(|s| s.heartbeat), Ok(Duration::from_millis(20)));
        assert_eq!(read("heartbeat", "5000").map(|s| s.pass()), Ok(Duration::from_secs(1)));
        assert!(
            read("heartbeat", "0").is_err() && read("heartbeat", "x").is_err() && read("rate", "1").is_err()
        );
    }
}
