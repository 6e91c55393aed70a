//! Any sequence of migrations, restarts, replacements and reconnections between any two versions ends with both sides
//! at the lower one of both maxima within two heartbeats, on the ideal peers; every quirk and every defect of the version
//! rule is found by the same property.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use protocol::defect::Switches;

use crate::defects::{self, DEFECTS};
use crate::dialect::{Announces, DIALECTS, FirstHeartbeat, RefreshValue, Stores};
use crate::model::agent::Guest;
use crate::model::simulation::timing_of_heartbeat;
use crate::model::{Rates, Side, Simulation};
use crate::scenarios;
use matrix::Role;

/// Virtual time, so it can be that of real agents.
const HEARTBEAT_US: u64 = 5_000_000;
/// The maxima of releases.
const MAXIMA: [Option<i64>; 4] = [None, Some(1), Some(2), Some(3)];

/// One thing that happens. Numbers are indices into [`MAXIMA`], or tenths of a heartbeat.
#[derive(Debug, Clone)]
enum Transition {
    Migrate(usize, bool),
    RestartAgent,
    ReplaceAgent(usize),
    RestartHost,
    Reconnect,
    ReconnectInMidLine,
    MigrateInMidLine(usize),
    DieInMidLine,
    Wait(u64),
}

/// The maxima of both sides.
#[derive(Debug, Clone)]
struct Pair {
    host: usize,
    agent: usize,
}

struct Sequences;

impl ReferenceStateMachine for Sequences {
    type State = Pair;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Pair> {
        (0..MAXIMA.len(), 0..MAXIMA.len()).prop_map(|(host, agent)| Pair { host, agent }).boxed()
    }

    fn transitions(_: &Pair) -> BoxedStrategy<Transition> {
        prop_oneof![
            3 => (0..MAXIMA.len(), any::<bool>()).prop_map(|(max, over)| Transition::Migrate(max, over)),
            2 => Just(Transition::RestartAgent),
            3 => (0..MAXIMA.len()).prop_map(Transition::ReplaceAgent),
            1 => Just(Transition::RestartHost),
            1 => Just(Transition::Reconnect),
            1 => Just(Transition::ReconnectInMidLine),
            2 => (0..MAXIMA.len()).prop_map(Transition::MigrateInMidLine),
            1 => Just(Transition::DieInMidLine),
            4 => (0_u64..30).prop_map(Transition::Wait),
        ]
        .boxed()
    }

    fn apply(mut state: Pair, transition: &Transition) -> Pair {
        match transition {
            Transition::Migrate(max, _) | Transition::MigrateInMidLine(max) => state.host = *max,
            Transition::ReplaceAgent(max) => state.agent = *max,
            _ => {}
        }
        state
    }
}

/// What is done to every host and every agent of a sequence before it is started.
#[derive(Clone, Copy)]
struct Change {
    host: fn(&mut Side),
    agent: fn(&mut Side),
}

const IDEAL: Change = Change { host: |_| {}, agent: |_| {} };

/// A pair in virtual time.
#[derive(Clone)]
struct Pairing {
    simulation: Simulation,
    change: Change,
}

impl Pairing {
    fn start(pair: &Pair, change: Change) -> Self {
        let (host, agent) = (host_at(pair.host, change), agent_at(pair.agent, change));
        let timing = timing_of_heartbeat(HEARTBEAT_US);
        let mut simulation = Simulation::new(host, agent, timing, Rates::REFERENCE, Guest::default());
        simulation.step(&scenarios::start());
        Self { simulation, change }
    }

