//! Reference clients behave against reference servers as the releases were measured to behave.

use session::Recorder;
use transcript::{Provenance, Transcript};
use verdict::{Evidence, Reading, judge};

use super::{DEADLINE, build, runtime, start};
use crate::reference::{self, DEFECTS};
use crate::{DIALECTS, LxcCommand, LxcGrammar};
use protocol::{Action, Protocol};

use matrix::{CaseId, CaseKind, Role, Verdict};
use session::Conversation;

/// Longer than any operation against a server that answers.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(300);

fn evidence(case: &CaseId, events: Vec<transcript::Event>, server: &str) -> Vec<String> {
    let transcript = Transcript { provenance: Provenance::default(), events };
    let grammar = LxcGrammar::new(DIALECTS.for_version(server).expect("in the table"));
    let reading = Reading::of(&transcript, &grammar);
    let evidence =
        Evidence { case, transcript: &transcript, reading: &reading, grammar: &grammar, recorded: None };
    let judgement = judge(&evidence, &LxcCommand.checks(case), None);
    // A fallback reaches its end.
    if judgement.verdict <= Verdict::Degraded { Vec::new() } else { judgement.shapes() }
}

/// What is found when a client carries out an operation.
fn shapes(client: (&str, &[&str]), server: (&str, &[&str]), operation: &str) -> Vec<String> {
    runtime().block_on(async {
        let defects: Vec<String> = client.1.iter().map(ToString::to_string).collect();
        let build = build(client.0, &[Role::Client]);
        let client = reference::client(&build, &defects).expect("a reference client");
        let mut peer = start(server.0, server.1).await;
        let recorder = Recorder::new();
        client.run(operation, &mut *peer, &recorder, PATIENCE).await.expect("carried out");
        evidence(&CaseId::new(CaseKind::Client, operation), recorder.take(), server.0)
    })
}

const ALL: &[&str] = &["4.0.6", "5.0.2", "6.0.4", "7.0.0"];
const NEW: &[&str] = &["5.0.2", "6.0.4", "7.0.0"];

#[track_caller]
fn check(clients: &[&str], servers: &[&str], operations: &[&str], expect: &[&str]) {
    for client in clients {
        for server in servers {
            for operation in operations {
                let found = shapes((client, &[]), (server, &[]), operation);
                assert_eq!(found, expect, "{client}..{server} {operation}");
            }
        }
    }
}

#[test]
fn four_releases_meet_as_measured() {
    let fine = ["info", "info-state", "ls", "wait", "wait-stopped", "console", "stop"];
    check(ALL, ALL, &fine, &[]);
    check(&["4.0.6"], ALL, &["freeze", "unfreeze", "attach", "attach-terminal"], &[]);
    check(NEW, NEW, &["freeze", "unfreeze", "attach", "attach-terminal", "cgroup"], &[]);
    check(&["4.0.6"], &["4.0.6"], &["cgroup"], &[]);
}

#[test]
fn four_releases_fail_each_other_as_measured() {
    // LXC-08, LXC-09 and LXC-10.
    check(NEW, &["4.0.6"], &["freeze", "unfreeze"], &["loud-fail"]);
    check(NEW, &["4.0.6"], &["cgroup"], &["loud-fail"]);
    check(&["4.0.6"], NEW, &["cgroup"], &["loud-fail"]);
    check(NEW, &["4.0.6"], &["attach", "attach-terminal"], &["silent-wrong"]);
}

#[test]
fn old_monitors_are_met_as_measured() {
    let old = ["1.0.11", "2.0.11", "3.0.4"];
    let clients = ["4.0.6", "5.0.2", "6.0.4"];
    check(&clients, &old, &["info", "info-state", "ls", "console", "stop", "cgroup"], &[]);
    check(&clients, &["2.0.11", "3.0.4"], &["freeze", "unfreeze", "wait", "wait-stopped"], &[]);
    // LXC-10 to LXC-14.
    check(&["5.0.2", "6.0.4"], &old, &["attach", "attach-terminal"], &["silent-wrong"]);
    check(&["4.0.6"], &["1.0.11"], &["wait-stopped"], &["silent-wrong"]);
    check(&["4.0.6"], &["1.0.11"], &["wait"], &["loud-fail"]);
    check(&["5.0.2", "6.0.4"], &["1.0.11"], &["wait"], &["loud-fail"]);
    check(&clients, &["1.0.11"], &["freeze"], &["silent-wrong"]);
    check(&["4.0.6"], &old, &["attach-terminal"], &["loud-fail"]);
    check(&["4.0.6"], &["2.0.11", "3.0.4"], &["attach"], &[]);
    check(&["4.0.6"], &["1.0.11"], &["attach"], &["loud-fail"]);
}

