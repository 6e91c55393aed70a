//! Requests and answers, part by part, and what no comparison may look at.
//!
//! An answer is read as what its request asks for ([`crate::names::Answer`]). Values that say something are compared; what is of a
//! machine, a moment or a release is under a mask, so that only its being there and its type are. `null`, an empty list and nothing at
//! all are the same; keys that are there only now are told, and pass.

use std::collections::BTreeSet;

use wire::http1::{self, RAW, RESPONSE, Request, Response, SWITCH};
use wire::json::{self, Rules};
use wire::policy::{Absent, Added, Policy};
use wire::{Direction, Dissection, Field, Frame, Problem, SYNTAX, Value, multiplex};

use crate::names::{Answer, answer};

/// What is of a release.
const RELEASE: &str = "release";
/// What is of the machine on which a daemon runs.
const MACHINE: &str = "machine";
/// Ids and names that a daemon makes.
const ID: &str = "id";
/// Times and counters.
const MOMENT: &str = "moment";
/// Text for people.
const TEXT: &str = "text";
/// What lies in an archive.
const ARCHIVE: &str = "archive";

/// How JSON is read that Go has written.
pub(crate) const JSON: Rules = Rules::STRICT;

/// Reads a frame; `request` is what an answer answers.
pub(crate) fn dissect(dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
    let asked = request.and_then(Request::of);
    let what = asked.as_ref().map_or(Answer::Object, |asked| answer(asked.method, asked.target));
    let mut read = match (dir, frame.kind) {
        (Direction::ToClient, RAW) => raw(frame, what),
        (Direction::ToClient, RESPONSE) => {
            let failed = Response::of(frame).is_some_and(|response| response.status >= 300);
            http1::dissect(frame, &header, &|body| {
                if failed { failure(body) } else { dissect_body(what, body) }
            })
        }
        (Direction::ToServer, RAW) => http1::dissect(frame, &header, &|_| Dissection::default()),
        _ => http1::dissect(frame, &header, &|body| object(body, &|_| None)),
    };
    if matches!(frame.kind, RESPONSE | SWITCH) {
        for field in &mut read.fields {
            if !is_heard(&field.name, what) {
                field.mask = Some(SYNTAX);
            }
        }
    }
    read.policies.set("", Policy { absent: Absent::IsNothing, added: Added::Passes, ..Policy::default() });
    if read.title.is_empty() {
        read.title = "stream".to_owned();
    }
    if let (Some(asked), Direction::ToClient) = (asked, dir) {
        read.title = format!("{} to {} {}", read.title, asked.method, asked.target);
    }
    read
}

/// The mask of a part of a head.
fn header(name: &str) -> Option<&'static str> {
    match name {
        "header.api-version" | "header.server" | "header.user-agent" => Some(RELEASE),
        "header.date" => Some(MOMENT),
        "header.host" => Some(MACHINE),
        "reason" => Some(TEXT),
        _ => None,
    }
}

/// Whether a part of an answer's head says something to clients. How its body is framed, and for how long it is kept, does not; nor
/// does the type of a stream, which tells the truth only from 23.0 on, and only to clients of 1.42.
fn is_heard(name: &str, what: Answer) -> bool {
    let Some(header) = name.strip_prefix("header.") else { return true };
    match header {
        "content-type" => !matches!(what, Answer::Streams | Answer::Text),
        "api-version" | "location" | "upgrade" => true,
        _ => false,
    }
}

fn dissect_body(what: Answer, body: &[u8]) -> Dissection {
    match what {
        Answer::Object => object(body, &mask),
        Answer::Listing => listing(body, std::slice::from_ref(&(0..body.len()))),
        Answer::Lines => listing(body, &lines(body)),
        Answer::Streams => streams(body),
        Answer::Http2 => whole(body, "http2", Value::Unread, None),
        Answer::Archive => whole(body, "archive", Value::Bytes, Some(ARCHIVE)),
        Answer::Text => whole(body, "text", text(body), None),
    }
}

/// What stands behind a 101.
fn raw(frame: &Frame, what: Answer) -> Dissection {
    let read = match what {
        Answer::Streams => streams(&frame.bytes),
        _ => whole(&frame.bytes, "raw", Value::Unread, None),
    };
    Dissection { title: "stream".to_owned(), ..read }
}

