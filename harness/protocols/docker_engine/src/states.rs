//! What daemons say of containers and of themselves, at the points of a scenario.
//!
//! | mark of a state | shape | the rule |
//! |---|---|---|
//! | `runs=aa,pp` | `container-lost` | these containers run, and no others |
//! | | `list-lies` | what is said to run lives, and what lives is said to run |
//! | | `counts-wrong` | as many are counted as are listed |
//! | `due=before` | `configuration-changed` | the configuration is the one of that point |
//!
//! A command that was run in a container that is managed succeeds: `unmanageable`.

use std::collections::BTreeMap;

use transcript::evidence::{Observation, Role};
use verdict::checks::Report;
use verdict::{Check, ConnReading, Step};
use wire::http1::{Body, Request};
use wire::json::{Document, Value};

use crate::message::JSON;
use crate::operations::LIVING;
use crate::scenarios::ECHO;
use crate::shapes;
use crate::version::Asked;

verdict::rules! {
    KEPT: "containers that run go on, whatever is reloaded, started again or put in the place of their daemon",
        "moby/moby@v28.5.2:daemon/config/config.go: live-restore";
    TRUE: "what a daemon says of containers is what is so", "harness/ARCHITECTURE.md#claims-are-effects";
    REFUSED: "a configuration that is refused leaves everything as it was",
        "harness/ARCHITECTURE.md#what-is-refused-has-no-effect";
}

/// States, and what is due of them.
pub(crate) const STATES: Check = Check { name: "states", judge: states };

/// What a daemon says at one point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    /// The containers that run, by name.
    runs: Vec<String>,
    /// How many it counts.
    counted: Option<i64>,
    /// What it says of its configuration.
    configuration: Vec<(&'static str, String)>,
}

/// What of `/info` follows from the configuration.
const CONFIGURED: [&str; 5] = ["Debug", "DefaultRuntime", "Labels", "LiveRestoreEnabled", "Runtimes"];

impl Said {
    fn at(step: &Step) -> Self {
        let mut said = Self::default();
        for reply in step.answers() {
            let Some(request) = reply.request.as_ref().and_then(Request::of) else { continue };
            let Some(body) = Body::of(&reply.at.frame) else { continue };
            let Ok(document) = Document::parse(&body.data, JSON) else { continue };
            match Asked::of(request.target).path {
                "/containers/json" => said.runs = running(document.root()),
                "/info" => said.hear(document.root()),
                _ => {}
            }
        }
        said
    }

    fn hear(&mut self, info: Value<'_>) {
        self.counted = info.get("ContainersRunning").and_then(Value::as_i64);
        let told = CONFIGURED.iter().map(|key| {
            let value = info.get(key);
            let named = |(name, member): (std::borrow::Cow<'_, str>, Value<'_>)| {
                let arguments =
                    member.get("runtimeArgs").map(|value| String::from_utf8_lossy(value.raw()).into_owned());
                format!("{name}{}", arguments.unwrap_or_default())
            };
            let mut names: Vec<String> = value.into_iter().flat_map(Value::members).map(named).collect();
            names.sort_unstable();
            let raw =
                value.map(|value| String::from_utf8_lossy(value.raw()).into_owned()).unwrap_or_default();
            // Of a table the names and arguments are told; paths are of the machine.
            (*key, if names.is_empty() { raw } else { names.join(",") })
        });
        self.configuration = told.collect();
    }
}

/// The names of containers that run, frozen or not.
fn running(list: Value<'_>) -> Vec<String> {
    let lives = |container: &Value<'_>| {
        let state = container.get("State").and_then(Value::text);
        state.is_some_and(|state| matches!(&*state, "running" | "paused"))
    };
    let name = |container: Value<'_>| {
        let name = container.get("Names")?.items().next()?.text()?;
        Some(name.trim_start_matches('/').to_owned())
    };
    let mut names: Vec<String> = list.items().filter(lives).filter_map(name).collect();
    names.sort_unstable();
    names
}

