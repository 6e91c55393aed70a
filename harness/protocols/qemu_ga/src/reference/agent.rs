//! From bytes to lines: what is a request, what is an error in the syntax, and what has been said of it.
//!
//! ```text
//! bytes -> frames (wire::json_lines)   VALUE     a request, or an error where it is no JSON
//!                                      JUNK      an error
//!                                      RESET     an error, unless the value before it was reported
//! ```
//!
//! 5.2 to 10.0 look at a value when its braces have closed, so that they swallow whatever follows half a request. 11.1
//! looks at what has come after each read, tells an error where it is, and nothing more up to where the braces close.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use wire::json::{Document, Rules};
use wire::json_lines::{BLANK, JUNK, RESET, SKIPPED, VALUE, ValueDecoder};
use wire::{Decoder, Frame};

use protocol::defect::Switches;

use super::commands::{self, Commands, Done};
use super::defects;
use crate::dialect::{Dialect, Parsing, TOKEN_MAX};
use crate::names::DELIMITER;

/// How much of a value is looked at before it is complete.
const EARLY_MAX: usize = 32 << 10;

/// An agent, which has read something.
pub(super) struct Agent {
    dialect: &'static Dialect,
    switches: Switches,
    /// Commands that are not allowed.
    blocked: BTreeSet<String>,
    decoder: ValueDecoder,
    incoming: BytesMut,
    /// What of the value that is being read has been told.
    told: Told,
    /// Lines and columns that have passed since the process was started.
    place: Place,
}

/// What was reported of a value that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it is wrong.
    Wrong,
    /// That it is above a limit: the rest of it is passed over.
    AboveLimit,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
    }
}

impl Agent {
    pub(super) fn new(dialect: &'static Dialect, switches: Switches, blocked: BTreeSet<String>) -> Self {
        Self {
            decoder: decoder(dialect, &switches),
            dialect,
            switches,
            blocked,
            incoming: BytesMut::new(),
            told: Told::Nothing,
            place: Place { line: 1, column: 1 },
        }
    }

    /// Forgets what the client before left half said.
    pub(super) fn forget(&mut self) {
        self.decoder = decoder(self.dialect, &self.switches);
        self.incoming.clear();
        self.told = Told::Nothing;
    }

    /// How many bytes it has read of what is not complete.
    pub(super) fn held_bytes(&self) -> usize {
        self.incoming.len()
    }

