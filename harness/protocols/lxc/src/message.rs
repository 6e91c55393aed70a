//! Requests and replies, field by field.
//!
//! ```text
//! request   cmd len data | payload by command        reply   ret len data | payload by command
//!
//! ADD_STATE_CLIENT        i32[8], 1 for each wanted state
//! CONSOLE_LOG             u8 clear, u8 read, 6 pad, u64 read_max, u8 write_logfile, 7 pad
//! ADD_BPF_DEVICE_CGROUP   i8 type, 3 pad, i32 major, i32 minor, char access[4], i32 allow
//!    24 bytes (4.0.0)     ... i32 global_rule
//!    40 bytes (4.0.11)    ... 4 pad, two pointers of the client's
//! GET_CGROUP_CTX          i32 layout, u32 utilities, u32 fd_len, i32 fd[20], 4 pad
//! GET_CGROUP_FD           i32 layout, u32 utilities, i32 type, i32 fd, char controller[64]
//! GET_CGROUP, GET_CONFIG_ITEM   text with its NUL
//! ```
//!
//! Structures: `lxc/lxc@v7.0.0:src/lxc/commands.h`, `src/lxc/cgroups/cgroup.h` and `src/lxc/conf.h`.
//!
//! What no comparison may look at carries a mask (all measured on 4.0.6 to 7.0.0):
//!
//! | mask | where |
//! |---|---|
//! | `pointer` | `data` of every message with a payload, of CONSOLE_LOG's `ENODATA`, of every GET_CGROUP_CTX answer; pointers in the 40-byte device item |
//! | `pid` | the answer to GET_INIT_PID |
//! | `fd-number` | numbers, and how many there are, in cgroup structures |
//! | `cgroup-suffix` | `-7` behind a cgroup's name, and the length that counts it |
//! | `console-text` | what the console printed, and its length |
//! | `heap` | answers that are made from the server's uninitialised memory |

use std::borrow::Cow;
use std::ops::Range;

use wire::lxc::{self, Command, RequestHead, ResponseHead};
use wire::{Cursor, Direction, Dissection, Field, Frame, Problem, Value};

use super::dialect::Dialect;
use super::names;

/// Mask of addresses.
pub(crate) const POINTER: &str = "pointer";
/// Mask of process numbers.
pub(crate) const PID: &str = "pid";
/// Mask of descriptor numbers.
pub(crate) const FD_NUMBER: &str = "fd-number";
/// Mask of what a monitor appends to a cgroup's name when an old one is in the way.
pub(crate) const CGROUP_SUFFIX: &str = "cgroup-suffix";
/// Mask of the console's text.
pub(crate) const CONSOLE_TEXT: &str = "console-text";
/// Mask of answers made from uninitialised memory.
pub(crate) const HEAP: &str = "heap";

/// Reads one frame.
pub(crate) fn dissect(
    dialect: &Dialect,
    dir: Direction,
    frame: &Frame,
    request: Option<&Frame>,
) -> Dissection {
    let mut reader = Reader::new(dialect, &frame.bytes);
    match (frame.kind, dir) {
        (lxc::STATE_MESSAGE, _) => reader.state_message(),
        (lxc::DESCRIPTOR_BYTE, _) => reader.descriptor_byte(),
        (lxc::REQUEST, _) | (_, Direction::ToServer) => reader.request(),
        (_, Direction::ToClient) => reader.response(request),
    }
    reader.finish()
}

/// How a command is shown: its name and number, and whether the dialect lacks it.
pub(crate) fn command_text(dialect: &Dialect, command: Command) -> String {
    match dialect.command_name(command) {
        Some(name) if dialect.knows(command) => format!("{name} ({command})"),
        Some(name) => format!("{name} ({command}), not known to {}", dialect.name),
        None => format!("unknown command {command}"),
    }
}

struct Reader<'a> {
    dialect: &'a Dialect,
    cursor: Cursor<'a>,
    out: Dissection,
}

type Label = Option<Cow<'static, str>>;

fn known(name: Option<&'static str>) -> Label {
    name.map(Cow::Borrowed)
}

impl<'a> Reader<'a> {
    fn new(dialect: &'a Dialect, bytes: &'a [u8]) -> Self {
        Self { dialect, cursor: Cursor::new(bytes), out: Dissection::default() }
    }

    fn push(&mut self, name: impl Into<Cow<'static, str>>, span: Range<usize>, value: Value, label: Label) {
        self.out.fields.push(Field { name: name.into(), span, value, label, mask: None });
    }

