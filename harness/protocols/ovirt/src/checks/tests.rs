//! The checks on every recording of real builds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use matrix::CaseId;
use transcript::{EventKind, Transcript};
use verdict::{Evidence, Judgement, Reading, judge};

use super::course::Course;
use super::timeline::Timeline;
use crate::{DIALECTS, OvirtGrammar};

mod edited;
mod simulated;

fn recordings() -> Vec<Transcript> {
    fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the recordings are there").flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, paths) } else { paths.push(path) }
        }
    }
    let mut paths = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/ovirt-guest-agent"), &mut paths);
    paths.sort();
    paths.iter().map(|path| transcript::fixture::load(path).expect("a recording can be read")).collect()
}

fn judged(transcript: &Transcript) -> Judgement {
    let case: CaseId = transcript.provenance.case.parse().expect("it names a case");
    let grammar = OvirtGrammar::new(DIALECTS.named("ideal").expect("in the table"));
    let reading = Reading::of(transcript, &grammar);
    let evidence = Evidence { case: &case, transcript, reading: &reading, grammar: &grammar, recorded: None };
    judge(&evidence, &super::of(&case), super::negotiated(transcript, &reading))
}

fn name(transcript: &Transcript) -> String {
    let header = &transcript.provenance;
    format!("{}..{} {}", header.client.id, header.server.id, header.case)
}

/// What the run says of each recorded pair by itself. A host that keeps more than the lower
/// maximum shows wherever a host before 4.17.25 meets an agent that has more, and nowhere else.
#[test]
fn says_of_every_recording_what_is_wrong_with_it() {
    let mut told = String::new();
    for transcript in recordings() {
        let judgement = judged(&transcript);
        let mut shapes: Vec<String> =
            judgement.findings.iter().map(|f| format!("{:?} {}", f.weight, f.shape)).collect();
        shapes.sort();
        shapes.dedup();
        let negotiated = judgement.negotiated.as_deref().unwrap_or("-");
        let shapes = shapes.join(", ").to_lowercase();
        let line = format!("{}: {} at {negotiated}; {shapes}", name(&transcript), judgement.verdict);
        // Writing to a string cannot fail.
        let _ = writeln!(told, "{}", line.trim_end_matches("; "));
    }
    insta::assert_snapshot!(told);
}

/// What was read from the processes, and what a person wrote beside it, is never looked at.
#[test]
fn judges_by_the_bytes_alone() {
    for transcript in recordings() {
        let mut bare = transcript.clone();
        bare.events.retain(|event| !matches!(event.kind, EventKind::Observe { .. } | EventKind::Mark(_)));
        let all = |judgement: Judgement| {
            let findings = judgement.findings.into_iter();
            findings.map(|finding| (finding.shape, finding.message)).collect::<Vec<_>>()
        };
        assert_eq!(all(judged(&bare)), all(judged(&transcript)), "{}", name(&transcript));
    }
}

/// The versions that a process really had, from its log: when, and which.
fn truth(transcript: &Transcript, key: &str) -> Vec<(u64, Option<i64>)> {
    let observed = transcript.events.iter().filter_map(|event| match &event.kind {
        EventKind::Observe { key: seen, value } if seen == key => Some((event.at_us, value.parse().ok())),
        _ => None,
    });
    observed.collect()
}

/// How far the clocks of the log and of the recorder may be apart.
const SKEW_US: u64 = 2_000;

#[test]
fn knows_where_the_agent_is_as_its_log_says() {
    let mut compared = 0;
    for transcript in recordings() {
        let timeline = Timeline::of(&transcript);
        if timeline.scripts.agent || timeline.scripts.host {
            continue;
        }
        let course = Course::of(&timeline);
        let changes = truth(&transcript, "observed.agent_version_at");
        // What is known before an act and behind it: the log may be written before the recorder has the bytes.
        for (moments, act) in course.moments.windows(2).zip(&timeline.acts) {
            let [moment, behind] = moments else { continue };
            let started_us =
                moment.started.and_then(|start| timeline.acts.get(start)).map_or(0, |start| start.at_us);
            let own = changes
                .iter()
                .filter(|(at_us, _)| (started_us..act.at_us.saturating_sub(SKEW_US)).contains(at_us));
            let Some(version) = own.map(|(_, version)| *version).last().unwrap_or(Some(0)) else { continue };
            assert!(
                moment.levels.has(version) || behind.levels.has(version),
                "{}: at {} us the agent is at {version}, not at {:?}",
                name(&transcript),
                act.at_us,
                moment.levels.iter().collect::<Vec<_>>()
            );
            compared += 1;
        }
    }
    assert!(compared > 2_000, "only {compared} moments were compared");
}

/// A host that is found to keep more than the lower maximum did so, and all others did not.
#[test]
fn finds_the_hosts_that_keep_more_than_is_agreed() {
    let mut kept_more = 0;
    for transcript in recordings() {
        if transcript.provenance.case != "scenario/steady" {
            continue;
        }
        let judgement = judged(&transcript);
        let agreed = judgement.negotiated.as_deref().unwrap_or("0");
        let truth = truth(&transcript, "observed.host_version_at").last().and_then(|(_, version)| *version);
        let above =
            truth.is_some_and(|version| version > agreed.parse().expect("one version in a steady run"));
        let found = judgement.findings.iter().any(|finding| finding.shape == "host-above-min");
        assert_eq!(found, above, "{}", name(&transcript));
        kept_more += usize::from(above);
    }
    assert_eq!(kept_more, 8, "the pairs of the measured matrix that were recorded");
}
