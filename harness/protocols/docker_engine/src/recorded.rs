//! What CLIs did that were recorded elsewhere: which requests are due, and what is due to become of each.
//!
//! ```text
//! exec    GET /containers/*/json; POST /containers/*/exec; POST /exec/*/start; GET /exec/*/json
//! ps      GET /containers/json                   it is carried out
//! missing GET /containers/*/json!                it is refused
//! newer   GET /volumes/*~                        a client that knows better does not ask
//! ```
//!
//! A ping comes first in each of them. Which connection a request is on, and so their order, is the CLI's; every request that is due
//! is there, and what is there besides is carried out.

use matrix::{CaseId, CaseKind};
use protocol::{Action, Case, Hazard};
use transcript::evidence::Shape;
use transcript::{Endpoint, Transcript};
use verdict::checks::{EVIDENCE_COMPLETE, Report, without_end};
use verdict::{Check, Exchange, Meaning, Weight};
use wire::Direction;
use wire::http1::Request;

use crate::DIALECTS;
use crate::operations::{RUNNING, TERMINAL, WRAPPED};
use crate::version::Asked;

/// In front of the names of their cases.
pub(crate) const RECORDED: &str = "recorded-";

verdict::rules! {
    CARRIED_OUT: "what was carried out when it was recorded is carried out",
        "harness/ARCHITECTURE.md#recordings-keep-their-meaning";
}

/// One thing that was recorded.
struct Row {
    name: &'static str,
    about: &'static str,
    due: &'static str,
    /// Why it cannot be played again.
    cannot: Option<&'static str>,
}

const fn row(name: &'static str, about: &'static str, due: &'static str) -> Row {
    Row { name, about, due, cannot: None }
}

const fn once(name: &'static str, about: &'static str, due: &'static str, cannot: &'static str) -> Row {
    Row { name, about, due, cannot: Some(cannot) }
}

const RUN: &str =
    "POST /containers/create; POST /containers/*/wait; POST /containers/*/attach; POST /containers/*/start";
const EXEC: &str = "GET /containers/*/json; POST /containers/*/exec; GET /exec/*/json; POST /exec/*/start";
const BUILDER: &str = "what a builder and a daemon say to each other is HTTP/2";
const UNREACHED: &str = "there has to be a container whose runtime a reload has taken away";