    /// Puts the field that was read last under a mask.
    fn mask(&mut self, mask: &'static str) {
        if let Some(field) = self.out.fields.last_mut() {
            field.mask = Some(mask);
        }
    }

    fn problem(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.out.problems.push(Problem { span, what: what.into() });
    }

    fn u32(&mut self, name: &'static str) -> Option<u32> {
        let (span, value) = self.cursor.u32(self.dialect.layout.endian)?;
        self.push(name, span, Value::Uint(value.into()), None);
        Some(value)
    }

    fn i32(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        label: fn(i64) -> Option<&'static str>,
    ) -> Option<i32> {
        let (span, value) = self.cursor.i32(self.dialect.layout.endian)?;
        self.push(name, span, Value::Int(value.into()), known(label(value.into())));
        Some(value)
    }

    fn u64(&mut self, name: &'static str) -> Option<u64> {
        let (span, value) = self.cursor.u64(self.dialect.layout.endian)?;
        self.push(name, span, Value::Uint(value), None);
        Some(value)
    }

    fn byte(&mut self, name: &'static str, label: fn(i64) -> Option<&'static str>) -> Option<u8> {
        let (span, [value]) = self.cursor.array()?;
        self.push(name, span, Value::Uint(value.into()), known(label(value.into())));
        Some(value)
    }

    fn pointer(&mut self, name: &'static str) -> Option<()> {
        let (span, value) = self.cursor.word(self.dialect.layout.endian, self.dialect.layout.width)?;
        self.push(name, span, Value::Hex(value), None);
        self.mask(POINTER);
        Some(())
    }

    /// Bytes without a meaning of their own.
    fn padding(&mut self, len: usize) -> Option<()> {
        let (span, _) = self.cursor.take(len)?;
        self.push("padding", span, Value::Bytes, None);
        Some(())
    }

    /// Text in a field of fixed size.
    fn text_in(&mut self, name: &'static str, len: usize) -> Option<()> {
        let (span, bytes) = self.cursor.take(len)?;
        let text_len = bytes.iter().position(|byte| *byte == 0).unwrap_or(len);
        self.text(name, span.start..span.start + text_len, bytes);
        if text_len < len {
            self.push("padding", span.start + text_len..span.end, Value::Bytes, None);
        }
        Some(())
    }