/// An error: JSON, or text.
fn failure(body: &[u8]) -> Dissection {
    let is_json = body.first() == Some(&b'{');
    if is_json {
        object(body, &|name| (name == "message").then_some(TEXT))
    } else {
        whole(body, "text", text(body), Some(TEXT))
    }
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Bytes, |text| Value::Text(text.to_owned()))
}

fn whole(bytes: &[u8], name: &'static str, value: Value, mask: Option<&'static str>) -> Dissection {
    let field = Field { name: name.into(), span: 0..bytes.len(), value, label: None, mask };
    Dissection { fields: if bytes.is_empty() { Vec::new() } else { vec![field] }, ..Dissection::default() }
}

fn object(body: &[u8], mask: &dyn Fn(&str) -> Option<&'static str>) -> Dissection {
    if body.is_empty() {
        return Dissection::default();
    }
    json::dissect(body, JSON, mask)
}

/// The mask of a value of an object.
fn mask(path: &str) -> Option<&'static str> {
    let name = path.rsplit('.').find(|name| !name.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(path);
    match name {
        "Id" | "ID" | "ContainerID" | "Hostname" | "Image" if path != "Config.Image" => Some(ID),
        "EndpointID" | "NetworkID" | "SandboxID" | "SandboxKey" | "MacAddress" | "DNSNames" | "Name"
            if path != "Driver" =>
        {
            Some(ID)
        }
        "Created" | "CreatedAt" | "StartedAt" | "FinishedAt" | "Pid" | "BuildTime" => Some(MOMENT),
        "HostnamePath" | "HostsPath" | "ResolvConfPath" | "LogPath" | "Mountpoint" | "KernelVersion"
        | "CgroupnsMode" => Some(MACHINE),
        "LowerDir" | "MergedDir" | "UpperDir" | "WorkDir" | "Driver" | "Runtime" => Some(MACHINE),
        // As many as a release has thought of.
        "MaskedPaths" | "ReadonlyPaths" => Some(SYNTAX),
        "ApiVersion" | "MinAPIVersion" | "GitCommit" | "GoVersion" | "Version" => Some(RELEASE),
        "Warnings" => Some(TEXT),
        _ => None,
    }
}

/// Where the values of a body lie that has one on each line.
fn lines(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        if !line.trim_ascii().is_empty() {
            spans.push(start..end);
        }
        start = end;
    }
    spans
}

/// Values by the types of what is in them: of each key that one of them has, the first value that is something. What is nothing is not
/// there.
fn listing(body: &[u8], spans: &[std::ops::Range<usize>]) -> Dissection {
    let mut found = Dissection::default();
    let mut known = BTreeSet::new();
    let mut at = 0;
    for span in spans {
        syntax(&mut found, at..span.start);
        let read = object(body.get(span.clone()).unwrap_or_default(), &|_| None);
        let moved = |part: &std::ops::Range<usize>| part.start + span.start..part.end + span.start;
        found.problems.extend(
            read.problems.iter().map(|problem| Problem { span: moved(&problem.span), ..problem.clone() }),
        );
        for field in read.fields {
            let place = moved(&field.span);
            at = place.end;
            let name = anywhere(&field.name);
            let kind = kind(&field.value).filter(|_| field.mask != Some(SYNTAX));
            match kind.zip(name) {
                Some((kind, name)) if known.insert(name.clone()) => {
                    let value = Value::Text(kind.to_owned());
                    found.fields.push(Field {
                        name: name.into(),
                        span: place,
                        value,
                        label: None,
                        mask: None,
                    });
                }
                _ if field.value == Value::Unread => found.fields.push(Field { span: place, ..field }),
                _ => syntax(&mut found, place),
            }
        }
    }
    syntax(&mut found, at..body.len());
    found
}

fn syntax(found: &mut Dissection, span: std::ops::Range<usize>) {
    if !span.is_empty() {
        let (name, mask) = (SYNTAX.into(), Some(SYNTAX));
        found.fields.push(Field { name, span, value: Value::Bytes, label: None, mask });
    }
}

