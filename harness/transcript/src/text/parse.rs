//! Text to transcript.

use std::collections::BTreeMap;

use bytes::Bytes;
use wire::Direction;

use super::error::{Fault, Found, ParseError, ParseErrorKind};
use super::render::printable;
use super::words::Line;
use super::{DUMP_WIDTH, FILE_LEN_MAX, FOLD_FROM, FOLDED_BYTES_MAX, FORMAT, LINE_LEN_MAX, front};
use crate::rules::{Broken, DATA_LEN_MAX, Rules};
use crate::{ConnId, Credentials, Data, Event, EventKind, ExitStatus, FdNote, Mark, Provenance, Transcript};

/// A byte of a dump takes more characters than that.
const DUMP_CHARS_MIN: usize = 3;

/// Reads a `.wire` text.
///
/// # Errors
/// What is wrong, with line and column: see [`ParseErrorKind`].
pub fn parse(text: &str) -> Result<Transcript, ParseError> {
    Parser::new(text).and_then(Parser::transcript).map_err(|fault| *fault.0)
}

/// Reads a `.wire` text from bytes that need not be UTF-8.
///
/// # Errors
/// As [`parse`], and [`ParseErrorKind::NotUtf8`].
pub fn parse_bytes(bytes: &[u8]) -> Result<Transcript, ParseError> {
    utf8(bytes).and_then(parse)
}

/// Reads the provenance alone. Of `bytes` only what lies before the first empty line is looked at, and what is wrong
/// there is told as [`parse_bytes`] tells it.
///
/// # Errors
/// As [`parse_bytes`].
pub fn parse_header(bytes: &[u8]) -> Result<Provenance, ParseError> {
    let header = header_len(bytes, 0).and_then(|len| bytes.get(..len)).unwrap_or(bytes);
    let text = utf8(header)?;
    Parser::new(text).and_then(|mut parser| parser.header()).map_err(|fault| *fault.0)
}

/// Length of the first line and the front matter with the empty line that ends it, if that is there. It ends behind the
/// first `searched` bytes.
pub(crate) fn header_len(bytes: &[u8], searched: usize) -> Option<usize> {
    if bytes.first() == Some(&b'\n') {
        return Some(1);
    }
    // The end may lie across what was searched and what was not.
    let from = searched.saturating_sub(1);
    let at = memchr::memmem::find(bytes.get(from..)?, b"\n\n")?;
    Some(from + at + 2)
}

fn utf8(bytes: &[u8]) -> Result<&str, ParseError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            Err(ParseError {
                line: before.iter().filter(|b| **b == b'\n').count() + 1,
                column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
                kind: ParseErrorKind::NotUtf8,
            })
        }
    }
}

