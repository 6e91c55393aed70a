//! Replies, held to the documents of the API that a user has given.
//!
//! A reply is of the version that its request asks for, or of the highest one of the daemon, which its `Api-Version` says, where there
//! is no prefix. What weighs is a value of another type and a required key that is not there; which version has brought or taken
//! a key, and what no document has, is only noted.
//!
//! | shape | weight | when |
//! |---|---|---|
//! | `other-type` | violation | a value, or a whole body, is of another type than the declared one |
//! | `key-lost` | violation | a required key is not there; `null` is |
//! | `key-of-later-version`, `key-of-earlier-version` | note | only the documents of other versions have a key |
//! | `key-gone` | note | a key of the version is not there, and a later version that the daemon speaks has it no more |
//! | `undocumented-key`, `undocumented-value`, `undocumented-endpoint` | note | no document has it; an endpoint may have come later |

use std::collections::BTreeMap;

use matrix::CaseKind;
use matrix::swagger::{Asked as AskedOf, Departure, Documents, Says, What};
use transcript::evidence::Shape;
use verdict::checks::Report;
use verdict::{Check, Reading, ReplyAt, Weight};
use wire::http1::{Body, RESPONSE, Request, Response};
use wire::json::Document as Json;

use crate::message::JSON;
use crate::shapes;
use crate::version::{ApiVersion, Asked};

verdict::rules! {
    DOCUMENT: "a reply is what the document of its version of the API says; null is nothing, and has any type",
        "harness/ARCHITECTURE.md#replies-are-as-documented";
}

/// What documents say of replies.
pub(crate) const DOCUMENTED: Check = Check { name: verdict::checks::DOCUMENTED, judge: documented };

/// A reply of a handler, and by which document it is held.
struct Answered<'a> {
    version: ApiVersion,
    /// The highest version of the daemon, where it says that.
    speaks: Option<ApiVersion>,
    asked: AskedOf<'a>,
    body: Vec<u8>,
    /// Whether it says that it is JSON.
    is_json: bool,
}

impl<'a> Answered<'a> {
    /// Nothing where a reply has no body, or is none of a handler: what the parser says has no version.
    fn of(reply: &'a ReplyAt) -> Option<Self> {
        let request = reply.request.as_ref().and_then(Request::of)?;
        let response = Response::of(&reply.at.frame)
            .filter(|_| reply.at.frame.kind == RESPONSE && !request.is_head())?;
        let said = response.headers.get("api-version");
        let speaks: Option<ApiVersion> = said.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let asked = Asked::of(request.target);
        let version = asked.version().or(speaks)?;
        if response.status >= 300 && speaks.is_none() {
            return None;
        }
        let body = Body::of(&reply.at.frame)?.data.into_owned();
        let kind = response.headers.get("content-type").unwrap_or_default();
        let asked = AskedOf { method: request.method, path: asked.path, status: response.status };
        let is_json = kind.windows(4).any(|word| word == b"json");
        (!body.trim_ascii().is_empty()).then_some(Self { version, speaks, asked, body, is_json })
    }

    fn is_success(&self) -> bool {
        self.asked.status < 300
    }

    /// One value, or one on each line; the last one may be cut. Nothing where it is no JSON.
    fn values(&self) -> Option<Vec<Json<'_>>> {
        if let Ok(whole) = Json::parse(&self.body, JSON) {
            return Some(vec![whole]);
        }
        let lines = self.body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let mut read: Vec<_> = lines.map(|line| Json::parse(line, JSON).ok()).collect();
        if read.len() > 1 && read.last().is_some_and(Option::is_none) {
            read.pop();
        }
        read.into_iter().collect()
    }
}

/// How many replies are held, by version; where there is no document of one, those that would be if it had them.
pub(crate) fn validated(documents: &Documents, reading: &Reading) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, reply) in replies(reading) {
        let Some(answered) = Answered::of(reply) else { continue };
        let version = answered.version.to_string();
        let (version, is_held) = match documents.of(&version) {
            Some(document) => {
                let is_declared = matches!(document.says(answered.asked), Says::Json(_));
                (document.version().to_owned(), is_declared && (answered.is_json || answered.is_success()))
            }
            None => (version, answered.is_json && answered.is_success()),
        };
        if is_held {
            *counts.entry(version).or_default() += 1;
        }
    }
    counts
}

