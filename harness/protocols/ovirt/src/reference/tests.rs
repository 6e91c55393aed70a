//! Reference peers over real sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use matrix::{Build, BuildId, Role};
use protocol::Bench;
use session::{
    Address, BoxFuture, Client, Connection, LaunchError, Recorder, SendEnd, Server, ServerAct, Start,
    Transport,
};
use tokio::time::Instant;
use transcript::evidence::Observation;
use transcript::{Event, EventKind, Provenance, Transcript};
use verdict::{Evidence, Reading, Verdict};
use wire::Direction;

use super::engine::{Guest, Guests};
use super::server::Ports;
use super::{client, server};
use crate::checks;
use crate::dialect::DIALECTS;
use crate::grammar::OvirtGrammar;
use crate::message::Message;
use crate::names::{API_VERSION_MESSAGE, guest_min};
use crate::scenarios;

const DEADLINE: Duration = Duration::from_secs(10);

fn build(version: &str, heartbeat_ms: u64) -> Build {
    Build {
        id: BuildId::new(format!("ref-{version}")),
        protocol: "ovirt-guest-agent".into(),
        roles: vec![Role::Client, Role::Server],
        version: version.to_owned(),
        dialect: version.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: BTreeMap::from([("heartbeat".to_owned(), heartbeat_ms.to_string())]),
    }
}

fn bench() -> Bench {
    Bench::new(std::env::temp_dir(), std::env::temp_dir())
}