struct Parser<'a> {
    /// What follows the present line.
    rest: &'a str,
    /// Number of the last line that was taken.
    number: usize,
    transcript: Transcript,
    rules: Rules,
    bytes: u64,
    /// Where the masked spans stand in the front matter.
    masked_line: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Fault> {
        if text.len() > FILE_LEN_MAX {
            let kind = ParseErrorKind::FileTooLarge { len: text.len() as u64, max: FILE_LEN_MAX as u64 };
            return Err(Fault::new(1, 1, kind));
        }
        let (transcript, rules) = (Transcript::default(), Rules::default());
        Ok(Self { rest: text, number: 0, transcript, rules, bytes: 0, masked_line: 2 })
    }

    fn header(&mut self) -> Result<Provenance, Fault> {
        let recorder = self.first_line()?;
        let toml = self.front_matter()?;
        front::parse(&toml, 2, recorder)
    }

    fn transcript(mut self) -> Result<Transcript, Fault> {
        self.transcript.provenance = self.header()?;
        loop {
            let line = self.next_line("an event or the end line")?;
            if line.text().is_empty() {
                continue;
            }
            if line.text().starts_with("# end ") {
                self.end_line(line)?;
                break;
            }
            let event = self.event(line.clone())?;
            let taken = self.rules.take(&event);
            taken.map_err(|broken| Self::broken(&line, broken))?;
            self.transcript.events.push(event);
        }
        let masked = self.rules.take_masks(&self.transcript.provenance.masked);
        masked.map_err(|broken| Fault::new(self.masked_line, 1, broken.into()))?;
        Ok(self.transcript)
    }

    /// The next line; `expected` says what it should hold, if there is none.
    fn next_line(&mut self, expected: &'static str) -> Result<Line<'a>, Fault> {
        let Some((text, rest)) = self.rest.split_once('\n') else {
            let column = self.rest.chars().count() + 1;
            let expected = if self.rest.is_empty() { expected } else { "the rest of this line" };
            let kind = ParseErrorKind::Truncated { expected, events: self.transcript.events.len() };
            return Err(Fault::new(self.number + 1, column, kind));
        };
        self.rest = rest;
        self.number += 1;
        if text.len() > LINE_LEN_MAX {
            let kind = ParseErrorKind::LineTooLong { len: text.len(), max: LINE_LEN_MAX };
            return Err(Fault::new(self.number, 1, kind));
        }
        Ok(Line::new(text, self.number))
    }

    /// `# wireskew-wire 1 written by "wireskew 0.1.0"`. These words stand in every format, so that a
    /// reader that is too old can say by whom the file was written.
    fn first_line(&mut self) -> Result<String, Fault> {
        const START: &str = "`# wireskew-wire`, with which every such file begins";
        // A file of another kind need not have lines at all.
        if !self.rest.is_empty() && !starts_alike(self.rest, "# wireskew-wire ") {
            return Err(Line::new(self.rest.lines().next().unwrap_or(""), 1).expected(START));
        }
        let mut line = self.next_line(START)?;
        line.need("# wireskew-wire ", START)?;
        let found: u64 = line.number("a format number")?;
        if found > u64::from(FORMAT) {
            let kind =
                ParseErrorKind::NewerFormat { found, supported: FORMAT, written_by: writer(line.clone()) };
            return Err(Fault::new(line.number, line.column("# wireskew-wire ".len()), kind));
        }
        if found != u64::from(FORMAT) {
            return Err(line.expected_at("# wireskew-wire ".len(), "format number `1`"));
        }
        line.need(" written by ", "` written by ` and the writer in quotes")?;
        let recorder = line.quoted("the writer in quotes")?;
        line.end()?;
        Ok(recorder)
    }

    /// The comment lines up to the first empty line, without their `# `.
    fn front_matter(&mut self) -> Result<String, Fault> {
        let mut toml = String::new();
        loop {
            let mut line = self.next_line("front matter and an empty line")?;
            if line.text().is_empty() {
                return Ok(toml);
            }
            line.need("#", "`# ` and front matter, or an empty line")?;
            if !line.rest().is_empty() {
                line.need(" ", "a space behind `#`")?;
            }
            if line.rest().starts_with("masked") {
                self.masked_line = line.number;
            }
            toml.push_str(line.rest());
            toml.push('\n');
        }
    }

    fn event(&mut self, mut line: Line<'a>) -> Result<Event, Fault> {
        let lead = match line.text().as_bytes().first() {
            Some(lead @ (b'#' | b'O' | b'I')) => *lead,
            _ => return Err(line.expected("an event (`#`, `O` or `I`) or the end line")),
        };
        line.skip(1);
        line.need(" ", "a space")?;
        let at_us = time(&mut line)?;
        line.need(" ", "a space")?;
        let dir_at = line.at();
        let dir = if line.eat("c2s") {
            Direction::ToServer
        } else {
            line.need("s2c", "`c2s` or `s2c`")?;
            Direction::ToClient
        };
        line.need(" conn=", "` conn=`")?;
        let conn = ConnId(line.number("a connection number")?);
        line.need(" ", "a space")?;
        let kind = match (lead, dir) {
            (b'#', _) => event_kind(&mut line)?,
            (b'O', Direction::ToServer) | (b'I', Direction::ToClient) => {
                EventKind::Data(self.data(&mut line)?)
            }
            _ => {
                return Err(
                    line.expected_at(dir_at, "the direction of this line: `O` is `c2s`, `I` is `s2c`")
                );
            }
        };
        Ok(Event { at_us, conn, dir, kind })
    }

    /// The rest of a preamble line, and the dump below it.
    fn data(&mut self, line: &mut Line<'a>) -> Result<Data, Fault> {
        line.need("len=", "`len=`")?;
        let len_at = line.at();
        let len: usize = line.number("a number of bytes")?;
        if len == 0 {
            return Err(Fault::new(line.number, line.column(len_at), Broken::NoBytes.into()));
        }
        if len > DATA_LEN_MAX {
            return Err(Fault::new(line.number, line.column(len_at), Broken::TooManyBytes { len }.into()));
        }
        let mut data = Data::default();
        if line.eat(" fds=") {
            loop {
                data.fds.push(FdNote(line.word("what the descriptor is")?));
                if !line.eat(",") {
                    break;
                }
            }
        }
        if line.eat(" creds=") {
            let pid = line.number("a process id")?;
            line.need(":", "`:`")?;
            let uid = line.number("a user id")?;
            line.need(":", "`:`")?;
            let gid = line.number("a group id")?;
            data.creds = Some(Credentials { pid, uid, gid });
        }
        line.end()?;
        // `len` is only a claim, but the dump cannot be longer than the text that is there.
        let mut bytes = Dumped::with_capacity(len.min(self.rest.len() / DUMP_CHARS_MIN));
        while bytes.len() < len {
            let mut dump = self.next_line("more bytes of this event")?;
            let count = (len - bytes.len()).min(DUMP_WIDTH);
            bytes.push(&dump_line(&mut dump, bytes.len(), count)?[..count]);
            if self.rest.starts_with("# repeat ") {
                let mut fold = self.next_line("how often the line is repeated")?;
                self.repeat(&mut fold, &mut bytes, len)?;
            }
        }
        self.bytes += bytes.len() as u64;
        data.bytes = bytes.finish();
        Ok(data)
    }

    /// `# repeat 4096`: the dump line above, that many times more.
    fn repeat(&self, line: &mut Line<'a>, bytes: &mut Dumped, len: usize) -> Result<(), Fault> {
        line.need("# repeat ", "`# repeat ` and a number")?;
        let at = line.at();
        let times: usize = line.number("how often the line above is repeated")?;
        line.end()?;
        let more = times.saturating_mul(DUMP_WIDTH);
        let whole = usize::try_from(self.bytes).unwrap_or(usize::MAX).saturating_add(bytes.len());
        if times < FOLD_FROM || bytes.len() < DUMP_WIDTH || !bytes.len().is_multiple_of(DUMP_WIDTH) {
            return Err(line.expected_at(0, "a repetition of a full dump line, from 1024 times on"));
        }
        if more > len - bytes.len() || whole.saturating_add(more) > FOLDED_BYTES_MAX {
            return Err(line.expected_at(at, "a number of repetitions that the event has room for"));
        }
        bytes.repeat_last_line(more);
        Ok(())
    }

    fn end_line(&mut self, mut line: Line<'a>) -> Result<(), Fault> {
        line.need("# end events=", "`# end events=`")?;
        let events = self.transcript.events.len() as u64;
        self.counted(&mut line, "events", events)?;
        line.need(" bytes=", "` bytes=`")?;
        self.counted(&mut line, "bytes", self.bytes)?;
        line.end()?;
        if self.rest.is_empty() {
            return Ok(());
        }
        let next = self.rest.lines().next().unwrap_or("");
        Err(Fault::expected(self.number + 1, 1, "end of file behind the end line", Found::new(next)))
    }

    fn counted(&self, line: &mut Line<'a>, what: &'static str, counted: u64) -> Result<(), Fault> {
        let column = line.column(line.at());
        let stated: u64 = line.number("a count")?;
        if stated == counted {
            return Ok(());
        }
        Err(Fault::new(line.number, column, ParseErrorKind::Miscounted { what, stated, counted }))
    }

    /// A rule that the event of this line breaks, at the word that breaks it: time, direction, connection or kind.
    fn broken(line: &Line<'_>, broken: Broken) -> Fault {
        let word = match broken {
            Broken::TimeGoesBack { .. } => 1,
            Broken::BytesAfterEnd { .. } => 2,
            Broken::CaptureUnclear => 4,
            _ => 3,
        };
        let at = line.text().match_indices(' ').nth(word - 1).map_or(0, |(at, _)| at + 1);
        Fault::new(line.number, line.column(at), broken.into())
    }
}

