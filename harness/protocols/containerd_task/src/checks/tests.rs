//! The checks over recordings of real builds as they are, which they let pass, and with one thing changed.

use std::path::Path;

use bytes::Bytes;
use matrix::CaseId;
use protocol::Protocol;
use transcript::{ConnId, Data, Event, EventKind, Transcript};
use ttrpc::envelope::{self, Success, code};
use verdict::{Evidence, Reading};
use wire::Direction;
use wire::protobuf::Writer;

use super::*;
use crate::ContainerdTask;

/// What is found in a recording with something changed in it, as a run would judge it.
fn found(fixture: &str, change: impl FnOnce(&mut Vec<Event>)) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/containerd-task");
    let mut transcript: Transcript =
        transcript::fixture::load(folder.join(fixture)).expect("a recording can be read");
    change(&mut transcript.events);
    let case: CaseId = transcript.provenance.case.parse().expect("it names a case");
    let server = transcript.provenance.server.version.clone().expect("it names its server");
    // Who only takes events is of no release.
    let grammar = ContainerdTask.grammar(&server).or_else(|| ContainerdTask.grammar("ideal"));
    let grammar = grammar.expect("there is one");
    let reading = Reading::of(&transcript, &*grammar);
    let evidence = Evidence {
        case: &case,
        transcript: &transcript,
        reading: &reading,
        grammar: &*grammar,
        recorded: None,
    };
    verdict::judge(&evidence, &ContainerdTask.checks(&case), None).shapes()
}

/// An event of bytes, without its time.
fn sent(dir: Direction, bytes: Bytes) -> Said {
    (dir, EventKind::Data(Data { bytes, fds: Vec::new(), creds: None }))
}

type Said = (Direction, EventKind);

/// A daemon that a shim's container was left for: these events in place of all of its connection.
fn spoken(said: Vec<Said>) -> Vec<String> {
    found("2.1..1.7/take-over.wire", |events| {
        let at = events.iter().position(|event| event.conn == ConnId(1)).expect("it has a connection");
        let first = events[at].clone();
        let behind = events.iter().rposition(|event| event.conn == ConnId(1)).expect("it has an end") + 1;
        let said = said.into_iter().map(|(dir, kind)| Event { dir, kind, ..first.clone() });
        events.splice(at + 1..behind, said);
    })
}

#[test]
fn what_a_shim_says_of_an_end_makes_an_answer_due() {
    use Direction::{ToClient, ToServer};
    let asks = |stream, method: &str, exec: &str| {
        let payload = Writer::new().text(1, "d1").text(2, exec).finish();
        sent(ToServer, envelope::request(stream, TASK_V2, method, &payload))
    };
    let done =
        |stream, result: Writer| sent(ToClient, envelope::success(stream, Success::Bare, &result.finish()));
    let stopped = || Writer::new().text(1, "d1").uint(4, STOPPED);
    let running = || Writer::new().text(1, "d1").uint(4, 2);
    let leaves = || (ToServer, EventKind::Eof(None));
    #[track_caller]
    fn check(said: Vec<Said>, is_due: bool) {
        let shapes = spoken(said.clone());
        assert_eq!(shapes.contains(&"no-reply".to_owned()), is_due, "{shapes:?} {said:?}");
    }
    let wait = || asks(1, "Wait", "");
    // It goes on.
    check(vec![wait(), asks(3, "State", ""), done(3, running()), leaves()], false);
    // It has ended, by whatever the shim says; another one has not.
    check(vec![wait(), asks(3, "State", ""), done(3, stopped()), leaves()], true);
    check(vec![wait(), asks(3, "Delete", ""), done(3, Writer::new().uint(1, 78)), leaves()], true);
    check(vec![wait(), asks(3, "Wait", ""), done(3, Writer::new().uint(1, 7)), leaves()], true);
    check(vec![wait(), asks(3, "Delete", "x1"), done(3, Writer::new()), leaves()], false);
    check(vec![asks(1, "Wait", "x1"), asks(3, "Delete", "x1"), done(3, Writer::new()), leaves()], true);
    // It was told before that: another process of that name may run.
    check(vec![asks(1, "Delete", ""), done(1, Writer::new()), asks(3, "Wait", ""), leaves()], false);
    // Who has gone is told nothing.
    check(vec![wait(), asks(3, "State", ""), leaves(), done(3, stopped())], false);
    // A shim is told to end by the last call.
    check(vec![asks(1, "Shutdown", ""), leaves()], false);
    check(vec![asks(1, "Shutdown", ""), asks(3, "State", ""), done(3, running()), leaves()], true);
    check(vec![asks(1, "Kill", ""), leaves()], true);
}

/// Leaves out what a shim sent, but for the first messages.
fn silenced_after(answers: usize) -> impl FnOnce(&mut Vec<Event>) {
    move |events| {
        let mut heard = 0;
        events.retain(|event| {
            let is_answer = event.dir == Direction::ToClient && matches!(event.kind, EventKind::Data(_));
            heard += usize::from(is_answer);
            !is_answer || heard <= answers
        });
    }
}