fn defects(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// What a scenario between two reference peers comes to.
fn run(host: (&str, &[&str]), agent: (&str, &[&str]), scenario: &str) -> Transcript {
    runtime().block_on(play(host, agent, scenario))
}

async fn play(host: (&str, &[&str]), agent: (&str, &[&str]), scenario: &str) -> Transcript {
    let client = client(&build(host.0, 20), &defects(host.1)).expect("a host");
    carry_out(&client, start(agent, scenario).await, scenario).await
}

/// A port with an agent behind it, which those may take the place of that do so in a scenario.
async fn start((agent, faults): (&str, &[&str]), scenario: &str) -> Box<dyn Server> {
    let agents = server(&build(agent, 20), &defects(faults), &bench()).expect("an agent");
    let mut server = agents.start(Start::in_memory()).await.expect("started");
    let releases = scenarios::scenario(scenario).map(scenarios::Scenario::replaced_by).expect("a scenario");
    let successor = |release: String| {
        let agents = super::server(&build(&release, 20), &[], &bench()).expect("an agent");
        (release.into(), agents)
    };
    server.set_successors(&releases.into_iter().map(successor).collect());
    server
}

async fn carry_out(client: &Arc<dyn Client>, mut server: Box<dyn Server>, scenario: &str) -> Transcript {
    let recorder = Recorder::new();
    let report = client.run(scenario, &mut *server, &recorder, DEADLINE).await.expect("carried out");
    assert!(report.exit.is_some(), "{scenario}: not in time");
    server.stop().await;
    Transcript { provenance: Provenance::default(), events: recorder.take() }
}

/// The messages of one side with their versions, since the last event of a kind.
fn messages(events: &[Event], dir: Direction) -> Vec<(String, Option<i64>)> {
    let mut bytes = Vec::new();
    for event in events.iter().filter(|event| event.dir == dir) {
        if let EventKind::Data(data) = &event.kind {
            bytes.extend_from_slice(&data.bytes);
        }
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(Message::read);
    lines.map(|message| (message.name().to_owned(), message.version.number())).collect()
}

fn announced(events: &[Event]) -> Vec<i64> {
    let messages = messages(events, Direction::ToServer);
    messages.into_iter().filter(|(name, _)| name == API_VERSION_MESSAGE).filter_map(|(_, v)| v).collect()
}

#[test]
fn ideal_peers_carry_out_every_scenario() {
    let mut at_once = tokio::task::JoinSet::new();
    let check = |(name, transcript): (&str, Transcript)| {
        transcript.check().unwrap_or_else(|error| panic!("{name}: {error}"));
        let last = transcript.events.last().map(|event| (&event.kind, event.dir));
        assert!(matches!(last, Some((EventKind::Eof(Some(_)), Direction::ToServer))), "{name}: {last:?}");
    };
    runtime().block_on(async {
        for scenario in scenarios::all() {
            if at_once.len() >= 16 {
                check(at_once.join_next().await.expect("some run").expect("no panic"));
            }
            let name = scenario.name.as_str();
            at_once.spawn(async move { (name, play(("ideal", &[]), ("ideal", &[]), name).await) });
        }
        while let Some(played) = at_once.join_next().await {
            check(played.expect("no panic"));
        }
    });
}

#[test]
fn a_steady_pair_settles_on_the_lower_maximum() {
    #[track_caller]
    fn check(host: &str, agent: &str, expect: &[i64], highest: i64) {
        let transcript = run((host, &[]), (agent, &[]), "steady");
        assert_eq!(announced(&transcript.events), expect, "{host} {agent}");
        let from_guest = messages(&transcript.events, Direction::ToClient);
        let above = from_guest.iter().map(|(name, _)| guest_min(name)).max();
        assert_eq!(above, Some(highest), "{host} {agent}");
    }
    check("ideal", "ideal", &[3], 3);
    check("4.50.7", "1.0.16", &[3], 3);
    check("4.17.44", "1.0.16", &[2], 2);
    check("4.18.25", "1.0.9.1", &[1], 1);
    check("4.13.4", "1.0.16", &[], 0);
    check("4.50.7", "1.0.9", &[], 0);
}

#[test]
fn an_agent_is_restarted_behind_the_kept_connection() {
    let transcript = run(("4.50.7", &[]), ("1.0.16", &[]), "restart");
    let at = |wanted: &EventKind, dir| {
        transcript.events.iter().position(|event| event.kind == *wanted && event.dir == dir)
    };
    let connects = transcript.events.iter().filter(|event| event.kind == EventKind::Connect).count();
    assert_eq!(connects, 2, "one of the host, one of the new agent");
    let back = at(&EventKind::Connect, Direction::ToClient).expect("the agent comes back");
    assert_eq!(announced(&transcript.events[back..]), [3]);
    // K2: an old agent is not told.
    let transcript = run(("4.50.7", &[]), ("1.0.11.2", &[]), "restart");
    let back = transcript
        .events
        .iter()
        .position(|event| event.kind == EventKind::Connect && event.dir == Direction::ToClient);
    let behind = &transcript.events[back.expect("the agent comes back")..];
    assert!(announced(behind).is_empty());
    let from_guest = messages(behind, Direction::ToClient);
    assert!(from_guest.iter().all(|(name, _)| guest_min(name) == 0), "{from_guest:?}");
}

#[test]
fn a_migration_brings_another_host_and_the_agent_goes_on() {
    let transcript = run(("4.50.7", &[]), ("1.0.16", &[]), "migration-to-4.16.38");
    let conns = transcript.conns();
    assert_eq!(conns.len(), 2);
    let second: Vec<Event> = transcript.on(conns[1]).map(|(_, event)| event.clone()).collect();
    let announced = announced(&second);
    // K1: repeated with every heartbeat.
    assert!(announced.len() > 3 && announced.iter().all(|version| *version == 1), "{announced:?}");
    let refresh = messages(&second, Direction::ToServer);
    assert_eq!(refresh.first(), Some(&("refresh".to_owned(), Some(1))));
}

#[test]
fn hosts_take_the_inputs_as_they_were_measured() {
    #[track_caller]
    fn check(host: &str, scenario: &str, expect: &[i64]) {
        let transcript = run((host, &[]), ("1.0.16", &[]), scenario);
        let marked = transcript
            .events
            .iter()
            .position(|event| matches!(&event.kind, EventKind::Mark(mark) if mark.label == "guest sends"));
        let behind = &transcript.events[marked.expect("a mark")..];
        assert_eq!(announced(behind), expect, "{host} {scenario}");
    }
    check("4.50.7", "guest-sends-no-name-and-good", &[3]);
    check("ideal", "guest-sends-no-name-and-good", &[1, 3]);
    check("4.50.7", "guest-sends-not-json-and-good", &[1, 3]);
    check("4.17.44", "guest-sends-negative-heartbeat", &[2]);
    check("4.17.24", "guest-sends-negative-heartbeat", &[]);
    check("ideal", "guest-sends-longer-line", &[3]);
}

/// An agent at a terminal that reads nothing; it is gone when its end is taken away.
#[derive(Clone, Default)]
struct Deaf(Arc<Mutex<Option<Connection>>>);

impl Guests for Deaf {
    fn start(&mut self, _now_us: u64) -> BoxFuture<'_, Result<Guest, String>> {
        Box::pin(async {
            let (near, far) = Connection::pair(Transport::Memory).map_err(|error| error.to_string())?;
            *self.0.lock().expect("nobody panics with it") = Some(far);
            Ok(Guest::Terminal(near))
        })
    }

    fn kill(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Nobody takes what a host has left, and no host is there to read: the port waits, or nothing else here would run.
#[test]
fn what_nobody_takes_keeps_nobody_busy() {
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let agent = Deaf::default();
            let behind = agent.clone();
            let ports = Ports::new(move |_deadline| behind.clone(), Duration::from_millis(4));
            let endpoint = transcript::Endpoint::default();
            let ports = protocol::reference::serve::launcher(endpoint, &std::env::temp_dir(), ports);
            let server = ports.start(Start::in_memory()).await.expect("started");
            let host = Connection::connect(server.address(), DEADLINE).await.expect("it listens");
            host.send(&vec![b'x'; 4 << 20].into(), &[], None, DEADLINE)
                .await
                .expect("it waits for the agent");
            drop(host);
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(agent.0.lock().expect("nobody panics with it").take());
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.stop().await;
        });
        done.send(()).expect("the test waits");
    });
    told.recv_timeout(DEADLINE * 3).expect("the port never waits");
}

