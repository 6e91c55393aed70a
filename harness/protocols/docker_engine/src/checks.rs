//! What the generic checks cannot say.
//!
//! | check | held in | shapes |
//! |---|---|---|
//! | `agreed` | what clients do | `above-agreed`, `below-agreed`, `pin-changed`, `no-prefix`, `unasked`, `sources-disagree` |
//! | `errors` | everything | `error-form`, `blames-itself`, `missing-as-unknown` |
//! | `says-it-closes` | everything | `closes-unsaid` |
//! | `contents` | everything | those of `contents.rs` |
//! | `manageable` | everything | `unmanageable` |
//! | `documented` | everything, where the user gives documents | those of `documented.rs` |

use matrix::CaseKind;
use transcript::evidence::{Expect, Role};
use transcript::{Event, EventKind};
use verdict::checks::Report;
use verdict::{Blame, Check, ConnReading, Exchange, FrameAt, Meaning, ReplyAt, Weight};
use wire::http1::{Body, RAW, RESPONSE, Request, Response, Version};
use wire::{Direction, Frame};

use crate::dialect::{DIALECTS, Dialect};
use crate::message::error_text;
use crate::settings::PIN;
use crate::shapes;
use crate::version::{ApiVersion, Asked, FALLBACK, api};
use crate::{grammar, recorded};

verdict::rules! {
    AGREED: "both settle on the lower one of the two highest versions; a client that finds none assumes 1.24",
        "moby/moby@v28.5.2:client/client.go: NegotiateAPIVersionPing";
    PINNED: "a version that a user has pinned is taken as it is",
        "moby/moby@v28.5.2:client/options.go: WithVersion";
    TOLD_APART: "an endpoint that is not known is told from an object that is not there",
        "harness/ARCHITECTURE.md#unknown-requests-are-refused-as-unknown";
    FORM: "errors are JSON; for prefixes below 1.24, whose clients print what they get, they are text",
        "moby/moby@230f178f8b:daemon/server/httputils/httputils.go";
    FAULT: "what a client has done wrong is the client's fault: 4xx", "RFC 9110, section 15.5";
    CLOSES: "a server that closes a connection says so", "RFC 9112, section 9.6";
    MANAGED: "what a running container refers to stays, whatever is reloaded and whoever starts",
        "moby/moby@d222bf097c: what its message promises for reloads";
    ONE_SOURCE: "ping and /version announce the same", "harness/ARCHITECTURE.md#claims-are-effects";
}

/// Which version is asked for.
pub(crate) const AGREED_ON: Check = Check { name: "agreed", judge: agreed };

/// What a client knows of its daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It has not asked.
    Nothing,
    /// A daemon that announces no version, or does not answer.
    Silence,
    /// What it announces.
    Version(ApiVersion),
}

fn agreed(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let client = &evidence.transcript.provenance.client;
    let dialect = client.version.as_deref().and_then(|version| DIALECTS.for_version(version));
    let pin = client.details.get(PIN).map(String::as_str).or_else(|| recorded::pin(evidence.case));
    let mut heard = Heard::Nothing;
    for (conn, at, exchange) in in_time(&evidence.reading.conns) {
        let Some(request) = Request::of(&at.frame) else { continue };
        let asked = Asked::of(request.target);
        if asked.path == "/_ping" {
            heard = announced(&exchange);
        } else {
            asks(report, conn, at, (&request, &asked), (dialect, pin, heard));
        }
        if asked.path == "/version" {
            sources(report, conn, at, &exchange, heard);
        }
    }
}

/// All requests of a client, in the order in which they were sent.
fn in_time(conns: &[ConnReading]) -> Vec<(u32, &FrameAt, Exchange<'_>)> {
    let exchanges = conns
        .iter()
        .flat_map(|conn| conn.exchanges().into_iter().map(move |one| (conn.conn.0, one.request, one)));
    let mut all: Vec<_> =
        exchanges.filter(|(_, _, exchange)| exchange.asked == Direction::ToServer).collect();
    all.sort_by_key(|(_, at, _)| at.event);
    all
}

/// The answer to a request, if it was heard to its end.
fn answer<'a>(exchange: &'a Exchange<'a>) -> Option<&'a Frame> {
    exchange.completed.and_then(|(last, _)| last).map(|at| &at.frame)
}