/// Whether `text` begins with `start`, as far as it goes.
fn starts_alike(text: &str, start: &str) -> bool {
    text.bytes().zip(start.bytes()).all(|(a, b)| a == b)
}

/// Who wrote a file of a later format, as well as its first line tells.
fn writer(mut line: Line<'_>) -> String {
    let rest = line.rest();
    if line.eat(" written by ")
        && let Ok(name) = line.quoted("the writer in quotes")
    {
        return name;
    }
    rest.trim().chars().take(80).collect()
}

/// `12.000345`: seconds and six digits of microseconds.
fn time(line: &mut Line<'_>) -> Result<u64, Fault> {
    const EXPECTED: &str = "a time in seconds with six decimals";
    let start = line.at();
    let whole = |line: &mut Line<'_>| -> Result<u64, Fault> {
        let seconds: u64 = line.number(EXPECTED)?;
        line.need(".", EXPECTED)?;
        let micros = line.run(|c| c.is_ascii_digit(), EXPECTED)?;
        let micros: u64 = match micros.parse() {
            Ok(value) if micros.len() == 6 => value,
            _ => return Err(line.expected(EXPECTED)),
        };
        seconds
            .checked_mul(1_000_000)
            .and_then(|us| us.checked_add(micros))
            .ok_or_else(|| line.expected(EXPECTED))
    };
    whole(line).map_err(|_| line.expected_at(start, EXPECTED))
}

