//! Recorded bytes of guests go into the model of the host's release; what the model says must be what was recorded, and
//! E must be what the process had.

use std::collections::BTreeSet;

use serde_json::Value;
use transcript::{EventKind, Transcript};
use wire::Direction;

use protocol::defect::Switches;

use super::{observed, recordings};
use crate::dialect::DIALECTS;
use crate::message::{Kept, Message};
use crate::model::{Call, Host};
use crate::names::{LIFECYCLE_EVENT, SET_NUMBER_OF_CPUS};

/// How often the version of a host was looked at.
const SAMPLED_US: u64 = 250_000;

/// What a model made of a recording.
#[derive(Default)]
struct Played {
    /// Negotiation as recorded and as the model has it: name and version.
    recorded: Vec<String>,
    model: Vec<String>,
    /// Calls that went out though the model refuses them.
    wrong_calls: Vec<String>,
    /// E at each change.
    versions: Vec<(u64, String)>,
    unknown: BTreeSet<String>,
    /// E, full name and unknown names when the probe behind each case came.
    cases: Vec<(String, Option<String>, Vec<String>)>,
    last: Option<Host>,
}

impl Played {
    /// A recorded host has said something: a part of the negotiation, or because somebody called its API.
    fn note_said(&mut self, line: &[u8], host: Option<&Host>) {
        let name = Message::read(line).map(|m| m.name().to_owned()).unwrap_or_default();
        let call = match name.as_str() {
            SET_NUMBER_OF_CPUS => Call::set_number_of_cpus(2),
            "lock-screen" => Call { name: "lock-screen", arguments: Vec::new() },
            LIFECYCLE_EVENT => Call::lifecycle("after_migration", None, false),
            _ => return self.recorded.push(key(line)),
        };
        if host.is_none_or(|host| host.call(&call).is_err()) {
            self.wrong_calls.push(name);
        }
    }
}

fn key(line: &[u8]) -> String {
    let message = Message::read(line);
    message.map_or_else(|| "no message".to_owned(), |m| format!("{} {:?}", m.name(), m.version.number()))
}

/// As Python prints a version.
fn printed(version: Option<&Kept>, python_3: bool) -> String {
    match version {
        None => "None".to_owned(),
        Some(Kept::Text(text)) => format!("{}'{text}'", if python_3 { "" } else { "u" }),
        Some(Kept::Fraction(number)) if number.is_nan() => "nan".to_owned(),
        Some(kept) => shown(kept),
    }
}

fn play(transcript: &Transcript) -> Played {
    let header = &transcript.provenance;
    let start = |now: u64, first: bool| {
        let change = header.builds.iter().rev().find(|change| change.from_us <= now);
        let end = change.map_or(&header.client, |change| &change.client);
        let version = end.version.clone().unwrap_or_default();
        let facts = DIALECTS.for_version(&version).and_then(|dialect| dialect.host.clone());
        let handed_over = (!first && header.case.contains("migration-api3")).then_some(3);
        Host::start(facts.unwrap_or_else(|| panic!("no host `{version}`")), Switches::default(), handed_over)
    };
    let mut played = Played::default();
    let mut host: Option<Host> = None;
    let mut started = 0;
    let mut exit_us = 0;
    for event in &transcript.events {
        let now = event.at_us;
        let mut sends = Vec::new();
        match (&event.kind, event.dir) {
            (EventKind::Connect, Direction::ToServer) => {
                let process = host.get_or_insert_with(|| {
                    started += 1;
                    start(now, started == 1)
                });
                if played.versions.is_empty() || exit_us > 0 {
                    // The next process was there soon after the one before, and tried to connect.
                    played.versions.push((
                        std::mem::take(&mut exit_us),
                        process.version().map_or("null".to_owned(), shown),
                    ));
                }
                sends.extend(process.connect());
            }
            (EventKind::Exit(_), Direction::ToServer) => {
                if let Some(process) = host.take() {
                    played.unknown.extend(process.unknown().iter().cloned());
                    played.last = Some(process);
                }
                exit_us = now;
            }
            (EventKind::Eof(_), Direction::ToClient) => {
                if let Some(process) = &mut host {
                    process.disconnect();
                }
            }
            (EventKind::Data(data), Direction::ToClient) => {
                let Some(process) = &mut host else { continue };
                if data.bytes.starts_with(b"{\"__name__\": \"host-name\", \"name\": \"P") {
                    let version = printed(process.version(), process.facts().digits_max.is_some());
                    let fqdn = process.take_fqdn();
                    played.cases.push((version, fqdn, process.unknown().to_vec()));
                }
                sends = process.read(&data.bytes);
            }
            (EventKind::Data(data), Direction::ToServer) => {
                for line in data.bytes.split_inclusive(|byte| *byte == b'\n') {
                    played.note_said(line, host.as_ref());
                }
            }
            _ => {}
        }
        played.model.extend(sends.iter().map(|line| key(line)));
        if let Some(process) = &host {
            let version = process.version().map_or("null".to_owned(), shown);
            if played.versions.last().is_some_and(|(_, before)| *before != version) {
                played.versions.push((now, version));
            }
        }
    }
    if let Some(process) = host {
        played.unknown.extend(process.unknown().iter().cloned());
        played.last = Some(process);
    }
    played
}