    fn apply(&mut self, transition: &Transition) {
        let simulation = &mut self.simulation;
        match transition {
            Transition::Migrate(max, handed_over) => {
                simulation.migrate(host_at(*max, self.change), *handed_over);
            }
            Transition::RestartAgent => simulation.step(&scenarios::RESTART_AGENT),
            Transition::ReplaceAgent(max) => simulation.replace_agent(agent_at(*max, self.change), true),
            Transition::RestartHost => simulation.restart_host(),
            Transition::Reconnect => {
                simulation.step(&scenarios::LEAVE);
                simulation.step(&scenarios::RETURN);
            }
            Transition::ReconnectInMidLine => {
                simulation.step(&scenarios::LEAVE_IN_MID_LINE);
                simulation.step(&scenarios::RETURN);
            }
            Transition::MigrateInMidLine(max) => {
                simulation.step(&scenarios::LEAVE_IN_MID_LINE);
                simulation.migrate(host_at(*max, self.change), false);
            }
            Transition::DieInMidLine => {
                simulation.step(&scenarios::half_line());
                simulation.step(&scenarios::RESTART_AGENT);
            }
            Transition::Wait(tenths) => simulation.pass_time(tenths * HEARTBEAT_US / 10),
        }
    }

    /// What is wrong if nothing more happens for two heartbeats and what an end needs to notice the other.
    fn wrong(&self) -> Option<String> {
        if let Some(above) = self.simulation.above().first() {
            return Some(format!("`{}` above {} at {} us", above.name, above.agreed, above.at_us));
        }
        let mut later = self.simulation.clone();
        later.pass_time(2 * HEARTBEAT_US + HEARTBEAT_US / 10);
        if let Some(above) = later.above().first() {
            return Some(format!("`{}` above {} at {} us", above.name, above.agreed, above.at_us));
        }
        let agreed = later.agreed();
        let host = later.host_version().unwrap_or(0);
        let agent = later.agent_version().unwrap_or(0);
        (host != agreed || agent != agreed)
            .then(|| format!("the host is at {host}, the agent at {agent}, and both should be at {agreed}"))
    }
}

fn host_at(max: usize, change: Change) -> Side {
    let mut side = Side::ideal_at(MAXIMA[max]);
    (change.host)(&mut side);
    side
}

fn agent_at(max: usize, change: Change) -> Side {
    let mut side = Side::ideal_at(MAXIMA[max]);
    (change.agent)(&mut side);
    side
}

impl StateMachineTest for Pairing {
    type SystemUnderTest = Self;
    type Reference = Sequences;

    fn init_test(pair: &Pair) -> Self {
        Self::start(pair, IDEAL)
    }

    fn apply(mut pairing: Self, _: &Pair, transition: Transition) -> Self {
        Pairing::apply(&mut pairing, &transition);
        pairing
    }

    fn check_invariants(pairing: &Self, _: &Pair) {
        if let Some(wrong) = pairing.wrong() {
            panic!("{wrong}");
        }
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(Config { cases: 150, failure_persistence: None, ..Config::default() })]

    #[test]
    fn both_sides_are_at_the_lower_maximum_within_two_heartbeats(sequential 1..20 => Pairing);
}

/// The same property on peers with a fault: the first sequence that shows it.
fn found(change: Change) -> Option<String> {
    let config = Config { cases: 400, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let strategy = Sequences::sequential_strategy(1..14);
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |(pair, steps, _seen)| {
        let mut pairing = Pairing::start(&pair, change);
        for step in &steps {
            pairing.apply(step);
            if let Some(wrong) = pairing.wrong() {
                return Err(TestCaseError::fail(wrong));
            }
        }
        Ok(())
    });
    outcome.err().map(|error| error.to_string())
}

#[track_caller]
fn check(name: &str, change: Change, expect: &str) {
    let found = found(change);
    let text = found.as_deref().unwrap_or("nothing was found");
    assert!(text.contains(expect), "{name}: {text}");
}

fn agent_defect(side: &mut Side, name: &'static str) {
    side.switches = Switches::on(DEFECTS, Role::Server, &[name]).expect("a defect of an agent");
}

fn host_defect(side: &mut Side, name: &'static str) {
    side.switches = Switches::on(DEFECTS, Role::Client, &[name]).expect("a defect of a host");
}

