//! How an agent is run that is not run as usual.
//!
//! ```toml
//! settings = { transport = "pty" }             # on a serial line instead of a socket
//! settings = { allow = "guest-suspend-ram" }   # reference servers only: one command that is not blocked
//! ```

use std::collections::BTreeMap;

use super::names::BLOCKED;

/// Key of what carries the bytes.
const TRANSPORT: &str = "transport";
/// Key of the command that is allowed all the same.
pub(super) const ALLOW: &str = "allow";

/// How an agent is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settings {
    /// Whether it speaks on a pseudo terminal instead of a socket.
    pub(super) on_line: bool,
    /// A command that is not blocked. No real agent is ever run so.
    pub(super) allow: Option<String>,
}

impl Settings {
    /// Reads the settings of a build; an error says what is wrong with them.
    pub(super) fn read(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in settings {
            match (key.as_str(), value.as_str()) {
                (TRANSPORT, "unix") => {}
                (TRANSPORT, "pty") => read.on_line = true,
                (TRANSPORT, _) => {
                    return Err(format!("`{TRANSPORT}` cannot be `{value}`; it can be unix, pty"));
                }
                (ALLOW, command) if BLOCKED.contains(&command) => read.allow = Some(value.clone()),
                (ALLOW, _) => return Err(format!("`{value}` is no command that is blocked")),
                _ => {
                    return Err(format!("`{key}` is no setting of qemu-ga; there are {ALLOW}, {TRANSPORT}"));
                }
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], expect: Result<Settings, &str>) {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(Settings::read(&settings), expect.map_err(str::to_owned));
    }

    #[test]
    fn reads_what_it_knows_and_refuses_the_rest() {
        check(&[], Ok(Settings::default()));
        check(&[("transport", "pty")], Ok(Settings { on_line: true, ..Settings::default() }));
        check(&[("transport", "tcp")], Err("`transport` cannot be `tcp`; it can be unix, pty"));
        check(&[("allow", "guest-ping")], Err("`guest-ping` is no command that is blocked"));
        check(&[("alow", "x")], Err("`alow` is no setting of qemu-ga; there are allow, transport"));
    }
}
