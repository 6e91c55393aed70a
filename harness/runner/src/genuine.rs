//! Is a conversation a recording of the case that its file claims?
//!
//! A transcript explains itself by its marks and expectations. So that nobody can explain evidence away, they are held
//! against what the case really does: the bytes and marks of its script, the expectations of its operation, and
//! the versions of its builds. Whether the answers are right is not asked here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::captures::Captured;
use protocol::{Action, Case, Protocol};
use session::{Script, ServerAct, Step, Variables};
use transcript::evidence::{Expectation, Observation, Role};
use transcript::{ConnId, EventKind, Mark, Transcript};
use wire::Direction;

/// What the client did on one connection: what each mark is followed by.
type Timeline = Vec<Part>;

#[derive(Debug, Default)]
struct Part {
    mark: Mark,
    /// As it was written, in one or more pieces.
    sent: Vec<Bytes>,
    /// The server stopped taking bytes, or was cut off: what was to be sent need not be there.
    cut: bool,
}

/// Compares a recorded conversation with its case.
///
/// # Errors
/// What does not fit, for people.
pub(crate) fn check(
    protocol: &dyn Protocol,
    case: &Case,
    transcript: &Transcript,
    captured: &[Captured],
) -> Result<(), String> {
    match &case.action {
        Action::Script(script) => same_script(&script.make(), captured, transcript),
        Action::Operation(_) => same_expectations(protocol, case, transcript),
        // Nothing in it explains itself: no mark and no expectation of it is read by a check.
        Action::Recorded => Ok(()),
    }
}

fn same_expectations(protocol: &dyn Protocol, case: &Case, transcript: &Transcript) -> Result<(), String> {
    let mut due = protocol.expected(&case.id);
    let observed = transcript.events.iter().filter_map(|event| event.kind.observed());
    let mut found: Vec<_> = observed.filter_map(|(what, value)| Expectation::of(what, value)).collect();
    due.sort();
    found.sort();
    if due == found { Ok(()) } else { Err(format!("it expects {found:?}, the operation {due:?}")) }
}

fn same_script(script: &Script, captured: &[Captured], transcript: &Transcript) -> Result<(), String> {
    let due = of_script(script, captured);
    let (found, failed) = of_transcript(transcript);
    if let Some(conn) = found.keys().find(|conn| !due.contains_key(conn)) {
        return Err(format!("the probe has no connection {conn}"));
    }
    for (conn, parts) in &due {
        if failed.contains(conn) {
            continue;
        }
        let there = found.get(conn).ok_or_else(|| format!("connection {conn} of the probe is not there"))?;
        same_parts(parts, there).map_err(|what| format!("connection {conn}: {what}"))?;
    }
    same_acts(script, transcript)?;
    same_looks(script, transcript)
}

/// What happened to the server itself is what the case does to it.
fn same_acts(script: &Script, transcript: &Transcript) -> Result<(), String> {
    let due = script.steps.iter().filter_map(|step| match step {
        Step::Server(act) => Some(act.to_string()),
        _ => None,
    });
    let found = transcript.events.iter().filter_map(|event| match &event.kind {
        EventKind::Mark(mark) if mark.role() == Some(Role::Server) => {
            // What nobody knows is in no case.
            Some(ServerAct::of_mark(mark).map_or_else(|| format!("{:?}", mark.args), |act| act.to_string()))
        }
        _ => None,
    });
    let (due, found): (Vec<_>, Vec<_>) = (due.collect(), found.collect());
    if due == found { Ok(()) } else { Err(format!("the server's fate is {found:?}, in the case {due:?}")) }
}

fn same_parts(due: &Timeline, found: &Timeline) -> Result<(), String> {
    let marks = |parts: &Timeline| parts.iter().map(|part| part.mark.clone()).collect::<Vec<_>>();
    if marks(due) != marks(found) {
        return Err("its marks are not those of the probe".to_owned());
    }
    for (due, found) in due.iter().zip(found) {
        let same = match compare(&due.sent, &found.sent) {
            Compared::Same => true,
            Compared::Begins => found.cut,
            Compared::Differs => false,
        };
        if !same {
            return Err(format!("what is sent as `{}` is not what the probe sends", due.mark.label));
        }
    }
    Ok(())
}

/// How what was found stands to what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Same,
    /// It is a beginning of it.
    Begins,
    Differs,
}

/// Compares bytes that may be in other pieces on the other side, without putting the pieces together.
fn compare<'a>(due: &'a [Bytes], found: &'a [Bytes]) -> Compared {
    let pieces = |bytes: &'a [Bytes]| bytes.iter().filter(|piece| !piece.is_empty());
    let (mut due, mut found) = (pieces(due), pieces(found));
    let (mut left, mut right): (&[u8], &[u8]) = (&[], &[]);
    loop {
        if left.is_empty() {
            left = due.next().map_or(&[], |bytes| bytes);
        }
        if right.is_empty() {
            right = found.next().map_or(&[], |bytes| bytes);
        }
        match (left.is_empty(), right.is_empty()) {
            (true, true) => return Compared::Same,
            (false, true) => return Compared::Begins,
            (true, false) => return Compared::Differs,
            (false, false) => {}
        }
        let len = left.len().min(right.len());
        // Large messages are often one and the same memory.
        if !std::ptr::eq(&raw const left[..len], &raw const right[..len]) && left[..len] != right[..len] {
            return Compared::Differs;
        }
        (left, right) = (&left[len..], &right[len..]);
    }
}