/// Lets an observation say something else.
fn observed(wanted: &'static str, said: &'static str) -> impl FnOnce(&mut Vec<Event>) {
    move |events| {
        let mut is_there = false;
        for event in events {
            if let EventKind::Observe { key, value } = &mut event.kind
                && key == wanted
            {
                said.clone_into(value);
                is_there = true;
            }
        }
        assert!(is_there, "nothing is said of {wanted}");
    }
}

#[test]
fn what_a_daemon_says_to_a_shim_that_it_finds_is_judged() {
    const FOUND: &str = "2.1..1.7/state.bundle.wire";
    assert_eq!(found(FOUND, |_| ()), [""; 0]);
    // Connect, Pids, State.
    assert_eq!(found(FOUND, silenced_after(3)), [""; 0]);
    assert_eq!(found(FOUND, silenced_after(2)), ["no-reply"]);
    assert_eq!(found(FOUND, silenced_after(1)), ["no-reply"]);
    assert_eq!(found(FOUND, silenced_after(0)), ["incomplete", "no-reply"]);
    let without = |conn| move |events: &mut Vec<Event>| events.retain(|event| event.conn != conn);
    assert_eq!(found(FOUND, without(ConnId(1))), ["incomplete"]);
    // The number of a stream, on the wire.
    let reused = |events: &mut Vec<Event>| {
        for event in events {
            if let EventKind::Data(data) = &mut event.kind {
                data.bytes = [&data.bytes[..4], &[0, 0, 0, 1], &data.bytes[8..]].concat().into();
            }
        }
    };
    assert_eq!(found(FOUND, reused), ["stream-reused"]);
    let unseen = |events: &mut Vec<Event>| {
        let is_runs =
            |event: &Event| matches!(&event.kind, EventKind::Observe { key, .. } if key == "effect.runs");
        events.retain(|event| !is_runs(event));
    };
    assert_eq!(found(FOUND, unseen), ["incomplete"]);
}

/// A failure in the place of the first result of a real shim.
fn refused(events: &mut [Event]) {
    let is_answer =
        |event: &&mut Event| event.dir == Direction::ToClient && matches!(event.kind, EventKind::Data(_));
    let first = events.iter_mut().find(is_answer).expect("a shim answers");
    let bytes = envelope::failure(1, code::INTERNAL, "no");
    first.kind = EventKind::Data(Data { bytes, fds: Vec::new(), creds: None });
}

#[test]
fn what_a_real_shim_carried_out_is_missed() {
    for fixture in ["2.1..2.1/take-over.wire", "2.1..1.7/upgrade.wire", "2.1..1.7/state.bundle.wire"] {
        assert_eq!(found(fixture, |_| ()), [""; 0], "{fixture}");
        assert_eq!(found(fixture, |events| refused(events)), ["refused-valid"], "{fixture}");
    }
}

#[test]
fn a_daemon_may_ask_for_another_service_and_then_speaks_one() {
    const ASKS_ON: &str = "2.1..1.7/state.bootstrap-3.wire";
    assert_eq!(found(ASKS_ON, |_| ()), [""; 0]);
    let answered = |events: &mut Vec<Event>| {
        let refusal =
            |event: &&mut Event| event.dir == Direction::ToClient && matches!(event.kind, EventKind::Data(_));
        let first = events.iter_mut().find(refusal).expect("the first service is refused");
        let bytes = envelope::success(1, Success::Bare, &Writer::new().uint(1, 7).finish());
        first.kind = EventKind::Data(Data { bytes, fds: Vec::new(), creds: None });
    };
    assert_eq!(found(ASKS_ON, answered), ["other-service"]);
}

#[test]
fn a_daemon_loads_what_it_has_to_and_comes_up() {
    const KNOWN: &str = "2.1..2.1/state.unknown-key.wire";
    assert_eq!(found(KNOWN, |_| ()), [""; 0]);
    assert_eq!(found(KNOWN, observed("claim.loads", "no")), ["state-refused"]);
    assert_eq!(found(KNOWN, observed("effect.runs", "no")), ["state-destroyed"]);
    assert_eq!(found(KNOWN, observed("claim.exit", "1")), ["loud-fail"]);
    assert_eq!(found(KNOWN, observed("claim.exit", "gone")), ["client-crash"]);
    assert_eq!(found(KNOWN, observed("claim.exit", "none")), ["client-hang"]);
    assert_eq!(found("2.1..1.7/state.bundle.wire", observed("effect.files", "changed")), ["way-back-lost"]);
    assert_eq!(found("2.1..1.7/state.bundle.wire", observed("effect.migrated", "3")), ["wrong-version"]);
}

/// The body of a message in another one's place: the stream stays.
fn in_place_of(body: &Bytes, place: &Bytes) -> Bytes {
    // Length, stream, kind and flags.
    [&body[..4], &place[4..8], &body[8..]].concat().into()
}

