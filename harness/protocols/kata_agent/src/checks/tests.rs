//! Conversations with one mistake, and without.

use bytes::Bytes;
use matrix::CaseId;
use transcript::{ConnId, Data, Event, EventKind, Transcript};
use ttrpc::TtrpcGrammar;
use ttrpc::envelope::{self, Success};
use verdict::{Evidence, Reading};
use wire::Direction;
use wire::protobuf::Writer;
use wire::ttrpc::{DATA_MAX, Flags, Header, MessageType};

use super::*;

/// What passed on the only connection, in order.
#[derive(Default)]
struct Tale(Vec<Event>);

impl Tale {
    fn new() -> Self {
        Self::default().with(Direction::ToServer, EventKind::Connect)
    }

    fn with(mut self, dir: Direction, kind: EventKind) -> Self {
        self.0.push(Event { at_us: 0, conn: ConnId(1), dir, kind });
        self
    }

    fn says(self, dir: Direction, bytes: Bytes) -> Self {
        self.with(dir, EventKind::Data(Data { bytes, fds: Vec::new(), creds: None }))
    }

    fn asks(self, stream: u32, method: &str, argument: Writer) -> Self {
        let request = envelope::request(stream, "grpc.AgentService", method, &argument.finish());
        self.says(Direction::ToServer, request)
    }

    fn told(self, stream: u32, result: Writer) -> Self {
        self.says(Direction::ToClient, envelope::success(stream, Success::Bare, &result.finish()))
    }

    fn refused(self, stream: u32) -> Self {
        self.says(Direction::ToClient, envelope::failure(stream, envelope::code::INTERNAL, "no"))
    }

    fn leaves(self) -> Self {
        self.with(Direction::ToServer, EventKind::Eof(None))
    }

    fn hangs_up(self) -> Self {
        self.with(Direction::ToClient, EventKind::Eof(None))
    }
}

/// The shapes that a check finds in a conversation with an agent of a release.
#[track_caller]
fn check(checked: Check, release: &str, tale: Tale, expect: &[&str]) {
    let grammar = TtrpcGrammar(DIALECTS.named(release).expect("a release of the table"));
    let transcript = Transcript { events: tale.0, ..Transcript::default() };
    let reading = Reading::of(&transcript, &grammar);
    let case: CaseId = "client/lifecycle".parse().expect("a case");
    let evidence = Evidence {
        case: &case,
        transcript: &transcript,
        reading: &reading,
        grammar: &grammar,
        recorded: None,
    };
    let found = checked.findings(&evidence);
    let shapes: Vec<_> = found.iter().map(|finding| &*finding.shape).collect();
    assert_eq!(shapes, expect, "{found:#?}");
}

fn of_container(id: &str) -> Writer {
    Writer::new().text(1, id)
}

/// A call that is without an answer.
fn waits(method: &str) -> Tale {
    Tale::new().asks(1, method, of_container("c1"))
}

fn removes(tale: Tale, id: &str) -> Tale {
    tale.asks(3, "RemoveContainer", of_container(id))
}

#[test]
fn what_waits_for_ever_needs_no_answer_when_its_client_ends() {
    for method in ["WaitProcess", "GetOOMEvent"] {
        check(CALLS_ANSWERED, "4.0", waits(method).leaves(), &[]);
        check(CALLS_ANSWERED, "4.0", waits(method).leaves().hangs_up(), &[]);
        check(CALLS_ANSWERED, "4.0", waits(method).told(1, Writer::new()).leaves(), &[]);
    }
    for method in ["StatsContainer", "CreateContainer"] {
        check(CALLS_ANSWERED, "4.0", waits(method).leaves(), &["no-reply"]);
    }
}

#[test]
fn who_hangs_up_on_a_client_that_waits_owes_it_an_answer() {
    for method in ["WaitProcess", "GetOOMEvent"] {
        check(CALLS_ANSWERED, "4.0", waits(method).hangs_up().leaves(), &["no-reply"]);
    }
}

