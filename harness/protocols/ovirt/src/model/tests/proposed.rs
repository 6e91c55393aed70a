//! The machines as merged against those of the proposal: `ideal` has the same versions after any messages, and each
//! release differs where the merged scheme has holes.

use proptest::prelude::*;

use protocol::defect::Switches;

use crate::Dialect;
use crate::dialect::DIALECTS;
use crate::model::agent::Guest;
use crate::model::{Agent, Host, Rates, proposal};
use crate::names::HEARTBEAT;

const MAXIMA: [Option<i64>; 4] = [None, Some(1), Some(2), Some(3)];

/// A message that changes a version, from either side; no value is a member that is absent.
#[derive(Debug, Clone, Copy)]
enum Told {
    Refresh(Option<i64>),
    ApiVersion(i64),
    Heartbeat(Option<i64>),
}

fn told() -> impl Strategy<Value = Told> {
    let version = || prop::option::weighted(0.8, 0_i64..6);
    prop_oneof![
        version().prop_map(Told::Refresh),
        (0_i64..6).prop_map(Told::ApiVersion),
        version().prop_map(Told::Heartbeat),
    ]
}

fn line(name: &str, version: Option<i64>) -> String {
    let version = version.map(|version| format!(", \"apiVersion\": {version}")).unwrap_or_default();
    format!("{{\"__name__\": \"{name}\", \"free-ram\": \"1\"{version}}}\n")
}

fn agent(dialect: &Dialect) -> Agent {
    let facts = dialect.agent.clone().expect("an agent");
    Agent::start(facts, Switches::default(), Rates::DEFAULT, Guest::default())
}

fn host(dialect: &Dialect) -> Host {
    let mut host = Host::start(dialect.host.clone().expect("a host"), Switches::default(), None);
    host.connect();
    host
}

fn tell_agent(agent: &mut Agent, line: &str) -> usize {
    agent.read(1, line.as_bytes());
    std::iter::from_fn(|| agent.listener_next(1)).count()
}

fn version_of(host: &Host) -> i64 {
    host.version().and_then(|version| version.number()).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ideal_peers_have_the_versions_of_the_proposal(
        (h, g) in (0..MAXIMA.len(), 0..MAXIMA.len()),
        messages in prop::collection::vec(told(), 1..30),
    ) {
        let (mut ideal_host, mut ideal_agent) =
            (host(&Dialect::ideal_at(MAXIMA[h])), agent(&Dialect::ideal_at(MAXIMA[g])));
        let (mut proposed_host, mut proposed_agent) =
            (proposal::Host::start(MAXIMA[h]), proposal::Agent::start(MAXIMA[g]));
        for message in messages {
            match message {
                Told::Refresh(version) => {
                    proposed_agent.refresh(version);
                    tell_agent(&mut ideal_agent, &line("refresh", version));
                }
                Told::ApiVersion(version) => {
                    proposed_agent.api_version(version);
                    tell_agent(&mut ideal_agent, &line("api-version", Some(version)));
                }
                Told::Heartbeat(version) => {
                    let proposed = proposed_host.heartbeat(version);
                    let said = !ideal_host.read(line("heartbeat", version).as_bytes()).is_empty();
                    // A change to 0 is kept and not told.
                    prop_assert!(said || proposed.is_none_or(|version| version == 0));
                }
            }
            prop_assert_eq!(ideal_agent.version(), proposed_agent.version, "the agent, after {:?}", message);
            prop_assert_eq!(version_of(&ideal_host), proposed_host.version, "the host, after {:?}", message);
        }
    }
}

fn release(version: &str) -> &'static Dialect {
    DIALECTS.for_version(version).expect("a release")
}

#[test]
fn the_value_of_a_refresh_is_not_looked_at() {
    for (version, expect) in [("1.0.9.1", 1), ("1.0.11.3", 2), ("1.0.16", 3), ("ideal", 2)] {
        let mut agent = agent(release(version));
        tell_agent(&mut agent, &line("api-version", Some(3)));
        tell_agent(&mut agent, &line("refresh", Some(2)));
        assert_eq!(agent.version(), expect, "{version}");
    }
}