    /// Reads what came and gives the lines that answer it.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        self.incoming.extend_from_slice(bytes);
        if self.switches.has(defects::FF_DOES_NOT_RESET) {
            self.incoming.iter_mut().filter(|byte| **byte == DELIMITER).for_each(|byte| *byte = b' ');
        }
        let mut lines = Vec::new();
        if self.switches.has(defects::READS_LINES) && !self.incoming.ends_with(b"\n") {
            return lines;
        }
        // The decoder never fails before the end of a stream.
        while let Ok(Some(frame)) = self.decoder.decode(&mut self.incoming) {
            self.frame(&frame, &mut lines);
            self.place.pass(&frame.bytes);
        }
        if self.dialect.parsing == Parsing::AtOnce
            && !self.switches.has(defects::SWALLOWS_HALF)
            && self.told == Told::Nothing
            // Each read looks at all of it; nobody makes mistakes behind so much to hear of them early.
            && self.incoming.len() <= EARLY_MAX
            && let Some(at) = wrong_at(&self.incoming, self.rules())
        {
            self.told = Told::Wrong;
            self.complain("expecting value", self.incoming.get(..at).unwrap_or_default(), &mut lines);
        }
        lines
    }

    fn frame(&mut self, frame: &Frame, lines: &mut Vec<Bytes>) {
        let told = self.told;
        if frame.kind != SKIPPED {
            self.told = Told::Nothing;
        }
        match frame.kind {
            // What is passed over behind a limit ends with its braces.
            VALUE | JUNK if told == Told::Wrong => {}
            RESET if told != Told::Nothing => {}
            VALUE => self.value(&frame.bytes, lines),
            JUNK => self.junk(&frame.bytes, lines),
            RESET => self.complain("stray '\u{fffd}'", b"", lines),
            SKIPPED | BLANK => {}
            // What a reset throws away: whether it was reported decides about the reset behind it.
            _ => self.told = told,
        }
    }

    /// What this agent takes for JSON.
    fn rules(&self) -> Rules {
        Rules {
            duplicates: self.switches.has(defects::TAKES_DUPLICATES),
            overlong_nul: self.dialect.overlong_nul || self.switches.has(defects::TAKES_OVERLONG),
            depth_max: self.dialect.limits_with(&self.switches).depth_max,
            ..self.dialect.rules()
        }
    }

    fn value(&mut self, bytes: &[u8], lines: &mut Vec<Bytes>) {
        match Document::parse(bytes, self.rules()) {
            Err(error) => {
                self.complain(error.what, bytes.get(..error.offset).unwrap_or_default(), lines);
            }
            Ok(document) => {
                let Self { dialect, switches, blocked, .. } = &*self;
                self.done(&Commands { dialect, switches, blocked }.dispatch(document.root()), lines);
            }
        }
    }

    fn done(&self, done: &Done, lines: &mut Vec<Bytes>) {
        let Some(reply) = &done.reply else { return };
        let everywhere = self.switches.has(defects::FF_EVERYWHERE);
        let nowhere = self.switches.has(defects::FF_MISSING);
        let delimiter: &[u8] = if everywhere || (done.delimited && !nowhere) { &[DELIMITER] } else { b"" };
        let line = Bytes::from([delimiter, reply.as_bytes(), b"\n"].concat());
        if self.switches.has(defects::ANSWERS_TWICE) {
            lines.push(line.clone());
        }
        lines.push(line);
    }

    fn junk(&mut self, bytes: &[u8], lines: &mut Vec<Bytes>) {
        // Only a bracket too many ends in a bracket that opens.
        let too_deep = bytes.len() > 1 && matches!(bytes.last(), Some(b'{' | b'['));
        let limit = match () {
            () if bytes.len() >= TOKEN_MAX => "JSON token size limit exceeded",
            () if too_deep => "JSON nesting depth limit exceeded",
            () => return self.complain("stray or invalid token", b"", lines),
        };
        if self.dialect.limits().drains {
            self.told = Told::AboveLimit;
        }
        self.push(limit, lines);
    }

    /// Tells an error in the syntax that stands behind those bytes of a frame.
    fn complain(&self, what: &str, before: &[u8], lines: &mut Vec<Bytes>) {
        let mut place = self.place;
        place.pass(before);
        let tells_place = self.dialect.places || self.switches.has(defects::COUNTS_LINES);
        let place = if tells_place { format!("{}:{}: ", place.line, place.column) } else { String::new() };
        self.push(&format!("{place}JSON parse error, {what}"), lines);
    }

    fn push(&self, text: &str, lines: &mut Vec<Bytes>) {
        let id = if self.switches.has(defects::ID_IN_SYNTAX_ERRORS) { "\"id\": 0, " } else { "" };
        let line = Bytes::from(commands::error(id, crate::names::GENERIC_ERROR, text) + "\n");
        let count = if self.switches.has(defects::ERROR_STORM) { 100 } else { 1 };
        lines.extend(std::iter::repeat_n(line, count));
    }
}

impl Dialect {
    /// The limits of a reference server, which may lack them.
    fn limits_with(&self, switches: &Switches) -> wire::json_lines::Limits {
        let mut limits = self.limits();
        if switches.has(defects::NO_DEPTH_LIMIT) {
            limits.depth_max *= 16;
        }
        if switches.has(defects::NO_TOKEN_LIMIT) {
            limits.value_max *= 4;
        }
        limits
    }
}

fn decoder(dialect: &Dialect, switches: &Switches) -> ValueDecoder {
    ValueDecoder::new(dialect.limits_with(switches))
}