#[test]
fn a_process_of_a_container_that_was_removed_has_ended() {
    let lost = removes(waits("WaitProcess"), "c1").told(3, Writer::new()).leaves();
    check(CALLS_ANSWERED, "4.0", lost, &["no-reply"]);
    let of_another = removes(waits("WaitProcess"), "c2").told(3, Writer::new()).leaves();
    check(CALLS_ANSWERED, "4.0", of_another, &[]);
    let not_removed = removes(waits("WaitProcess"), "c1").refused(3).leaves();
    check(CALLS_ANSWERED, "4.0", not_removed, &[]);
    let waits_for_another = removes(Tale::new(), "c1").told(3, Writer::new());
    let waits_for_another = waits_for_another.asks(5, "WaitProcess", of_container("c1")).leaves();
    check(CALLS_ANSWERED, "4.0", waits_for_another, &[]);
    let memory = removes(waits("GetOOMEvent"), "c1").told(3, Writer::new()).leaves();
    check(CALLS_ANSWERED, "4.0", memory, &[]);
}

fn signals(tale: Tale, stream: u32, signal: u64) -> Tale {
    tale.asks(stream, "SignalProcess", of_container("c1").uint(3, signal)).told(stream, Writer::new())
}

fn looks(tale: Tale, stream: u32) -> Tale {
    tale.asks(stream, "StatsContainer", of_container("c1")).told(stream, Writer::new())
}

#[test]
fn whoever_waits_for_a_process_of_whose_end_another_call_is_told_is_told_too() {
    let also_waits = |argument: Writer| waits("WaitProcess").asks(3, "WaitProcess", argument);
    let first = || of_container("c1").text(2, "c1");
    check(CALLS_ANSWERED, "4.0", also_waits(first()).told(3, Writer::new()).leaves(), &["no-reply"]);
    check(CALLS_ANSWERED, "4.0", also_waits(first()).refused(3).leaves(), &[]);
    check(CALLS_ANSWERED, "4.0", also_waits(first()).leaves(), &[]);
    let other = || of_container("c1").text(2, "exec");
    check(CALLS_ANSWERED, "4.0", also_waits(other()).told(3, Writer::new()).leaves(), &[]);
}

#[test]
fn whoever_waits_for_a_process_that_was_killed_a_while_ago_is_told() {
    check(CALLS_ANSWERED, "4.0", signals(waits("WaitProcess"), 3, SIGKILL).leaves(), &[]);
    check(CALLS_ANSWERED, "4.0", looks(signals(waits("WaitProcess"), 3, SIGKILL), 5).leaves(), &["no-reply"]);
    check(CALLS_ANSWERED, "4.0", looks(signals(waits("WaitProcess"), 3, SIGTERM), 5).leaves(), &[]);
    check(CALLS_ANSWERED, "4.0", signals(looks(waits("WaitProcess"), 3), 5, SIGKILL).leaves(), &[]);
    let refused =
        waits("WaitProcess").asks(3, "SignalProcess", of_container("c1").uint(3, SIGKILL)).refused(3);
    check(CALLS_ANSWERED, "4.0", looks(refused, 5).leaves(), &[]);
    let behind = signals(Tale::new(), 1, SIGKILL).asks(3, "WaitProcess", of_container("c1"));
    check(CALLS_ANSWERED, "4.0", looks(behind, 5).leaves(), &["no-reply"]);
}

#[test]
fn the_status_of_a_process_that_was_killed_says_so() {
    let ends = |tale: Tale, status: u64| tale.told(1, Writer::new().uint(1, status)).leaves();
    let killed = || signals(waits("WaitProcess"), 3, SIGKILL);
    for (release, due, other) in [("3.2", 9, 137), ("4.0", 137, 9), ("ideal", 137, 0)] {
        check(KILLED_IS_TOLD, release, ends(killed(), due), &[]);
        check(KILLED_IS_TOLD, release, ends(killed(), other), &["not-killed"]);
    }
    check(KILLED_IS_TOLD, "4.0", ends(signals(waits("WaitProcess"), 3, SIGTERM), 7), &[]);
    check(KILLED_IS_TOLD, "4.0", ends(signals(killed(), 5, SIGTERM), 7), &[]);
    let ended_before = signals(Tale::new(), 3, SIGKILL).asks(1, "WaitProcess", of_container("c1"));
    check(KILLED_IS_TOLD, "4.0", ends(ended_before, 0), &[]);
    check(KILLED_IS_TOLD, "4.0", killed().refused(1).leaves(), &[]);
}

