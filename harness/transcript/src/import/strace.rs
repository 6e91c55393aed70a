//! What `strace` saw of a Unix socket.
//!
//! ```text
//! strace -f -ttt -xx -yy -s 1000000 -o trace.txt \
//!     -e trace=connect,accept4,accept,sendmsg,recvmsg,sendto,recvfrom,read,write,shutdown,close,dup,fcntl lxc-info -n c1
//! 14088 1795174458.717385 connect(4<UNIX-STREAM:[174382]>, {sa_family=AF_UNIX, sun_path=@"\x2f…"}, 29) = 0
//! 14088 1795174458.717603 sendmsg(4<UNIX-STREAM:[174382->174062]>, {…, msg_iov=[{iov_base="\x04…", iov_len=16}], …}, 0) = 16
//! ```
//!
//! All these options are needed: `-ttt` for times, `-xx` so that every string is hexadecimal, `-yy` because it names
//! sockets by inode (descriptors are reused and shared, inodes are not), a large `-s` so that no byte is left out.
//!
//! A connection is one that a traced client made to the path, or, when the client was not traced, that a traced server
//! accepted on it. Each is taken from the view of that one end, so that nothing counts twice: what it sent is there
//! when it was sent, what it received when the call returned. One call is one [`Data`] event.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use wire::Direction;

use crate::rules::{Broken, Rules};
use crate::{ConnId, Credentials, Data, Event, EventKind, FdNote, Provenance, Transcript};

/// Why a trace cannot be read, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ImportError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub kind: ImportErrorKind,
}

/// What is wrong with a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// Times are missing.
    #[error("no time in seconds in front of the call, trace with `-ttt`")]
    NoTime,
    /// A string is not in hexadecimal.
    #[error("a string that is not all `\\xNN`, trace with `-xx`")]
    NotHex,
    /// A string was cut by strace, or the call returned more bytes than it shows.
    #[error("{shown} of {len} bytes are shown, trace with a larger `-s`")]
    CutShort {
        /// Bytes that are there.
        shown: usize,
        /// Bytes that passed.
        len: usize,
    },
    /// Nothing happened on that socket, or the trace does not name sockets.
    #[error("no connection to `{0}` in this trace; was it traced with `-yy`?")]
    NoConnection(String),
    /// A rule of transcripts is broken.
    #[error(transparent)]
    Rule(#[from] Broken),
}

/// Reads the connections to the socket at `path` (an abstract one without its leading NUL) from a trace. What the
/// trace cannot know is given as `provenance`.
///
/// # Errors
/// What is wrong with the trace, and in which line.
pub fn import(trace: &str, path: &str, provenance: Provenance) -> Result<Transcript, ImportError> {
    let calls = calls(trace)?;
    let clients = calls
        .iter()
        .filter(|call| call.connects(path) && call.returned() == Some(0))
        .filter_map(|call| call.socket());
    let mut reader = Reader { path, clients: clients.collect(), ..Reader::default() };
    for call in &calls {
        reader.call(call).map_err(|kind| ImportError { line: call.line, kind })?;
    }
    reader.finish(provenance).map_err(|(line, kind)| ImportError { line, kind })
}

/// One call from start to end.
struct Call {
    /// Line of its end.
    line: usize,
    started_us: u64,
    ended_us: u64,
    name: String,
    /// Everything between the parentheses.
    args: String,
    /// Everything behind `= `.
    result: String,
}

/// All calls of a trace; one that another process interrupted in the trace is put together.
fn calls(trace: &str) -> Result<Vec<Call>, ImportError> {
    let mut calls = Vec::new();
    let mut unfinished = HashMap::new();
    for (index, text) in trace.lines().enumerate() {
        let line = index + 1;
        let (pid, rest) = process(text);
        let Some((time, rest)) = rest.split_once(' ') else { continue };
        let at_us = time_us(time).ok_or(ImportError { line, kind: ImportErrorKind::NoTime })?;
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, (at_us, start));
            continue;
        }
        let (started_us, text) =
            match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                None => (at_us, rest.to_owned()),
                // A trace that was attached in mid-call has no start of it.
                Some((_, end)) => match unfinished.remove(pid) {
                    Some((started_us, start)) => (started_us, format!("{start}{end}")),
                    None => continue,
                },
            };
        // Signals (`---`) and ends of processes (`+++`) are no calls.
        let Some((name, text)) = text.split_once('(') else { continue };
        let Some((args, result)) = text.rsplit_once(") = ").or_else(|| text.rsplit_once(" = ")) else {
            continue;
        };
        let [name, args, result] = [name, args.trim_end().trim_end_matches(')'), result].map(str::to_owned);
        calls.push(Call { line, started_us, ended_us: at_us, name, args, result });
    }
    Ok(calls)
}

/// `14088 rest` or `[pid 14088] rest`; without `-f` there is no process.
fn process(line: &str) -> (&str, &str) {
    if let Some((pid, rest)) = line.strip_prefix("[pid").and_then(|rest| rest.split_once("] ")) {
        return (pid.trim_start(), rest.trim_start());
    }
    match line.split_once(' ') {
        Some((pid, rest)) if pid.bytes().all(|b| b.is_ascii_digit()) => (pid, rest.trim_start()),
        _ => ("", line),
    }
}

