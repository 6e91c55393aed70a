//! Messages, field by field.
//!
//! ```text
//! length program version procedure type serial status | payload
//!
//! CALL, CALL_WITH_FDS          arguments of the procedure
//! REPLY, REPLY_WITH_FDS   OK   its result            ERROR   an error
//! MESSAGE                      what an event carries
//! STREAM                  OK   nothing               ERROR   an error, from a server   CONTINUE   bytes
//! STREAM_HOLE                  length, flags
//! ..._WITH_FDS                 the number of descriptors comes first; then one byte for each
//! ```
//!
//! What a procedure carries is data, see `message/layouts.txt`. A text is one field over its length, bytes and
//! padding, an optional one also over its flag, so that fields compare by what they mean; what a peer
//! should not have written there is a problem beside them. Texts that are not UTF-8 are bytes.
//!
//! What no comparison may look at carries a mask of [`masks`]; a number of descriptors, a trailing byte or
//! an unknown one never does.

use std::borrow::Cow;
use std::ops::Range;

use wire::libvirt_rpc::{self, Header, MessageType, Status};
use wire::xdr::{Opaque, Reader, XdrError};
use wire::{Direction, Dissection, Field, Frame, Problem, Value};

use super::dialect::Dialect;
use super::names::{self, program};

pub(crate) mod layouts;
mod payload;

/// The masks of fields that differ although they mean the same; those of payloads are in `message/layouts.txt`.
pub(crate) mod masks {
    /// Length of the message: the fields behind it say everything that it says.
    pub(crate) const LENGTH: &str = "length";
    /// Serial of a call, which the client chooses, and of an event, which says nothing.
    pub(crate) const SERIAL: &str = "serial";
    /// An errno beside an error of the system.
    pub(crate) const ERRNO: &str = "errno";
    /// Bytes of a stream: how they are cut into messages is nobody's promise.
    pub(crate) const STREAM: &str = "stream";
}

/// Reads one frame; `request` is the call that a reply belongs to, where there is one.
pub(crate) fn dissect(
    dialect: &Dialect,
    dir: Direction,
    frame: &Frame,
    request: Option<&Frame>,
) -> Dissection {
    let mut dissector = Dissector::new(dialect, &frame.bytes);
    if frame.kind == libvirt_rpc::DESCRIPTOR_BYTE {
        dissector.descriptor_byte();
    } else {
        // A header that is cut ends in a field `unknown`.
        let _ = dissector.message(dir, request.and_then(Header::of_frame));
    }
    dissector.finish()
}

/// How a procedure is shown: its name and number, and whether the dialect lacks it.
pub(crate) fn procedure_text(dialect: &Dialect, program: u32, procedure: i32) -> String {
    let known = if program == program::REMOTE && names::is_event(procedure) {
        dialect.sends(procedure)
    } else {
        dialect.knows(program, procedure) || program == program::KEEPALIVE
    };
    match (names::procedure_name(program, procedure), names::name("program", program.into())) {
        (Some(name), _) if known || program == program::QEMU => format!("{name} ({procedure})"),
        (Some(name), _) => format!("{name} ({procedure}), not known to {}", dialect.name),
        (None, Some(_)) if program == program::REMOTE => format!("unknown procedure {procedure}"),
        (None, Some(name)) => format!("procedure {procedure} of program {}", name.to_lowercase()),
        (None, None) => format!("procedure {procedure} of unknown program {program:#x}"),
    }
}

struct Dissector<'a> {
    dialect: &'a Dialect,
    /// The whole frame.
    bytes: &'a [u8],
    reader: Reader<'a>,
    out: Dissection,
}

type FieldLabel = Option<Cow<'static, str>>;

impl<'a> Dissector<'a> {
    fn new(dialect: &'a Dialect, bytes: &'a [u8]) -> Self {
        Self { dialect, bytes, reader: Reader::new(bytes), out: Dissection::default() }
    }

    fn push(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        span: Range<usize>,
        value: Value,
        label: FieldLabel,
    ) {
        self.out.fields.push(Field { name: name.into(), span, value, label, mask: None });
    }

    /// Puts the field that was read last under a mask.
    fn mask(&mut self, mask: Option<&'static str>) {
        if let (Some(field), Some(mask)) = (self.out.fields.last_mut(), mask) {
            field.mask = Some(mask);
        }
    }

