//! The committed recordings, cut short: no part of a conversation is as good as the whole.

use std::path::Path;

use matrix::{CaseKind, Verdict};
use runner::{Project, judge_transcript};
use transcript::{EventKind, Transcript};

/// A cut in the middle and one before the last bytes of each recording.
#[test]
fn no_recording_is_green_without_its_end() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root, &registry::all(), &[]).expect("the checkout is right");
    let mut judged = 0;
    for files in project.protocols.values() {
        for fixture in &files.fixtures().all {
            let Some(grammar) =
                files.builds.get(&fixture.server).and_then(|build| files.protocol.grammar(&build.dialect))
            else {
                continue;
            };
            let whole = fixture.load().expect("the checkout is right");
            let events = &whole.events;
            let is_data = |event: &transcript::Event| matches!(event.kind, EventKind::Data(_));
            let last = events.iter().rposition(is_data).unwrap_or(0);
            for len in [0, last / 2, last] {
                let provenance = whole.provenance.clone();
                let cut = Transcript { provenance, events: events[..len].to_vec() };
                let judgement = judge_transcript(&*files.protocol, &*grammar, &fixture.case, &cut, None);
                let where_ = format!("{} after {len} of {} events", fixture.path.display(), events.len());
                assert!(judgement.verdict >= Verdict::Broken, "{where_}: {}", judgement.verdict);
                judged += 1;
            }
            assert_ne!(fixture.case.kind, CaseKind::Replay, "a replay is not a recording");
        }
    }
    assert!(judged > 1000, "only {judged} cuts: where are the recordings?");
}
