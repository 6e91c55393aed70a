//! Each shape: who raises it, and that nobody else does.

use std::collections::BTreeSet;

use matrix::{CaseId, CaseKind, Verdict};
use protocol::{Action, Case};
use transcript::evidence::Shape;
use verdict::{Judgement, Weight};
use wire::libvirt_rpc::{Header, MessageType, Status};
use wire::xdr::{Reader, Writer};

use self::driver::{Driver, Habit};
use self::toy::{Answers, Server, answers, fails, judged, plain, played, stream};
use crate::names::{error, error_domain, procedures as p, program, update_command};
use crate::{probes, request, scenarios, shapes};

mod driver;
mod releases;
mod toy;

/// What each of these checks can find.
const SHAPES: &[(&str, &[Shape])] = &[
    ("numbers-keep-meaning", &[Shape::CHANGED_MEANING]),
    ("unknown-text", &[Shape::OTHER_ERROR, shapes::TRANSLATED_TEXT]),
    (
        "features-hold",
        &[
            shapes::FEATURE_WITHOUT_PROCEDURE,
            shapes::PROCEDURE_WITHOUT_FEATURE,
            shapes::ORDER_NOT_AS_ANNOUNCED,
        ],
    ),
    ("authentication-first", &[shapes::SERVED_BEFORE_AUTHENTICATION]),
    ("driver-kept", &[shapes::FIRST_DRIVER_LOST, shapes::DRIVER_LEFT_BEHIND]),
    ("event-not-lost", &[shapes::LOST_EVENT, shapes::EVENT_TWICE]),
    ("stream-complete", &[shapes::STREAM_CUT, shapes::STREAM_GOES_ON]),
    ("serial-echoed", &[shapes::SERIAL_NOT_ECHOED, shapes::CALL_NOT_ECHOED]),
    ("transaction-holds", TRANSACTION_SHAPES),
];

/// What `transaction-holds` can find.
const TRANSACTION_SHAPES: &[Shape] = &[
    shapes::NOT_SUPPORTED_BY_DRIVER,
    shapes::BEGIN_FAILS,
    shapes::NO_SUCH_DRIVER,
    shapes::ROLLBACK_LEAVES_INACTIVE,
    shapes::ROLLBACK_TOUCHES_OTHERS,
    shapes::CHANGES_KEPT,
    shapes::CHANGES_LOST,
    shapes::REFUSED_BUT_CHANGED,
    shapes::HALF_DONE,
    shapes::SECOND_BEGIN_ACCEPTED,
    shapes::DISCARDED_AT_LAST_CLOSE,
    shapes::DISCARDED_AT_RESTART,
    shapes::TRANSACTION_LOST_AT_RESTART,
    shapes::TRANSACTION_LOST_WITH_CLIENT,
    shapes::STATE_OF_DRIVER,
    shapes::STATE_OF_CLIENT,
    shapes::NO_AUTOMATIC_ROLLBACK,
    Shape::INCOMPLETE,
];

fn named(kind: CaseKind, name: &str) -> Case {
    let id = CaseId::new(kind, name);
    let cases = probes::all().into_iter().chain(scenarios::all());
    cases.into_iter().find(|case| case.id == id).unwrap_or_else(|| panic!("no case {id}"))
}

fn run(case: &Case, server: &mut dyn Server) -> Judgement {
    let Action::Script(script) = &case.action else { panic!("{} is no script", case.id) };
    judged(&case.id, &played(&script.make(), server))
}

/// What the checks of this folder have found, without repeats.
fn ours(judgement: &Judgement) -> BTreeSet<(String, String)> {
    let known = |check: &str| SHAPES.iter().any(|(name, _)| *name == check);
    let findings = judgement.findings.iter().filter(|finding| known(&finding.check));
    findings.map(|finding| (finding.check.clone(), finding.shape.clone())).collect()
}

fn shapes(judgement: &Judgement) -> Vec<String> {
    let mut shapes: Vec<String> = ours(judgement).into_iter().map(|(_, shape)| shape).collect();
    shapes.sort();
    shapes
}