#[test]
fn finds_each_defect_of_the_version_rule_by_name() {
    const SHOULD: &str = "both should be at";
    macro_rules! agent {
        ($defect:ident, $expect:expr) => {
            let change = Change {
                agent: |side| agent_defect(side, defects::$defect),
                host: |side| only_on_change(side),
            };
            check(defects::$defect, change, $expect);
        };
    }
    macro_rules! host {
        ($defect:ident, $expect:expr) => {
            let change = Change { host: |side| host_defect(side, defects::$defect), ..IDEAL };
            check(defects::$defect, change, $expect);
        };
    }
    agent!(NO_FORCED_ZERO, SHOULD);
    agent!(IGNORES_REFRESH_VALUE, "above");
    agent!(IGNORES_KEYLESS_REFRESH, "above");
    agent!(KEEPS_HALF_LINE, SHOULD);
    agent!(GATE_BEFORE_WAIT, "above");
    agent!(FORGETS_ON_DISCONNECT, SHOULD);
    agent!(TAKES_HIGHER, "above");
    agent!(GATE_TOO_WIDE, "above");
    agent!(WRONG_MINIMUM, "above");
    host!(RAW_VALUE, SHOULD);
    host!(IGNORES_KEYLESS_HEARTBEAT, SHOULD);
    host!(NEVER_ANNOUNCES, SHOULD);
    host!(FORGETS_ON_RECONNECT, SHOULD);
    host!(HOST_TAKES_HIGHER, SHOULD);
}

/// A host as merged announces only when the value changes, and hides no fault of an agent.
fn only_on_change(side: &mut Side) {
    if let Some(host) = &mut side.dialect.host {
        host.announces = Announces::OnChange;
    }
}

fn with_agent(side: &mut Side, change: impl FnOnce(&mut crate::dialect::AgentFacts)) {
    if let Some(agent) = &mut side.dialect.agent {
        change(agent);
    }
}

fn with_host(side: &mut Side, change: impl FnOnce(&mut crate::dialect::HostFacts)) {
    if let Some(host) = &mut side.dialect.host {
        change(host);
    }
}

/// Each hole of the merged scheme, one at a time, in peers that are ideal otherwise.
#[test]
fn finds_each_quirk_of_the_merged_scheme_by_name() {
    const SHOULD: &str = "both should be at";
    check(
        "the value of a refresh is ignored, and the level of the host before goes on",
        Change {
            agent: |side| {
                with_agent(side, |a| {
                    a.refresh_value = RefreshValue::Ignored;
                    a.trusts_old_level = true;
                });
            },
            ..IDEAL
        },
        "above",
    );
    check(
        "no forced 0, and announced only on change",
        Change {
            agent: |side| with_agent(side, |a| a.first_heartbeat = FirstHeartbeat::Max),
            host: only_on_change,
        },
        SHOULD,
    );
    check(
        "the raw value is kept",
        Change { host: |side| with_host(side, |h| h.stores = Stores::Raw), ..IDEAL },
        SHOULD,
    );
    check(
        "the level of the host before counts until the reader has napped",
        Change {
            agent: |side| {
                with_agent(side, |a| {
                    a.trusts_old_level = true;
                    a.naps = true;
                })
            },
            ..IDEAL
        },
        "above",
    );
    check(
        "half a line survives a reconnection",
        Change { agent: |side| with_agent(side, |a| a.keeps_half_line = true), host: only_on_change },
        SHOULD,
    );
    check(
        "handed over and announced only on change, with the value of a refresh ignored",
        Change {
            agent: |side| with_agent(side, |a| a.refresh_value = RefreshValue::Ignored),
            host: only_on_change,
        },
        SHOULD,
    );
}

#[test]
fn finds_the_merged_releases_wanting() {
    check(
        "newest releases against each other, with lower maxima",
        Change {
            agent: |side| {
                let max = side.dialect.max();
                let max = (max > 0).then_some(max);
                if let Some(merged) = DIALECTS.for_version("1.0.16") {
                    side.dialect = merged.clone();
                    with_agent(side, |a| {
                        a.max = max;
                        a.sends.retain(|_, min| *min <= max.unwrap_or(0));
                    });
                }
            },
            ..IDEAL
        },
        "above",
    );
}