/// The word of an event that is no data, and what follows it.
fn event_kind(line: &mut Line<'_>) -> Result<EventKind, Fault> {
    const WORDS: &str = "`connect`, `connect-failed`, `eof`, `reset`, `timeout`, `exit`, `mark` or `observe`";
    let word_at = line.at();
    let kind = match line.run(|c| c.is_ascii_lowercase() || c == '-', WORDS)? {
        "connect" => EventKind::Connect,
        "connect-failed" => {
            line.need(" ", "a space")?;
            EventKind::ConnectFailed(line.word("the name of the error")?)
        }
        "eof" => EventKind::Eof(if line.eat(" ") { Some(line.word("a detail")?) } else { None }),
        "reset" => EventKind::Reset,
        "timeout" => {
            line.need(" ms=", "` ms=`")?;
            EventKind::Timeout(line.number("milliseconds")?)
        }
        "exit" if line.eat(" code=") => EventKind::Exit(ExitStatus::Code(line.number("an exit code")?)),
        "exit" if line.eat(" signal=") => {
            EventKind::Exit(ExitStatus::Signal(line.number("a signal number")?))
        }
        "exit" => {
            line.need(" gone", "` code=`, ` signal=` or ` gone`")?;
            EventKind::Exit(ExitStatus::Gone)
        }
        "mark" => {
            line.need(" ", "a space")?;
            EventKind::Mark(Mark { label: line.word("a label")?, args: args(line)? })
        }
        "observe" => {
            line.need(" ", "a space")?;
            let (key, value) = pair(line)?;
            EventKind::Observe { key, value }
        }
        _ => return Err(line.expected_at(word_at, WORDS)),
    };
    line.end()?;
    Ok(kind)
}

fn pair(line: &mut Line<'_>) -> Result<(String, String), Fault> {
    let key = line.word("a key")?;
    line.need("=", "`=`")?;
    Ok((key, line.word("a value")?))
}

fn args(line: &mut Line<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut args = BTreeMap::new();
    while line.eat(" ") {
        let at = line.at();
        let (key, value) = pair(line)?;
        if args.insert(key, value).is_some() {
            return Err(line.expected_at(at, "each key once"));
        }
    }
    Ok(args)
}

/// The bytes of an event, as far as they are read.
#[derive(Default)]
struct Dumped {
    /// What was written out.
    bytes: Vec<u8>,
    /// That many zeros follow it: from a line of zeros on that was repeated.
    zeros: usize,
}

impl Dumped {
    fn with_capacity(len: usize) -> Self {
        Self { bytes: Vec::with_capacity(len), zeros: 0 }
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.zeros
    }

