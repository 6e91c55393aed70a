//! What is written can be read, and is written the same again.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use transcript::text::{is_canonical, parse, parse_bytes, render};
use transcript::{
    BuildChange, ConnId, Credentials, Data, Endpoint, Event, EventKind, ExitStatus, FdNote, Mark, MaskedSpan,
    Provenance, Transcript,
};
use wire::Direction;

use crate::samples::{SMALL, everything};

#[test]
fn shows_everything_in_one_text() {
    insta::assert_snapshot!(render(&everything()));
}

#[test]
fn reads_back_everything() {
    let text = render(&everything());
    assert_eq!(parse(&text).unwrap(), everything());
    assert!(is_canonical(&text));
}

/// A transcript of one event with these bytes.
fn sent(bytes: Vec<u8>) -> Transcript {
    let event = |kind| Event { at_us: 0, conn: ConnId(1), dir: Direction::ToServer, kind };
    let data = Data { bytes: bytes.into(), ..Data::default() };
    Transcript {
        events: vec![event(EventKind::Connect), event(EventKind::Data(data))],
        ..Transcript::default()
    }
}

#[test]
fn folds_long_runs_of_one_line_and_nothing_else() {
    // Lines of 16 bytes in a run, bytes in front of the run, bytes behind it, and whether it is folded.
    let check = |lines: usize, before: usize, behind: usize, folded: bool| {
        let transcript = sent([vec![1; before], vec![0xa5; lines * 16], vec![2; behind]].concat());
        let text = render(&transcript);
        assert_eq!(text.contains("# repeat "), folded, "{lines} {before} {behind}");
        assert!(text.len() < if folded { 5_000 } else { 100_000 }, "{lines}: {}", text.len());
        assert_eq!(parse(&text).as_ref(), Ok(&transcript));
        assert!(is_canonical(&text));
    };
    check(1024, 0, 0, false);
    check(1025, 0, 0, true);
    check(1025, 32, 0, true);
    check(1026, 28, 7, true);
    check(200_000, 0, 15, true);
}

#[test]
fn says_where_a_fold_is_wrong() {
    let text = render(&sent(vec![0; 16 * 9000]));
    let check = |from: &str, to: &str, line: usize, what: &str| {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from}");
        let error = parse(&wrong).expect_err(to);
        assert_eq!(error.line, line, "{to}: {error}");
        assert!(error.to_string().contains(what), "{to}: {error}");
    };
    let at = 1 + text.lines().position(|line| line.starts_with("# repeat ")).expect("it is folded");
    check("# repeat 8999", "# repeat 9000", at, "room for");
    check("# repeat 8999", "# repeat 99999999999999999", at, "room for");
    check("# repeat 8999", "# repeat 1023", at, "from 1024 times on");
    check("# repeat 8999", "# repeat x", at, "how often");
    check("# repeat 8999", "# repeat 8998", at + 1, "dump line");
}

#[test]
fn empty_transcript_has_a_text() {
    let text = render(&Transcript::default());
    assert_eq!(parse(&text).unwrap(), Transcript::default());
}

#[test]
fn reads_hand_edited_text_and_tells_that_it_is_not_canonical() {
    assert!(is_canonical(SMALL));
    for (from, to) in [
        ("# 0.000004", "\n# 0.000004"),
        ("protocol = \"p\"", "protocol = 'p'"),
        ("mark canary", "mark \"canary\""),
        ("# [server]", "#\n# # who listened\n# [server]"),
    ] {
        let edited = SMALL.replacen(from, to, 1);
        assert_ne!(edited, SMALL);
        assert_eq!(parse(&edited), parse(SMALL), "{edited}");
        assert!(!is_canonical(&edited), "{edited}");
    }
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[a-z0-9_./:+~@%-]{0,12}",
        2 => "[ -~]{0,16}",
        1 => any::<String>(),
        1 => "[\\x00-\\x20\"\\\\\u{7f}\u{85}\u{ad}\u{2028}\u{202e}\u{feff}\u{1f600}#0]{0,8}",
    ]
    .boxed()
}

fn texts() -> BoxedStrategy<BTreeMap<String, String>> {
    btree_map(text(), text(), 0..4).boxed()
}

fn dir() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::ToServer), Just(Direction::ToClient)]
}

fn endpoint() -> BoxedStrategy<Endpoint> {
    let options = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (text(), text(), options, vec(text(), 0..3), any::<bool>(), texts())
        .prop_map(|(id, name, (version, package, source, digest), command, modified, details)| Endpoint {
            id,
            name,
            version,
            package,
            source,
            digest,
            command,
            modified,
            details,
        })
        .boxed()
}