#[test]
fn the_ideal_client_reaches_every_end_or_says_that_it_cannot() {
    for server in DIALECTS.all() {
        for operation in LxcCommand.cases() {
            let Action::Operation(name) = operation.action else { continue };
            let found = shapes(("ideal", &[]), (server.name, &[]), name);
            // Freezing cannot be told to those who wait where SERVE_STATE_CLIENTS is not known.
            let cannot =
                matches!(name, "freeze" | "unfreeze") && !server.knows(crate::names::SERVE_STATE_CLIENTS);
            let expect: &[&str] = if cannot { &["loud-fail"] } else { &[] };
            assert_eq!(found, expect, "ideal..{} {name}", server.name);
        }
    }
}

#[test]
fn releases_meet_hostile_servers_as_measured() {
    #[track_caller]
    fn check(defect: &str, rows: &[(&[&str], &[&str], &[&str])]) {
        for (clients, operations, expect) in rows {
            for client in *clients {
                for operation in *operations {
                    let mut found = shapes((client, &[]), ("5.0.2", &[defect]), operation);
                    // What is wrong with the server's bytes is not what is asked here.
                    found.retain(|shape| shape != "unreadable-reply");
                    assert_eq!(found, *expect, "{client} {operation} meets {defect}");
                }
            }
        }
    }
    let tools = ["info", "info-state", "attach", "console", "wait", "freeze", "stop"];
    check("hostile-enosys-all", &[(ALL, &tools, &["loud-fail"])]);
    check("hostile-eof-all", &[(ALL, &["wait", "attach", "console", "freeze"], &["loud-fail"])]);
    check("hostile-eof-all", &[(ALL, &["info-state", "stop"], &["silent-wrong"])]);
    check("hostile-cut-header", &[(ALL, &["info-state"], &["silent-wrong"])]);
    check("hostile-cut-header", &[(ALL, &["stop"], &["loud-fail"])]);
    check("hostile-cut-header", &[(&["4.0.6"], &["freeze"], &["silent-wrong"])]);
    check("hostile-cut-header", &[(NEW, &["freeze"], &["loud-fail"])]);
    for defect in ["hostile-dlen-8193", "hostile-short-payload"] {
        check(defect, &[(ALL, &["wait", "attach", "console", "freeze"], &["loud-fail"])]);
    }
    check("hostile-dlen-minus-1", &[(NEW, &["info", "attach"], &["client-crash"])]);
    check("hostile-dlen-minus-1", &[(&["4.0.6"], &["info", "attach"], &["loud-fail"])]);
    check("hostile-extra-fds", &[(&["4.0.6"], &["info", "attach"], &["client-crash"])]);
    check("hostile-extra-fds", &[(NEW, &["info", "attach"], &["loud-fail"])]);
    check("hostile-all-ff", &[(&["4.0.6"], &["console"], &["client-crash"])]);
    check("hostile-all-ff", &[(NEW, &["console"], &["loud-fail"])]);
    check("hostile-silent", &[(ALL, &["info-state", "attach"], &["client-hang"])]);
    // The ideal client is never fooled.
    for defect in ["hostile-cut-header", "hostile-extra-fds", "hostile-all-ff", "hostile-dlen-minus-1"] {
        check(defect, &[(&["ideal"], &tools, &["loud-fail"])]);
    }
}

#[test]
fn every_defect_shows_in_its_case_and_not_without_it() {
    for defect in DEFECTS {
        let case = LxcCommand.cases().into_iter().find(|case| case.id.to_string() == defect.case);
        let case = case.unwrap_or_else(|| panic!("{}: no case `{}`", defect.name, defect.case));
        let found = |on: &[&str]| match &case.action {
            Action::Operation(name) => {
                let client = if defect.side == Role::Client { "ideal" } else { defect.peer };
                let (of_client, of_server) =
                    if defect.side == Role::Client { (on, &[][..]) } else { (&[][..], on) };
                shapes((client, of_client), (defect.peer, of_server), name)
            }
            Action::Script(script) => runtime().block_on(async {
                let mut server = start(defect.peer, on).await;
                let recorder = Recorder::new();
                let grammar = LxcGrammar::new(DIALECTS.for_version(defect.peer).expect("in the table"));
                let mut conversation = Conversation::new(&mut *server, &grammar, &recorder, 0.3);
                tokio::time::timeout(DEADLINE, conversation.play(&script.make()))
                    .await
                    .expect("in time")
                    .expect("played");
                evidence(&case.id, recorder.take(), defect.peer)
            }),
            Action::Recorded => panic!("{}: nobody can carry out `{}`", defect.name, defect.case),
        };
        let with = found(&[defect.name]);
        assert!(with.iter().any(|shape| *shape == defect.shape), "{}: {with:?}", defect.name);
        let without = found(&[]);
        assert!(!without.iter().any(|shape| *shape == defect.shape), "without {}: {without:?}", defect.name);
    }
}