/// Where what has come so far is wrong, whatever follows.
fn wrong_at(bytes: &[u8], rules: Rules) -> Option<usize> {
    let error = Document::parse(bytes, rules).err()?;
    let rest = bytes.get(error.offset..).unwrap_or_default();
    // A word or a number that may go on, and white space in front of what has not come.
    let may_go_on = rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-. \t\r\n".contains(byte));
    let in_text = error.what.contains("closing quote");
    (!may_go_on && !in_text).then_some(error.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    /// How many lines a release answers, and whether a request behind that is answered without further ado.
    #[track_caller]
    fn check(release: &str, reads: &[&[u8]], lines: usize, in_step: bool) {
        let dialect = DIALECTS.named(release).expect("in the table");
        let mut agent = Agent::new(dialect, Switches::default(), BTreeSet::new());
        let answered: Vec<Bytes> = reads.iter().flat_map(|bytes| agent.read(bytes)).collect();
        let input = reads.concat().escape_ascii().to_string();
        assert_eq!(answered.len(), lines, "{release}: {input:.60}: {answered:?}");
        let behind = agent.read(b"{\"execute\":\"guest-ping\",\"id\":1}\n");
        let good = behind.last().is_some_and(|line| line.starts_with(b"{\"return\": {}, \"id\": 1}"));
        assert_eq!(good, in_step, "{release}: {input:.60}: {behind:?}");
    }

    #[test]
    fn answers_as_many_lines_as_the_releases_do() {
        let too_deep =
            ["{\"execute\":\"guest-ping\",\"id\":".as_bytes(), &[b'['; 1024], &[b']'; 1024], b"}\n"].concat();
        for release in ["5.2", "7.2", "10.0", "11.1", "ideal"] {
            check(release, &[b"\n\n \r\n"], 0, true);
            check(release, &[b"hello world\n"], 2, true);
            check(release, &[b"[] 42 \"x\" null\n"], 4, true);
            check(release, &[b"{\"execute\":\"guest-pi\n"], 1, true);
            check(release, &[b"{\"a\":\"\xff\xfe\x80\"}\n"], 3, true);
            check(release, &[b"{\"execute\":%s}\n"], 2, true);
            check(release, &[b"\xff"], 1, true);
            check(release, &[b"}{\"execute\":\"guest-ping\"}"], 2, true);
            let old = !matches!(release, "11.1" | "ideal");
            check(release, &[&too_deep], if old { 1026 } else { 1 }, true);
            check(release, &[&[b'['; 4000]], if old { 3 } else { 1 }, false);
        }
    }

    /// What was measured of half a request: 11.1 tells once that it is wrong, and then nothing until it is over.
    #[test]
    fn half_a_request_is_swallowed_or_told_once() {
        let sync: &[u8] = b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":21}}\n";
        let half: &[u8] = b"{\"execute\":\"guest-ping\"\n";
        check("10.0", &[half, sync, sync], 0, false);
        check("10.0", &[half, sync, b"}\n"], 1, true);
        check("11.1", &[half, sync, sync], 1, false);
        check("11.1", &[half, sync, b"}\n"], 1, true);
        check("10.0", &[half, sync, b"\xff"], 1, true);
        check("11.1", &[half, sync, b"\xff"], 1, true);
        check("11.1", &[half, b"\xff"], 1, true);
    }

    #[test]
    fn a_place_is_told_in_lines_and_columns_of_the_process() {
        let dialect = DIALECTS.named("11.1").expect("in the table");
        let mut agent = Agent::new(dialect, Switches::default(), BTreeSet::new());
        let lines = agent.read(b"\n\nx\n{\"execute\":}\n");
        let places: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        assert!(places.first().is_some_and(|line| line.contains("\"3:1: JSON parse error")), "{places:?}");
        assert!(places.get(1).is_some_and(|line| line.contains("\"4:12: JSON parse error")), "{places:?}");
    }
}