    fn problem(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.out.problems.push(Problem { span, what: what.into() });
    }

    /// Whatever was not read becomes a field, so that no byte is lost.
    fn finish(mut self) -> Dissection {
        self.unknown();
        if self.out.title.is_empty() {
            "no message".clone_into(&mut self.out.title);
        }
        self.out
    }

    fn unknown(&mut self) {
        let (span, rest) = self.reader.rest();
        if !rest.is_empty() {
            self.push("unknown", span, Value::Unread, None);
        }
    }

    /// Bytes behind everything that is due. Peers pass over them.
    fn trailing(&mut self) {
        let (span, rest) = self.reader.rest();
        if !rest.is_empty() {
            self.push("trailing", span.clone(), Value::Bytes, None);
            self.problem(span, format!("{} bytes behind the end of the message's layout", rest.len()));
        }
    }

    fn descriptor_byte(&mut self) {
        "descriptor".clone_into(&mut self.out.title);
        let (span, bytes) = self.reader.rest();
        match bytes {
            [byte] => self.push("byte", span, Value::Uint((*byte).into()), None),
            _ => self.push("unknown", span, Value::Unread, None),
        }
    }

    fn message(&mut self, dir: Direction, call: Option<Header>) -> Result<(), XdrError> {
        let header = self.header(dir)?;
        self.out.title = title(self.dialect, dir, &header);
        self.check(dir, &header, call);
        if header.kind == MessageType::with_fds(dir) {
            let (span, count) = self.reader.u32()?;
            self.push("descriptors", span, Value::Uint(count.into()), None);
        }
        self.payload(dir, &header);
        Ok(())
    }

    fn header(&mut self, dir: Direction) -> Result<Header, XdrError> {
        self.unsigned("length", Value::Uint, |_| None)?;
        self.mask(Some(masks::LENGTH));
        let program = self.unsigned("program", Value::Hex, |it| names::name("program", it.into()))?;
        let version = self.unsigned("version", Value::Uint, |_| None)?;
        let procedure = self.signed("procedure", |it| names::procedure_name(program, it))?;
        let kind = MessageType(self.signed("type", |it| MessageType(it).name())?);
        let serial = self.unsigned("serial", Value::Uint, |_| None)?;
        if dir == Direction::ToServer || kind == MessageType::MESSAGE {
            self.mask(Some(masks::SERIAL));
        }
        let status = Status(self.signed("status", |it| Status(it).name())?);
        Ok(Header { program, version, procedure, kind, serial, status })
    }

    fn unsigned(
        &mut self,
        name: &'static str,
        value: fn(u64) -> Value,
        label: impl Fn(u32) -> Option<&'static str>,
    ) -> Result<u32, XdrError> {
        let (span, number) = self.reader.u32()?;
        self.push(name, span, value(number.into()), label(number).map(Cow::Borrowed));
        Ok(number)
    }

    fn signed(
        &mut self,
        name: &'static str,
        label: impl Fn(i32) -> Option<&'static str>,
    ) -> Result<i32, XdrError> {
        let (span, number) = self.reader.i32()?;
        self.push(name, span, Value::Int(number.into()), label(number).map(Cow::Borrowed));
        Ok(number)
    }

    /// What is wrong with a header by itself, or compared with the call that it answers.
    fn check(&mut self, dir: Direction, header: &Header, call: Option<Header>) {
        let span = |name: &str, out: &Dissection| out.field(name).map_or(0..0, |field| field.span.clone());
        let (kind, to_server) = (header.kind, dir == Direction::ToServer);
        if kind.name().is_none() {
            self.problem(span("type", &self.out), format!("unknown type {kind}"));
        } else if (to_server && kind.is_reply()) || (!to_server && kind.is_call()) {
            let sender = if to_server { "client" } else { "server" };
            self.problem(span("type", &self.out), format!("{kind} from a {sender}"));
        }
        let stream = matches!(kind, MessageType::STREAM | MessageType::STREAM_HOLE);
        let allowed = match header.status {
            Status::OK => true,
            Status::ERROR => kind.is_reply() || stream,
            Status::CONTINUE => stream,
            _ => false,
        };
        if !allowed && kind.name().is_some() {
            self.problem(span("status", &self.out), format!("{kind} with status {}", header.status.0));
        }
        if let Some(call) = call.filter(|_| kind.is_reply() && !to_server) {
            if call.serial != header.serial {
                self.problem(
                    span("serial", &self.out),
                    format!("serial {} answers {}", header.serial, call.serial),
                );
            }
            let same = |header: &Header| (header.program, header.version, header.procedure);
            if same(&call) != same(header) {
                let asked = procedure_text(self.dialect, call.program, call.procedure);
                self.problem(span("procedure", &self.out), format!("answers another call than {asked}"));
            }
        }
    }