/// `1795174458.717385`.
fn time_us(text: &str) -> Option<u64> {
    let (seconds, micros) = text.split_once('.').filter(|(_, micros)| micros.len() == 6)?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)
}

/// Inode of the socket at the start of `4<UNIX-STREAM:[174382->174062]>`.
fn inode(descriptor: &str) -> Option<u64> {
    let (_, annotation) = descriptor.split_once('<')?;
    let (_, inode) = annotation.strip_prefix("UNIX-")?.split_once(":[")?;
    inode.get(..inode.find(|c: char| !c.is_ascii_digit())?)?.parse().ok()
}

/// The bytes of a string, which begins behind its opening quote.
fn string(text: &str) -> Result<Vec<u8>, ImportErrorKind> {
    let (text, _) = text.split_once('"').ok_or(ImportErrorKind::NotHex)?;
    let hex = |pair: &str| (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten();
    text.split("\\x")
        .skip(1)
        .map(hex)
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| bytes.len() * 4 == text.len())
        .ok_or(ImportErrorKind::NotHex)
}

impl Call {
    /// Inode of the socket that is the first argument.
    fn socket(&self) -> Option<u64> {
        inode(&self.args)
    }

    fn connects(&self, path: &str) -> bool {
        self.name == "connect" && self.names(path)
    }

    /// Whether an argument is the address of the socket at `path`.
    fn names(&self, path: &str) -> bool {
        let hex: String = path.bytes().map(|b| format!("\\x{b:02x}")).collect();
        self.args.contains(&format!("\"{hex}\""))
    }

    /// The number that the call returned; none for an error.
    fn returned(&self) -> Option<usize> {
        self.result.split([' ', '<']).next()?.parse().ok()
    }

    /// `ECONNRESET` of `-1 ECONNRESET (Connection reset by peer)`.
    fn error(&self) -> Option<&str> {
        self.result.strip_prefix("-1 ")?.split(' ').next()
    }

    /// The `len` bytes that passed, with what passed with them.
    fn data(&self, len: usize) -> Result<Data, ImportErrorKind> {
        let mut bytes = Vec::new();
        if self.args.contains("iov_base=") {
            for part in self.args.split("iov_base=\"").skip(1) {
                bytes.extend(string(part)?);
            }
        } else {
            // `>, ` ends the annotation of the first argument, which holds quotes itself.
            let (_, rest) = self.args.split_once(">, ").ok_or(ImportErrorKind::NotHex)?;
            bytes = string(rest.trim_start().strip_prefix('"').ok_or(ImportErrorKind::NotHex)?)?;
        }
        if bytes.len() < len {
            return Err(ImportErrorKind::CutShort { shown: bytes.len(), len });
        }
        bytes.truncate(len);
        Ok(Data { bytes: Bytes::from(bytes), fds: self.fds(), creds: self.creds() })
    }

    fn fds(&self) -> Vec<FdNote> {
        let lists = self.args.split("cmsg_type=SCM_RIGHTS, cmsg_data=[").skip(1);
        let lists = lists.filter_map(|rest| rest.split_once("]}"));
        lists.flat_map(|(list, _)| list.split(", ").map(fd_note)).collect()
    }

    fn creds(&self) -> Option<Credentials> {
        let (_, rest) = self.args.split_once("cmsg_type=SCM_CREDENTIALS, cmsg_data={")?;
        let (fields, _) = rest.split_once('}')?;
        let field = |name: &str| fields.split(", ").find_map(|field| field.strip_prefix(name));
        let (pid, uid, gid) = (field("pid=")?, field("uid=")?, field("gid=")?);
        Some(Credentials { pid: pid.parse().ok()?, uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }
}

/// What is behind a passed descriptor, e.g. `5<\x2f\x74\x6d\x70>`: its kind where that can be told, else its path.
fn fd_note(descriptor: &str) -> FdNote {
    let annotation = descriptor.split_once('<').map_or("", |(_, rest)| rest.trim_end_matches('>'));
    let (path, device) = annotation.split_once('<').unwrap_or((annotation, ""));
    let path = match string(&format!("{path}\"")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => path.to_owned(),
    };
    let kinds = [
        ("anon_inode:[pidfd]", "pidfd"),
        ("pipe:", "pipe"),
        ("socket:", "socket"),
        ("UNIX", "socket"),
        ("TCP", "socket"),
    ];
    let kind = match kinds.iter().find(|(start, _)| path.starts_with(start)) {
        Some((_, kind)) => (*kind).to_owned(),
        None if device.starts_with("char") => "chr".to_owned(),
        None if device.starts_with("block") => "blk".to_owned(),
        None if path.is_empty() => "unknown".to_owned(),
        None => path,
    };
    FdNote(kind)
}

/// The traced end of a connection.
#[derive(Clone, Copy)]
struct End {
    conn: ConnId,
    /// The direction of what it sends.
    dir: Direction,
}

#[derive(Default)]
struct Reader<'a> {
    path: &'a str,
    /// Inodes of the sockets with which traced clients connected.
    clients: HashSet<u64>,
    /// By inode of the socket.
    ends: HashMap<u64, End>,
    opened: u32,
    /// The events with their lines; times are those of the trace.
    seen: Vec<(usize, Event)>,
    /// The last close of each end: descriptors are shared, so that the ones before closed nothing.
    closed: BTreeMap<ConnId, (usize, Event)>,
}

impl Reader<'_> {
    fn call(&mut self, call: &Call) -> Result<(), ImportErrorKind> {
        if call.connects(self.path) {
            self.connect(call);
        } else if call.name.starts_with("accept") && call.names(self.path) {
            self.accept(call);
        } else if let Some(end) = call.socket().and_then(|socket| self.ends.get(&socket).copied()) {
            self.traffic(call, end)?;
        }
        Ok(())
    }