fn replies(reading: &Reading) -> impl Iterator<Item = (u32, &ReplyAt)> {
    let steps = reading.conns.iter().flat_map(|conn| conn.steps.iter().map(|step| (conn.conn.0, step)));
    steps.flat_map(|(conn, step)| step.replies.iter().map(move |reply| (conn, reply)))
}

fn documented(report: &mut Report<'_>) {
    let evidence = report.evidence;
    // There the client is judged.
    let is_faulty = evidence.case.kind == CaseKind::Client && evidence.server_is_faulty();
    let Some(documents) = evidence.grammar.documents().filter(|_| !is_faulty) else { return };
    for (conn, reply) in replies(evidence.reading) {
        if let Some(answered) = Answered::of(reply) {
            held(report, documents, (conn, reply), &answered);
        }
    }
}

fn held(
    report: &mut Report<'_>,
    documents: &Documents,
    (conn, reply): (u32, &ReplyAt),
    answered: &Answered<'_>,
) {
    let (version, asked) = (answered.version.to_string(), answered.asked);
    let Some(document) = documents.of(&version) else { return };
    if document.says(asked) == Says::NoOperation && answered.is_success() {
        let came = documents.operation_came_with(&version, asked);
        let message = match came {
            Some(later) => format!("an endpoint came with API {later} and is answered under {version}"),
            None => format!("an endpoint is answered under {version} that no later document has either"),
        };
        report
            .finding(Weight::Note, shapes::UNDOCUMENTED_ENDPOINT, DOCUMENT, message)
            .at_reply(conn, reply)
            .push(format!("an endpoint of {version}"), format!("{} {}", asked.method, asked.path));
    }
    let (Says::Json(_), Some(operation)) = (document.says(asked), document.operation_of(asked)) else {
        return;
    };
    let Some(values) = answered.values() else {
        // What is no JSON where it says so, another check has found.
        if answered.is_success() && !answered.is_json {
            let message = format!("{operation}: the body is text, and JSON in {version}");
            let draft = report
                .finding(Weight::Violation, shapes::OTHER_TYPE, DOCUMENT, message)
                .at_reply(conn, reply);
            draft.push(format!("JSON, as {version} says"), "text");
        }
        return;
    };
    let roots: Vec<_> = values.iter().map(Json::root).collect();
    let speaks = answered.speaks.unwrap_or(answered.version).to_string();
    for departure in documents.departures(&version, asked, &speaks, &roots) {
        let (weight, shape, message) = words(&departure, &version);
        report
            .finding(weight, shape, DOCUMENT, format!("{operation}: {message}"))
            .at_reply(conn, reply)
            .push(format!("what {version} says"), departure.what.to_string());
    }
}

/// What a departure is called.
fn words(departure: &Departure, version: &str) -> (Weight, Shape, String) {
    let Departure { path, what } = departure;
    let name = if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
    match what {
        What::OtherType { declared, found } => (
            Weight::Violation,
            shapes::OTHER_TYPE,
            format!("{name} is of type {found}, and {declared} in {version}"),
        ),
        What::Lost => (
            Weight::Violation,
            shapes::KEY_LOST,
            format!("key {name}, which {version} requires, is not there"),
        ),
        What::Later(first) => {
            let text = format!("key {name} came with API {first} and is answered under {version}");
            (Weight::Note, shapes::KEY_OF_LATER_VERSION, text)
        }
        What::Earlier(last) => {
            let text = format!("key {name} went after API {last} and is answered under {version}");
            (Weight::Note, shapes::KEY_OF_EARLIER_VERSION, text)
        }
        What::Gone(without) => (
            Weight::Note,
            shapes::KEY_GONE,
            format!("key {name} of {version} is not there any more, as in {without}"),
        ),
        What::Undocumented => {
            let text = format!("key {name} is answered under {version}, and no document has it");
            (Weight::Note, shapes::UNDOCUMENTED_KEY, text)
        }
        What::OtherWord { .. } => {
            (Weight::Note, shapes::UNDOCUMENTED_VALUE, format!("{name} {what}, under {version}"))
        }
        What::More(count) => {
            (Weight::Note, shapes::UNDOCUMENTED_KEY, format!("{count} more departures from {version}"))
        }
    }
}

#[cfg(test)]
mod tests;
