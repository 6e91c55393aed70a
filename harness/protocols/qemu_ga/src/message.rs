//! Requests and replies, member by member.
//!
//! ```text
//! request   {"execute": NAME, "arguments": {..}, "id": ANY}
//! reply     {"return": ANY, "id": ANY}   or   {"id": ANY, "error": {"class": CLASS, "desc": TEXT}}, then LF
//!           ff in front of the answer to guest-sync-delimited
//! ```
//!
//! Source: `docs/interop/qmp-spec.rst` of QEMU. Replies were measured on 5.2 to 11.1: `return` stands before `id`, `id`
//! before `error`, and all of it is ASCII.
//!
//! What no comparison may look at carries a mask (measured on all four):
//!
//! | mask | where |
//! |---|---|
//! | `text` | what an error says: each release says it otherwise, and 11.1 counts lines since it was started |
//! | `version` | the version of guest-info |
//! | `order` | the commands of guest-info: the same ones, whatever the order |
//! | `machine` | what guest-get-osinfo and the like answer of the machine: as a whole, as it has as many disks as it has |
//! | `syntax` | braces, names and white space, by [`wire::json`] |

use wire::json::{self, Document, Kind, Rules, Value};
use wire::json_lines::{BLANK, CUT, JUNK, RESET, SKIPPED};
use wire::{Direction, Dissection, Field, Frame, Problem};

use super::names::{self, DELIMITER};

/// What agents print: JSON, but for numbers that are not finite. Deeper than they read, so that an answer can be read
/// that there should not be.
pub(crate) const REPLY: Rules = Rules { depth_max: 64 << 10, ..Rules::QEMU_REPLY };

/// Mask of texts for people.
pub(crate) const TEXT: &str = "text";
/// Mask of versions.
pub(crate) const VERSION: &str = "version";
/// Mask of what belongs to the machine.
pub(crate) const MACHINE: &str = "machine";

/// What a request asks for, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Request {
    /// The command.
    pub execute: Option<String>,
    /// The JSON text of its `id`.
    pub id: Option<Vec<u8>>,
    /// The number that guest-sync and guest-sync-delimited are to answer.
    pub sync: Option<i64>,
}

impl Request {
    /// Reads a request as a server reads it; `None` where it finds an error in the syntax.
    pub(crate) fn of(bytes: &[u8], rules: Rules) -> Option<Self> {
        let document = Document::parse(bytes, rules).ok()?;
        let root = document.root();
        let sync = root.get("arguments").and_then(|arguments| arguments.get("id")).and_then(Value::as_i64);
        let execute = root.get("execute").and_then(Value::text).map(|name| name.into_owned());
        Some(Self { execute, id: root.get("id").map(|id| id.raw().to_vec()), sync })
    }

    /// Whether it is for that command.
    pub(crate) fn asks_for(&self, command: &str) -> bool {
        self.execute.as_deref() == Some(command)
    }

    /// Whether only a failure of it is answered.
    pub(crate) fn is_silent(&self) -> bool {
        names::SILENT.iter().any(|command| self.asks_for(command))
    }
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Whether ff stands in front of it.
    pub delimited: bool,
    /// The JSON text of its `id`.
    pub id: Option<Vec<u8>>,
    /// What it comes to.
    pub body: Body,
}

/// What a reply comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// The JSON text of what is returned.
    Return(Vec<u8>),
    /// An error.
    Error {
        /// Its class.
        class: String,
        /// Its text.
        text: String,
    },
    /// No reply of this protocol.
    Unreadable,
}

impl Reply {
    /// Reads a line from a server.
    pub(crate) fn of(line: &[u8]) -> Self {
        let (delimited, bytes) = without_delimiter(line);
        let Ok(document) = Document::parse(bytes, REPLY) else {
            return Self { delimited, id: None, body: Body::Unreadable };
        };
        let root = document.root();
        let text =
            |value: Value<'_>, name| value.get(name).and_then(Value::text).map(|text| text.into_owned());
        let body = match (root.get("return"), root.get("error")) {
            (Some(value), None) => Body::Return(value.raw().to_vec()),
            (None, Some(error)) => Body::Error {
                class: text(error, "class").unwrap_or_default(),
                text: text(error, "desc").unwrap_or_default(),
            },
            _ => Body::Unreadable,
        };
        Self { delimited, id: root.get("id").map(|id| id.raw().to_vec()), body }
    }

    /// Whether it is about the syntax of what came, and so about no request.
    pub(crate) fn is_syntax_error(&self) -> bool {
        matches!(&self.body, Body::Error { text, .. } if names::is_syntax_error(text))
    }

