//! The check over recordings of real daemons, with small documents of our own: as they are they pass, and with one thing changed they do not.

use std::path::Path;

use bytes::Bytes;
use matrix::CaseId;
use protocol::Protocol;
use transcript::EventKind;
use verdict::{Evidence, Judgement};
use wire::Direction;

use super::*;
use crate::DockerEngine;

/// A few keys of a few endpoints, as of 1.41. What a daemon has beside them no document has.
const OLD: &str = include_str!("old.yaml");

/// The same as of 1.44: networks have other keys.
fn new() -> String {
    let networks = "Aliases: {type: array}";
    OLD.replace("\"1.41\"", "\"1.44\"")
        .replace("KernelMemory: {type: integer}", "PidMode: {type: string}")
        .replace(networks, &format!("{networks}, DNSNames: {{type: array, items: {{type: string}}}}"))
}

/// What is found in a recording, with a piece of text replaced by another one of that length.
fn judged(
    documents: &[&str],
    fixture: &str,
    (from, to): (&str, &str),
) -> (Judgement, BTreeMap<String, usize>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/docker-engine");
    let mut transcript = transcript::fixture::load(folder.join(fixture)).expect("a recording can be read");
    assert_eq!(from.len(), to.len(), "lengths of bodies stay");
    let mut is_changed = from == to;
    for event in &mut transcript.events {
        if let (Direction::ToClient, EventKind::Data(data)) = (event.dir, &mut event.kind)
            && let Ok(text) = std::str::from_utf8(&data.bytes)
            && !is_changed
            && text.contains(from)
        {
            data.bytes = Bytes::from(text.replacen(from, to, 1));
            is_changed = true;
        }
    }
    assert!(is_changed, "{fixture} has no `{from}`");
    let texts: Vec<_> = documents.iter().map(|text| ("own.yaml".to_owned(), (*text).to_owned())).collect();
    let documents = std::sync::Arc::new(Documents::parse(&texts).expect("documents"));
    let protocol = DockerEngine::default().documented_by(&documents).expect("it has such an API");
    let case: CaseId = transcript.provenance.case.parse().expect("it names a case");
    let grammar = protocol
        .grammar(transcript.provenance.server.version.as_deref().expect("a version"))
        .expect("a dialect");
    let reading = Reading::of(&transcript, &*grammar);
    let evidence = Evidence {
        case: &case,
        transcript: &transcript,
        reading: &reading,
        grammar: &*grammar,
        recorded: None,
    };
    (verdict::judge(&evidence, &[DOCUMENTED], None), protocol.validated(&reading))
}

#[track_caller]
fn check(fixture: &str, change: (&str, &str), expect: &[&str]) {
    let (judgement, _) = judged(&[OLD, &new()], fixture, change);
    let found = judgement.findings.iter().filter(|finding| finding.check == DOCUMENTED.name);
    let told: Vec<_> = found.map(|finding| format!("{}: {}", finding.shape, finding.message)).collect();
    for line in expect {
        assert!(told.iter().any(|found| found == line), "{fixture}: no `{line}` in\n{}", told.join("\n"));
    }
    let is_violation = |line: &&&str| line.starts_with("other-type") || line.starts_with("key-lost");
    let violations = told.iter().filter(|line| is_violation(&&line.as_str())).count();
    assert_eq!(violations, expect.iter().filter(is_violation).count(), "{}", told.join("\n"));
}

const AS_IT_IS: (&str, &str) = ("", "");

#[test]
fn what_was_recorded_is_as_documented() {
    for fixture in ["ps", "inspect", "version", "network-ls", "stats"] {
        for pair in ["20.10.24..20.10.24", "20.10.5..28.5.2", "20.10.24..28.5.2"] {
            check(&format!("{pair}/recorded-{fixture}.wire"), AS_IT_IS, &[]);
        }
    }
}

#[test]
fn keys_are_told_with_the_version_that_they_came_with() {
    check(
        "20.10.24..28.5.2/recorded-inspect.wire",
        AS_IT_IS,
        &[
            "key-of-later-version: GET /containers/{id}/json: key `NetworkSettings.Networks.*.DNSNames` came with API 1.44 and is \
             answered under 1.41",
            "key-gone: GET /containers/{id}/json: key `HostConfig.KernelMemory` of 1.41 is not there any more, as in 1.44",
        ],
    );
}

#[test]
fn another_type_and_a_lost_key_are_violations() {
    let inspect = "20.10.24..20.10.24/recorded-inspect.wire";
    let running =
        "other-type: GET /containers/{id}/json: `State.Running` is of type string, and boolean in 1.41";
    check(inspect, ("\"Running\":true,", "\"Running\":\"ye\","), &[running]);
    let lost = "key-lost: GET /containers/{id}/json: key `State.Running`, which 1.41 requires, is not there";
    check(inspect, ("\"Running\":true,", "\"running\":true,"), &[lost]);
    check(inspect, ("\"Running\":true,", "\"Running\":null,"), &[]);
    let list = "other-type: GET /containers/json: `[].Created` is of type string, and integer in 1.41";
    let (judgement, _) = judged(&[OLD], "20.10.24..20.10.24/recorded-ps.wire", AS_IT_IS);
    let text =
        judgement.findings.iter().map(|finding| finding.message.clone()).collect::<Vec<_>>().join("\n");
    assert!(!text.contains(list), "{text}");
}

#[test]
fn replies_are_counted_by_version_also_without_a_document() {
    let (_, counts) = judged(&[OLD], "20.10.24..20.10.24/recorded-inspect.wire", AS_IT_IS);
    assert!(counts.get("1.41").is_some_and(|count| *count > 0), "{counts:?}");
    let (judgement, counts) = judged(&[OLD], "28.5.2..28.5.2/recorded-inspect.wire", AS_IT_IS);
    assert!(counts.get("1.51").is_some_and(|count| *count > 0) && !counts.contains_key("1.41"), "{counts:?}");
    assert!(judgement.findings.iter().all(|finding| finding.check != DOCUMENTED.name));
}