    fn push(&mut self, line: &[u8]) {
        if self.zeros > 0 && line.iter().all(|byte| *byte == 0) {
            self.zeros += line.len();
        } else {
            self.write_out();
            self.bytes.extend_from_slice(line);
        }
    }

    /// Appends the last [`DUMP_WIDTH`] again and again, `more` bytes altogether.
    fn repeat_last_line(&mut self, more: usize) {
        let start = self.bytes.len().saturating_sub(DUMP_WIDTH);
        if self.zeros >= DUMP_WIDTH || (self.zeros == 0 && self.bytes[start..].iter().all(|byte| *byte == 0))
        {
            self.zeros += more;
            return;
        }
        self.write_out();
        let start = self.bytes.len().saturating_sub(DUMP_WIDTH);
        let end = self.bytes.len() + more;
        self.bytes.reserve_exact(more);
        // Each turn copies everything from the line on, twice as much as the one before.
        while self.bytes.len() < end {
            let len = (self.bytes.len() - start).min(end - self.bytes.len());
            self.bytes.extend_from_within(start..start + len);
        }
    }

    fn write_out(&mut self) {
        self.bytes.resize(self.len(), 0);
        self.zeros = 0;
    }

    fn finish(self) -> Bytes {
        if self.zeros == 0 { Bytes::from(self.bytes) } else { crate::zeros_behind(&self.bytes, self.zeros) }
    }
}

/// `000010 04 05 …  |..|`: the `count` bytes of an event from `offset` on.
fn dump_line(line: &mut Line<'_>, offset: usize, count: usize) -> Result<[u8; DUMP_WIDTH], Fault> {
    match canonical_dump_line(line.text().as_bytes(), offset, count) {
        Some(read) => Ok(read),
        None => any_dump_line(line, offset, count),
    }
}

/// The first `count` bytes of a line as it is written; `None` is for [`any_dump_line`], which finds out what is wrong.
fn canonical_dump_line(text: &[u8], offset: usize, count: usize) -> Option<[u8; DUMP_WIDTH]> {
    let (digits, rest) = text.split_at_checked(6)?;
    let (dump, rest) = rest.split_at_checked(3 * DUMP_WIDTH)?;
    let column = rest.strip_prefix(b"  |")?.strip_suffix(b"|")?;
    let at = digits.iter().try_fold(0, |at, digit| Some(at << 4 | usize::from(nibble(*digit)?)))?;
    if at != offset || column.len() != count {
        return None;
    }
    let mut read = [0; DUMP_WIDTH];
    for (place, (chars, byte)) in dump.chunks_exact(3).zip(&mut read).enumerate() {
        match *chars {
            [b' ', high, low] if place < count => *byte = nibble(high)? << 4 | nibble(low)?,
            [b' ', b' ', b' '] if place >= count => {}
            _ => return None,
        }
    }
    let same = column.iter().zip(&read).all(|(there, byte)| char::from(*there) == printable(*byte));
    same.then_some(read)
}

