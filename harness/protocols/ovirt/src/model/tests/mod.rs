//! The machines against the recordings of real builds, and against each other.

mod agent_recordings;
mod host_recordings;
mod messages;
mod property;
mod proposed;
mod simulated;

use std::path::PathBuf;

use serde_json::Value;
use transcript::{EventKind, Transcript};

/// Every recording of the protocol, with its id.
fn recordings() -> Vec<(String, Transcript)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/ovirt-guest-agent");
    let mut found = Vec::new();
    for pair in std::fs::read_dir(&folder).expect("fixtures of the protocol").flatten() {
        for file in std::fs::read_dir(pair.path()).into_iter().flatten().flatten() {
            let transcript = transcript::fixture::load(file.path()).expect("a fixture");
            let id = file.path().strip_prefix(&folder).expect("it is below").display().to_string();
            found.push((id, transcript));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 87, "only {} recordings are there", found.len());
    found
}

/// What was read from the processes under a key, with the times.
fn observed(transcript: &Transcript, key: &str) -> Vec<(u64, Value)> {
    let wanted = format!("observed.{key}");
    let events = transcript.events.iter();
    events
        .filter_map(|event| match &event.kind {
            EventKind::Observe { key, value } if *key == wanted => {
                Some((event.at_us, serde_json::from_str(value).expect("JSON")))
            }
            _ => None,
        })
        .collect()
}

/// Whether `whole` is `a` and `b` mixed, each in its own order. Either may have a rest that is not there any more:
/// what an end still had to say when it was killed.
fn is_mixed_of(whole: &[String], a: &[String], b: &[String]) -> Result<(), String> {
    // reached[i] = furthest in `whole` for which i of a were used, by rows; the rest of the prefix came from b.
    let mut reached = vec![false; a.len() + 1];
    reached[0] = true;
    for (at, message) in whole.iter().enumerate() {
        let mut next = vec![false; a.len() + 1];
        for used in 0..=a.len() {
            if !reached[used] {
                continue;
            }
            if a.get(used) == Some(message) {
                next[used + 1] = true;
            }
            if at >= used && b.get(at - used) == Some(message) {
                next[used] = true;
            }
        }
        if !next.iter().any(|reached| *reached) {
            let used: Vec<_> = (0..=a.len()).filter(|used| reached[*used]).collect();
            let used = used.first().copied().unwrap_or_default();
            return Err(format!(
                "message {at}, `{message}`, behind {:?}; the model goes on with {:?} or {:?}",
                &whole[at.saturating_sub(4)..at],
                a.get(used..).unwrap_or(&[]).iter().take(3).collect::<Vec<_>>(),
                b.get(at - used.min(at)..).unwrap_or(&[]).iter().take(3).collect::<Vec<_>>(),
            ));
        }
        reached = next;
    }
    // What is left over must be little.
    let left = (0..=a.len()).filter(|used| reached[*used] && whole.len() >= *used);
    let least = left.map(|used| (a.len() - used) + b.len().saturating_sub(whole.len() - used)).min();
    match least {
        Some(0..=LEFT_MAX) => Ok(()),
        least => Err(format!("the model has {least:?} messages more")),
    }
}

/// How many messages an end may still have had to say: two threads in a burst each.
const LEFT_MAX: usize = 22;