fn with_real_hosts() -> impl Iterator<Item = (String, Transcript)> {
    recordings().into_iter().filter(|(_, transcript)| transcript.provenance.client.name == "vdsm")
}

#[test]
fn says_what_the_recorded_hosts_said() {
    let mut wrong = Vec::new();
    for (id, transcript) in with_real_hosts() {
        let played = play(&transcript);
        if played.recorded != played.model {
            wrong.push(format!("{id}:\n  model    {:?}\n  recorded {:?}", played.model, played.recorded));
        }
        if !played.wrong_calls.is_empty() {
            wrong.push(format!("{id}: the model refuses {:?}", played.wrong_calls));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn refuses_the_calls_that_the_recorded_hosts_refused() {
    let mut refused = 0;
    for (id, transcript) in with_real_hosts() {
        let played = play(&transcript);
        let mut host = played.last.expect("a host");
        // Calls were made before the host was killed.
        host.connect();
        for (_, calls) in observed(&transcript, "host_calls") {
            for call in calls.as_array().into_iter().flatten() {
                let text = |at: usize| call.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
                if !text(1).contains("GuestAgentUnsupportedMessage") || !text(0).contains("setNumber") {
                    continue;
                }
                refused += 1;
                assert!(host.call(&Call::set_number_of_cpus(2)).is_err(), "{id}: {}", text(0));
            }
        }
    }
    assert!(refused >= 8, "{refused} refused calls are recorded");
}

#[test]
fn knows_what_the_recorded_hosts_knew() {
    let mut wrong = Vec::new();
    for (id, transcript) in with_real_hosts() {
        for (_, names) in observed(&transcript, "host_unknown") {
            let recorded: BTreeSet<_> =
                names.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            let played = play(&transcript);
            if recorded != played.unknown {
                wrong.push(format!("{id}: model {:?}, recorded {recorded:?}", played.unknown));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn has_the_version_that_the_recorded_hosts_had() {
    let mut wrong = Vec::new();
    for (id, transcript) in with_real_hosts() {
        let recorded: Vec<_> =
            observed(&transcript, "host_version_at").into_iter().map(|(at, v)| (at, v.to_string())).collect();
        if recorded.is_empty() {
            continue;
        }
        let played = play(&transcript);
        // What lasted less than the time between two looks may have been missed.
        let ends = played.versions.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        let lasting = played.versions.iter().zip(ends);
        let mut model: Vec<_> = lasting
            .filter(|((at, _), end)| *at == 0 || end.saturating_sub(*at) > SAMPLED_US)
            .map(|((at, version), _)| (*at, version.clone()))
            .collect();
        model.dedup_by(|b, a| a.1 == b.1);
        let same = model.len() == recorded.len()
            && model.iter().zip(&recorded).all(|(a, b)| a.1 == b.1 && a.0.abs_diff(b.0) < 8 * SAMPLED_US);
        if !same {
            wrong.push(format!("{id}:\n  model    {model:?}\n  recorded {recorded:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn is_after_each_bad_input_what_the_recorded_hosts_were() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (id, transcript) in with_real_hosts().filter(|(id, _)| id.contains("bad-input")) {
        let played = play(&transcript);
        let recorded = observed(&transcript, "cases").pop().expect("cases").1;
        for (case, (version, fqdn, _)) in recorded.as_array().into_iter().flatten().zip(&played.cases) {
            compared += 1;
            let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let expect = text("host_version");
            let fits = match expect.split_once("...") {
                Some((first, _)) => version.starts_with(first),
                None => *version == expect || expect == "None",
            };
            let name = text("fqdn");
            let fqdn_fits = match fqdn {
                None => name == "'unset'",
                Some(fqdn) => {
                    [escaped(fqdn), fqdn.clone()].iter().any(|fqdn| name.trim_matches('\'') == fqdn)
                }
            };
            if !fits || !fqdn_fits {
                let name = text("case");
                wrong.push(format!(
                    "{id}, {name}: model {version} {fqdn:?}, recorded {expect} {}",
                    text("fqdn")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 200, "{compared} cases compared");
}

/// A text as the recorder printed it.
fn escaped(text: &str) -> String {
    let escape = |c: char| match u32::from(c) {
        0x20..=0x7e => c.to_string(),
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    text.chars().map(escape).collect()
}

/// What a host keeps, as the recordings write it.
fn shown(kept: &Kept) -> String {
    match kept {
        Kept::Number(number) => number.to_string(),
        Kept::Huge(digits) => digits.clone(),
        Kept::Fraction(number) => number.to_string(),
        Kept::Text(text) => format!("\"{text}\""),
    }
}