    fn text(&mut self, name: &'static str, span: Range<usize>, bytes: &[u8]) {
        let text = bytes.get(..span.len()).unwrap_or(bytes);
        let value = match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Text(text.escape_ascii().to_string()),
        };
        self.push(name, span, value, None);
    }

    /// Text up to the end of the frame, with or without its terminator.
    fn rest_text(&mut self, name: &'static str) {
        let (span, bytes) = self.cursor.rest();
        let Some((last, text)) = bytes.split_last() else { return };
        if *last == 0 {
            self.text(name, span.start..span.end - 1, text);
            self.push("terminator", span.end - 1..span.end, Value::Bytes, None);
        } else {
            self.text(name, span.clone(), bytes);
            self.problem(span, "text without its terminating NUL");
        }
    }

    /// A cgroup path, whose suffix is a field of its own so that it can be masked.
    fn cgroup_path(&mut self) {
        let (span, bytes) = self.cursor.rest();
        let terminated = bytes.last() == Some(&0);
        let text_end = span.end - usize::from(terminated);
        let text = bytes.get(..text_end - span.start).unwrap_or(bytes);
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let dash = text.len().checked_sub(digits + 1).filter(|at| digits > 0 && text.get(*at) == Some(&b'-'));
        let path_len = dash.unwrap_or(text.len());
        self.text("cgroup", span.start..span.start + path_len, text);
        self.text("cgroup.suffix", span.start + path_len..text_end, text.get(path_len..).unwrap_or(&[]));
        self.mask(CGROUP_SUFFIX);
        if terminated {
            self.push("terminator", text_end..span.end, Value::Bytes, None);
        }
    }

    /// Whatever was not understood becomes a field, so that no byte is lost.
    fn finish(mut self) -> Dissection {
        let (span, rest) = self.cursor.rest();
        if !rest.is_empty() {
            self.push("unknown", span.clone(), Value::Unread, None);
            self.problem(span, format!("{} bytes without a known meaning", rest.len()));
        }
        self.out
    }

    fn state_message(&mut self) {
        self.out.title = "state message".to_owned();
        let Some(kind) = self.i32("type", names::message_kind) else { return };
        if self.text_in("name", lxc::STATE_NAME_LEN).is_some() {
            self.i32("value", if kind == 0 { names::state } else { |_| None });
        }
    }

    fn descriptor_byte(&mut self) {
        self.out.title = "descriptor".to_owned();
        self.byte("byte", |_| None);
    }

    fn request(&mut self) {
        self.out.title = "request".to_owned();
        let Some(head) = RequestHead::decode(self.dialect.layout, self.cursor.clone().rest().1) else {
            return;
        };
        self.out.title = command_text(self.dialect, head.cmd);
        if let Some((span, cmd)) = self.cursor.u32(self.dialect.layout.endian) {
            let name = self.dialect.command_name(head.cmd);
            self.push("cmd", span, Value::Uint(cmd.into()), known(name));
        }
        self.length();
        if head.len > 0 {
            self.pointer("data");
            // A payload that is too short for its structure ends in a field `unknown`.
            let _ = self.request_payload(head.cmd);
        } else if let Some((span, value)) = self.data() {
            let label = (head.cmd == names::SERVE_STATE_CLIENTS).then(|| names::state(value)).flatten();
            self.push("data", span, Value::Int(value), known(label));
        }
    }

    fn length(&mut self) -> Option<i32> {
        let len = self.i32("len", |_| None)?;
        let span = self.out.fields.last().map_or(0..0, |field| field.span.clone());
        if len < 0 {
            self.problem(span, format!("negative length {len}"));
        } else if len.unsigned_abs() > lxc::DATA_MAX {
            self.problem(span, format!("length {len} is above the limit of {}", lxc::DATA_MAX));
        }
        Some(len)
    }

    /// The `data` field as the small integer that it carries without a payload.
    fn data(&mut self) -> Option<(Range<usize>, i64)> {
        let (span, value) = self.cursor.word(self.dialect.layout.endian, self.dialect.layout.width)?;
        Some((span, value.cast_signed()))
    }

    fn request_payload(&mut self, command: Command) -> Option<()> {
        match command {
            names::GET_CGROUP | names::GET_LIMIT_CGROUP => self.rest_text("controller"),
            names::GET_CONFIG_ITEM => self.rest_text("key"),
            names::ADD_STATE_CLIENT => self.state_list()?,
            names::CONSOLE_LOG => self.console_log()?,
            names::ADD_BPF_DEVICE_CGROUP => self.device_item()?,
            names::GET_CGROUP_CTX => self.cgroup_ctx()?,
            names::GET_CGROUP_FD | names::GET_LIMIT_CGROUP_FD => self.cgroup_fd()?,
            _ => {}
        }
        Some(())
    }

    fn state_list(&mut self) -> Option<()> {
        for number in 0..i64::from(names::MAX_STATE) {
            let name = names::state(number).unwrap_or("?");
            self.i32(format!("wanted.{name}"), |_| None)?;
        }
        Some(())
    }

    fn console_log(&mut self) -> Option<()> {
        self.byte("clear", |_| None)?;
        self.byte("read", |_| None)?;
        self.padding(6)?;
        self.u64("read_max")?;
        self.byte("write_logfile", |_| None)?;
        self.padding(7)
    }

    fn device_item(&mut self) -> Option<()> {
        fn kind(letter: i64) -> Option<&'static str> {
            match u8::try_from(letter).ok()? {
                b'a' => Some("a"),
                b'b' => Some("b"),
                b'c' => Some("c"),
                _ => None,
            }
        }
        let len = self.cursor.remaining();
        self.byte("device.type", kind)?;
        self.padding(3)?;
        self.i32("device.major", |_| None)?;
        self.i32("device.minor", |_| None)?;
        self.text_in("device.access", 4)?;
        self.i32("device.allow", |_| None)?;
        if len == 24 {
            self.i32("device.global_rule", |_| None)?;
        } else if len >= 40 {
            self.padding(4)?;
            self.pointer("device.list.next")?;
            self.pointer("device.list.prev")?;
        }
        Some(())
    }

    fn cgroup_ctx(&mut self) -> Option<()> {
        self.i32("layout", names::cgroup_layout)?;
        self.u32("utilities")?;
        self.u32("fd_len")?;
        self.mask(FD_NUMBER);
        for at in 0..names::CGROUP_CTX_FDS {
            self.i32(format!("fd.{at}"), |_| None)?;
            self.mask(FD_NUMBER);
        }
        self.padding(4)
    }

    /// The structure, whose controller may be cut: it is as long as the sender knows it.
    fn cgroup_fd(&mut self) -> Option<()> {
        self.i32("layout", names::cgroup_layout)?;
        self.u32("utilities")?;
        self.i32("type", names::cgroup_type)?;
        self.i32("fd", |_| None)?;
        self.mask(FD_NUMBER);
        self.text_in("controller", self.cursor.remaining().min(64))
    }

    fn response(&mut self, request: Option<&Frame>) {
        let asked = request.and_then(|frame| RequestHead::of_frame(self.dialect.layout, frame));
        let command = asked.map(|head| head.cmd);
        self.out.title = match command {
            Some(command) => format!("reply to {}", command_text(self.dialect, command)),
            None => "reply that nobody asked for".to_owned(),
        };
        let Some(head) = ResponseHead::decode(self.dialect.layout, self.cursor.clone().rest().1) else {
            return;
        };
        let heap = asked.is_some_and(made_from_heap);
        if let Some((span, ret)) = self.cursor.i32(self.dialect.layout.endian) {
            self.push("ret", span, Value::Int(ret.into()), known(ret_label(command, ret)));
            if heap {
                self.mask(HEAP);
            }
        }
        self.length();
        let path = matches!(command, Some(names::GET_CGROUP | names::GET_LIMIT_CGROUP));
        if heap {
            self.mask(HEAP);
        } else if path && head.len > 0 {
            self.mask(CGROUP_SUFFIX);
        } else if command == Some(names::CONSOLE_LOG) && head.len > 0 {
            self.mask(CONSOLE_TEXT);
        }
        self.answer(command, head, heap);
        if heap {
            let (span, bytes) = self.cursor.rest();
            self.text("text", span, bytes);
            self.mask(HEAP);
        } else if head.len > 0 {
            let _ = self.response_payload(command);
        }
    }

    /// The `data` field of a reply.
    fn answer(&mut self, command: Option<Command>, head: ResponseHead, heap: bool) {
        let empty_log = command == Some(names::CONSOLE_LOG) && head.ret == -names::ENODATA;
        if heap {
            self.pointer("data");
            self.mask(HEAP);
            return;
        }
        if head.len > 0 || empty_log || command == Some(names::GET_CGROUP_CTX) {
            self.pointer("data");
            return;
        }
        let Some((span, value)) = self.data() else { return };
        match command {
            Some(names::GET_STATE | names::ADD_STATE_CLIENT) => {
                self.push("data", span, Value::Int(value), known(names::state(value)));
            }
            Some(names::GET_CLONE_FLAGS) => self.push("data", span, Value::Hex(head.data), None),
            _ => self.push("data", span, Value::Int(value), None),
        }
        if command == Some(names::GET_INIT_PID) {
            self.mask(PID);
        }
    }

    fn response_payload(&mut self, command: Option<Command>) -> Option<()> {
        match command {
            Some(names::GET_CGROUP | names::GET_LIMIT_CGROUP) => self.cgroup_path(),
            Some(names::GET_CONFIG_ITEM) => self.rest_text("value"),
            Some(names::GET_NAME) => self.rest_text("name"),
            Some(names::GET_LXCPATH) => self.rest_text("lxcpath"),
            Some(names::GET_SYSTEMD_SCOPE) => self.rest_text("scope"),
            Some(names::CONSOLE_LOG) => {
                let (span, bytes) = self.cursor.rest();
                self.text("text", span, bytes);
                self.mask(CONSOLE_TEXT);
            }
            Some(names::GET_CGROUP_CTX) => self.cgroup_ctx()?,
            Some(names::GET_CGROUP_FD | names::GET_LIMIT_CGROUP_FD) => self.cgroup_fd()?,
            _ => {}
        }
        Some(())
    }
}

/// Requests whose answer depends on what lay in the server's memory: GET_TTY_FD takes a cut heap
/// address for the number when a payload came, CONSOLE_LOG reads behind a payload that is too short.
/// Measured on 3.0.4 to 7.0.0.
fn made_from_heap(request: RequestHead) -> bool {
    let short = usize::try_from(request.len).is_ok_and(|len| len > 0 && len < names::CONSOLE_LOG_LEN);
    (request.cmd == names::GET_TTY_FD && request.len > 0) || (request.cmd == names::CONSOLE_LOG && short)
}

fn ret_label(command: Option<Command>, ret: i32) -> Option<&'static str> {
    match (command, ret) {
        (Some(names::ADD_STATE_CLIENT), 0..) => names::state(ret.into()),
        (Some(names::GET_CONFIG_ITEM), -1) => Some("no such item"),
        (_, i32::MIN..0) => names::errno(-i64::from(ret)),
        _ => None,
    }
}