#[test]
fn interfaces_are_listed_and_are_what_they_are_called() {
    let interface = |name: &str, family: u64, address: &str| {
        let address = Writer::new().uint(1, family).text(2, address).text(3, "8");
        Writer::new().message(1, Writer::new().text(2, name).message(3, address))
    };
    let lists = |interfaces: Writer| Tale::new().asks(1, "ListInterfaces", Writer::new()).told(1, interfaces);
    check(INTERFACES, "4.0", lists(interface("lo", 0, "127.0.0.1")), &[]);
    check(INTERFACES, "4.0", lists(interface("lo", 1, "::1")), &[]);
    check(INTERFACES, "4.0", lists(Writer::new()), &["no-interface"]);
    check(INTERFACES, "4.0", lists(interface("lo", 1, "127.0.0.1")), &["other-family"]);
    check(INTERFACES, "4.0", lists(interface("lo", 0, "::1")), &["other-family"]);
    check(INTERFACES, "4.0", lists(interface("lo\0", 0, "127.0.0.1")), &["name-not-text"]);
    let refused = Tale::new().asks(1, "ListInterfaces", Writer::new()).refused(1);
    check(INTERFACES, "4.0", refused, &[]);
}

#[test]
fn a_process_that_got_sigterm_chooses_its_exit() {
    let ends = |signal: u64, status: u64| {
        let signal = of_container("c1").uint(3, signal);
        let tale = waits("WaitProcess").asks(3, "SignalProcess", signal).told(3, Writer::new());
        tale.told(1, Writer::new().uint(1, status)).leaves()
    };
    for killed in [9, 137] {
        check(EXIT_OF_HANDLER, "4.0", ends(SIGTERM, killed), &["killed-by-term"]);
        check(EXIT_OF_HANDLER, "4.0", ends(9, killed), &[]);
    }
    check(EXIT_OF_HANDLER, "4.0", ends(SIGTERM, 7), &[]);
    check(EXIT_OF_HANDLER, "4.0", ends(SIGTERM, 143), &[]);
}

#[test]
fn whoever_goes_on_behind_an_answer_above_the_limit_takes_it_out_of_its_body() {
    let above = |stream: u32| {
        let head = Header { stream, kind: MessageType::RESPONSE, flags: Flags(0) };
        head.with_length(DATA_MAX + 1, &envelope::success(stream, Success::Bare, b""))
    };
    let is_long = || waits("CreateContainer").says(Direction::ToClient, above(1));
    let starts = |tale: Tale, id: &str| tale.asks(3, "StartContainer", of_container(id)).leaves();
    check(BODIES_PASSED_OVER, "4.0", starts(is_long(), "c1"), &["takes-refused"]);
    check(BODIES_PASSED_OVER, "4.0", starts(is_long(), "c2"), &[]);
    check(BODIES_PASSED_OVER, "4.0", is_long().asks(3, "RemoveContainer", of_container("c1")).leaves(), &[]);
    let at_once = waits("CreateContainer").asks(3, "StartContainer", of_container("c1"));
    check(BODIES_PASSED_OVER, "4.0", at_once.says(Direction::ToClient, above(1)).leaves(), &[]);
    check(BODIES_PASSED_OVER, "4.0", starts(waits("CreateContainer").told(1, Writer::new()), "c1"), &[]);
    let sandbox = Tale::new().asks(1, "CreateSandbox", Writer::new().text(1, "vm"));
    let creates = sandbox.says(Direction::ToClient, above(1)).asks(3, "CreateContainer", of_container("c1"));
    check(BODIES_PASSED_OVER, "4.0", creates.leaves(), &["takes-refused"]);
}

#[test]
fn only_a_runtime_that_knows_its_agent_confuses_nobody() {
    let rules = |number: u32| {
        let rule = Writer::new().text(1, "chmod").text(2, "SCMP_ACT_ERRNO");
        let linux = Writer::new().message(8, Writer::new().message(number, rule));
        Tale::new().asks(1, "CreateContainer", of_container("c1").message(6, Writer::new().message(8, linux)))
    };
    for (release, layout, other) in [("2.0", 3, 4), ("2.1", 4, 3), ("4.0", 4, 3)] {
        check(NEVER_CONFUSES, release, rules(layout), &[]);
        check(NEVER_CONFUSES, release, rules(other), &["confuses-agent"]);
    }
}
