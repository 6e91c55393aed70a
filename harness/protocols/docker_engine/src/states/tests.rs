//! Scenarios that a reference daemon has played, and the same without a part of what was seen.

use matrix::{Build, BuildId, Role as Side};
use protocol::{Action, Bench, Protocol};
use session::{Conversation, Recorder, Start};
use transcript::evidence::Shape;
use transcript::{Event, EventKind, Provenance, Transcript};
use verdict::{Evidence, Reading};

use super::*;
use crate::{DockerEngine, reference};

/// What the ideal daemon and the script of a scenario did.
async fn played(name: &str) -> Transcript {
    let protocol = DockerEngine::default();
    let case = protocol.cases().into_iter().find(|case| case.id.to_string() == name).expect("a scenario");
    let Action::Script(script) = &case.action else { unreachable!("a scenario is a script") };
    let build = Build {
        id: BuildId::new("ideal"),
        protocol: protocol.name().into(),
        roles: vec![Side::Server],
        version: "ideal".to_owned(),
        dialect: "ideal".to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let bench = Bench::new(folder.path(), folder.path());
    let launcher = reference::server(&build, &[], &bench).expect("there is such a dialect");
    let mut server = launcher.start(Start::in_memory()).await.expect("it starts");
    let grammar = protocol.grammar("ideal").expect("a dialect");
    let recorder = Recorder::new();
    let mut conversation = Conversation::new(&mut *server, &*grammar, &recorder, 1.0);
    conversation.play(&script.make()).await.expect("it is played to its end");
    server.stop().await;
    let provenance = Provenance { case: name.to_owned(), ..Provenance::default() };
    Transcript { provenance, events: recorder.take() }
}

/// What the check finds.
fn found(transcript: &Transcript) -> Vec<String> {
    let protocol = DockerEngine::default();
    let case = transcript.provenance.case.parse().expect("it names a case");
    let grammar = protocol.grammar("ideal").expect("a dialect");
    let reading = Reading::of(transcript, &*grammar);
    let evidence =
        Evidence { case: &case, transcript, reading: &reading, grammar: &*grammar, recorded: None };
    verdict::judge(&evidence, &[STATES], None).shapes()
}

/// The same without some events, or with others in their place.
fn edited(transcript: &Transcript, edit: impl FnMut(&Event) -> Option<Event>) -> Transcript {
    let events = transcript.events.iter().filter_map(edit).collect();
    Transcript { provenance: transcript.provenance.clone(), events }
}

/// The same with a text in the place of another one of that length in what the daemon says.
fn said(transcript: &Transcript, (from, to): (&str, &str)) -> Transcript {
    assert_eq!(from.len(), to.len(), "lengths of bodies stay");
    let mut is_changed = false;
    let changed = edited(transcript, |event| {
        let mut event = event.clone();
        if let EventKind::Data(data) = &mut event.kind
            && event.dir == wire::Direction::ToClient
            && let Ok(text) = std::str::from_utf8(&data.bytes)
            && text.contains(from)
        {
            data.bytes = text.replace(from, to).into();
            is_changed = true;
        }
        Some(event)
    });
    assert!(is_changed, "the daemon says no `{from}`");
    changed
}

#[tokio::test(start_paused = true)]
async fn what_nobody_saw_proves_nothing() {
    let whole = played("scenario/reload-same").await;
    assert_eq!(found(&whole), Vec::<String>::new());
    let incomplete = vec![Shape::INCOMPLETE.to_string()];
    let is_look =
        |event: &Event| event.kind.observed().is_some_and(|(what, _)| what == Observation::Effect(LIVING));
    let blind = edited(&whole, |event| (!is_look(event)).then(|| event.clone()));
    assert_eq!(found(&blind), incomplete);
    assert_eq!(found(&said(&whole, ("\"ContainersRunning\"", "\"ContainersJogging\""))), incomplete);
}

#[tokio::test(start_paused = true)]
async fn silence_of_a_command_is_no_success() {
    let whole = played("scenario/reload-same").await;
    let unmanageable = vec![shapes::UNMANAGEABLE.to_string()];
    assert_eq!(found(&said(&whole, ("\"ExitCode\":0", "\"ExitCode\":1"))), unmanageable);
    assert_eq!(found(&said(&whole, ("\"ExitCode\":0", "\"ExitMode\":0"))), unmanageable);
    assert_eq!(found(&said(&whole, ("managed\n", "damaged\n"))), unmanageable);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_is_compared_with_its_arguments() {
    let whole = played("scenario/reload-refused-cut").await;
    assert_eq!(found(&whole), Vec::<String>::new());
    let mut infos = 0;
    let changed = edited(&whole, |event| {
        let mut event = event.clone();
        if let EventKind::Data(data) = &mut event.kind
            && let Ok(text) = std::str::from_utf8(&data.bytes)
            && text.contains("runtimeArgs")
        {
            infos += 1;
            if infos == 2 {
                data.bytes = text.replace("--debug", "--ebugd").into();
            }
        }
        Some(event)
    });
    assert_eq!(infos, 3, "before, after and at the end");
    assert_eq!(found(&changed), [shapes::CONFIGURATION_CHANGED.to_string()]);
}