const ROWS: &[Row] = &[
    once("build-buildkit", "an image is built by BuildKit", "POST /session", BUILDER),
    once(
        "build-legacy",
        "an image is built by the daemon",
        "POST /build",
        "what a build says is not modelled",
    ),
    row("cp", "a file is read out of a container", "GET /containers/*/archive"),
    row("events", "events of the last seconds are read", "GET /events"),
    row("exec", "a command runs in a container", EXEC),
    row("images", "images are listed", "GET /images/json"),
    row("import", "an archive becomes an image", "POST /images/create"),
    row("info", "the daemon says what it is and has", "GET /info"),
    row("inspect", "the state of a container is read", "GET /containers/*/json"),
    row("logs", "what a container said is read", "GET /containers/*/json; GET /containers/*/logs"),
    row("min-api-1.44-pinned-1.41", "1.41 is asked for, and the minimum is 1.44", "GET /containers/json!"),
    row("min-api-1.44-ps", "containers are listed, and the minimum is 1.44", "GET /containers/json"),
    row("min-api-1.44-run", "a container runs, and the minimum is 1.44", "POST /containers/create"),
    row("min-api-1.44-version", "the version is read, and the minimum is 1.44", "GET /version"),
    row(
        "missing-any",
        "an object of any kind is looked for that is not there",
        "GET /containers/*/json!; GET /images/nope/json!; GET /networks/nope!; GET /volumes/*!; GET /info; GET /plugins/nope/json!",
    ),
    row(
        "missing-attach",
        "a container is attached to that is not there",
        "POST /containers/*/wait!; GET /containers/*/json!",
    ),
    row("missing-container", "a container is read that is not there", "GET /containers/*/json!"),
    row("missing-exec", "a command is to run in a container that is not there", "GET /containers/*/json!"),
    row("missing-image", "an image is read that is not there", "GET /images/nope:1/json!"),
    row("missing-logs", "what a container said is read that is not there", "GET /containers/*/json!"),
    row("missing-start", "a container is started that is not there", "POST /containers/*/start!"),
    row("network-ls", "networks are listed", "GET /networks"),
    row("newer-command", "a command that API 1.42 has brought", "GET /volumes/*~!"),
    row("newer-option", "an option that API 1.43 has brought", "POST /containers/create~"),
    row("newer-query", "a query that API 1.49 has brought", "GET /images/tiny:1/json~"),
    row("pinned-1.41", "1.41 is asked for", "GET /containers/json"),
    row("pinned-invalid", "a version is asked for that is none", "GET /vabc/containers/json!"),
    row("pinned-too-new", "1.99 is asked for", "GET /containers/json!"),
    row("pinned-too-old", "1.23 is asked for", "GET /containers/json"),
    row("ps", "containers are listed", "GET /containers/json"),
    row("reload-before-exec", "a command runs in a container with a runtime of its own", EXEC),
    once("reloaded-exec", "the same behind a reload to a runtime without arguments", EXEC, UNREACHED),
    once("reloaded-kill", "such a container is killed", "POST /containers/*/kill", UNREACHED),
    once("reloaded-pause", "such a container is frozen", "POST /containers/*/pause", UNREACHED),
    row("reloaded-ps", "such a container is listed", "GET /containers/json"),
    once("reloaded-rm", "such a container is removed", "DELETE /containers/*", UNREACHED),
    once("reloaded-run", "another container runs with that runtime", RUN, UNREACHED),
    once("reloaded-stop", "such a container is ended", "POST /containers/*/stop", UNREACHED),
    once("reloaded-top", "the processes of such a container are listed", "GET /containers/*/top", UNREACHED),
    row("rm", "a container is removed", "DELETE /containers/*"),
    row("run", "a container runs to its end", RUN),
    row(
        "run-detached",
        "a container is started and left",
        "POST /containers/create; POST /containers/*/start",
    ),
    row("run-exit-3", "a container fails", RUN),
    row("run-stdin", "a container repeats what it is told", RUN),
    row("run-tty", "a container runs on a terminal", RUN),
    row("stats", "statistics of a container are read once", "GET /containers/*/stats"),
    row("stop", "a container is ended", "POST /containers/*/stop"),
    row("system-df", "the daemon says what takes space", "GET /system/df"),
    row("top", "the processes of a container are listed", "GET /containers/*/top"),
    row("version", "the version is read", "GET /version"),
    row("volume-create", "a volume is made", "POST /volumes/create"),
    row("volume-rm", "a volume is removed", "DELETE /volumes/*"),
];

/// Requests that were sent by a script and need a container that it had made before, each with what is due.
const PROBED: &[Row] = &[
    row(
        "capabilities-1.40",
        "a field of API 1.40 alone, under its prefix",
        "POST /containers/create; GET /containers/*/json",
    ),
    row(
        "capabilities-1.41",
        "the same under the next prefix",
        "POST /containers/create; GET /containers/*/json",
    ),
    row("events-1.41", "events under 1.41", "GET /events"),
    row("events-1.45", "events under 1.45", "GET /events"),
    row("events-1.51", "events under 1.51", "GET /events"),
    once(
        "exec-hijack-stdin",
        "two lines to a command that repeats them",
        "POST /exec/*/start",
        "its exec was made before",
    ),
    once("exec-no-upgrade", "an exec without leaving HTTP", "POST /exec/*/start", "its exec was made before"),
    row("image-inspect-1.41", "an image under 1.41", "GET /images/tiny:1/json"),
    row("image-inspect-1.45", "an image under 1.45", "GET /images/tiny:1/json"),
    row("image-inspect-1.51", "an image under 1.51", "GET /images/tiny:1/json"),
    row("info-1.41", "what the daemon is under 1.41", "GET /info"),
    row("inspect-1.41", "a container under 1.41", "GET /containers/*/json"),
    row("inspect-1.45", "a container under 1.45", "GET /containers/*/json"),
    row("inspect-1.51", "a container under 1.51", "GET /containers/*/json"),
    row("logs-1.41", "what a container said under 1.41", "GET /containers/*/logs"),
    row("logs-1.45", "what a container said under 1.45", "GET /containers/*/logs"),
    row("logs-1.51", "what a container said under 1.51", "GET /containers/*/logs"),
    row("logs-tty-1.41", "what a container on a terminal said", "GET /containers/*/logs"),
    row("networks-1.41", "networks under 1.41", "GET /networks"),
    row("stats-no-stream", "statistics that are taken twice", "GET /containers/*/stats"),
    row("stats-one-shot", "statistics that are taken once", "GET /containers/*/stats"),
    row("top-1.41", "processes under 1.41", "GET /containers/*/top"),
];