/// A scenario, a habit, and what must be found of it.
type Told = (&'static str, Habit, Verdict, &'static [&'static str]);

const TOLD: &[Told] = {
    use Habit as H;
    use Verdict::{Broken, Compatible, Degraded, Refused};
    &[
        ("rollback-restores", H::NoTransactions, Refused, &["not-supported-by-driver"]),
        ("machine-rollback", H::NoTransactions, Refused, &["not-supported-by-driver"]),
        ("machine-rollback", H::CannotBegin, Refused, &["begin-fails"]),
        ("machine-rollback", H::Absent, Refused, &["no-such-driver"]),
        ("machine-rollback", H::Older, Refused, &["begin-fails"]),
        ("machine-rollback", H::KeepsAdded, Broken, &["changes-kept"]),
        ("rollback-restores", H::CannotBegin, Refused, &["begin-fails"]),
        ("rollback-restores", H::TestDriver, Broken, &["rollback-leaves-inactive"]),
        ("rollback-restores", H::KeepsAdded, Broken, &["changes-kept"]),
        ("rollback-of-nothing", H::TestDriver, Broken, &["rollback-leaves-inactive"]),
        ("rollback-of-nothing", H::LeavesStopped, Compatible, &[]),
        ("destroy-then-rollback", H::LeavesStopped, Broken, &["rollback-leaves-inactive"]),
        ("rollback-touches-only-changed", H::TestDriver, Broken, &["rollback-touches-others"]),
        ("rollback-touches-only-changed", H::LeavesStopped, Compatible, &[]),
        ("two-transactions-in-a-row", H::TestDriver, Broken, &["rollback-leaves-inactive"]),
        ("commit-keeps", H::CommitRollsBack, Broken, &["changes-lost"]),
        ("commit-keeps", H::TestDriver, Compatible, &[]),
        ("begin-twice", H::RefusalDrops, Broken, &["changes-lost", "refused-but-changed"]),
        ("begin-twice", H::TestDriver, Compatible, &[]),
        ("begin-by-another-client", H::BeginsTwice, Broken, &["second-begin-accepted"]),
        ("rollback-by-another-client", H::Ideal, Compatible, &["state-of-driver"]),
        (
            "rollback-by-another-client",
            H::TestDriver,
            Broken,
            &["rollback-leaves-inactive", "state-of-driver"],
        ),
        ("commit-by-another-client", H::CommitRollsBack, Broken, &["changes-lost", "state-of-driver"]),
        ("changes-seen-by-others", H::Private, Compatible, &["state-of-client"]),
        ("client-dies-in-transaction", H::Ideal, Compatible, &["no-automatic-rollback", "state-of-driver"]),
        ("client-dies-in-transaction", H::RollsBackWithClient, Compatible, &[]),
        (
            "client-dies-in-transaction",
            H::ForgetsWithClient,
            Degraded,
            &["no-automatic-rollback", "transaction-lost-with-client"],
        ),
        (
            "client-dies-in-transaction",
            H::HalfWithClient,
            Broken,
            &["half-done", "transaction-lost-with-client"],
        ),
        (
            "client-dies-then-begin",
            H::ForgetsWithClient,
            Degraded,
            &["no-automatic-rollback", "transaction-lost-with-client"],
        ),
        ("client-dies-then-begin", H::TestDriver, Compatible, &["no-automatic-rollback"]),
        ("last-client-dies", H::TestDriver, Degraded, &["discarded-at-last-close"]),
        ("last-client-dies", H::Ideal, Compatible, &["no-automatic-rollback", "state-of-driver"]),
        (
            "daemon-crash-in-transaction",
            H::TestDriver,
            Degraded,
            &["discarded-at-restart", "transaction-lost-at-restart"],
        ),
        ("daemon-crash-in-transaction", H::ForgetsAtRestart, Degraded, &["transaction-lost-at-restart"]),
        ("daemon-restart-in-transaction", H::Ideal, Compatible, &["state-of-driver"]),
        ("reboot-in-transaction", H::Ideal, Compatible, &[]),
        ("reboot-in-transaction", H::NoBoot, Broken, &["changes-kept", "state-of-driver"]),
        ("daemon-crash-after-commit", H::TestDriver, Degraded, &["discarded-at-restart"]),
        ("daemon-crash-after-commit", H::LosesCommitted, Broken, &["changes-lost"]),
        ("reboot-after-commit", H::LosesCommitted, Broken, &["changes-lost"]),
        ("connectivity-reached", H::Promises, Compatible, &[]),
        ("connectivity-reached", H::Deaf, Broken, &["changes-lost"]),
        ("connectivity-not-reached", H::Promises, Compatible, &[]),
        ("connectivity-not-reached", H::ForgivesSilence, Broken, &["no-automatic-rollback"]),
        ("connectivity-client-gone", H::Promises, Compatible, &[]),
        ("connectivity-client-gone", H::Ideal, Broken, &["no-automatic-rollback"]),
        ("connectivity-client-gone", H::HalfWithClient, Broken, &["half-done"]),
    ]
};

#[test]
fn each_habit_is_told_by_its_shapes_and_no_others() {
    for (name, habit, verdict, expect) in TOLD {
        let judgement = run(&named(CaseKind::Scenario, name), &mut Driver::new(*habit));
        assert_eq!(
            (judgement.verdict, shapes(&judgement)),
            (*verdict, expect.iter().map(|shape| (*shape).to_owned()).collect()),
            "{name} of {habit:?}: {:#?}",
            judgement.findings,
        );
    }
}

#[test]
fn a_driver_that_keeps_its_word_passes_every_scenario() {
    for case in scenarios::all() {
        let promises = case.id.to_string().starts_with("scenario/connectivity-");
        let habit = if promises { Habit::Promises } else { Habit::Ideal };
        let judgement = run(&case, &mut Driver::new(habit));
        assert_eq!(judgement.verdict, Verdict::Compatible, "{}: {:#?}", case.id, judgement.findings);
        let heavy = judgement.findings.iter().filter(|finding| finding.weight != Weight::Note);
        assert_eq!(heavy.count(), 0, "{}", case.id);
    }
}

/// Whatever ends early says nothing.
#[test]
fn no_prefix_of_a_scenario_passes() {
    for case in scenarios::all() {
        let Action::Script(script) = &case.action else { panic!("{} is no script", case.id) };
        let whole = played(&script.make(), &mut Driver::new(Habit::Ideal));
        // Its last two events are counts that no verdict needs.
        for len in 0..whole.events.len() - 2 {
            let mut cut = whole.clone();
            cut.events.truncate(len);
            let verdict = judged(&case.id, &cut).verdict;
            assert!(verdict >= Verdict::Broken, "{}: {verdict} after {len} events", case.id);
        }
    }
}

/// A state that others are compared with and that nobody has read.
#[test]
fn a_scenario_without_its_first_state_is_incomplete() {
    let case = named(CaseKind::Scenario, "commit-keeps");
    let Action::Script(script) = &case.action else { panic!("no script") };
    let mut script = script.make();
    let is_changed = |step: &session::Step| match step {
        session::Step::Mark(_, mark) => mark.args.get("at").is_some_and(|at| at == "changed"),
        _ => false,
    };
    let at = script.steps.iter().position(is_changed).expect("it reads what was changed");
    script.steps.remove(at);
    let judgement = judged(&case.id, &played(&script, &mut Driver::new(Habit::Ideal)));
    assert_eq!(
        (judgement.verdict, shapes(&judgement)),
        (Verdict::Inconclusive, vec!["incomplete".to_owned()])
    );
}

/// Who answers, in which probe, and what must be found; what only one server does differently from [`plain`].
type Answering = fn(u32, &Header, &[u8]) -> Option<Answers>;
type Seen = (&'static str, &'static str, Answering, &'static [&'static str]);

fn orders(header: &Header, payload: &[u8], taken: u32) -> Option<Answers> {
    let mut reader = Reader::new(payload);
    reader.opaque(64).ok()?;
    reader.fixed(16).ok()?;
    let (_, first) = reader.u32().ok()?;
    let refused = fails(header, error::OPERATION_UNSUPPORTED, error_domain::NETWORK, "can't update");
    Some(if first == taken { answers(header, Writer::new()) } else { refused })
}

fn screenshot(header: &Header, sizes: &[usize]) -> Option<Answers> {
    if header.kind == MessageType::STREAM {
        return Some(vec![stream(header, Status::OK, b"")]);
    }
    let mime = request::reply(header, Writer::new().optional(Some(b"image/png")));
    let data = sizes.iter().map(|size| stream(header, Status::CONTINUE, &vec![1; *size]));
    Some(std::iter::once(mime).chain(data).collect())
}

fn lifecycle() -> bytes::Bytes {
    let event =
        Header { kind: MessageType::MESSAGE, ..request::header(p::DOMAIN_EVENT_CALLBACK_LIFECYCLE, 1) };
    event.message(&Writer::new().i32(0).raw(&probes::domain().finish()).i32(3).i32(0).finish())
}

fn told(header: &Header, events: usize) -> Option<Answers> {
    let mut answers = answers(header, Writer::new());
    answers.extend(vec![lifecycle(); events]);
    Some(answers)
}

const UNKNOWN: i32 = 9999;
const COMMAND_FIRST: u32 = update_command::ADD_LAST;
const OF: fn(&Header) -> bool = |header| header.program == program::REMOTE;

#[rustfmt::skip]
const SEEN: &[Seen] = &[
    ("a number that means something else", "type-and-address", |_, h, _| (h.procedure == p::CONNECT_GET_TYPE && h.serial == 0x20).then(|| answers(h, Writer::new().opaque(b"QEMU"))), &["changed-meaning"]),
    ("numbers that mean what they did", "type-and-address", |_, h, _| (h.procedure == p::CONNECT_GET_URI).then(|| answers(h, Writer::new().opaque(b"test:///default"))), &[]),
    ("in English", "unknown-payload-16", |_, _, _| None, &[]),
    ("in German", "unknown-payload-16", |_, h, _| (h.procedure == UNKNOWN).then(|| fails(h, 39, 7, "unbekannte Prozedur: 9999")), &["translated-text"]),
    ("with another code", "unknown-payload-16", |_, h, _| (h.procedure == UNKNOWN).then(|| fails(h, 3, 26, "unknown procedure: 9999")), &["other-error"]),
    ("a program in German", "program-deadbeef", |_, h, _| (!OF(h)).then(|| fails(h, 39, 7, "Programm fehlt")), &["translated-text"]),
    ("an unknown program", "program-deadbeef", |_, _, _| None, &[]),
    ("features and procedures", "features-and-procedures", |_, _, _| None, &[]),
    ("a feature without its procedure", "features-and-procedures", |_, h, _| (h.procedure == p::CONNECT_REGISTER_CLOSE_CALLBACK).then(|| fails(h, 39, 7, "unknown procedure: 360")), &["feature-without-procedure"]),
    ("procedures without a feature", "features-and-procedures", |_, h, _| (h.procedure == p::CONNECT_SUPPORTS_FEATURE).then(|| answers(h, Writer::new().i32(0))), &["procedure-without-feature"]),
    ("the command first, as announced", "network-update-order", |_, h, b| (h.procedure == p::NETWORK_UPDATE).then(|| orders(h, b, COMMAND_FIRST)).flatten(), &[]),
    ("the section first, not as announced", "network-update-order", |_, h, b| (h.procedure == p::NETWORK_UPDATE).then(|| orders(h, b, 4)).flatten(), &["order-not-as-announced"]),
    ("authentication first", "before-authentication-call", |_, h, _| match h.procedure {
        p::AUTH_LIST => Some(answers(h, Writer::new().u32(1).i32(1))),
        p::CONNECT_GET_LIB_VERSION => Some(fails(h, 39, 7, "authentication required")),
        _ => None,
    }, &[]),
    ("served before authentication", "before-authentication-call", |_, h, _| (h.procedure == p::AUTH_LIST).then(|| answers(h, Writer::new().u32(1).i32(1))), &["served-before-authentication"]),
    ("no authentication", "before-authentication-call", |_, _, _| None, &[]),
    ("the first driver is lost", "second-open", |_, h, _| (h.serial > 0x20).then(|| fails(h, 1, 7, "hypervisor connection not open")), &["first-driver-lost"]),
    ("the first driver is kept", "second-open", |_, _, _| None, &[]),
    ("a driver is left behind", "third-open", |_, h, _| (h.procedure == p::INTERFACE_LOOKUP_BY_NAME).then(|| answers(h, Writer::new().opaque(b"eth9").opaque(b""))), &["driver-left-behind"]),
    ("a third driver is refused, and state stays", "third-open", |_, h, _| match h.procedure {
        p::INTERFACE_LOOKUP_BY_NAME => Some(answers(h, Writer::new().opaque(b"eth9").opaque(b""))),
        p::CONNECT_OPEN if h.serial >= 0x20 => Some(fails(h, 1, 7, "connection already open")),
        _ => None,
    }, &[]),
    ("one event each", "event-not-lost", |_, h, _| matches!(h.procedure, p::DOMAIN_SUSPEND | p::DOMAIN_RESUME).then(|| told(h, 1)).flatten(), &[]),
    ("no event", "event-not-lost", |_, _, _| None, &["lost-event"]),
    ("each event twice", "event-not-lost", |_, h, _| matches!(h.procedure, p::DOMAIN_SUSPEND | p::DOMAIN_RESUME).then(|| told(h, 2)).flatten(), &["event-twice"]),
    ("a whole stream", "stream-complete", |_, h, _| (h.procedure == p::DOMAIN_SCREENSHOT).then(|| screenshot(h, &[99, 0])).flatten(), &[]),
    ("a stream in parts", "stream-complete", |_, h, _| (h.procedure == p::DOMAIN_SCREENSHOT).then(|| screenshot(h, &[99, 7, 8, 0])).flatten(), &[]),
    ("a stream without end", "stream-complete", |_, h, _| (h.procedure == p::DOMAIN_SCREENSHOT).then(|| screenshot(h, &[99])).flatten(), &["stream-cut"]),
    ("a stream beyond its end", "stream-complete", |_, h, _| (h.procedure == p::DOMAIN_SCREENSHOT).then(|| screenshot(h, &[99, 0, 5])).flatten(), &["stream-goes-on"]),
    ("another procedure", "call-status-1", |_, h, _| (h.status == Status::ERROR).then(|| fails(&Header { procedure: 4, ..*h }, 39, 7, "Unexpected message status 1")), &["call-not-echoed"]),
    ("another program", "unknown-payload-0", |_, h, _| (h.procedure == UNKNOWN).then(|| fails(&Header { program: 5, ..*h }, 39, 7, "unknown procedure: 9999")), &["call-not-echoed"]),
    ("another serial", "call-status-1", |_, h, _| (h.status == Status::ERROR).then(|| fails(&Header { serial: 7, ..*h }, 39, 7, "Unexpected message status 1")), &["serial-not-echoed"]),
];

#[test]
fn each_answer_raises_its_shape_and_no_other() {
    for (what, name, answering, expect) in SEEN {
        let mut server = |conn: u32, header: &Header, payload: &[u8]| {
            answering(conn, header, payload).unwrap_or_else(|| plain(header, payload))
        };
        let judgement = run(&named(CaseKind::Probe, name), &mut server);
        assert_eq!(shapes(&judgement), *expect, "{what}: {:#?}", judgement.findings);
    }
}

#[test]
fn every_listed_shape_is_found_somewhere_and_no_other() {
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    for (name, habit, ..) in TOLD {
        found.extend(ours(&run(&named(CaseKind::Scenario, name), &mut Driver::new(*habit))));
    }
    for (_, name, answering, _) in SEEN {
        let mut server = |conn: u32, header: &Header, payload: &[u8]| {
            answering(conn, header, payload).unwrap_or_else(|| plain(header, payload))
        };
        found.extend(ours(&run(&named(CaseKind::Probe, name), &mut server)));
    }
    // Found by a test of its own, above.
    found.insert(("transaction-holds".to_owned(), "incomplete".to_owned()));
    let listed: BTreeSet<(String, String)> = SHAPES
        .iter()
        .flat_map(|(check, shapes)| shapes.iter().map(|shape| ((*check).to_owned(), shape.to_string())))
        .collect();
    assert_eq!(found, listed);
}
