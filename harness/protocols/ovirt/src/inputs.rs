//! What a guest can send that a host must survive: `inputs.txt`, a table of bad and odd inputs.
//!
//! Each is sent into a running conversation, in writes of its own; the agent keeps silent meanwhile. Behind it comes
//! the canary: a heartbeat that says 0 and one that says the agent's maximum, after which a host with versions must
//! announce. Where an input has a good message in it, that is a heartbeat that says 1, which must be announced as well.
//!
//! Words of the table:
//!
//! ```text
//! announces 2      a host that was in force at a higher maximum has to announce this version because of it
//! closes at once   the guest's end of the port is closed with the last write, and opened again
//! closes later     the same, when the host has had time to read
//! byte by byte     each byte is a write of its own
//! ```

use std::sync::LazyLock;

use super::table::{self, Entry};

/// One input.
#[derive(Debug)]
pub(crate) struct Input {
    /// Its name, behind `guest-sends-`.
    pub name: &'static str,
    /// What is odd about it, in one sentence.
    pub about: &'static str,
    /// The writes, with time between them.
    pub writes: Vec<Vec<u8>>,
    /// Whether the guest's end of the port is closed and opened again.
    pub closes: Closes,
    /// What a host that was in force at a higher maximum has to announce because of it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the models are held against it"))]
    pub announces: Option<i64>,
}

/// When the guest's end of the port is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closes {
    /// It stays open.
    Never,
    /// Together with the last write.
    AtOnce,
    /// When the host has had time to read.
    Later,
}

/// The heartbeat that says 0, and which nobody announces.
pub(crate) const CANARY_ZERO: &str = "canary-zero";
/// The heartbeat that says the maximum of the newest agents.
pub(crate) const CANARY_MAX: &str = "canary-max";

/// The inputs, and the two heartbeats of the canary behind them.
static INPUTS: LazyLock<Vec<Input>> =
    LazyLock::new(|| table::read(include_str!("inputs.txt")).map(Input::of).collect());

/// Every input, without the canary.
pub(crate) fn all() -> impl Iterator<Item = &'static Input> {
    INPUTS.iter().filter(|input| ![CANARY_ZERO, CANARY_MAX].contains(&input.name))
}

/// The input of that name, or a heartbeat of the canary.
pub(crate) fn input(name: &str) -> Option<&'static Input> {
    INPUTS.iter().find(|input| input.name == name)
}

impl Input {
    fn of(Entry { name, words, about, mut writes }: Entry) -> Self {
        let closes = match words.iter().find_map(|word| word.strip_prefix("closes ")) {
            Some("at once") => Closes::AtOnce,
            Some(_) => Closes::Later,
            None => Closes::Never,
        };
        if words.contains(&"byte by byte") {
            writes = writes.concat().into_iter().map(|byte| vec![byte]).collect();
        }
        let announces = words.iter().find_map(|word| word.strip_prefix("announces ")?.parse().ok());
        Self { name, about, writes, closes, announces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_input_sends_something() {
        let all: Vec<_> = all().collect();
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other.name != one.name), "{}", one.name);
            assert!(
                one.writes.iter().all(|write| !write.is_empty()) && !one.writes.is_empty(),
                "{}",
                one.name
            );
        }
        assert!(input(CANARY_MAX).is_some() && input("no-such-input").is_none());
    }
}