/// The cases of all that was recorded elsewhere and is no probe of ours.
pub(crate) fn cases() -> Vec<Case> {
    let case = |kind, row: &Row| {
        Case::new(
            CaseId::new(kind, format!("{RECORDED}{}", row.name)),
            row.about,
            Hazard::Resettable,
            Action::Recorded,
        )
    };
    let clients = ROWS.iter().map(|row| case(CaseKind::Client, row));
    clients.chain(PROBED.iter().map(|row| case(CaseKind::Probe, row))).collect()
}

fn find(case: &CaseId) -> Option<&'static Row> {
    let name = case.name.strip_prefix(RECORDED)?;
    let rows = match case.kind {
        CaseKind::Client => ROWS,
        CaseKind::Probe => PROBED,
        _ => return None,
    };
    rows.iter().find(|row| row.name == name)
}

/// Whether a case was recorded elsewhere, and is no probe of ours.
pub(crate) fn is_recorded(case: &CaseId) -> bool {
    find(case).is_some()
}

/// Why a recording cannot be played again.
pub(crate) fn cannot_replay(case: &CaseId) -> Option<&'static str> {
    find(case)?.cannot
}

/// The condition of the container that a recording was made with, as a word of `Server::prepare`.
pub(crate) fn condition(case: &CaseId) -> &'static str {
    match case.name.strip_prefix(RECORDED) {
        Some("logs-tty-1.41") => TERMINAL,
        Some("reload-before-exec" | "reloaded-ps") => WRAPPED,
        _ => RUNNING,
    }
}

/// The version that a CLI was told to ask for, as it was written.
pub(crate) fn pin(case: &CaseId) -> Option<&'static str> {
    match case.name.strip_prefix(RECORDED)? {
        "pinned-1.41" | "min-api-1.44-pinned-1.41" => Some("1.41"),
        "pinned-invalid" => Some("abc"),
        "pinned-too-new" => Some("1.99"),
        "pinned-too-old" => Some("1.23"),
        _ => None,
    }
}

/// What is due to become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Success,
    Refusal,
}

/// One request that is due.
struct Due {
    method: &'static str,
    path: &'static str,
    ends: Ends,
    /// Whether the client may know better, and not ask.
    is_free: bool,
}

fn read(due: &'static str) -> Vec<Due> {
    let words = due.split("; ").filter_map(|word| word.split_once(' '));
    let due = words.map(|(method, rest)| {
        let (rest, ends) = rest.strip_suffix('!').map_or((rest, Ends::Success), |rest| (rest, Ends::Refusal));
        let (path, is_free) = rest.strip_suffix('~').map_or((rest, false), |path| (path, true));
        Due { method, path, ends, is_free }
    });
    due.collect()
}

impl Due {
    fn is(&self, request: &Request<'_>) -> bool {
        let path = Asked::of(request.target).path;
        let (due, found) = (self.path.split('/'), path.split('/'));
        let same = due.clone().count() == found.clone().count()
            && due.zip(found).all(|(due, found)| due == "*" || due == found);
        self.method == request.method && same
    }
}

/// Every request that is due is there.
pub(crate) const RECORDED_COMPLETE: Check = Check { name: EVIDENCE_COMPLETE.name, judge: recorded_complete };

