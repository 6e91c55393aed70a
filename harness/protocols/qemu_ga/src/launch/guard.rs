//! What keeps an agent from doing more than reading: what it must say of itself, and what may be sent to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use session::{Address, BoxFuture, LaunchError, Recorder, Server, ServerAct, Worker};
use transcript::ConnId;

use crate::names::{BLOCKED, GET_DEVICES, INFO, PING, READS, SILENT, SYNC, SYNC_DELIMITED};
use crate::reference;

/// How many bytes of a stream are kept, so that a name is found that comes in several writes. More than the longest
/// name has when every character of it is an escape.
const TAIL_LEN: usize = 512;
/// With which the name of every command begins.
const FIRST_LETTER: u8 = b'g';

/// Looks through what is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    /// Names that must not leave the harness.
    forbidden: BTreeSet<String>,
    /// The end of what was sent on each connection.
    tails: BTreeMap<ConnId, Vec<u8>>,
}

impl Guard {
    /// Compares what guest-info says of each command with what an agent may do.
    ///
    /// # Errors
    /// Something is enabled that must not be, or blocked that nobody blocked; the text says what.
    pub(super) fn of(enabled: &BTreeMap<String, bool>) -> Result<Self, String> {
        let is_blocked = |name: &str| BLOCKED.contains(&name);
        for (name, enabled) in enabled {
            match (*enabled, name.as_str()) {
                (true, name) if is_blocked(name) => {
                    return Err(format!("`{name}` is enabled although it was blocked"));
                }
                (true, name) if !READS.contains(&name) => {
                    return Err(format!("`{name}` is enabled, and nobody here knows that it only reads"));
                }
                (false, name) if !is_blocked(name) && name != GET_DEVICES => {
                    return Err(format!("`{name}` is not enabled although nobody blocked it"));
                }
                _ => {}
            }
        }
        if ![SYNC, SYNC_DELIMITED, PING, INFO].iter().all(|name| enabled.get(*name) == Some(&true)) {
            return Err("guest-info lists too little to be believed".to_owned());
        }
        // A command that the agent does not list is not known to be blocked.
        let unlisted = BLOCKED.iter().filter(|name| !enabled.contains_key(**name));
        let forbidden = unlisted.chain(&SILENT).map(|name| (*name).to_owned()).collect();
        Ok(Self { forbidden, tails: BTreeMap::new() })
    }

    /// Whether these bytes may be sent.
    pub(super) fn allows(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), String> {
        match self.forbids(conn, bytes) {
            Some(command) => Err(format!("`{command}` is not sent to a real agent")),
            None => Ok(()),
        }
    }

    /// The command that these bytes would ask for and must not, together with what was sent before on that
    /// connection.
    pub(super) fn forbids(&mut self, conn: ConnId, bytes: &[u8]) -> Option<String> {
        let tail = self.tails.entry(conn).or_default();
        let seen = [tail.as_slice(), bytes].concat();
        let keep = seen.len().saturating_sub(TAIL_LEN);
        *tail = seen.get(keep..).unwrap_or_default().to_vec();
        let text = without_escapes(&seen);
        // Every name begins with the same letter; what is sent may be 65 MiB.
        let starts = text.iter().enumerate().filter(|(_, byte)| **byte == FIRST_LETTER).map(|(at, _)| at);
        let mut rests = starts.filter_map(|at| text.get(at..));
        rests.find_map(|rest| self.forbidden.iter().find(|name| rest.starts_with(name.as_bytes())).cloned())
    }
}

/// A running agent, and what keeps it from harm.
pub(super) struct Guarded {
    pub(super) agent: Box<dyn Server>,
    pub(super) guard: Guard,
}

impl Server for Guarded {
    fn address(&self) -> &Address {
        self.agent.address()
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.agent.watch(recorder);
    }

    fn worker(&self) -> Option<&dyn Worker> {
        self.agent.worker()
    }

    fn may_send(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), String> {
        self.guard.allows(conn, bytes)
    }

    fn prepare<'a>(&'a mut self, condition: &'a str) -> BoxFuture<'a, Result<(), LaunchError>> {
        reference::prepare(self.agent.address(), condition)
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        self.agent.act(act)
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.agent.stop()
    }
}

/// The bytes with escapes of ASCII written as what they stand for: `guest\u002dping`.
fn without_escapes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'\\') {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"));
        let digits = escape.and_then(|escape| std::str::from_utf8(escape.get(2..)?).ok());
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match code.and_then(|code| u8::try_from(code).ok()).filter(u8::is_ascii) {
            Some(character) => {
                plain.push(character);
                at += 6;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DIALECTS;

    /// What an agent says that is started as it should be.
    fn usual() -> BTreeMap<String, bool> {
        let dialect = DIALECTS.named("10.0").expect("in the table");
        let enabled = |name: &&'static str| ((*name).to_owned(), READS.contains(name));
        dialect.commands.iter().map(enabled).collect()
    }

    #[track_caller]
    fn check(change: (&str, bool), expect: &str) {
        let mut said = usual();
        said.insert(change.0.to_owned(), change.1);
        let error = Guard::of(&said).expect_err("it must not be taken");
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn an_agent_that_may_do_more_than_read_is_not_taken() {
        Guard::of(&usual()).expect("it is as it should be");
        check(("guest-shutdown", true), "`guest-shutdown` is enabled although it was blocked");
        check(("guest-new", true), "nobody here knows that it only reads");
        check(("guest-ping", false), "although nobody blocked it");
        assert!(Guard::of(&BTreeMap::new()).is_err());
    }

    #[test]
    fn nothing_that_shuts_down_leaves_the_harness() {
        let (one, other) = (ConnId(1), ConnId(2));
        let mut guard = Guard::of(&usual()).expect("it is as it should be");
        assert_eq!(guard.forbids(one, b"{\"execute\":\"guest-exec\"}"), None, "it is known to be blocked");
        assert_eq!(guard.forbids(one, b"{\"execute\":\"guest-shut"), None);
        assert_eq!(guard.forbids(other, b"down\"}"), None, "another connection");
        assert_eq!(guard.forbids(one, b"down\"}").as_deref(), Some("guest-shutdown"));
        let escaped = guard.forbids(other, b"{'execute':'guest\\u002dsuspend-\\u0072am'}");
        assert_eq!(escaped.as_deref(), Some("guest-suspend-ram"));
    }

    #[test]
    fn what_is_not_known_to_be_blocked_does_not_leave_it_either() {
        let mut said = usual();
        said.remove("guest-exec");
        let mut guard = Guard::of(&said).expect("it is as it should be");
        let asked = guard.forbids(ConnId(1), b"{\"execute\":\"guest-exec\"}");
        assert_eq!(asked.as_deref(), Some("guest-exec"));
    }
}
