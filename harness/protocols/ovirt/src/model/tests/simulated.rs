//! Simulated pairs against what was measured on real ones: the matrix of releases and their transitions.

use session::{ClientAct, Step};
use transcript::evidence::Role;
use transcript::{EventKind, Transcript};
use wire::Direction;

use protocol::defect::Switches;

use crate::message::Message;
use crate::model::agent::Guest;
use crate::model::{Rates, Side, Simulation, Timing};
use crate::names::{API_VERSION_MESSAGE, guest_min};
use crate::scenarios;

fn pair(host: &str, agent: &str) -> Simulation {
    let side = |version: &str| Side::release(version).unwrap_or_else(|| panic!("no release `{version}`"));
    let (timing, rates) = (Timing::default(), Rates::RECORDED);
    let mut simulation = Simulation::new(side(host), side(agent), timing, rates, Guest::default());
    simulation.step(&scenarios::start());
    simulation
}

/// How often a version was announced since an event.
fn announced(simulation: &Simulation, from: usize) -> usize {
    let events = simulation.events().iter().skip(from);
    let lines = events.filter_map(|event| match &event.kind {
        EventKind::Data(data) if event.dir == Direction::ToServer => Some(&data.bytes),
        _ => None,
    });
    lines.filter(|line| Message::read(line).is_some_and(|m| m.name() == API_VERSION_MESSAGE)).count()
}

#[test]
fn gives_the_measured_matrix() {
    let agents = [
        &["1.0.7", "1.0.9"][..],
        &["1.0.9.1"],
        &["1.0.11.2"],
        &["1.0.11.3"],
        &["1.0.12.3", "1.0.16", "1.0.16-7"],
    ];
    const N: (Option<i64>, &str) = (None, "never");
    let [e0, e1, e2] = [(Some(0), "never"), (Some(1), "once"), (Some(2), "once")];
    let (e3, raw_2, raw_3) = ((Some(3), "once"), (Some(2), "always"), (Some(3), "always"));
    // E, and how often it is announced: once, never, or with every heartbeat.
    let rows = [
        (&["4.13.4"][..], [N; 5]),
        (&["4.14.17", "4.16.38"], [e0, e1, raw_2, raw_2, raw_3]),
        (&["4.17.24"], [e0, e1, e2, e2, raw_3]),
        (&["4.17.44"], [e0, e1, e2, e2, e2]),
        (&["4.18.25", "4.19.51", "4.20.49", "4.30.53", "4.50.7"], [e0, e1, e2, e2, e3]),
    ];
    for (hosts, columns) in rows {
        for (host, (releases, (version, often))) in
            hosts.iter().flat_map(|host| agents.iter().zip(columns).map(move |column| (host, column)))
        {
            for agent in *releases {
                let mut simulation = pair(host, agent);
                simulation.pass_time(11_000_000);
                let count = announced(&simulation, 0);
                let expect = match often {
                    "never" => 0..=0,
                    "once" => 1..=1,
                    _ => 10..=12,
                };
                assert_eq!(simulation.host_version(), version, "{host} {agent}");
                assert!(expect.contains(&count), "{host} {agent}: announced {count} times");
                let agreed = simulation.agreed();
                assert_eq!(simulation.agent_version(), Some(agreed), "{host} {agent}");
                assert!(simulation.above().is_empty(), "{host} {agent}: {:?}", simulation.above());
            }
        }
    }
}

/// The versions of host and agent, the messages above the agreed version, and the announcements in ten heartbeats behind a
/// transition.
#[track_caller]
fn check_transition(
    host: &str,
    agent: &str,
    step: &Step,
    (e, a): (Option<i64>, i64),
    above: &[&str],
    announces: std::ops::RangeInclusive<usize>,
) {
    let mut simulation = pair(host, agent);
    // As in the recordings, the pass that brings applications comes when the host has just gone.
    simulation.pass_time(4_900_000);
    assert!(simulation.above().is_empty(), "{:?}", simulation.above());
    let from = simulation.events().len();
    if matches!(step, Step::Client(ClientAct::Start { .. })) {
        simulation.step(&scenarios::KILL_HOST);
        simulation.pass_time(2_500_000);
    }
    simulation.step(step);
    simulation.pass_time(10_000_000);
    assert_eq!(
        (simulation.host_version(), simulation.agent_version()),
        (e, Some(a)),
        "{host} {agent} {step:?}"
    );
    let mut names: Vec<_> = simulation.above().iter().map(|above| above.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, above, "{host} {agent} {step:?}");
    let count = announced(&simulation, from);
    assert!(announces.contains(&count), "{host} {agent} {step:?}: announced {count} times");
}