#[test]
fn a_host_that_does_not_read_is_heard_until_too_much_waits() {
    const TO_HOST: usize = 64 << 10;
    const TO_AGENT: usize = 8 << 20;
    /// What a connection takes by itself, at most.
    const ROOM: usize = 512 << 10;

    fn held(server: &mut dyn Server) -> usize {
        let recorder = Recorder::new();
        server.watch(&recorder);
        let events = recorder.take();
        let seen = events.iter().filter_map(|event| event.kind.observed());
        let held = seen.filter(|(what, _)| *what == Observation::HeldBytes).last();
        held.and_then(|(_, value)| value.parse().ok()).expect("it is told")
    }

    runtime().block_on(async {
        let agents = server(&build("1.0.16", 20), &[], &bench()).expect("an agent");
        let mut server = agents.start(Start::in_memory()).await.expect("started");
        let mut host = Connection::connect(server.address(), DEADLINE).await.expect("it listens");
        tokio::time::sleep(Duration::from_secs(600)).await;
        // What waits for the host is bounded: the agent's writes wait.
        let waits = held(&mut *server);
        assert!((TO_HOST..TO_HOST + 4096).contains(&waits), "{waits}");

        // The agent's reader has to answer the first line, and reads no more.
        let refresh = Bytes::from_static(b"{\"__name__\": \"refresh\", \"apiVersion\": 0}\n");
        host.send(&refresh, &[], None, DEADLINE).await.expect("it is taken");
        let line = [&[b'x'; 1023][..], b"\n"].concat().repeat(16 << 10);
        let sent = match host.send(&line.into(), &[], None, DEADLINE).await {
            Err(SendEnd::Timeout { sent }) => sent,
            other => panic!("{other:?}"),
        };
        assert!((TO_AGENT - ROOM..TO_AGENT + ROOM).contains(&sent), "{sent}");
        assert!(held(&mut *server) < TO_HOST + TO_AGENT + ROOM);

        // All goes on when the host reads again.
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            host.recv(Duration::from_millis(20)).await.expect("it is there");
        }
        assert_eq!(held(&mut *server), 0);
        server.stop().await;
    });
}

/// An agent that is started anew where another one was to come, and says that all went well.
struct OnlyRestarts(Box<dyn Server>);

impl Server for OnlyRestarts {
    fn address(&self) -> &Address {
        self.0.address()
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.0.watch(recorder);
    }

    fn act<'a>(&'a mut self, act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        match act {
            ServerAct::Replace(_) => self.0.act(&ServerAct::Restart),
            act => self.0.act(act),
        }
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.0.stop()
    }
}

/// A host that agrees with whoever is there shows no fault, and proves nothing of an agent that never came.
#[test]
fn an_agent_that_never_took_the_others_place_proves_nothing() {
    let judged = |ignores: bool| {
        let transcript = runtime().block_on(async {
            let mut server = start(("1.0.16", &[]), "upgrade-to-ideal").await;
            if ignores {
                server = Box::new(OnlyRestarts(server));
            }
            carry_out(&client(&build("ideal", 20), &[]).expect("a host"), server, "upgrade-to-ideal").await
        });
        let case = "scenario/upgrade-to-ideal".parse().expect("a case");
        let grammar = OvirtGrammar::new(DIALECTS.for_version("ideal").expect("the ideal"));
        let reading = Reading::of(&transcript, &grammar);
        let (transcript, reading) = (&transcript, &reading);
        let evidence = Evidence { case: &case, transcript, reading, grammar: &grammar, recorded: None };
        let judgement = verdict::judge(&evidence, &checks::of(&case), None);
        (judgement.verdict, judgement.findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>())
    };
    assert_eq!(judged(false), (Verdict::Compatible, vec![]));
    let lacks = "nothing says that the server was replaced by `ideal`".to_owned();
    assert_eq!(judged(true), (Verdict::Inconclusive, vec![lacks]));
}
