//! What single replies have to say.
//!
//! | reply | shape | the rule |
//! |---|---|---|
//! | statistics | `identity-lost` | they name the container that they are of |
//! | a container is made | `silently-dropped` | what was asked for is done, refused or warned of |
//! | an endpoint of a later version | `served-before-its-time` | it is not there under the prefix of an earlier one |
//! | an error | `error-as-stream` | it is text or JSON, and no stream |

use verdict::checks::Report;
use verdict::{Check, Cited, Exchange, Meaning, ReplyAt, Weight};
use wire::Direction;
use wire::http1::{Body, Request, Response};
use wire::json::{Document, Value};

use crate::message::JSON;
use crate::shapes;
use crate::version::{ApiVersion, Asked, api};

verdict::rules! {
    IDENTITY: "statistics name their container, however often they were taken", "moby/moby@7439f09cd2";
    DROPPED: "what a daemon does not carry out it refuses, or warns of", "moby/moby@f96921e5e5";
    VERSIONED: "an endpoint is there from its version on, and not before", "moby/moby@20d8342a4b";
    SAID: "an error is told as one", "harness/ARCHITECTURE.md#claims-are-effects";
}

/// What is cited here.
pub(crate) fn rules() -> Vec<Cited> {
    RULES.to_vec()
}

/// What single replies have to say.
pub(crate) const CONTENTS: Check = Check { name: "contents", judge: contents };

/// Endpoints that came when others were there: the method, the first part of the path and the version.
const CAME_WITH: [(&str, &str, ApiVersion); 1] = [("PUT", "/volumes/", api(42))];

/// The one version that had `HostConfig.Capabilities`.
const HAD_CAPABILITIES: ApiVersion = api(40);

fn contents(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        for reply in conn.steps.iter().flat_map(|step| &step.replies) {
            let asked = reply.request.as_ref().and_then(Request::of);
            if let (Some(request), Some(response)) = (asked, Response::of(&reply.at.frame)) {
                content(report, conn.conn.0, (reply, &request, &response));
            }
        }
        for exchange in conn.exchanges() {
            created(report, conn.conn.0, &exchange);
        }
    }
}

fn content(
    report: &mut Report<'_>,
    conn: u32,
    (reply, request, response): (&ReplyAt, &Request<'_>, &Response<'_>),
) {
    let asked = Asked::of(request.target);
    let version = asked.version();
    let succeeds = response.status < 300;
    let body = Body::of(&reply.at.frame).map(|body| body.data.into_owned()).unwrap_or_default();
    let is_stats = asked.path.starts_with("/containers/") && asked.path.ends_with("/stats");
    if is_stats
        && succeeds
        && let Some(lost) = without_identity(&body)
    {
        report
            .violation(shapes::IDENTITY_LOST, IDENTITY, "statistics do not say of which container they are")
            .at_reply(conn, reply)
            .push("`id` and `name`", format!("no `{lost}`"));
    }
    let came =
        CAME_WITH.iter().find(|(method, path, _)| request.method == *method && asked.path.starts_with(path));
    let is_handled = response.headers.get("api-version").is_some();
    if let (Some((.., came)), Some(version)) = (came, version)
        && version < *came
        && is_handled
        && reply.meaning != Meaning::NotSupported
    {
        report
            .finding(
                Weight::Restriction,
                shapes::SERVED_BEFORE_ITS_TIME,
                VERSIONED,
                "an endpoint is served under a version that does not have it",
            )
            .at_reply(conn, reply)
            .push(format!("refused: it came with {came}"), response.status.to_string());
    }
    let kind = response.headers.get("content-type").unwrap_or_default();
    if response.status >= 400 && kind.ends_with(b"-stream") {
        report
            .finding(Weight::Restriction, shapes::ERROR_AS_STREAM, SAID, "an error is said to be a stream")
            .at_reply(conn, reply)
            .push("text/plain or application/json", String::from_utf8_lossy(kind));
    }
}

/// What of `id` and `name` statistics do not say; what cannot be read says nothing.
fn without_identity(body: &[u8]) -> Option<&'static str> {
    let document = Document::parse(body, JSON).ok();
    let stats = document.as_ref().map(Document::root);
    let said = |key: &str| {
        stats.and_then(|stats| stats.get(key)).and_then(Value::text).is_some_and(|text| !text.is_empty())
    };
    ["id", "name"].into_iter().find(|key| !said(key))
}

/// A container that is made under the one version that has capabilities has those that were asked for.
fn created(report: &mut Report<'_>, conn: u32, exchange: &Exchange<'_>) {
    let Some(request) = Request::of(&exchange.request.frame) else { return };
    let asked = Asked::of(request.target);
    let is_create = request.method == "POST" && asked.path == "/containers/create";
    if !is_create || asked.version() != Some(HAD_CAPABILITIES) {
        return;
    }
    let sent = exchange.parts.iter().filter(|(dir, _)| *dir == Direction::ToServer);
    let sent: Vec<_> = sent.map(|(_, at)| &at.frame).collect();
    let has_asked = Body::join(&sent).is_some_and(|body| {
        let document = Document::parse(&body.data, JSON).ok();
        let host = document.as_ref().and_then(|document| document.root().get("HostConfig"));
        host.and_then(|host| host.get("Capabilities")).is_some_and(|value| value.items().next().is_some())
    });
    let Some(last) = exchange.completed.and_then(|(last, _)| last) else { return };
    let Some(response) = Response::of(&last.frame).filter(|response| response.status == 201) else { return };
    let is_warned = Body::of(&last.frame).is_some_and(|body| {
        let document = Document::parse(&body.data, JSON).ok();
        let warnings = document.as_ref().and_then(|document| document.root().get("Warnings"));
        warnings.is_some_and(|warnings| warnings.items().next().is_some())
    });
    if has_asked && !is_warned {
        report
            .violation(
                shapes::SILENTLY_DROPPED,
                DROPPED,
                "a field of this version is dropped, and nobody is told",
            )
            .at_request(conn, exchange.request)
            .push("400, or a warning of `HostConfig.Capabilities`", response.status.to_string());
    }
}