#[test]
fn events_of_a_recorded_shim_that_change_places_are_found() {
    /// Puts the first event of one topic in the place of that of another, and that in its place, too, if they are exchanged.
    #[track_caller]
    fn check(put: &str, at: &str, exchanged: bool, expect: &[&str]) {
        let shapes = found("2.1..event-sink/recorded-events.wire", |events| {
            let bytes = |event: &Event| match &event.kind {
                EventKind::Data(data) if event.dir == Direction::ToServer => Some(data.bytes.clone()),
                _ => None,
            };
            let of = |topic: &str| {
                let is_of = |bytes: Bytes| bytes.windows(topic.len()).any(|part| part == topic.as_bytes());
                let found = events.iter().position(|event| bytes(event).is_some_and(is_of));
                found.unwrap_or_else(|| panic!("there is no {topic}"))
            };
            let places = [of(put), of(at)];
            let bodies = places.map(|place| bytes(&events[place]).expect("it has bytes"));
            for (place, body) in [(1, 0), (0, 1)].into_iter().take(if exchanged { 2 } else { 1 }) {
                let bytes = in_place_of(&bodies[body], &bodies[place]);
                events[places[place]].kind = EventKind::Data(Data { bytes, fds: Vec::new(), creds: None });
            }
        });
        assert_eq!(shapes, expect, "{put} {at}");
    }
    check("/tasks/create", "/tasks/create", false, &[]);
    check("/tasks/start", "/tasks/create", true, &["events-out-of-order"]);
    check("/tasks/exit", "/tasks/delete", true, &["events-out-of-order"]);
    // Once more.
    check("/tasks/start", "/tasks/exit", false, &["events-out-of-order"]);
    check("/tasks/paused", "/tasks/resumed", false, &["events-out-of-order"]);
}

#[test]
fn a_container_that_a_daemon_forgets_is_found() {
    #[track_caller]
    fn check(fixture: &str, listed: &'static str, expect: &[&str]) {
        let shapes = found(fixture, observed("effect.listed", listed));
        assert_eq!(shapes, expect, "{fixture}");
    }
    check("2.1..2.1/take-over.wire", "yes", &[]);
    check("2.1..2.1/take-over.wire", "no", &["silent-wrong"]);
    // Rollback: the container is lost anyway (bug SHIM-05), and that it is forgotten is another thing.
    check("1.7..2.1/take-over.wire", "yes", &["loud-fail", "state-destroyed"]);
    check("1.7..2.1/take-over.wire", "no", &["loud-fail", "metadata-lost", "state-destroyed"]);
}

#[test]
fn each_event_has_its_place_in_a_life() {
    /// What is wrong with the last of these events.
    #[track_caller]
    fn check(told: &[(&str, &[u8])], expect: Option<&str>) {
        let mut lives = Lives::default();
        let mut last = None;
        for (topic, event) in told {
            assert_eq!(last, None, "{told:?}");
            last = lives.tell(topic, Values(event));
        }
        assert_eq!(last, expect, "{told:?}");
    }
    let create = || ("/tasks/create", Writer::new().text(1, "c1").text(2, "/run/bundle/c1").finish());
    let start = || ("/tasks/start", Writer::new().text(1, "c1").uint(2, 7).finish());
    let exit = |id: &str| ("/tasks/exit", Writer::new().text(1, "c1").text(2, id).uint(3, 7).finish());
    let delete = || ("/tasks/delete", Writer::new().text(1, "c1").uint(2, 7).finish());
    let added = || ("/tasks/exec-added", Writer::new().text(1, "c1").text(2, "x1").finish());
    let started = || ("/tasks/exec-started", Writer::new().text(1, "c1").text(2, "x1").uint(3, 8).finish());
    let of_container = |topic| (topic, Writer::new().text(1, "c1").finish());
    let (paused, resumed) = (|| of_container("/tasks/paused"), || of_container("/tasks/resumed"));
    let told = [
        create(),
        start(),
        added(),
        started(),
        exit("x1"),
        paused(),
        resumed(),
        paused(),
        resumed(),
        of_container("/tasks/oom"),
        of_container("/tasks/oom"),
        exit("c1"),
        delete(),
        create(),
        start(),
    ];
    let told: Vec<_> = told.iter().map(|(topic, event)| (*topic, &event[..])).collect();
    check(&told, None);
    let wrong = [
        [start(), create()],
        [exit("c1"), start()],
        [delete(), exit("c1")],
        [started(), added()],
        [exit("x1"), started()],
        [start(), start()],
        [exit("c1"), exit("c1")],
        [paused(), paused()],
        [resumed(), resumed()],
    ];
    for pair in &wrong {
        check(&[(pair[0].0, &pair[0].1), (pair[1].0, &pair[1].1)], Some(pair[0].0));
    }
    let (started, exited) = (start(), exit("x1"));
    check(&[(exited.0, &exited.1), (started.0, &started.1)], None);
}