    fn connect(&mut self, call: &Call) {
        if let Some(error) = call.error() {
            let kind = EventKind::ConnectFailed(error.to_owned());
            let event =
                Event { at_us: call.ended_us, conn: ConnId::default(), dir: Direction::ToServer, kind };
            self.seen.push((call.line, event));
        } else if let Some(socket) = call.socket() {
            self.open(call, socket, Direction::ToServer);
        }
    }

    fn accept(&mut self, call: &Call) {
        let Some(socket) = inode(&call.result) else { return };
        let peer =
            call.result.split_once("->").and_then(|(_, rest)| rest.split([',', ']']).next()?.parse().ok());
        // The end of a traced client tells the same.
        if !peer.is_some_and(|peer| self.clients.contains(&peer)) {
            self.open(call, socket, Direction::ToClient);
        }
    }

    fn open(&mut self, call: &Call, socket: u64, dir: Direction) {
        self.opened += 1;
        let conn = ConnId(self.opened);
        self.ends.insert(socket, End { conn, dir });
        let event = Event { at_us: call.ended_us, conn, dir: Direction::ToServer, kind: EventKind::Connect };
        self.seen.push((call.line, event));
    }

    fn traffic(&mut self, call: &Call, end: End) -> Result<(), ImportErrorKind> {
        let End { conn, dir } = end;
        let (sent, received) = (dir, dir.reversed());
        let mut push = |at_us, dir, kind| self.seen.push((call.line, Event { at_us, conn, dir, kind }));
        match (call.name.as_str(), call.returned()) {
            ("sendmsg" | "sendto" | "write" | "writev", Some(len)) if len > 0 => {
                push(call.started_us, sent, EventKind::Data(call.data(len)?));
            }
            ("recvmsg" | "recvfrom" | "read" | "readv", Some(_)) if call.args.contains("MSG_PEEK") => {}
            ("recvmsg" | "recvfrom" | "read" | "readv", Some(0)) => {
                push(call.ended_us, received, EventKind::Eof(None))
            }
            ("recvmsg" | "recvfrom" | "read" | "readv", Some(len)) => {
                push(call.ended_us, received, EventKind::Data(call.data(len)?));
            }
            ("shutdown", Some(0)) if call.args.contains("SHUT_WR") || call.args.contains("SHUT_RDWR") => {
                push(call.started_us, sent, EventKind::Eof(Some("half-close".to_owned())));
            }
            ("close", Some(0)) => {
                let kind = EventKind::Eof(Some("closes".to_owned()));
                self.closed
                    .insert(conn, (call.line, Event { at_us: call.started_us, conn, dir: sent, kind }));
            }
            _ if call.error() == Some("ECONNRESET") => push(call.ended_us, received, EventKind::Reset),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, mut provenance: Provenance) -> Result<Transcript, (usize, ImportErrorKind)> {
        let mut seen = self.seen;
        for (line, close) in self.closed.into_values() {
            let later = |(_, event): &(usize, Event)| {
                event.conn == close.conn
                    && event.dir == close.dir
                    && event.at_us > close.at_us
                    && matches!(event.kind, EventKind::Data(_))
            };
            if !seen.iter().any(later) {
                seen.push((line, close));
            }
        }
        seen.sort_by_key(|(line, event)| (event.at_us, *line));
        let Some(start_us) = seen.first().map(|(_, event)| event.at_us) else {
            return Err((1, ImportErrorKind::NoConnection(self.path.to_owned())));
        };
        let mut rules = Rules::default();
        let mut events = Vec::with_capacity(seen.len());
        for (line, mut event) in seen {
            event.at_us -= start_us;
            rules.take(&event).map_err(|broken| (line, broken.into()))?;
            events.push(event);
        }
        if provenance.recorder.is_empty() {
            provenance.recorder = concat!("wireskew ", env!("CARGO_PKG_VERSION"), " from strace").to_owned();
        }
        if provenance.transport.is_empty() {
            "unix-stream".clone_into(&mut provenance.transport);
        }
        Ok(Transcript { provenance, events })
    }
}
