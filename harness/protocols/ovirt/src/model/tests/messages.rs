//! The holes of the merged scheme that one message shows, in each release that has them, and mended in `ideal`.

use matrix::Role;

use protocol::defect::Switches;

use crate::defects::{self, DEFECTS};
use crate::dialect::DIALECTS;
use crate::model::agent::Guest;
use crate::model::{Agent, Call, Host, Rates};

fn agent(version: &str, switches: Switches) -> Agent {
    let facts = DIALECTS.for_version(version).and_then(|dialect| dialect.agent.clone()).expect("an agent");
    let mut agent = Agent::start(facts, switches, Rates::DEFAULT, Guest::default());
    while agent.worker_next(1).is_some() {}
    agent
}

fn host(version: &str, switches: Switches) -> Host {
    let facts = DIALECTS.for_version(version).and_then(|dialect| dialect.host.clone()).expect("a host");
    Host::start(facts, switches, None)
}

/// The names of what an agent answers to lines of a host.
fn answers(agent: &mut Agent, text: &str) -> Vec<&'static str> {
    agent.read(1, text.as_bytes());
    std::iter::from_fn(|| agent.listener_next(1)).map(|sent| sent.name).collect()
}

fn heartbeat(version: &str) -> String {
    format!("{{\"__name__\": \"heartbeat\", \"free-ram\": \"1\", \"apiVersion\": {version}}}\n")
}

const ECHO: &str = "{\"__name__\": \"echo\", \"t\": 1}\n";

#[test]
fn a_negative_version_silences_merged_agents() {
    let negative = "{\"__name__\": \"api-version\", \"apiVersion\": -1}\n";
    for (version, expect) in
        [("1.0.9.1", &[][..]), ("1.0.11.2", &[]), ("1.0.16", &[]), ("1.0.9", &["echo"]), ("ideal", &["echo"])]
    {
        let mut agent = agent(version, Switches::default());
        answers(&mut agent, negative);
        assert_eq!(answers(&mut agent, ECHO), expect, "{version}");
    }
    let mut faulty =
        agent("ideal", Switches::on(DEFECTS, Role::Server, &[defects::NO_LOWER_LIMIT]).expect("a defect"));
    answers(&mut faulty, negative);
    assert!(answers(&mut faulty, ECHO).is_empty());
}

#[test]
fn a_negative_heartbeat_kills_the_channel_of_raw_hosts() {
    for (version, dead) in
        [("4.14.17", true), ("4.16.38", true), ("4.17.24", true), ("4.17.44", false), ("ideal", false)]
    {
        let mut host = host(version, Switches::default());
        host.connect();
        // From 0 there is no change: a raw host keeps -1 only when it was above.
        host.read(heartbeat("1").as_bytes());
        host.read(heartbeat("-1").as_bytes());
        host.disconnect();
        assert_eq!((host.connect().is_none(), host.is_dead()), (dead, dead), "{version}");
        assert_eq!(host.read(heartbeat("2").as_bytes()).is_empty(), dead, "{version}");
    }
}

#[test]
fn merged_hosts_lose_what_is_behind_a_line_they_stumble_over() {
    let chunk = format!("{{\"a\": 1}}\n{}", heartbeat("1"));
    for (version, heard) in [("4.17.44", false), ("4.50.7", false), ("ideal", true)] {
        let mut host = host(version, Switches::default());
        host.connect();
        assert_eq!(!host.read(chunk.as_bytes()).is_empty(), heard, "{version}");
        assert_eq!(host.stumbled(), 1, "{version}");
        assert!(host.version().is_some_and(|version| version.is(i64::from(heard))), "{version}");
    }
}

#[test]
fn a_text_opens_the_gate_of_raw_hosts() {
    for (version, expect) in [("4.17.24", true), ("4.17.44", false), ("ideal", false)] {
        let mut host = host(version, Switches::default());
        host.connect();
        host.read(heartbeat("1").as_bytes());
        host.read(heartbeat("\"x\"").as_bytes());
        assert_eq!(host.call(&Call::set_number_of_cpus(2)).is_ok(), expect, "{version}");
    }
}

#[test]
fn a_hand_over_is_limited_and_goes_with_no_announcement_in_merged_hosts() {
    let facts = |version: &str| {
        DIALECTS.for_version(version).and_then(|dialect| dialect.host.clone()).expect("a host")
    };
    for (version, told, expect) in [
        ("4.17.44", 3, (0, true)),
        ("4.18.25+patched-max2", 3, (2, false)),
        ("4.50.7", 3, (3, false)),
        ("ideal", 3, (3, true)),
    ] {
        let mut host = Host::start(facts(version), Switches::default(), Some(told));
        host.connect();
        let begins = host.version().and_then(|version| version.number()).unwrap_or(-1);
        let announces = !host.read(heartbeat("3").as_bytes()).is_empty();
        assert_eq!((begins, announces), expect, "{version}");
    }
}

#[test]
fn a_lifecycle_event_without_hooks_is_completed_by_the_ideal_agent_alone() {
    let event = "{\"__name__\": \"lifecycle-event\", \"type\": \"before_migration\", \"reply_id\": \"a\"}\n";
    let up = "{\"__name__\": \"api-version\", \"apiVersion\": 3}\n";
    for (version, expect) in [("1.0.16", &[][..]), ("ideal", &["completion"])] {
        let facts =
            DIALECTS.for_version(version).and_then(|dialect| dialect.agent.clone()).expect("an agent");
        let guest = Guest { hooks: false, ..Guest::default() };
        let mut agent = Agent::start(facts, Switches::default(), Rates::DEFAULT, guest);
        while agent.worker_next(1).is_some() {}
        answers(&mut agent, up);
        assert_eq!(answers(&mut agent, event), expect, "{version}");
    }
}

#[test]
fn a_line_above_the_limit_is_passed_over_up_to_its_end() {
    let mut host = host("ideal", Switches::default());
    host.connect();
    for _ in 0..48 {
        assert!(host.read(&[b'x'; 64 << 10]).is_empty());
    }
    assert!(host.read(format!("\n{}", heartbeat("2")).as_bytes()).len() == 1);
}
