//! What tests of protocols share.
//!
//! Live tests meet real builds. They are programs without libtest, because they run themselves again inside the sandbox,
//! as `wireskew` does. Arguments select by a part of the name, e.g. `7.0.0..4.0.6`.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use matrix::Version;
use session::rootfs::Cache;
use session::sandbox::{self, Sandbox};
use session::{LaunchErrorKind, Launcher, Start};
use tokio::time::Instant;
use transcript::evidence::{Expectation, Observation};
use transcript::{ConnId, Event};
use verdict::{ConnContext, ExchangeId, Grammar, Place};
use wire::{Direction, Dissection, Frame, Value};

use crate::dialect::{Facts, IDEAL, Releases, Table};
use crate::{Action, Bench, Protocol};

/// A dissection in one line: its title, the fields that are wanted, masked ones by their masks, and what is wrong.
#[must_use]
pub fn in_words(dissection: &Dissection, wants: impl Fn(&str) -> bool) -> String {
    let fields = dissection.fields.iter().filter(|field| wants(&field.name)).map(|field| {
        let value = match (&field.value, field.mask, &field.label) {
            (_, Some(mask), _) => format!("<{mask}>"),
            (_, None, Some(label)) => label.to_string(),
            (Value::Bytes | Value::Unread, ..) => format!("{} bytes", field.span.len()),
            _ => verdict::render::value(field, &[]),
        };
        format!("{}={value}", field.name)
    });
    let problems = dissection.problems.iter().map(|problem| format!("!{}", problem.what));
    format!("{}: {}", dissection.title, fields.chain(problems).collect::<Vec<_>>().join(" "))
}

/// The `main` of a live test: enters the sandbox, and runs what gives the failures.
///
/// # Panics
/// `WIRESKEW_LIVE=1` was set where no sandbox is possible, or something failed.
pub fn live<F: Future<Output = Vec<String>>>(package: &str, run: impl FnOnce() -> F) -> ExitCode {
    if let Some(status) = sandbox::hook() {
        return ExitCode::from(status);
    }
    if std::env::var_os("WIRESKEW_LIVE").is_none_or(|value| value != "1") {
        say(&format!("NOT RUN: real builds of {package}. They need root and fetched builds:"));
        say(&format!("  wireskew builds fetch && WIRESKEW_LIVE=1 cargo test -p {package} --test live"));
        return ExitCode::SUCCESS;
    }
    if sandbox::needed_and_possible().expect("WIRESKEW_LIVE=1 asks for a machine where a sandbox is possible")
    {
        return ExitCode::from(sandbox::enter().expect("a sandbox is possible"));
    }
    assert!(Sandbox::inside().is_some());
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let failures = runtime.block_on(run());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    ExitCode::SUCCESS
}

/// Servers of a build start many at a time, each with the same names in its place, and stop; and one that has no time does not
/// start. Prints how long it takes.
///
/// # Panics
/// One does not start, or one starts in a millisecond.
pub async fn starts_many(id: &str, launcher: &Arc<dyn Launcher>, deadline: Duration) {
    for (count, how) in [(8, "8 at a time"), (1, "alone")] {
        let start = Instant::now();
        let launchers = (0..count).map(|_| Arc::clone(launcher));
        let starts: Vec<_> = launchers
            .map(|launcher| tokio::spawn(async move { launcher.start(Start::within(deadline)).await }))
            .collect();
        let mut servers = Vec::new();
        for started in starts {
            let started = started.await.expect("starting does not panic");
            servers.push(started.unwrap_or_else(|error| panic!("{id}: {error}")));
        }
        let up = start.elapsed();
        for server in servers {
            server.stop().await;
        }
        let down = start.elapsed() - up;
        say(&format!("ok: {id} starts {how}: {} ms, stops: {} ms", up.as_millis(), down.as_millis()));
    }
    let at_once = launcher.start(Start::within(Duration::from_millis(1))).await.err().map(|error| error.kind);
    assert!(matches!(at_once, Some(LaunchErrorKind::NotReady(1))), "{id}: {at_once:?}");
}

/// Where fetched builds are found and where started ones may write.
///
/// # Panics
/// Nobody entered a sandbox; [`live`] does.
#[must_use]
pub fn bench() -> Bench {
    let state = Sandbox::inside().expect("a live test is inside").state().to_owned();
    Bench::new(state, Cache::default_directory())
}

