//! The checks over recordings of real builds as they are, which they let pass, and with one thing changed.

use std::path::Path;

use matrix::CaseId;
use protocol::Protocol;
use transcript::{Event, EventKind, Transcript};
use verdict::{Evidence, Reading};
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
    let grammar = ContainerdTask.grammar("ideal").expect("there is one");
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

#[test]
fn a_container_that_a_daemon_forgets_is_found() {
    #[track_caller]
    fn check(fixture: &str, listed: &str, expect: &[&str]) {
        let shapes = found(fixture, |events| {
            for event in events {
                if let EventKind::Observe { key, value } = &mut event.kind
                    && key == "effect.listed"
                {
                    listed.clone_into(value);
                }
            }
        });
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