/// A server that lives was looked at as often as the probe does, each time whole.
fn same_looks(script: &Script, transcript: &Transcript) -> Result<(), String> {
    let watches = script.steps.iter().filter(|step| matches!(step, Step::Watch)).count();
    let seen = |wanted: Observation<'_>| {
        let is = |kind: &EventKind| kind.observed().is_some_and(|(what, _)| what == wanted);
        transcript.events.iter().filter(|event| is(&event.kind)).count()
    };
    let died = transcript.events.iter().any(|event| matches!(event.kind, EventKind::Exit(_)));
    let (alive, fds) = (seen(Observation::Alive), seen(Observation::Fds));
    if (alive != watches && !died) || fds != alive {
        return Err(format!(
            "the server was looked at {alive} times, {fds} with descriptors, not {watches} times"
        ));
    }
    Ok(())
}

/// What a script does with what the recording has captured of replies.
fn of_script(script: &Script, captured: &[Captured]) -> BTreeMap<ConnId, Timeline> {
    let mut variables = Variables::default();
    let mut captured = captured.iter();
    let mut all: BTreeMap<ConnId, Timeline> = BTreeMap::new();
    for step in &script.steps {
        match step {
            Step::Connect(conn) => {
                all.entry(*conn).or_default();
            }
            Step::Mark(conn, mark) => {
                all.entry(*conn).or_default().push(Part { mark: mark.clone(), ..Part::default() });
            }
            Step::Capture(_, capture) => {
                let found = captured.find(|captured| captured.capture == *capture);
                variables.bind(&capture.var, found.map(|captured| captured.value.clone()));
            }
            Step::Send { conn, payload, .. } => {
                // What could not be filled in was not sent.
                last(&mut all, *conn).sent.extend(payload.fill(&variables));
            }
            _ => {}
        }
    }
    all
}

fn of_transcript(transcript: &Transcript) -> (BTreeMap<ConnId, Timeline>, Vec<ConnId>) {
    let mut all: BTreeMap<ConnId, Timeline> = BTreeMap::new();
    let mut failed = Vec::new();
    // What a server has hung up on need not have been sent.
    let mut gone = BTreeSet::new();
    for event in &transcript.events {
        if event.conn == ConnId(0) {
            continue;
        }
        match &event.kind {
            EventKind::Connect => {
                all.entry(event.conn).or_default();
            }
            EventKind::ConnectFailed(_) => failed.push(event.conn),
            EventKind::Mark(mark) if mark.is_capture() => {}
            EventKind::Mark(mark) => {
                let cut = gone.contains(&event.conn);
                all.entry(event.conn).or_default().push(Part { mark: mark.clone(), cut, ..Part::default() });
            }
            EventKind::Data(data) if event.dir == Direction::ToServer => {
                last(&mut all, event.conn).sent.push(data.bytes.clone());
            }
            EventKind::Eof(_) | EventKind::Reset if event.dir == Direction::ToClient => {
                gone.insert(event.conn);
                last(&mut all, event.conn).cut = true;
            }
            kind => {
                let what = kind.observed().map(|(what, _)| what);
                if matches!(what, Some(Observation::SendFailed | Observation::Flood)) {
                    last(&mut all, event.conn).cut = true;
                }
            }
        }
    }
    all.retain(|conn, _| !failed.contains(conn));
    (all, failed)
}

fn last(all: &mut BTreeMap<ConnId, Timeline>, conn: ConnId) -> &mut Part {
    let parts = all.entry(conn).or_default();
    if parts.is_empty() {
        parts.push(Part::default());
    }
    let at = parts.len() - 1;
    &mut parts[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_bytes_in_whatever_pieces_they_are() {
        #[track_caller]
        fn check(due: &[&'static str], found: &[&'static str], expect: Compared) {
            let bytes =
                |pieces: &[&'static str]| pieces.iter().map(|text| Bytes::from(*text)).collect::<Vec<_>>();
            assert_eq!(compare(&bytes(due), &bytes(found)), expect, "{due:?} {found:?}");
        }
        check(&[], &[], Compared::Same);
        check(&["", ""], &[""], Compared::Same);
        check(&["abc", "def"], &["ab", "", "cd", "ef"], Compared::Same);
        check(&["abc", "def"], &["abcde"], Compared::Begins);
        check(&["abc"], &[], Compared::Begins);
        check(&["abc"], &["abcd"], Compared::Differs);
        check(&[], &["a"], Compared::Differs);
        check(&["abc", "def"], &["ab", "cdxf"], Compared::Differs);
    }
}