    fn payload(&mut self, dir: Direction, header: &Header) {
        let layout = layouts::layout(self.dialect, header.program, header.procedure);
        let stream = matches!(header.kind, MessageType::STREAM);
        let failed = header.status == Status::ERROR && (header.kind.is_reply() || stream);
        if failed && dir == Direction::ToClient {
            self.error();
        } else if header.kind == MessageType::STREAM_HOLE {
            self.by_layout(layouts::stream_hole());
        } else if stream && header.status == Status::CONTINUE {
            self.stream_data();
        } else if stream || (header.program, header.kind) == (program::KEEPALIVE, MessageType::MESSAGE) {
            self.trailing();
        } else if let Some(layout) = layout.filter(|_| header.version == names::VERSION) {
            let event = header.program == program::REMOTE && names::is_event(header.procedure);
            match header.kind {
                kind if kind.is_call() && !event => self.by_layout(&layout.arguments),
                kind if kind.is_reply() && !event && header.status == Status::OK => {
                    self.by_layout(&layout.result);
                }
                MessageType::MESSAGE if event => self.by_layout(&layout.result),
                _ => self.unknown(),
            }
        } else {
            self.unknown();
        }
    }

    fn error(&mut self) {
        self.by_layout(layouts::error());
        let value = |out: &Dissection, name: &str| out.field(name).map(|field| field.value.clone());
        if value(&self.out, "code") == Some(Value::Int(names::error::SYSTEM_ERROR.into()))
            && let Some(field) = self.out.fields.iter_mut().find(|field| field.name == "int1")
        {
            field.mask = Some(masks::ERRNO);
        }
    }

    /// No bytes are the end of the data.
    fn stream_data(&mut self) {
        let (span, data) = self.reader.rest();
        if !data.is_empty() {
            self.push("data", span, Value::Bytes, None);
            self.mask(Some(masks::STREAM));
        }
    }

    /// A text as a field; what is not UTF-8 stays bytes, with a readable label.
    fn text_field(&mut self, name: Cow<'static, str>, start: usize, opaque: &Opaque<'_>) {
        let span = start..opaque.pad_span.end;
        match std::str::from_utf8(opaque.bytes) {
            Ok(text) => self.push(name, span, Value::Text(text.to_owned()), None),
            Err(_) => {
                let label = Cow::Owned(String::from_utf8_lossy(opaque.bytes).into_owned());
                self.push(name, span.clone(), Value::Bytes, Some(label));
                self.problem(span, "text that is not UTF-8");
            }
        }
    }
}

fn title(dialect: &Dialect, dir: Direction, header: &Header) -> String {
    let name = procedure_text(dialect, header.program, header.procedure);
    let version = match header.version {
        names::VERSION => String::new(),
        other => format!(", version {other}"),
    };
    let text = match (header.kind, header.status) {
        (MessageType::CALL | MessageType::CALL_WITH_FDS, _) => name,
        (kind, Status::ERROR) if kind.is_reply() => format!("refusal of {name}"),
        (kind, _) if kind.is_reply() => format!("reply to {name}"),
        (MessageType::MESSAGE, _) if header.program == program::KEEPALIVE => {
            let number = header.procedure.to_string();
            format!(
                "keepalive {}",
                names::procedure_name(header.program, header.procedure).unwrap_or(&number)
            )
        }
        (MessageType::MESSAGE, _) => format!("event {name}"),
        (MessageType::STREAM, Status::CONTINUE) => format!("stream of {name}"),
        (MessageType::STREAM, Status::OK) => match dir {
            Direction::ToServer => format!("client ends the stream of {name}"),
            Direction::ToClient => format!("server confirms the end of the stream of {name}"),
        },
        (MessageType::STREAM, _) => format!("end of the failed stream of {name}"),
        (MessageType::STREAM_HOLE, _) => format!("hole in the stream of {name}"),
        (kind, _) => format!("message of unknown type {}: {name}", kind.0),
    };
    text + &version
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