fn states(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let mut before: BTreeMap<&str, Said> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut steps: Vec<(&ConnReading, &Step)> = evidence.reading.steps(Role::State).collect();
    steps.sort_by_key(|(_, step)| step.event);
    for (conn, step) in steps {
        let said = Said::at(step);
        missing.extend(hold(report, conn, step, &said));
        match step.arg("due").map(|due| (due, before.get(due))) {
            Some((_, Some(then))) => unchanged(report, conn, step, (then, &said)),
            Some((due, None)) => missing.push(format!("nobody looked at the configuration at `{due}`")),
            None => {}
        }
        before.insert(step.arg("at").unwrap_or_default(), said);
    }
    for (conn, step) in
        evidence.reading.steps(Role::Subject).filter(|(_, step)| step.arg("manages").is_some())
    {
        executed(report, conn, step);
    }
    if !missing.is_empty() {
        report.lacks(missing);
    }
}

/// Holds what is said at one point against what is due and what lives. Returns what cannot be held against anything.
fn hold(report: &mut Report<'_>, conn: &ConnReading, step: &Step, said: &Said) -> Vec<String> {
    let runs = said.runs.join(",");
    let due = step.arg("runs").unwrap_or_default().trim_matches('-');
    if runs != due {
        report
            .violation(shapes::CONTAINER_LOST, KEPT, "other containers run than should")
            .at_subject(conn.conn.0, step)
            .push(format!("`{due}`"), format!("`{runs}`"));
    }
    let mut missing = Vec::new();
    let at = step.arg("at").unwrap_or_default();
    let seen = report.evidence.reading.looks().filter(|look| look.event < step.event);
    match seen.filter(|look| look.what() == Observation::Effect(LIVING)).last().map(|look| look.value.clone())
    {
        None => missing.push(format!("nobody looked which containers live at `{at}`")),
        Some(living) if living != runs => report
            .violation(shapes::LIST_LIES, TRUE, "what a daemon says to run is not what lives")
            .at_subject(conn.conn.0, step)
            .push(format!("`{living}`, whose processes live"), format!("`{runs}`")),
        Some(_) => {}
    }
    let listed = i64::try_from(said.runs.len()).unwrap_or(i64::MAX);
    match said.counted {
        None => missing.push(format!("the daemon does not say at `{at}` how many containers run")),
        Some(counted) if counted != listed => report
            .violation(shapes::COUNTS_WRONG, TRUE, "as many containers are counted as are not listed")
            .at_subject(conn.conn.0, step)
            .push(format!("{listed}, as many as are listed"), counted.to_string()),
        Some(_) => {}
    }
    missing
}

fn unchanged(report: &mut Report<'_>, conn: &ConnReading, step: &Step, (then, now): (&Said, &Said)) {
    if then.configuration.is_empty() || now.configuration.is_empty() {
        report
            .violation(
                shapes::CONFIGURATION_CHANGED,
                REFUSED,
                "a daemon does not say what its configuration is",
            )
            .at_subject(conn.conn.0, step)
            .push("an answer to `/info`, before and after", "none");
        return;
    }
    let other = then.configuration.iter().zip(&now.configuration).find(|(then, now)| then != now);
    if let Some(((key, then), (_, now))) = other {
        report
            .violation(shapes::CONFIGURATION_CHANGED, REFUSED, format!("`{key}` is another one than before"))
            .at_subject(conn.conn.0, step)
            .push(then.clone(), now.clone());
    }
}

/// A command in a container, and with which status it ended.
fn executed(report: &mut Report<'_>, conn: &ConnReading, step: &Step) {
    for reply in step.answers() {
        let Some(request) = reply.request.as_ref().and_then(Request::of) else { continue };
        if !request.target.starts_with("/exec/") {
            continue;
        }
        if request.method == "POST" {
            let said = step.replies.iter().flat_map(|reply| reply.at.frame.bytes.windows(ECHO.len()));
            if !said.into_iter().any(|bytes| bytes == ECHO.as_bytes()) {
                report
                    .violation(shapes::UNMANAGEABLE, KEPT, "a command that was run says nothing")
                    .at_reply(conn.conn.0, reply)
                    .push(ECHO, "something else");
            }
            continue;
        }
        let body = Body::of(&reply.at.frame);
        let document = body.as_ref().and_then(|body| Document::parse(&body.data, JSON).ok());
        let status = document.as_ref().and_then(|document| document.root().get("ExitCode")?.as_i64());
        if status != Some(0) {
            let said = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
            report
                .violation(shapes::UNMANAGEABLE, KEPT, "a command cannot be run in a container that runs")
                .at_reply(conn.conn.0, reply)
                .push("ExitCode 0", said);
        }
    }
}

/// The rules of states.
pub(crate) fn rules() -> Vec<verdict::Cited> {
    RULES.to_vec()
}

#[cfg(test)]
mod tests;