#[test]
fn the_first_heartbeat_says_0_from_1_0_11_3_on() {
    for (version, expect) in [
        ("1.0.9", None),
        ("1.0.9.1", Some(1)),
        ("1.0.11.2", Some(2)),
        ("1.0.11.3", Some(0)),
        ("1.0.16", Some(0)),
    ] {
        let mut agent = agent(release(version));
        while agent.worker_next(1).is_some() {}
        let mut said = Vec::new();
        for _ in 0..10 {
            agent.begin_pass();
            said.extend(std::iter::from_fn(|| agent.worker_next(1)).filter(|sent| sent.name == HEARTBEAT));
        }
        let versions: Vec<_> = said
            .iter()
            .map(|sent| crate::message::Message::read(&sent.line).and_then(|m| m.version.number()))
            .collect();
        assert_eq!(versions, [expect, expect.map(|_| agent.max())], "{version}");
    }
}

#[test]
fn a_refresh_answer_follows_a_change_from_1_0_11_on() {
    for (version, answers) in [("1.0.9.1", false), ("1.0.11.2", true), ("1.0.16", true), ("ideal", true)] {
        let mut agent = agent(release(version));
        assert_eq!(tell_agent(&mut agent, &line("api-version", Some(1))) > 0, answers, "{version}");
        assert_eq!(
            tell_agent(&mut agent, &line("api-version", Some(1))),
            0,
            "{version}: no change, no answer"
        );
        assert_eq!(tell_agent(&mut agent, &line("api-version", Some(0))) > 0, answers, "{version}");
    }
}

#[test]
fn a_change_to_0_is_not_announced() {
    for version in ["4.14.17", "4.17.44", "4.50.7", "ideal"] {
        let mut host = host(release(version));
        assert_eq!(host.read(line("heartbeat", Some(1)).as_bytes()).len(), 1, "{version}");
        for bad in [line("heartbeat", Some(0)), line("heartbeat", None)] {
            assert!(host.read(bad.as_bytes()).is_empty(), "{version}");
            assert_eq!(version_of(&host), 0, "{version}");
        }
        assert_eq!(host.read(line("heartbeat", Some(1)).as_bytes()).len(), 1, "{version}");
    }
}

#[test]
fn raw_hosts_keep_what_differs_from_the_limited_value() {
    for (version, told, expect, says) in [
        ("4.16.38", 3, 3, 1),
        ("4.17.24", 3, 3, 2),
        ("4.17.24", 2, 2, 2),
        ("4.17.44", 3, 2, 2),
        ("4.50.7", 3, 3, 3),
    ] {
        let mut host = host(release(version));
        let said = host.read(line("heartbeat", Some(told)).as_bytes());
        let said = said.first().and_then(|line| crate::message::Message::read(line));
        assert_eq!(said.and_then(|message| message.version.number()), Some(says), "{version}");
        assert_eq!(version_of(&host), expect, "{version}");
    }
    // From 1 with the maximum 1 a heartbeat of 3 changes nothing.
    let mut host = host(release("4.16.38"));
    host.read(line("heartbeat", Some(1)).as_bytes());
    assert!(host.read(line("heartbeat", Some(3)).as_bytes()).is_empty());
    assert_eq!(version_of(&host), 1);
}

#[test]
fn an_agent_carries_out_what_it_could_not_answer() {
    let mut agent = agent(release("1.0.16"));
    let event = "{\"__name__\": \"lifecycle-event\", \"type\": \"x\", \"reply_id\": 1}\n";
    assert_eq!(tell_agent(&mut agent, event), 0);
    assert!(agent.unknown().is_empty(), "it knows the event and withholds the answer");
    tell_agent(&mut agent, &line("api-version", Some(3)));
    assert_eq!(tell_agent(&mut agent, event), 1);
}
