//! Whatever happened in whatever order can be read, and no byte is lost.

use std::collections::BTreeMap;
use transcript::evidence::Expect;

use bytes::Bytes;
use matrix::CaseKind;
use proptest::prelude::*;
use transcript::{ConnId, Data, Event, EventKind, ExitStatus, Mark};
use verdict::Reading;
use wire::Direction;

use crate::toy::{Tale, Toy, judged};

fn kinds() -> impl Strategy<Value = EventKind> {
    let label =
        prop::sample::select(vec!["", "setup", "subject", "settle", "canary", "fresh", "witness", "x"]);
    let arg = prop::sample::select(vec![
        Expect::Answer.arg(),
        (Expect::ARG, "not-supported,answer"),
        ("expect", ","),
        ("name", "canary"),
        ("name", "kept"),
        ("sends", "canary,second"),
        ("split", "1"),
    ]);
    let key = prop::sample::select(vec![
        "alive",
        "fds",
        "rss_kib",
        "flood",
        "send-failed",
        "overflow",
        "expected.exit",
        "claim.exit",
        "expected.",
        "effect.",
    ]);
    let value =
        prop::sample::select(vec!["yes", "0", "signal-11", "gone", "none", "-9223372036854775808", ""]);
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(b"\x00\x01\x02cnsux\xff".to_vec()), 1..8).prop_map(|bytes| {
            EventKind::Data(Data { bytes: Bytes::from(bytes), ..Data::default() })
        }),
        1 => Just(EventKind::Connect),
        1 => Just(EventKind::ConnectFailed("ENOENT".to_owned())),
        1 => Just(EventKind::Eof(None)),
        1 => Just(EventKind::Reset),
        1 => Just(EventKind::Timeout(u64::MAX)),
        1 => Just(EventKind::Exit(ExitStatus::Signal(i32::MIN))),
        3 => (label, prop::collection::vec(arg, 0..3)).prop_map(|(label, args)| {
            let args = args.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            EventKind::Mark(Mark { label: label.to_owned(), args })
        }),
        2 => (key, value).prop_map(|(key, value)| {
            EventKind::Observe { key: key.to_owned(), value: value.to_owned() }
        }),
    ]
}

fn tales() -> impl Strategy<Value = Tale> {
    let dir = prop_oneof![Just(Direction::ToServer), Just(Direction::ToClient)];
    let event = (0_u32..4, dir, kinds()).prop_map(|(conn, dir, kind)| Event {
        at_us: 0,
        conn: ConnId(conn),
        dir,
        kind,
    });
    prop::collection::vec(event, 0..40).prop_map(|events| Tale { events })
}

/// Bytes by connection and direction.
fn counted(tale: &Tale) -> BTreeMap<u32, (usize, usize)> {
    let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for event in tale.events.iter().filter(|event| event.conn.0 > 0) {
        let (sent, received) = counts.entry(event.conn.0).or_default();
        match (&event.kind, event.dir) {
            (EventKind::Data(data), Direction::ToServer) => *sent += data.bytes.len(),
            (EventKind::Data(data), Direction::ToClient) => *received += data.bytes.len(),
            _ => {}
        }
    }
    counts
}

proptest! {
    #[test]
    fn every_byte_is_counted(tale in tales()) {
        let expect = counted(&tale);
        let reading = Reading::of(&tale.transcript(), &Toy);
        let read: BTreeMap<u32, (usize, usize)> = reading.conns.iter().map(|conn| {
            let sum = |of: fn(&verdict::Step) -> usize| conn.steps.iter().map(of).sum();
            (conn.conn.0, (sum(|step| step.sent), sum(|step| step.received)))
        }).collect();
        prop_assert_eq!(read, expect);
    }

    /// No frame is longer than what came, and none is read twice.
    #[test]
    fn frames_are_made_of_bytes_that_came(tale in tales()) {
        let reading = Reading::of(&tale.transcript(), &Toy);
        for conn in &reading.conns {
            let framed: usize = conn.steps.iter().flat_map(|s| &s.replies).map(|r| r.at.frame.bytes.len()).sum();
            prop_assert!(framed <= conn.steps.iter().map(|step| step.received).sum());
            let framed: usize = conn.steps.iter().flat_map(|s| &s.requests).map(|r| r.frame.bytes.len()).sum();
            prop_assert!(framed <= conn.steps.iter().map(|step| step.sent).sum());
        }
    }

    /// Checks meet whatever a file may hold. A verdict of theirs never depends on when they are asked.
    #[test]
    fn every_transcript_can_be_judged(now in tales(), then in tales()) {
        for kind in [CaseKind::Probe, CaseKind::Client, CaseKind::Replay] {
            let first = judged(kind, now.clone(), Some(then.clone()));
            prop_assert_eq!(&first, &judged(kind, now.clone(), Some(then.clone())));
            let listed = |check: &str, shape: &str| {
                crate::shapes::SHAPES.iter().any(|(c, shapes)| *c == check && shapes.iter().any(|known| *shape == *known))
            };
            for finding in &first.findings {
                prop_assert!(listed(&finding.check, &finding.shape), "{}: {}", finding.check, finding.shape);
            }
        }
    }
}