/// What an answer to a ping announces. 200 and 500 count, whatever is said besides: `moby/moby@v20.10.24:client/ping.go`.
fn announced(exchange: &Exchange<'_>) -> Heard {
    let response = answer(exchange).and_then(Response::of);
    let counts = response.filter(|response| matches!(response.status, 200 | 500));
    let version = counts
        .and_then(|response| std::str::from_utf8(response.headers.get("api-version")?).ok()?.parse().ok());
    version.map_or(Heard::Silence, Heard::Version)
}

fn asks(
    report: &mut Report<'_>,
    conn: u32,
    at: &FrameAt,
    (request, asked): (&Request<'_>, &Asked<'_>),
    (dialect, pin, heard): (Option<&Dialect>, Option<&str>, Heard),
) {
    if let Some(pin) = pin {
        let is_pinned = request.target.strip_prefix("/v").and_then(|rest| rest.strip_prefix(pin));
        if is_pinned.is_none_or(|rest| !rest.starts_with('/')) {
            report
                .violation(
                    shapes::PIN_CHANGED,
                    PINNED,
                    "a client asks for another version than the one that was pinned",
                )
                .blame(Blame::Client)
                .at_request(conn, at)
                .push(format!("/v{pin}"), request.target);
        }
        return;
    }
    let Some(version) = asked.version() else {
        report
            .finding(
                Weight::Restriction,
                shapes::NO_PREFIX,
                AGREED,
                "a client asks for no version, and so for any that a daemon has",
            )
            .blame(Blame::Client)
            .at_request(conn, at)
            .push("a prefix", request.target);
        return;
    };
    let theirs = match heard {
        Heard::Nothing => {
            report
                .finding(
                    Weight::Restriction,
                    shapes::UNASKED,
                    AGREED,
                    "a client asks for a version, and has not asked which there are",
                )
                .blame(Blame::Client)
                .at_request(conn, at)
                .push("a ping before", request.target);
            return;
        }
        Heard::Silence => FALLBACK,
        Heard::Version(version) => version,
    };
    let due = dialect.map_or(theirs, |dialect| dialect.settles_on(theirs));
    let (weight, shape, message) = match version.cmp(&due) {
        std::cmp::Ordering::Greater => {
            (Weight::Violation, shapes::ABOVE_AGREED, "a client asks for more than both know")
        }
        std::cmp::Ordering::Less if dialect.is_some() => {
            (Weight::Restriction, shapes::BELOW_AGREED, "a client asks for less than both know")
        }
        _ => return,
    };
    report
        .finding(weight, shape, AGREED, message)
        .blame(Blame::Client)
        .at_request(conn, at)
        .push(format!("/v{due}"), format!("/v{version}"));
}

/// Ping and `/version` are two sources of one fact.
fn sources(report: &mut Report<'_>, conn: u32, at: &FrameAt, exchange: &Exchange<'_>, heard: Heard) {
    let Some(said) = answer(exchange).and_then(grammar::said_version) else { return };
    let pinged = match heard {
        Heard::Nothing => return,
        Heard::Silence => "no version".to_owned(),
        Heard::Version(pinged) if pinged == said => return,
        Heard::Version(pinged) => pinged.to_string(),
    };
    report
        .violation(shapes::SOURCES_DISAGREE, ONE_SOURCE, "ping and /version announce different versions")
        .at_request(conn, at)
        .push(format!("{pinged}, as ping says"), said.to_string());
}

/// How errors are told.
pub(crate) const ERRORS: Check = Check { name: "errors", judge: errors };

fn errors(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        for step in &conn.steps {
            let is_refusable = step.is(Role::Subject)
                && step.arg(Expect::ARG).is_some_and(|expect| expect == Expect::Refusal.word());
            for reply in &step.replies {
                form(report, conn.conn.0, reply);
                if is_refusable {
                    refused(report, conn.conn.0, reply);
                }
            }
        }
    }
}

fn of(reply: &ReplyAt) -> Option<(Request<'_>, Response<'_>)> {
    let request = reply.request.as_ref().and_then(Request::of)?;
    Some((request, Response::of(&reply.at.frame)?))
}

