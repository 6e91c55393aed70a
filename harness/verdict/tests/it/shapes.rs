//! What the checks can find, and nothing else.

use std::collections::BTreeSet;

use matrix::CaseKind;
use transcript::evidence::Shape;

use crate::toy::{Tale, judged};
use crate::{client, evidence, probe, replay, scenario};

/// Every check and the shapes that it can find.
pub(crate) const SHAPES: &[(&str, &[Shape])] = &[
    (
        "answered-as-due",
        &[
            Shape::NO_REPLY,
            Shape::HANG,
            Shape::WRONG_SUCCESS,
            Shape::WRONG_REFUSAL,
            Shape::NOT_SUPPORTED,
            Shape::REFUSED_VALID,
            Shape::SPLIT_REFUSED,
            Shape::LOST_PIPELINED,
            Shape::CLOSED,
            Shape::KEPT_OPEN,
        ],
    ),
    (
        "payload-drained",
        &[Shape::NOT_DRAINED, Shape::CLOSED_AFTER_REFUSAL, Shape::ONE_REQUEST_PER_CONNECTION],
    ),
    ("answered-once", &[Shape::ANSWERED_TWICE, Shape::OUT_OF_ORDER]),
    (
        "stays-up",
        &[Shape::CRASH, Shape::SERVER_EXITED, Shape::NOT_USABLE_AFTER, Shape::MUXER, Shape::BLOCKS_OTHERS],
    ),
    ("gives-back", &[Shape::LEAK_FDS, Shape::LEAK_MEMORY]),
    ("readable-replies", &[Shape::UNREADABLE_REPLY, Shape::FLOOD]),
    (
        "effect-matches-claim",
        &[Shape::SILENT_WRONG, Shape::LOUD_FAIL, Shape::CLIENT_CRASH, Shape::CLIENT_HANG, Shape::FELL_BACK],
    ),
    (
        "same-meaning",
        &[
            Shape::CHANGED_MEANING,
            Shape::REFUSED_BEFORE_ACCEPTED,
            Shape::NOT_SUPPORTED,
            Shape::NO_REPLY,
            Shape::HANG,
            Shape::ANSWERED_TWICE,
            Shape::ANSWERS_MORE,
            Shape::SAYS_MORE,
            Shape::NOT_COMPARED,
            Shape::ACCEPTS_MORE,
            Shape::SUPPORTED_NOW,
            Shape::OTHER_ERROR,
            Shape::KEEPS_LONGER,
        ],
    ),
    // What `stays-up` and `readable-replies` find keeps their names where the recording has it not.
    ("evidence-complete", &[Shape::INCOMPLETE]),
];

#[test]
fn every_shape_is_listed_and_every_listed_shape_is_found_somewhere() {
    let probes = probe::rows().into_iter().map(|(_, tale, ..)| judged(CaseKind::Probe, tale, None));
    let clients = client::rows().into_iter().map(|(_, tale, ..)| judged(CaseKind::Client, tale, None));
    let replays =
        replay::rows().into_iter().map(|(_, then, now, ..)| judged(CaseKind::Replay, now, Some(then)));
    let scenarios = scenario::rows().into_iter().map(|(_, tale, ..)| judged(CaseKind::Scenario, tale, None));
    let incomplete = evidence::rows().into_iter().map(|(_, kind, tale, then)| judged(kind, tale, then));
    let empty = std::iter::once(judged(CaseKind::Probe, Tale::default(), None));
    let found: BTreeSet<(String, String)> = probes
        .chain(clients)
        .chain(replays)
        .chain(scenarios)
        .chain(incomplete)
        .chain(empty)
        .flat_map(|judgement| judgement.findings)
        .map(|finding| (finding.check, finding.shape))
        .collect();
    let pair = |check: &str, shape: &Shape| (check.to_owned(), shape.to_string());
    let listed: BTreeSet<_> = SHAPES
        .iter()
        .flat_map(|(check, shapes)| shapes.iter().map(move |shape| pair(check, shape)))
        .collect();
    assert_eq!(found, listed);
}