    /// The integer that it returns.
    pub(crate) fn number(&self) -> Option<i64> {
        let Body::Return(text) = &self.body else { return None };
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

/// A line without the byte ff in front of it, and whether it was there.
pub(crate) fn without_delimiter(line: &[u8]) -> (bool, &[u8]) {
    line.strip_prefix(&[DELIMITER]).map_or((false, line), |rest| (true, rest))
}

/// Reads one frame.
pub(crate) fn dissect(rules: Rules, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
    match dir {
        Direction::ToServer => dissect_request(rules, frame),
        Direction::ToClient => {
            let asked = request.and_then(|request| Request::of(&request.bytes, rules));
            dissect_reply(frame, asked.and_then(|asked| asked.execute).as_deref())
        }
    }
}

fn dissect_request(rules: Rules, frame: &Frame) -> Dissection {
    let title = match frame.kind {
        RESET => "reset",
        CUT => "a value that a reset throws away",
        JUNK => "no value",
        SKIPPED => "passed over",
        BLANK => "white space",
        _ => {
            let mut read = json::dissect(&frame.bytes, rules, &|_| None);
            let execute = Request::of(&frame.bytes, rules).and_then(|request| request.execute);
            read.title = execute.unwrap_or_else(|| "a value that asks for nothing".to_owned());
            return read;
        }
    };
    let (span, value) = (0..frame.bytes.len(), wire::Value::Bytes);
    let field = Field { name: title.into(), span, value, label: None, mask: None };
    Dissection { title: title.to_owned(), fields: vec![field], ..Dissection::default() }
}

fn dissect_reply(frame: &Frame, command: Option<&str>) -> Dissection {
    let (delimited, bytes) = without_delimiter(&frame.bytes);
    let at = usize::from(delimited);
    let of_machine = command.is_some_and(|command| names::OF_MACHINE.contains(&command));
    let mask = |name: &str| match name {
        "error.desc" => Some(TEXT),
        "return.version" if command == Some(names::INFO) => Some(VERSION),
        _ => None,
    };
    let mut read = json::dissect(bytes, REPLY, &mask);
    if let Some(problem) = infinite(bytes) {
        read.problems.push(problem);
    }
    if of_machine && read.problems.is_empty() {
        read.fields = as_a_whole(bytes, read.fields);
    }
    read.policies.any_order("return.supported_commands");
    for field in &mut read.fields {
        field.span = field.span.start + at..field.span.end + at;
    }
    for problem in &mut read.problems {
        problem.span = problem.span.start + at..problem.span.end + at;
    }
    if delimited {
        let value = wire::Value::Hex(DELIMITER.into());
        read.fields.insert(0, Field { name: "delimiter".into(), span: 0..1, value, label: None, mask: None });
    }
    read.title = title(&Reply::of(&frame.bytes), command);
    read
}

fn title(reply: &Reply, command: Option<&str>) -> String {
    let to = command.map(|command| format!(" to {command}")).unwrap_or_default();
    match &reply.body {
        Body::Return(_) => format!("return{to}"),
        Body::Error { class, text } => format!("{class}{to}: {text}"),
        Body::Unreadable => "no reply of this protocol".to_owned(),
    }
}

/// A number that JSON cannot say, where a line holds one.
fn infinite(bytes: &[u8]) -> Option<Problem> {
    let error = Document::parse(bytes, Rules { inf_words: false, ..REPLY }).err()?;
    Document::parse(bytes, REPLY).ok()?;
    let end = bytes.len().min(error.offset.saturating_add(3));
    Some(Problem { span: error.offset.min(end)..end, what: "`inf` is no number of JSON".to_owned() })
}

/// The fields of a reply in which what was returned is one field, under the mask of the machine.
fn as_a_whole(bytes: &[u8], mut fields: Vec<Field>) -> Vec<Field> {
    let Ok(document) = Document::parse(bytes, REPLY) else { return fields };
    let Some(returned) = document.root().get("return") else { return fields };
    let span = returned.span();
    let is_list = returned.kind() == Kind::Array;
    let label = is_list.then(|| format!("{} elements", returned.items().count()).into());
    // Punctuation before what is returned may be one field with its first brace.
    fields.retain_mut(|field| {
        if field.span.start < span.start {
            field.span.end = field.span.end.min(span.start);
        } else {
            field.span.start = field.span.start.max(span.end);
        }
        !field.span.is_empty()
    });
    let at = fields.iter().position(|field| field.span.start >= span.end).unwrap_or(fields.len());
    let (value, mask) = (wire::Value::Bytes, Some(MACHINE));
    fields.insert(at, Field { name: "return".into(), span, value, label, mask });
    fields
}

/// The version in an answer to guest-info.
pub(crate) fn version(line: &[u8]) -> Option<String> {
    let document = Document::parse(without_delimiter(line).1, REPLY).ok()?;
    let returned = document.root().get("return")?;
    returned.get("supported_commands")?;
    Some(returned.get("version")?.text()?.into_owned())
}
