//! The published list of shapes is exactly what the checks can find.

use std::collections::BTreeSet;

use matrix::CaseKind;
use transcript::evidence::Shape;
use verdict::checks::SHAPES;

use crate::toy::{Tale, judged};
use crate::{client, evidence, probe, replay, scenario};

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
