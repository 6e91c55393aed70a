//! Recordings that somebody edited: what was cut out or put in must be found.

use bytes::Bytes;
use transcript::{EventKind, Transcript};
use wire::Direction;

use super::{judged, recordings};
use crate::message::Message;

/// The steady recording of a pair, each line of one direction changed: to nothing, to itself, to more.
fn edited(pair: (&str, &str), dir: Direction, edit: impl Fn(&str, &[u8]) -> Vec<u8>) -> Transcript {
    let is_pair = |t: &Transcript| {
        let header = &t.provenance;
        (header.client.id.as_str(), header.server.id.as_str()) == pair && header.case == "scenario/steady"
    };
    let mut transcript = recordings().into_iter().find(is_pair).expect("the pair was recorded");
    let mut left: Vec<u8> = Vec::new();
    for event in &mut transcript.events {
        let EventKind::Data(data) = &mut event.kind else { continue };
        if event.dir != dir {
            continue;
        }
        left.extend_from_slice(&data.bytes);
        let mut out = Vec::new();
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = left.drain(..=end).collect();
            let name = Message::read(&line).map(|message| message.name().to_owned()).unwrap_or_default();
            out.extend(edit(&name, &line));
        }
        data.bytes = Bytes::from(out);
    }
    transcript.events.retain(|event| !matches!(&event.kind, EventKind::Data(data) if data.bytes.is_empty()));
    transcript
}

#[track_caller]
fn check(transcript: &Transcript, shape: &str) {
    let shapes = judged(transcript).shapes();
    assert!(shapes.iter().any(|found| found == shape), "{shape} is not among {shapes:?}");
}

const GATED: [&str; 5] = ["number-of-cpus", "os-info", "timezone", "containers", "completion"];

#[test]
fn a_host_that_never_announced_is_found() {
    for (pair, shape) in [
        (("4.17.44", "1.0.11.2"), "stale-version"),
        (("4.50.7", "1.0.16"), "not-announced"),
        (("4.18.25", "1.0.9.1"), "wrong-level"),
    ] {
        let mut silent =
            edited(
                pair,
                Direction::ToClient,
                |name, line| {
                    if GATED.contains(&name) { Vec::new() } else { line.to_vec() }
                },
            );
        // The second answer, to the announcement, is gone with it.
        let mut seen = 0;
        silent.events.retain(|event| {
            let EventKind::Data(data) = &event.kind else { return true };
            let text = String::from_utf8_lossy(&data.bytes);
            seen += usize::from(text.contains("api-version"));
            !text.contains("\"api-version\"")
        });
        assert!(seen > 0, "{pair:?} announces");
        check(&silent, shape);
    }
}

#[test]
fn what_is_put_in_above_the_version_is_found() {
    let containers = b"{\"__name__\": \"containers\", \"list\": []}\n";
    for pair in [("4.14.17", "1.0.16"), ("4.17.24", "1.0.16"), ("4.17.44", "1.0.16")] {
        let more = edited(pair, Direction::ToClient, |name, line| {
            if name == "heartbeat" { [line, containers].concat() } else { line.to_vec() }
        });
        check(&more, "above-agreed");
    }
}

#[test]
fn what_is_cut_out_of_answers_is_found() {
    for gone in ["host-name", "os-version", "network-interfaces", "applications"] {
        let fewer = edited(("4.50.7", "1.0.16"), Direction::ToClient, |name, line| {
            if name == gone { Vec::new() } else { line.to_vec() }
        });
        check(&fewer, "data-missing");
    }
}

#[test]
fn another_maximum_than_that_of_the_release_is_found() {
    let lower = |line: &[u8]| {
        let text = String::from_utf8(line.to_vec()).expect("text");
        text.replace("\"apiVersion\": 3", "\"apiVersion\": 1").into_bytes()
    };
    let agent = edited(("4.50.7", "1.0.16"), Direction::ToClient, |_, line| lower(line));
    check(&agent, "wrong-maximum");
    let host = edited(("4.50.7", "1.0.16"), Direction::ToServer, |_, line| lower(line));
    check(&host, "wrong-maximum");
}

#[test]
fn a_name_in_the_header_switches_no_check_off() {
    let containers = b"{\"__name__\": \"containers\", \"list\": []}\n";
    let mut more = edited(("4.17.44", "1.0.16"), Direction::ToClient, |name, line| {
        if name == "heartbeat" { [line, containers].concat() } else { line.to_vec() }
    });
    more.provenance.server.name = "probe".to_owned();
    check(&more, "above-agreed");
}

#[test]
fn a_scenario_without_all_its_hosts_and_agents_is_found() {
    let mut cut = 0;
    // How often a host comes back after bad input is its own affair: only of scenarios is it known who is to come.
    let scripted = |whole: &Transcript| {
        let name = whole.provenance.case.trim_start_matches("scenario/");
        crate::scenarios::scenario(name).is_some()
    };
    for whole in recordings().into_iter().filter(scripted) {
        for dir in [Direction::ToServer, Direction::ToClient] {
            let comes = |event: &&transcript::Event| event.kind == EventKind::Connect && event.dir == dir;
            let Some(last) = whole.events.iter().rposition(|event| comes(&event)) else { continue };
            let first = whole.events.iter().position(|event| comes(&event));
            // The first host always comes; the first agent is there before it, and nothing says that it starts.
            if dir == Direction::ToServer && first == Some(last) {
                continue;
            }
            let mut less = whole.clone();
            if dir == Direction::ToServer {
                let leaves =
                    |event: &transcript::Event| matches!(event.kind, EventKind::Eof(_) | EventKind::Exit(_));
                let ended = less.events[..last].iter().rposition(leaves).expect("the host before left");
                less.events.truncate(ended + 1);
            } else {
                less.events.remove(last);
            }
            assert!(!judged(&whole).shapes().iter().any(|shape| shape == "incomplete"));
            let shapes = judged(&less).shapes();
            assert!(
                shapes.iter().any(|shape| shape == "incomplete"),
                "{} {dir:?}: {shapes:?}",
                super::name(&whole)
            );
            cut += 1;
        }
    }
    assert!(cut >= 10, "only {cut} recordings have a second host or agent");
}
