//! Transcript to text.

use std::fmt::Write as _;

use wire::Direction;

use super::words::{Place, push_quoted, push_word};
use super::{DUMP_WIDTH, FOLD_FROM, FORMAT, front};
use crate::{Data, Event, EventKind, ExitStatus, Transcript};

/// Writes a transcript as text: the one canonical text that this transcript has.
///
/// Any transcript can be written; [`parse`](super::parse) reads back what keeps the rules of
/// [`Transcript::check`].
#[must_use]
pub fn render(transcript: &Transcript) -> String {
    let bytes: usize = transcript.events.iter().map(|e| data_len(&e.kind)).sum();
    // A dump line of 16 bytes takes 77 characters.
    let mut out = String::with_capacity(1024 + transcript.events.len() * 64 + bytes * 5);
    write(&mut out, format_args!("# wireskew-wire {FORMAT} written by "));
    push_quoted(&mut out, &transcript.provenance.recorder, Place::Comment);
    out.push('\n');
    for line in front::render(&transcript.provenance).lines() {
        out.push_str(if line.is_empty() { "#" } else { "# " });
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    for event in &transcript.events {
        push_event(&mut out, event);
    }
    write(&mut out, format_args!("# end events={} bytes={bytes}\n", transcript.events.len()));
    out
}

/// An event that is no data, as its line says it, without `# `.
pub(crate) fn event_line(event: &Event) -> String {
    let mut line = String::new();
    push_event(&mut line, event);
    line.strip_prefix("# ").unwrap_or(&line).trim_end().to_owned()
}

fn data_len(kind: &EventKind) -> usize {
    if let EventKind::Data(data) = kind { data.bytes.len() } else { 0 }
}

fn push_event(out: &mut String, event: &Event) {
    let lead = match (&event.kind, event.dir) {
        (EventKind::Data(_), Direction::ToServer) => 'O',
        (EventKind::Data(_), Direction::ToClient) => 'I',
        _ => '#',
    };
    let (seconds, micros) = (event.at_us / 1_000_000, event.at_us % 1_000_000);
    write(out, format_args!("{lead} {seconds}.{micros:06} {} conn={} ", event.dir, event.conn));
    match &event.kind {
        EventKind::Data(data) => return push_data(out, data),
        EventKind::Connect => out.push_str("connect"),
        EventKind::ConnectFailed(error) => {
            out.push_str("connect-failed ");
            push_word(out, error, Place::Comment);
        }
        EventKind::Eof(detail) => {
            out.push_str("eof");
            if let Some(detail) = detail {
                out.push(' ');
                push_word(out, detail, Place::Comment);
            }
        }
        EventKind::Reset => out.push_str("reset"),
        EventKind::Timeout(ms) => write(out, format_args!("timeout ms={ms}")),
        EventKind::Exit(ExitStatus::Code(code)) => write(out, format_args!("exit code={code}")),
        EventKind::Exit(ExitStatus::Signal(signal)) => write(out, format_args!("exit signal={signal}")),
        EventKind::Exit(ExitStatus::Gone) => out.push_str("exit gone"),
        EventKind::Mark(mark) => {
            out.push_str("mark ");
            push_word(out, &mark.label, Place::Comment);
            for (key, value) in &mark.args {
                out.push(' ');
                push_pair(out, key, value);
            }
        }
        EventKind::Observe { key, value } => {
            out.push_str("observe ");
            push_pair(out, key, value);
        }
    }
    out.push('\n');
}

fn push_pair(out: &mut String, key: &str, value: &str) {
    push_word(out, key, Place::Comment);
    out.push('=');
    push_word(out, value, Place::Comment);
}

fn push_data(out: &mut String, data: &Data) {
    write(out, format_args!("len={}", data.bytes.len()));
    for (index, fd) in data.fds.iter().enumerate() {
        out.push_str(if index == 0 { " fds=" } else { "," });
        push_word(out, &fd.0, Place::Preamble);
    }
    if let Some(creds) = data.creds {
        write(out, format_args!(" creds={}:{}:{}", creds.pid, creds.uid, creds.gid));
    }
    out.push('\n');
    let mut index = 0;
    for run in data.bytes.chunks(DUMP_WIDTH).collect::<Vec<_>>().chunk_by(|a, b| a == b) {
        let folded = run.len() > FOLD_FROM;
        for (line, bytes) in run.iter().enumerate().take(if folded { 1 } else { run.len() }) {
            push_dump_line(out, (index + line) * DUMP_WIDTH, bytes);
        }
        if folded {
            write(out, format_args!("# repeat {}\n", run.len() - 1));
        }
        index += run.len();
    }
}

/// `000010 04 05 …  |..|`: offset, bytes, and the bytes as text.
fn push_dump_line(out: &mut String, offset: usize, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    write(out, format_args!("{offset:06x}"));
    for byte in bytes {
        out.push(' ');
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    for _ in bytes.len()..DUMP_WIDTH {
        out.push_str("   ");
    }
    out.push_str("  |");
    out.extend(bytes.iter().copied().map(printable));
    out.push_str("|\n");
}

/// The character that stands for a byte in the text column.
pub(super) fn printable(byte: u8) -> char {
    if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }
}

fn write(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("writing to a String cannot fail");
}
