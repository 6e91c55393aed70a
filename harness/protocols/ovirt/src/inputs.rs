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

use session::Closes;

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
    #[cfg_attr(not(test), expect(dead_code, reason = "the models are compared with it"))]
    pub announces: Option<i64>,
}

/// The heartbeat that says 0, and which nobody announces.
pub(crate) const CANARY_ZERO: &str = "canary-zero";
/// The heartbeat that says the maximum of the newest agents.
pub(crate) const CANARY_MAX: &str = "canary-max";

const TABLE: &str = include_str!("inputs.txt");

/// The inputs, and the two heartbeats of the canary behind them.
static INPUTS: LazyLock<Vec<Input>> =
    LazyLock::new(|| table::read(TABLE, Input::of).expect("a constant, which tests read"));

/// Every input, without the canary.
pub(crate) fn all() -> impl Iterator<Item = &'static Input> {
    INPUTS.iter().filter(|input| ![CANARY_ZERO, CANARY_MAX].contains(&input.name))
}

/// The input of that name, or a heartbeat of the canary.
pub(crate) fn input(name: &str) -> Option<&'static Input> {
    INPUTS.iter().find(|input| input.name == name)
}

impl Input {
    fn of(Entry { name, words, about, mut writes }: Entry) -> Result<Self, String> {
        let (mut closes, mut announces) = (Closes::Never, None);
        for word in words {
            match word {
                "closes at once" if closes == Closes::Never => closes = Closes::AtOnce,
                "closes later" if closes == Closes::Never => closes = Closes::Later,
                "byte by byte" => writes = writes.concat().into_iter().map(|byte| vec![byte]).collect(),
                _ => {
                    let version = word.strip_prefix("announces ").filter(|_| announces.is_none());
                    let version = version.and_then(|version| version.parse().ok());
                    announces = Some(version.ok_or_else(|| format!("`{word}` is unknown, or too many"))?);
                }
            }
        }
        Ok(Self { name, about, writes, closes, announces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_nobody_reads_is_an_error() {
        #[track_caller]
        fn check(words: &str, expect: Option<&str>) {
            let table = format!("# a\na ({words}): b\nc").leak();
            let expect = expect.map(|word| format!("line 2: `{word}` is unknown, or too many"));
            assert_eq!(table::read(table, Input::of).err(), expect);
        }
        check("announces 1, byte by byte, closes later", None);
        for word in ["", "closes", "closes never", "closes  later", "byte", "announces", "announces one"] {
            check(word, Some(word));
        }
        check("closes later, closes at once", Some("closes at once"));
        check("announces 1, announces 2", Some("announces 2"));
        let last = table::read(TABLE, Input::of).map(|all| all.last().map(|input| input.name));
        assert_eq!(last, Ok(Some(CANARY_MAX)));
    }

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
