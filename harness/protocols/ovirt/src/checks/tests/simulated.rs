//! The checks on simulated pairs: the ideal ones, in every scenario, and each seeded defect.

use matrix::Role;
use transcript::Transcript;

use protocol::defect::Switches;

use super::judged;
use crate::defects::DEFECTS;
use crate::model::agent::{Guest, Rates};
use crate::model::simulation::{Side, Simulation, Timing};
use crate::scenarios::{self, Scenario};

fn simulate(scenario: &Scenario, host: Side, agent: Side) -> Transcript {
    let guest = Guest { hooks: scenario.script.condition.is_none(), ..Guest::default() };
    Simulation::new(host, agent, Timing::default(), Rates::REFERENCE, guest).run(scenario)
}

fn shapes(transcript: &Transcript) -> Vec<String> {
    let judgement = judged(transcript);
    judgement.findings.iter().map(|f| format!("{:?} {}: {}", f.weight, f.shape, f.message)).collect()
}

/// Hosts that keep what a heartbeat says (K1): migrating to one of them shows that, whatever both ideal ends do.
const RAW_HOSTS: [&str; 3] = ["4.14.17", "4.16.38", "4.17.24"];

#[test]
fn ideal_pairs_raise_nothing() {
    let mut wrong = Vec::new();
    let pairs = [(3, 3), (3, 0), (0, 3), (2, 3), (3, 2), (1, 2)];
    let max = |max: i64| (max > 0).then_some(max);
    for scenario in scenarios::all() {
        let raw = RAW_HOSTS.iter().any(|host| scenario.name.ends_with(host));
        for (host, agent) in pairs.map(|(host, agent)| (max(host), max(agent))) {
            let transcript = simulate(scenario, Side::ideal_at(host), Side::ideal_at(agent));
            let found = shapes(&transcript).into_iter();
            let unexpected = found.filter(|shape| !(raw && shape.starts_with("Violation host-above-min")));
            wrong.extend(unexpected.map(|shape| format!("{} {host:?}..{agent:?}: {shape}", scenario.name)));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What is true of the reference peers over sockets, in virtual time: each defect is found in its scenario, by its
/// shape, and is not there without it.
#[test]
fn every_defect_of_a_scenario_is_found() {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for defect in DEFECTS {
        let Some(scenario) = defect.case.strip_prefix("scenario/").and_then(scenarios::scenario) else {
            continue;
        };
        let run = |switches: Switches| {
            let faulty = Side { switches, ..Side::release("ideal").expect("in the table") };
            let other = Side::release(defect.peer).expect("a release");
            let (host, agent) = if defect.side == Role::Client { (faulty, other) } else { (other, faulty) };
            shapes(&simulate(scenario, host, agent))
        };
        let is_found = |shapes: &[String]| shapes.iter().any(|s| s.contains(&format!(" {}: ", defect.shape)));
        let with = run(Switches::on(DEFECTS, defect.side, &[defect.name]).expect("a defect of that side"));
        if !is_found(&with) {
            wrong
                .push(format!("{}: {} is not found in {}: {with:?}", defect.name, defect.shape, defect.case));
        }
        let without = run(Switches::default());
        if is_found(&without) {
            wrong.push(format!("{}: {} is found without it in {}", defect.name, defect.shape, defect.case));
        }
        tried += 1;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(tried > 20, "only {tried} defects have a scenario");
}