/// The value of a lower-case hexadecimal digit.
fn nibble(digit: u8) -> Option<u8> {
    /// By digit; 16 for what is none.
    const VALUES: [u8; 256] = {
        let mut values = [16; 256];
        let digits = *b"0123456789abcdef";
        let mut value = 0;
        while value < digits.len() {
            values[digits[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    Some(VALUES[usize::from(digit)]).filter(|value| *value < 16)
}

/// As [`dump_line`], character by character: it says what is wrong, and where.
fn any_dump_line(line: &mut Line<'_>, offset: usize, count: usize) -> Result<[u8; DUMP_WIDTH], Fault> {
    let digits = line.run(|c| c.is_ascii_hexdigit(), "a dump line")?;
    if digits.len() != 6 || usize::from_str_radix(digits, 16) != Ok(offset) {
        return Err(line.expected_at(0, "a dump line with the offset of its first byte in six digits"));
    }
    let mut read = [0; DUMP_WIDTH];
    for to in &mut read[..count] {
        line.need(" ", "a space and a byte")?;
        *to = byte(line)?;
    }
    for _ in count..DUMP_WIDTH {
        line.need("   ", "spaces up to the text column")?;
    }
    line.need("  |", "the text column")?;
    let there =
        line.rest().strip_suffix('|').ok_or_else(|| line.expected("the text column, ending in `|`"))?;
    let text = read[..count].iter().copied().map(printable);
    if !there.chars().eq(text.clone()) {
        let text = text.collect();
        let there = there.chars().take(2 * DUMP_WIDTH).collect();
        let kind = ParseErrorKind::ColumnsDiffer { bytes: text, text: there };
        return Err(Fault::new(line.number, line.column(line.at()), kind));
    }
    Ok(read)
}

/// Two lower-case hexadecimal digits.
fn byte(line: &mut Line<'_>) -> Result<u8, Fault> {
    const EXPECTED: &str = "a byte as two lower-case hexadecimal digits";
    let at = line.at();
    match *line.rest().as_bytes() {
        [high, low, ..] => match (nibble(high), nibble(low)) {
            (Some(high), Some(low)) => {
                line.skip(2);
                Ok(high << 4 | low)
            }
            _ => Err(line.expected_at(at, EXPECTED)),
        },
        _ => Err(line.expected_at(at, EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a whole and of a short row, with what makes the text column differ from the bytes.
    const ROWS: [(&str, usize, usize); 3] = [
        ("000010 00 2e 41 7e 7f 80 ff 20 7c 7c 61 62 63 64 65 66  |..A~... ||abcdef|", 0x10, 16),
        ("00a0b0 41                                               |A|", 0xa0b0, 1),
        ("ffffff 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f     |ABCDEFGHIJKLMNO|", 0xff_ffff, 15),
    ];

    fn slowly(text: &str, offset: usize, count: usize) -> Option<Vec<u8>> {
        let read = any_dump_line(&mut Line::new(text, 1), offset, count).ok()?;
        Some(read[..count].to_vec())
    }

    #[test]
    fn reads_a_dump_line_quickly_only_where_it_reads_the_same_slowly() {
        for (row, offset, count) in ROWS {
            let read = canonical_dump_line(row.as_bytes(), offset, count).map(|read| read[..count].to_vec());
            assert!(read.is_some() && read == slowly(row, offset, count), "{row}");
            for at in 0..row.len() {
                for other in [" ", "0", "a", "A", "g", "|", "", "  ", "\u{e9}"] {
                    let mut damaged = row.to_owned();
                    damaged.replace_range(at..=at, other);
                    let read = canonical_dump_line(damaged.as_bytes(), offset, count);
                    if let Some(read) = read {
                        assert_eq!(
                            Some(read[..count].to_vec()),
                            slowly(&damaged, offset, count),
                            "{damaged}"
                        );
                    }
                }
            }
            assert_eq!(canonical_dump_line(row.as_bytes(), offset + 16, count), None, "another offset");
            assert_eq!(canonical_dump_line(row.as_bytes(), offset, count - 1), None, "another length");
        }
    }

    #[test]
    fn repeats_the_last_line() {
        const ZEROS: [u8; DUMP_WIDTH] = [0; DUMP_WIDTH];
        for line in [*b"0123456789abcdef", ZEROS, [7; DUMP_WIDTH]] {
            for times in [0, 1, 2, 3, 5, 64, 1000] {
                for behind in [&b""[..], &ZEROS, b"\0\0", b"end"] {
                    let mut dumped = Dumped::default();
                    dumped.push(b"before that line");
                    dumped.push(&line);
                    dumped.repeat_last_line(times * DUMP_WIDTH);
                    dumped.push(behind);
                    let mut expect =
                        [b"before that line".to_vec(), line.repeat(times + 1), behind.to_vec()].concat();
                    assert_eq!(
                        (dumped.len(), dumped.zeros > 0),
                        (expect.len(), times > 0 && line == ZEROS && behind != b"end")
                    );
                    if behind == ZEROS {
                        dumped.repeat_last_line(2 * DUMP_WIDTH);
                        expect.extend([0; 2 * DUMP_WIDTH]);
                    }
                    assert_eq!(dumped.finish(), expect, "{times}");
                }
            }
        }
    }
}