#[test]
fn gives_the_measured_transitions() {
    let all = &["containers", "os-info", "timezone"][..];
    let restart = &scenarios::RESTART_AGENT;
    check_transition(
        "4.50.7",
        "1.0.16",
        &scenarios::host("4.13.4", false),
        (None, 0),
        &["containers"],
        0..=0,
    );
    check_transition("4.13.4", "1.0.16", &scenarios::host("4.50.7", false), (Some(3), 3), &[], 1..=1);
    check_transition("4.50.7", "1.0.12.3", &scenarios::host("4.16.38", false), (Some(3), 1), all, 9..=11);
    check_transition(
        "4.17.44",
        "1.0.11.2",
        &scenarios::host("4.14.17", false),
        (Some(2), 1),
        &["os-info", "timezone"],
        9..=11,
    );
    check_transition(
        "4.50.7",
        "1.0.16",
        &scenarios::host("4.17.44", false),
        (Some(2), 2),
        &["containers"],
        1..=1,
    );
    check_transition(
        "4.30.53",
        "1.0.16",
        &scenarios::host("4.17.24", false),
        (Some(3), 2),
        &["containers"],
        9..=11,
    );
    let over = scenarios::host("4.50.7", true);
    check_transition("4.18.25", "1.0.16", &over, (Some(3), 3), &[], 0..=0);
    let over = scenarios::host("4.18.25+patched-max2", true);
    check_transition("4.50.7", "1.0.16", &over, (Some(2), 3), &["containers"], 0..=0);
    let same = scenarios::start();
    check_transition("4.50.7", "1.0.16", &same, (Some(3), 3), &[], 1..=1);
    // K2: stuck.
    check_transition("4.17.44", "1.0.11.2", restart, (Some(2), 0), &[], 0..=0);
    check_transition("4.17.24", "1.0.11.2", restart, (Some(2), 0), &[], 0..=0);
    check_transition("4.18.25", "1.0.9.1", restart, (Some(1), 0), &[], 0..=0);
    check_transition("4.16.38", "1.0.11.2", restart, (Some(2), 1), &[], 9..=11);
    for (agent, version) in [("1.0.11.3", 2), ("1.0.12.3", 3), ("1.0.16", 3)] {
        check_transition("4.50.7", agent, restart, (Some(version), version), &[], 1..=1);
    }
    check_transition("4.50.7", "1.0.11.2", &scenarios::agent("1.0.16"), (Some(3), 3), &[], 1..=1);
    check_transition("4.50.7", "1.0.9", &scenarios::agent("1.0.12.3"), (Some(3), 3), &[], 1..=1);
    // K3: stuck.
    check_transition("4.16.38", "1.0.9.1", &scenarios::agent("1.0.11.2"), (Some(1), 0), &[], 0..=0);
    check_transition("4.50.7", "1.0.16", &scenarios::agent("1.0.11.2"), (Some(2), 2), &[], 1..=1);
    check_transition("4.50.7", "1.0.16", &scenarios::agent("1.0.9.1"), (Some(1), 1), &[], 1..=1);
    check_transition("4.50.7", "1.0.16", &scenarios::agent("1.0.9"), (Some(0), 0), &[], 0..=0);
}

fn run(host: Side, agent: Side, scenario: &scenarios::Scenario) -> Transcript {
    let guest = Guest { hooks: scenario.script.condition.is_none(), ..Guest::default() };
    let timing = crate::model::simulation::timing_of_heartbeat(5_000_000);
    Simulation::new(host, agent, timing, Rates::REFERENCE, guest).run(scenario)
}