/// What holds for every release table.
///
/// # Panics
/// A release continues none that stands before it, or is not newer; a name is there twice; a change has no words or no
/// source, or changes nothing; `ideal` is not the last; or a version means another release than it should.
pub fn check_table<D: Facts + PartialEq + Debug>(table: &Table<D>) {
    let number = |name: &str| name.parse::<Version>().ok();
    for (at, release) in table.releases().iter().enumerate() {
        let name = release.name;
        let before = &table.releases()[..at];
        assert!(before.iter().all(|other| other.name != name), "{name} is there twice");
        let mut dialect = match release.after {
            None => D::first(),
            Some(after) => {
                assert!(before.iter().any(|other| other.name == after), "{name} continues no `{after}`");
                assert!(
                    number(name).is_none_or(|new| number(after) <= Some(new)),
                    "{name} is behind {after}"
                );
                table.named(after).cloned().expect("it stands before")
            }
        };
        for change in release.changes {
            assert!(!change.what.is_empty() && !change.source.is_empty(), "{name}: {change:?}");
            let was = dialect.clone();
            (change.apply)(&mut dialect);
            assert_ne!(dialect, was, "{name}: {} changes nothing", change.what);
        }
        if number(name).is_some_and(|number| number.to_string() == name) {
            for version in
                [format!("{name}.0.0.0.1"), format!("1:{name}-2+deb11u2"), format!("{name}+dfsg-1")]
            {
                assert_eq!(table.for_version(&version), table.named(name), "{version}");
            }
        }
    }
    assert_eq!(table.names().last(), Some(&IDEAL));
    assert_eq!(table.for_version(IDEAL), table.named(IDEAL));
    for version in ["", "dev", "0"] {
        assert_eq!(table.for_version(version), None, "`{version}`");
    }
}

/// Names of the operations that are cases.
#[must_use]
pub fn operations(protocol: &dyn Protocol) -> Vec<&'static str> {
    let name = |action| match action {
        Action::Operation(name) => Some(name),
        Action::Script(_) | Action::Recorded => None,
    };
    protocol.cases().into_iter().filter_map(|case| name(case.action)).collect()
}

/// One thing that an operation must come to, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What must be so: `claim.<word>` or `effect.<name>`.
    pub of: String,
    /// What must be so.
    pub expected: String,
    /// What the client claimed or what was seen; `None` where nothing was written of it.
    pub found: Option<String>,
}

/// What [`Protocol::expected`] says of an operation, next to what was written down of it.
#[must_use]
pub fn outcomes(expected: &[Expectation], events: &[Event]) -> Vec<Outcome> {
    let found = |wanted: Observation<'_>| {
        let mut seen = events.iter().filter_map(|event| event.kind.observed());
        seen.find(|(what, _)| *what == wanted).map(|(_, value)| value.to_owned())
    };
    let outcome = |expectation: &Expectation| Outcome {
        of: expectation.about().key().into_owned(),
        expected: expectation.value.clone(),
        found: found(expectation.about()),
    };
    expected.iter().map(outcome).collect()
}

/// A connection of which nothing is known.
pub const CONN: ConnContext = ConnContext { conn: ConnId(1) };

/// Whether a message from the server answers that message from the client, if nothing else was said.
#[must_use]
pub fn answers(grammar: &dyn Grammar, request: &Frame, reply: &Frame) -> bool {
    let mut pairing = grammar.pairing();
    pairing.place(Direction::ToServer, request, Some(ExchangeId(0)));
    matches!(pairing.place(Direction::ToClient, reply, Some(ExchangeId(1))), Place::Completes(..))
}

/// Whether something of that name was asked for.
#[must_use]
pub fn wanted(name: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}

#[allow(clippy::print_stdout, reason = "a test program tells its results to people")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use session::Recorder;
    use transcript::ExitStatus;

    use super::*;
    use crate::effects;

    #[test]
    fn finds_what_came_beside_what_must_come() {
        let recorder = Recorder::new();
        effects::claim_exit(&recorder, Some(ExitStatus::Code(1)));
        effects::claim(&recorder, "state", "RUNNING");
        effects::effect(&recorder, "state", "STOPPED");
        let expected = effects::expected(0, &[("state", "RUNNING")], &[("state", "FROZEN"), ("tty", "yes")]);
        let outcomes: Vec<_> = outcomes(&expected, &recorder.take())
            .into_iter()
            .map(|outcome| format!("{} {} {:?}", outcome.of, outcome.expected, outcome.found))
            .collect();
        assert_eq!(
            outcomes,
            [
                "claim.exit 0 Some(\"1\")",
                "claim.state RUNNING Some(\"RUNNING\")",
                "effect.state FROZEN Some(\"STOPPED\")",
                "effect.tty yes None",
            ]
        );
    }
}