/// The type of a value; nothing where there is none.
fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Uint(_) | Value::Int(_) | Value::Float(_) | Value::Hex(_) => Some("a number"),
        Value::Text(_) => Some("a text"),
        Value::Bool(_) => Some("true or false"),
        Value::Null | Value::Empty | Value::Bytes | Value::Unread => None,
    }
}

/// Members whose members have names that users give, or that are of the state: any of them stands for all.
const MAPS: [&str; 4] = ["Attributes", "Networks", "Runtimes", "status"];
/// What is there or not by the state of a daemon, and not by its release.
const BY_STATE: [&str; 6] = ["BuildCache", "Labels", "Mounts", "Ports", "RepoDigests", "DriverStatus"];

/// A path without the places of elements and the names of users, as one member; nothing where it is of the state.
fn anywhere(path: &str) -> Option<String> {
    let is_place = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let mut general: Vec<&str> = Vec::new();
    // A dot in a name has a backslash in front of it.
    let mut in_name = false;
    for name in path.split('.') {
        let goes_on = name.ends_with('\\');
        if !in_name {
            let of_user = general.last().is_some_and(|above| MAPS.contains(above));
            general.push(if is_place(name) || of_user { "*" } else { name });
        }
        in_name = goes_on;
    }
    let is_state = general.iter().any(|name| BY_STATE.contains(name));
    (!is_state).then(|| general.join("."))
}

/// What processes wrote. Pieces are writes, and where they end says nothing.
fn streams(bytes: &[u8]) -> Dissection {
    if bytes.is_empty() {
        return Dissection::default();
    }
    if !multiplex::looks_multiplexed(bytes) {
        return whole(bytes, "terminal", text(bytes), None);
    }
    let mut found = Dissection::default();
    let joined = match multiplex::join(bytes) {
        Ok(joined) => joined,
        Err(error) => {
            found.problems.push(Problem { span: 0..bytes.len(), what: error.to_string() });
            found.fields.push(Field {
                name: "streams".into(),
                span: 0..bytes.len(),
                value: Value::Unread,
                label: None,
                mask: None,
            });
            return found;
        }
    };
    let mut said = BTreeSet::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + multiplex::HEAD_LEN) {
        let len = head.get(4..).and_then(|len| len.try_into().ok()).map_or(0, u32::from_be_bytes);
        let behind = (at + multiplex::HEAD_LEN + usize::try_from(len).unwrap_or(0)).min(bytes.len());
        let (name, all) = match head.first() {
            Some(0) => ("stdin", &joined.stdin),
            Some(1) => ("stdout", &joined.stdout),
            Some(2) => ("stderr", &joined.stderr),
            _ => ("system-error", &joined.system_error),
        };
        syntax(&mut found, at..at + multiplex::HEAD_LEN);
        let span = at + multiplex::HEAD_LEN..behind;
        if said.insert(name) {
            found.fields.push(Field { name: name.into(), span, value: text(all), label: None, mask: None });
        } else {
            syntax(&mut found, span);
        }
        at = behind;
    }
    found
}

/// The command line of a container, where an answer describes one whose words have no spaces in them.
pub(crate) fn command(frame: &Frame) -> Option<String> {
    let body = http1::Body::of(frame)?;
    let document = json::Document::parse(&body.data, JSON).ok()?;
    let words =
        document.root().get("Config")?.get("Cmd")?.items().map(|word| Some(word.text()?.into_owned()));
    let words: Vec<String> = words.collect::<Option<_>>()?;
    let is_plain = !words.is_empty() && words.iter().all(|word| !word.is_empty() && !word.contains(' '));
    is_plain.then(|| words.join(" "))
}

/// The text of an error, whatever its form.
pub(crate) fn error_text(response: &Response<'_>, body: &[u8]) -> Option<String> {
    if response.status < 300 {
        return None;
    }
    let document = json::Document::parse(body, JSON).ok();
    let message =
        document.as_ref().and_then(|document| Some(document.root().get("message")?.text()?.into_owned()));
    message.or_else(|| Some(String::from_utf8_lossy(body).trim_end().to_owned()))
}

#[cfg(test)]
mod tests;