#[test]
fn every_scenario_is_a_transcript_and_ends_with_the_end_of_the_host() {
    for scenario in scenarios::all() {
        let side = || Side::release("ideal").expect("the ideal");
        let transcript = run(side(), side(), scenario);
        transcript.check().unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        let last = transcript.events.last().map(|event| (&event.kind, event.dir));
        assert!(matches!(last, Some((EventKind::Eof(Some(_)), Direction::ToServer))), "{}", scenario.name);
        let again = run(side(), side(), scenario);
        assert_eq!(transcript.events, again.events, "{}: the same every time", scenario.name);
    }
}

#[test]
fn ideal_peers_say_nothing_above_the_agreed_version_in_any_scenario() {
    for scenario in scenarios::all() {
        let mut simulation = Simulation::new(
            Side::release("ideal").expect("the ideal"),
            Side::release("ideal").expect("the ideal"),
            Timing::default(),
            Rates::REFERENCE,
            Guest { hooks: scenario.script.condition.is_none(), ..Guest::default() },
        );
        for step in &scenario.script.steps {
            simulation.step(step);
        }
        assert!(simulation.above().is_empty(), "{}: {:?}", scenario.name, simulation.above());
    }
}

#[test]
fn an_ideal_host_announces_what_each_input_asks_for_and_hears_the_canary() {
    for input in crate::inputs::all() {
        let scenario = scenarios::scenario(&format!("guest-sends-{}", input.name)).expect("a scenario");
        let side = || Side::release("ideal").expect("the ideal");
        let transcript = run(side(), side(), scenario);
        let mut part = "";
        let mut announced: Vec<(&str, i64)> = Vec::new();
        for event in &transcript.events {
            match &event.kind {
                EventKind::Mark(mark) if mark.label == "guest sends" => {
                    let name = mark.args.get("input").map_or("", String::as_str);
                    part = if name.starts_with("canary") { "canary" } else { "subject" };
                }
                EventKind::Mark(mark) if mark.role() == Some(Role::Canary) => part = "canary",
                EventKind::Data(data) if event.dir == Direction::ToServer && !part.is_empty() => {
                    let Some(message) = Message::read(&data.bytes) else { continue };
                    if let (API_VERSION_MESSAGE, Some(version)) = (message.name(), message.version.number()) {
                        announced.push((part, version));
                    }
                }
                _ => {}
            }
        }
        let subject: Vec<_> = announced.iter().filter(|(part, _)| *part == "subject").map(|a| a.1).collect();
        let canary: Vec<_> = announced.iter().filter(|(part, _)| *part == "canary").map(|a| a.1).collect();
        let expect: Vec<_> = input.announces.into_iter().collect();
        assert_eq!(subject, expect, "{}", input.name);
        assert_eq!(canary.first(), Some(&3), "{}", input.name);
    }
    assert_eq!(guest_min("heartbeat"), 0);
}

/// A defect that changes nothing in its case could not be found there.
#[test]
fn every_defect_changes_what_passes_in_its_scenario() {
    use crate::defects::DEFECTS;
    use matrix::Role;
    let lines = |transcript: &Transcript| {
        let data = transcript.events.iter().filter_map(|event| match &event.kind {
            EventKind::Data(data) => Some((event.dir, data.bytes.clone())),
            _ => None,
        });
        data.collect::<Vec<_>>()
    };
    let mut unseen = Vec::new();
    for defect in DEFECTS {
        let Some(name) = defect.case.strip_prefix("scenario/") else { continue };
        let scenario = scenarios::scenario(name).expect("a scenario");
        let ideal = || Side::release("ideal").expect("the ideal");
        let peer = || Side::release(defect.peer).expect("a release");
        let faulty = Side {
            switches: Switches::on(DEFECTS, defect.side, &[defect.name]).expect("a defect of that side"),
            ..ideal()
        };
        let [with, without] = [faulty, ideal()].map(|side| match defect.side {
            Role::Server => run(peer(), side, scenario),
            Role::Client => run(side, peer(), scenario),
        });
        if lines(&with) == lines(&without) {
            unseen.push(defect.name);
        }
    }
    assert!(unseen.is_empty(), "{unseen:?}");
}
