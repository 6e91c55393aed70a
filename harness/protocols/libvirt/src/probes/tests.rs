//! Is everything there that was measured of bad input, and nothing that would spoil it?

use std::collections::BTreeSet;

use bytes::BytesMut;
use wire::Direction;
use wire::libvirt_rpc::MessageDecoder;

use super::*;
use crate::scenarios;

/// What was measured of bad input, on 7.0.0, 9.0.0, 11.3.0 and 12.8.0: in short what is sent, how many kinds of it
/// there are, and the probes that send them. A probe of several kinds says how many.
type Row = (&'static str, usize, &'static [(&'static str, usize)]);

const ROWS: &[Row] = &[
    (
        "unknown procedure 9999, nine sizes",
        9,
        &[
            ("unknown-payload-0", 1),
            ("unknown-payload-16", 1),
            ("unknown-payload-17", 1),
            ("unknown-payload-4096", 1),
            ("unknown-payload-262120", 1),
            ("unknown-payload-262121", 1),
            ("unknown-payload-1048576", 1),
            ("unknown-payload-4194304", 1),
            ("unknown-payload-limit", 1),
        ],
    ),
    (
        "numbers that are no procedure",
        5,
        &[
            ("procedure-0", 1),
            ("procedure-minus-1", 1),
            ("procedure-7fffffff", 1),
            ("procedure-80000000", 1),
            ("procedure-event-107", 1),
        ],
    ),
    (
        "unknown program, any payload",
        4,
        &[
            ("program-deadbeef", 1),
            ("program-deadbeef-payload-4096", 1),
            ("program-deadbeef-payload-limit", 1),
            ("program-0", 1),
        ],
    ),
    (
        "version, any payload",
        5,
        &[
            ("version-0", 1),
            ("version-2", 1),
            ("version-2-payload-4096", 1),
            ("version-2-payload-limit", 1),
            ("version-ffffffff", 1),
        ],
    ),
    (
        "length word that does not cover the header",
        7,
        &[
            ("length-word-0", 1),
            ("length-word-1", 1),
            ("length-word-3", 1),
            ("length-word-4", 1),
            ("length-word-5", 1),
            ("length-word-8", 1),
            ("length-word-27", 1),
        ],
    ),
    (
        "length above the limit",
        4,
        &[
            ("length-word-33554437", 1),
            ("length-word-7fffffff", 1),
            ("length-word-80000000", 1),
            ("length-word-ffffffff", 1),
        ],
    ),
    (
        "length that is announced and not sent",
        3,
        &[("length-word-33554432-held", 1), ("length-word-33554436-held", 1), ("message-cut-34-of-1000", 1)],
    ),
    (
        "types that are no call",
        13,
        &[
            ("type-1", 1),
            ("type-2", 1),
            ("type-3", 1),
            ("type-5", 1),
            ("type-6", 1),
            ("type-7", 1),
            ("type-99", 1),
            ("type-minus-1", 1),
            ("type-7fffffff", 1),
            ("type-3-status-1", 1),
            ("type-3-status-2", 1),
            ("type-6-status-1", 1),
            ("type-6-status-2", 1),
        ],
    ),
    ("descriptors without a count, or above 32", 2, &[("fds-without-count", 1), ("fds-33", 1)]),
    (
        "a descriptor that does not come, or comes with the message",
        2,
        &[("fds-1-none-sent", 1), ("fds-1-on-the-message", 1)],
    ),
    ("a descriptor as it should come, and none", 2, &[("fds-1-on-a-byte", 1), ("fds-0", 1)]),
    (
        "call with a status",
        5,
        &[
            ("call-status-1", 1),
            ("call-status-2", 1),
            ("call-status-3", 1),
            ("call-status-99", 1),
            ("call-status-ffffffff", 1),
        ],
    ),
    ("serials", 5, &[("odd-serials", 4), ("duplicate-serials", 1)]),
    ("many calls in one write", 2, &[("two-in-one-write", 1), ("pipelined-200", 1)]),
    ("unknown and known call in one write", 1, &[("unknown-4096-and-known-in-one-write", 1)]),
    ("split at each of 35 points, and byte by byte", 2, &[("split-every-byte", 1), ("slow-sender", 1)]),
    ("header or payload cut, then half-close", 2, &[("header-cut-1", 1), ("payload-cut", 1)]),
    (
        "half-close at once, and later",
        2,
        &[("half-close-after-request", 1), ("half-close-20-ms-after-request", 1)],
    ),
    ("trailing bytes", 1, &[("trailing-bytes", 1)]),
    (
        "arguments that are too short",
        4,
        &[
            ("arguments-missing", 1),
            ("string-length-ffffffff", 1),
            ("string-length-4194305", 1),
            ("string-without-padding", 1),
        ],
    ),
    (
        "counts, by procedure",
        8,
        &[
            ("count-out-of-range-21", 1),
            ("count-out-of-range-37", 1),
            ("count-out-of-range-38", 1),
            ("count-out-of-range-72", 1),
            ("count-out-of-range-127", 1),
            ("count-out-of-range-138", 1),
            ("count-negative-101", 1),
            ("count-negative-20", 1),
        ],
    ),
    ("free pages", 1, &[("free-pages-overflow", 1)]),
];

#[test]
fn every_row_of_bad_input_is_a_probe() {
    let names: BTreeSet<_> = all().into_iter().map(|case| case.id.name).collect();
    let mut taken = BTreeSet::new();
    for (what, kinds, probes) in ROWS {
        for (name, _) in *probes {
            assert!(names.contains(*name), "{what}: no probe `{name}`");
            assert!(taken.insert(*name), "`{name}` counts twice");
        }
        assert_eq!(probes.iter().map(|(_, kinds)| kinds).sum::<usize>(), *kinds, "{what}");
    }
    // The sheet counts 84 in all. It leaves open which sizes were tried behind an unknown program or version, and
    // whether a procedure counts once or with each count that it was sent; here are more rather than fewer.
    let kinds: usize = ROWS.iter().map(|(_, kinds, _)| kinds).sum();
    assert_eq!((ROWS.len(), kinds), (22, 89));
}

#[test]
fn names_are_there_once_and_can_stand_in_a_path() {
    let mut seen = BTreeSet::new();
    for case in all().into_iter().chain(scenarios::all()) {
        let name = case.id.to_string();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/');
        assert!(name.chars().all(plain), "{name}");
        assert!(seen.insert(name.clone()), "{name} is there twice");
    }
}

/// What no probe may do: start signs of life, lose answers, or let one connection wait for another's serial.
#[test]
fn nothing_is_sent_that_spoils_the_rest() {
    for case in all().into_iter().chain(scenarios::all()) {
        let Action::Script(script) = &case.action else { panic!("{} is no script", case.id) };
        for step in &script.make().steps {
            match step {
                Step::Send { payload, .. } if payload.literal_len() < 1 << 20 => {
                    let mut decoder = MessageDecoder::towards(Direction::ToServer);
                    let mut bytes = BytesMut::from(&payload.fixed().expect("it quotes nothing")[..]);
                    while let Ok(Some(frame)) = wire::Decoder::decode(&mut decoder, &mut bytes) {
                        let Some(header) = Header::of_frame(&frame) else { continue };
                        let asks_for_pings = header.program == crate::names::program::REMOTE
                            && header.procedure == p::CONNECT_SUPPORTS_FEATURE
                            && frame.payload() == feature::PROGRAM_KEEPALIVE.to_be_bytes();
                        assert!(!asks_for_pings, "{} asks for signs of life", case.id);
                    }
                }
                Step::HalfClose(_) => {
                    let cut = ["header-cut-1", "header-cut-last", "payload-cut"];
                    let about_it = case.id.name.starts_with("half-close") || cut.contains(&&*case.id.name);
                    assert!(about_it, "{} ends its sending half", case.id);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn the_largest_calls_are_whole_messages() {
    for (len, word) in [(0, 28), (16, 44), (PAYLOAD_MAX, 33_554_436), (PAYLOAD_MAX + 1, 33_554_437)] {
        let message = unknown(len);
        assert_eq!(message.len(), HEAD_LEN + len);
        assert_eq!(message[..4], u32::to_be_bytes(word));
    }
    for (len, word) in [(-1, 27), (-28, 0), (i64::MIN, 0), (i64::from(u32::MAX) - 28, u32::MAX)] {
        assert_eq!(length_word(len), word, "{len}");
    }
    assert_eq!(length_word(i64::MAX), u32::MAX);
}

/// As virsh 7.0.0 and 12.8.0 were recorded.
#[test]
fn writes_what_real_clients_write() {
    #[track_caller]
    fn check(name: &str, bytes: &str) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let case = all().into_iter().find(|case| *case.id.name == *name).expect("a probe");
        let Action::Script(script) = &case.action else { panic!("no script") };
        let sent = script.make().steps.iter().any(|step| match step {
            Step::Send { payload, .. } => payload.fixed().is_some_and(|sent| hex(sent).contains(bytes)),
            _ => false,
        });
        assert!(sent, "{name} does not send {bytes}");
    }
    let network = "0000000764656661756c7400dd8fe8846c02601e7551cca97df1c5df";
    check("network-update-order", &format!("{network}0000000300000004ffffffff"));
    check("network-update-order", &format!("{network}0000000400000003ffffffff"));
    check("keepalive-ping", "0000001c6b6565700000000100000001000000020000000000000000");
    check("free-pages-overflow", &format!("{}000000000040100500000000", "00000004".repeat(1023)));
    check("second-open", "0000000f746573743a2f2f2f64656661756c740000000000");
}