/// An error of a handler is JSON, or text for old clients.
fn form(report: &mut Report<'_>, conn: u32, reply: &ReplyAt) {
    let Some((request, response)) = of(reply) else { return };
    // What has no version is said by the parser, or where HTTP is left: that is text for everybody.
    let is_handled = response.status >= 400 && response.headers.get("api-version").is_some();
    if !is_handled || request.is_head() {
        return;
    }
    let is_old = Asked::of(request.target).version().is_some_and(|version| version < api(24));
    let is_json =
        response.headers.get("content-type").is_some_and(|kind| kind.starts_with(b"application/json"));
    let (due, found) = match (is_old, is_json) {
        (true, true) => ("text", "JSON"),
        (false, false) => ("JSON", "text"),
        _ => return,
    };
    report
        .finding(
            Weight::Restriction,
            shapes::ERROR_FORM,
            FORM,
            format!("an error is {found} where clients read {due}"),
        )
        .at_reply(conn, reply)
        .push(due, found);
}

/// A refusal of what a client did wrong.
fn refused(report: &mut Report<'_>, conn: u32, reply: &ReplyAt) {
    let Some((request, response)) = of(reply) else { return };
    if response.status == 500 {
        let text = error_text(&response, reply.at.frame.payload()).unwrap_or_default();
        report
            .finding(
                Weight::Restriction,
                shapes::BLAMES_ITSELF,
                FAULT,
                "a server takes the fault of a client for its own",
            )
            .at_reply(conn, reply)
            .push("4xx", format!("500: {text}"));
    }
    let is_about_object = request.target.contains("/nope");
    if is_about_object && reply.meaning == Meaning::NotSupported {
        report
            .violation(
                shapes::MISSING_AS_UNKNOWN,
                TOLD_APART,
                "an object that is not there is told as an endpoint that is not known",
            )
            .at_reply(conn, reply)
            .push("404 with Api-Version", "404 page not found");
    }
}

/// What becomes of containers.
pub(crate) const MANAGEABLE: Check = Check { name: "manageable", judge: manageable };

fn manageable(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        for reply in conn.steps.iter().flat_map(|step| &step.replies) {
            let Some(text) = lost_runtime(&reply.at.frame) else { continue };
            report
                .violation(
                    shapes::UNMANAGEABLE,
                    MANAGED,
                    "a daemon cannot reach a container that runs: what it calls is gone",
                )
                .at_reply(conn.conn.0, reply)
                .push("a container that can be managed", text);
        }
    }
}

/// What is said where the script of a runtime is gone, in an error or in the output of what could not be started.
fn lost_runtime(frame: &Frame) -> Option<String> {
    let text = match frame.kind {
        RAW => String::from_utf8_lossy(&frame.bytes).into_owned(),
        _ => {
            let response = Response::of(frame)?;
            error_text(&response, &Body::of(frame)?.data)?
        }
    };
    let is_lost = text.contains("fork/exec") && text.contains("no such file or directory");
    is_lost.then(|| text.trim().to_owned())
}

/// A connection that is closed.
pub(crate) const SAYS_IT_CLOSES: Check = Check { name: "says-it-closes", judge: says_it_closes };

fn says_it_closes(report: &mut Report<'_>) {
    let evidence = report.evidence;
    if evidence.case.kind == CaseKind::Client && evidence.server_is_faulty() {
        return;
    }
    for conn in &evidence.reading.conns {
        let events = &evidence.transcript.events;
        let end = events.iter().find(|event| {
            event.conn == conn.conn && matches!(event.kind, EventKind::Eof(_) | EventKind::Reset)
        });
        let closed = |event: &Event| event.dir == Direction::ToClient && event.kind != EventKind::Reset;
        let last = conn.steps.iter().flat_map(|step| &step.replies).next_back();
        let Some(last) = last.filter(|_| end.is_some_and(closed)) else { continue };
        let is_said = match (last.at.frame.kind, Response::of(&last.at.frame)) {
            (RESPONSE, Some(response)) => {
                let headers = &response.headers;
                let is_bounded =
                    headers.get("content-length").is_some() || headers.get("transfer-encoding").is_some();
                let has_body = !matches!(response.status, 204 | 304);
                headers.lists("connection", "close")
                    || response.version == Version(0)
                    || (has_body && !is_bounded)
            }
            // What is raw ends with its connection.
            _ => true,
        };
        let is_old =
            last.request.as_ref().and_then(Request::of).is_some_and(|request| request.version == Version(0));
        if !is_said && !is_old {
            report
                .violation(
                    shapes::CLOSES_UNSAID,
                    CLOSES,
                    "a server closes a connection behind an answer that does not say so",
                )
                .at_reply(conn.conn.0, last)
                .push("Connection: close", "no such header");
        }
    }
}