fn provenance() -> BoxedStrategy<Provenance> {
    let builds = vec((any::<u64>(), endpoint(), endpoint()), 0..3).prop_map(|builds| {
        builds.into_iter().map(|(from_us, client, server)| BuildChange { from_us, client, server }).collect()
    });
    let words = (text(), text(), text(), text(), text(), text());
    (words, option::of(any::<u64>()), vec(text(), 0..3), texts(), endpoint(), endpoint(), builds)
        .prop_map(
            |(
                (protocol, case, recorder, recorded, note, transport),
                seed,
                masks,
                environment,
                client,
                server,
                builds,
            )| {
                Provenance {
                    protocol,
                    case,
                    recorder,
                    recorded,
                    note,
                    seed,
                    transport,
                    masks,
                    masked: Vec::new(),
                    environment,
                    client,
                    server,
                    builds,
                }
            },
        )
        .boxed()
}

fn block() -> BoxedStrategy<EventKind> {
    let creds = option::of((any::<i32>(), any::<u32>(), any::<u32>()));
    (vec(any::<u8>(), 1..70), vec(text(), 0..3), creds)
        .prop_map(|(bytes, fds, creds)| {
            EventKind::Data(Data {
                bytes: Bytes::from(bytes),
                fds: fds.into_iter().map(FdNote).collect(),
                creds: creds.map(|(pid, uid, gid)| Credentials { pid, uid, gid }),
            })
        })
        .boxed()
}

fn kind() -> BoxedStrategy<EventKind> {
    prop_oneof![
        2 => Just(EventKind::Connect),
        1 => text().prop_map(EventKind::ConnectFailed),
        5 => block(),
        2 => option::of(text()).prop_map(EventKind::Eof),
        1 => Just(EventKind::Reset),
        1 => any::<u64>().prop_map(EventKind::Timeout),
        1 => prop_oneof![
            any::<i32>().prop_map(ExitStatus::Code),
            any::<i32>().prop_map(ExitStatus::Signal),
            Just(ExitStatus::Gone)
        ]
        .prop_map(EventKind::Exit),
        2 => (text(), texts()).prop_map(|(label, args)| EventKind::Mark(Mark { label, args })),
        1 => (text(), text()).prop_map(|(key, value)| EventKind::Observe { key, value }),
    ]
    .boxed()
}

/// Any events, of which those are kept that follow the rules; and masks over what then is there.
fn transcripts() -> BoxedStrategy<Transcript> {
    let step = prop_oneof![Just(0), 0..2_000_000_u64, 0..1_u64 << 60];
    let events = vec((step, 0..4_u32, dir(), kind()), 0..24);
    (provenance(), events, vec((text(), 0..32_u64, 1..9_u64), 0..3))
        .prop_map(|(provenance, steps, masks)| {
            let mut transcript = Transcript { provenance, events: Vec::new() };
            let mut at_us = 0_u64;
            for (step, conn, dir, kind) in steps {
                at_us = at_us.saturating_add(step);
                transcript.events.push(Event { at_us, conn: ConnId(conn), dir, kind });
                if transcript.check().is_err() {
                    transcript.events.pop();
                }
            }
            for (name, start, len) in masks {
                let mask =
                    MaskedSpan { name, conn: ConnId(1), dir: Direction::ToServer, span: start..start + len };
                transcript.provenance.masked.push(mask);
                if transcript.check().is_err() {
                    transcript.provenance.masked.pop();
                }
            }
            transcript
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_transcript_reads_back_as_itself(transcript in transcripts()) {
        let text = render(&transcript);
        let again = parse(&text);
        prop_assert_eq!(again.as_ref(), Ok(&transcript));
        prop_assert_eq!(&render(&transcript), &text);
        prop_assert!(is_canonical(&text));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        transcript::fuzz::parse(&bytes);
    }

    #[test]
    fn any_damage_is_read_or_refused(
        at in 0..SMALL.len(), cut in 0..8_usize, insert in vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = SMALL.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(SMALL.len()), insert);
        transcript::fuzz::parse(&bytes);
    }

    /// Two texts of equal transcripts can differ, but only in what [`is_canonical`] names.
    #[test]
    fn canonical_texts_of_equal_transcripts_are_equal(a in transcripts(), b in transcripts()) {
        prop_assert_eq!(a == b, render(&a) == render(&b));
        let again = parse_bytes(render(&a).as_bytes());
        prop_assert_eq!(again, Ok(a));
    }
}