fn recorded_complete(report: &mut Report<'_>) {
    let Some(row) = find(report.evidence.case) else { return };
    let mut due = read(row.due);
    let mut pinged = false;
    let steps = report.evidence.reading.conns.iter().flat_map(|conn| &conn.steps);
    for request in steps.flat_map(|step| &step.requests).filter_map(|at| Request::of(&at.frame)) {
        pinged |= Asked::of(request.target).path == "/_ping";
        if let Some(at) = due.iter().position(|due| due.is(&request)) {
            due.remove(at);
        }
    }
    let missing = due
        .iter()
        .filter(|due| !(due.is_free && knows_better(report.evidence.transcript)))
        .map(|due| format!("{} {}", due.method, due.path));
    let ping = (!pinged && pings(report.evidence.case)).then(|| "/_ping".to_owned());
    let missing: Vec<_> = missing.chain(ping).collect();
    let what = format!("requests that were sent are not there: {}", missing.join(", "));
    let missing = if missing.is_empty() { Vec::new() } else { vec![what] };
    let cut = without_end(report.evidence.transcript, report.evidence.reading);
    report.lacks(missing.into_iter().chain(cut).collect());
}

/// Whether a ping is a part of it: that of a CLI comes first, that of a script last, where the connection is still HTTP.
fn pings(case: &CaseId) -> bool {
    let name = case.name.strip_prefix(RECORDED).unwrap_or_default();
    case.kind == CaseKind::Client || !(name.starts_with("exec-") || name.starts_with("capabilities-"))
}

/// Whether a client can know that its daemon does not have what it would ask for.
fn knows_better(transcript: &Transcript) -> bool {
    let of = |end: &Endpoint| DIALECTS.for_version(end.version.as_deref()?);
    let provenance = &transcript.provenance;
    of(&provenance.client)
        .zip(of(&provenance.server))
        .is_some_and(|(client, server)| client.cli.checks_options && server.api_max < client.api_max)
}

/// What was recorded is carried out as it was.
pub(crate) const AS_RECORDED: Check = Check { name: "as-recorded", judge: as_recorded };

fn as_recorded(report: &mut Report<'_>) {
    let Some(row) = find(report.evidence.case) else { return };
    let mut due = read(row.due);
    let reading = report.evidence.reading;
    let exchanges =
        reading.conns.iter().flat_map(|conn| conn.exchanges().into_iter().map(move |one| (conn.conn.0, one)));
    for (conn, exchange) in exchanges {
        let Some(request) =
            Request::of(&exchange.request.frame).filter(|_| exchange.asked == Direction::ToServer)
        else {
            continue;
        };
        let found = due.iter().position(|due| due.is(&request)).map(|at| due.remove(at));
        ended(report, conn, &exchange, found.map_or(Ends::Success, |due| due.ends));
    }
}

fn ended(report: &mut Report<'_>, conn: u32, exchange: &Exchange<'_>, ends: Ends) {
    let asked =
        Request::of(&exchange.request.frame).map(|request| format!("{} {}", request.method, request.target));
    let asked = asked.unwrap_or_default();
    let Some((_, meaning)) = exchange.completed else {
        // A client that leaves need not hear what is said to the end.
        if ends == Ends::Success && exchange.parts.is_empty() {
            report
                .violation(Shape::NO_REPLY, CARRIED_OUT, format!("`{asked}` is not answered"))
                .at_request(conn, exchange.request)
                .push("an answer", "none");
        }
        return;
    };
    let (weight, shape, due) = match (ends, meaning) {
        (Ends::Success, Meaning::Refused(_) | Meaning::NotSupported) => {
            (Weight::Refusal, Shape::REFUSED_VALID, "a result")
        }
        (Ends::Refusal, Meaning::Success) => (Weight::Violation, Shape::WRONG_SUCCESS, "a refusal"),
        _ => return,
    };
    let message = format!("`{asked}` comes to another end than when it was recorded");
    report
        .finding(weight, shape, CARRIED_OUT, message)
        .at_request(conn, exchange.request)
        .push(due, format!("{meaning:?}"));
}

/// The rules of what was recorded.
pub(crate) fn rules() -> Vec<verdict::Cited> {
    RULES.to_vec()
}
