//! A server of notes, which another release takes the place of: what it has written down stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use session::{
    Address, BoxFuture, Conversation, LaunchError, LaunchErrorKind, Launcher, Recorder, Script, Server,
    ServerAct, Start, Step as Act, Successor, Successors,
};
use transcript::evidence::{Observation, Role, Shape};
use transcript::{ConnId, Endpoint, EventKind, Provenance, Transcript};
use verdict::{
    ConnContext, Due, Evidence, Grammar, InOrder, Judgement, Meaning, Pairing, Reading, Recorded, Verdict,
    judge,
};
use wire::json::Rules;
use wire::json_lines::{LineDecoder, LineScan};
use wire::{Decoder, Direction, Dissection, Frame};

use super::*;
use crate::replay;

const LINE_MAX: usize = 1 << 10;
const PUT: &[u8] = b"{\"put\": \"milk\"}\n";
const GET: &[u8] = b"{\"get\": \"note\"}\n";
const WHO: &[u8] = b"{\"get\": \"release\"}\n";
const SOON_MS: u64 = 1_000;

/// Servers of one release.
#[derive(Debug, Clone, Copy, Default)]
struct Notes {
    release: &'static str,
    /// What an earlier one has left is thrown away.
    forgets: bool,
    /// It can read its configuration again.
    reloads: bool,
}

struct NoteServer {
    notes: Notes,
    file: std::path::PathBuf,
    note: String,
}

impl Servers for Notes {
    type Machine = NoteServer;

    const COMES_BACK: bool = true;

    async fn make(&self, site: &Site) -> Result<NoteServer, LaunchErrorKind> {
        std::fs::create_dir_all(&site.directory)?;
        let file = site.directory.join("note");
        if self.forgets && file.exists() {
            std::fs::remove_file(&file)?;
        }
        let note = if file.exists() { std::fs::read_to_string(&file)? } else { String::new() };
        Ok(NoteServer { notes: *self, file, note })
    }
}

impl Machine for NoteServer {
    type Client = BytesMut;

    async fn accepted(&mut self, clients: &mut Clients<BytesMut>, peer: Peer, connection: Connection) {
        clients.add(peer, connection, BytesMut::new());
    }

    fn came(&mut self, clients: &mut Clients<BytesMut>, peer: Peer, data: Data, _fds: Vec<OwnedFd>) {
        if let Some(kept) = clients.get_mut(peer) {
            kept.extend_from_slice(&data.bytes);
        }
    }

    async fn step(&mut self, clients: &mut Clients<BytesMut>, peer: Peer) -> Step {
        let Some(kept) = clients.get_mut(peer) else { return Step::Waits };
        let Some(end) = kept.iter().position(|byte| *byte == b'\n') else { return Step::Waits };
        let line = kept.split_to(end + 1);
        let answer = match &line[..] {
            PUT => {
                self.note = "milk".to_owned();
                std::fs::write(&self.file, &self.note).expect("there is room");
                format!("{{\"note\": \"{}\"}}\n", self.note)
            }
            WHO => format!("{{\"release\": \"{}\"}}\n", self.notes.release),
            _ => format!("{{\"note\": \"{}\"}}\n", self.note),
        };
        clients.push(peer, answer.into_bytes());
        Step::Done
    }

    fn look(&self, _clients: &Clients<BytesMut>, _look: &mut Look) {}

    fn outside(&self) -> Box<dyn Outside> {
        Box::new(Reloads(self.notes.reloads))
    }
}

struct Reloads(bool);

impl Outside for Reloads {
    fn act<'a>(&'a mut self, act: &'a ServerAct) -> Option<BoxFuture<'a, Result<(), LaunchErrorKind>>> {
        (self.0 && *act == ServerAct::Reload).then(|| Box::pin(ready(Ok(()))) as BoxFuture<'a, _>)
    }
}

#[derive(Debug, Clone, Copy)]
struct Lines;

impl Grammar for Lines {
    fn dialect(&self) -> &str {
        "notes"
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(LineDecoder::over(LineScan::new(LINE_MAX)))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(*self))
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        wire::json::dissect(&frame.bytes, Rules::STRICT, &|_| None)
    }

    fn due(&self, _request: &Frame) -> Due {
        Due::One
    }

    fn meaning(&self, _request: Option<&Frame>, _reply: &Frame) -> Meaning {
        Meaning::Success
    }
}

/// A server that says of every replacement that it came about, and does nothing.
struct Ignores(Box<dyn Server>);

impl Server for Ignores {
    fn address(&self) -> &Address {
        self.0.address()
    }

    fn watch(&mut self, recorder: &Recorder) {
        self.0.watch(recorder);
    }

    fn act<'a>(&'a mut self, _act: &'a ServerAct) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(ready(Ok(())))
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.0.stop()
    }
}

fn of(notes: Notes, directory: &tempfile::TempDir) -> Arc<dyn Launcher> {
    let endpoint = Endpoint { version: Some(notes.release.to_owned()), ..Endpoint::default() };
    launcher(endpoint, directory.path(), notes)
}

fn release(release: &'static str) -> Notes {
    Notes { release, ..Notes::default() }
}

/// A server of 1.0 that `2.0` may take the place of.
async fn start(successor: Notes, directory: &tempfile::TempDir) -> Box<dyn Server> {
    let mut server = of(release("1.0"), directory).start(Start::in_memory()).await.expect("started");
    server.set_successors(&Successors::from_iter([("2.0".into(), of(successor, directory))]));
    server
}

fn to(release: &str) -> ServerAct {
    ServerAct::Replace(Successor::release(release))
}

/// Something is written down, another release comes, and it is read again.
fn story() -> Script {
    let asks = |script: Script, conn, what| {
        script.open(conn, Role::Subject, &[]).send(conn, what).reply(conn, SOON_MS)
    };
    let script = asks(Script::new(), 1, PUT).server(to("2.0")).quiet(1, SOON_MS).close(1);
    asks(script, 2, GET).watch().close(2)
}

async fn play(server: &mut dyn Server, script: &Script) -> Transcript {
    let recorder = Recorder::new();
    let played = Conversation::new(server, &Lines, &recorder, 1.0).play(script).await;
    played.expect("it can be played");
    Transcript { provenance: Provenance::default(), events: recorder.take() }
}

async fn answer(server: &mut dyn Server, what: &'static [u8]) -> String {
    let script = Script::new().open(1, Role::Subject, &[]).send(1, what).reply(1, SOON_MS).close(1);
    let transcript = play(server, &script).await;
    String::from_utf8(transcript.stream(ConnId(1), Direction::ToClient).to_vec()).expect("it is text")
}

/// What comes of a recorded story when it is played again to another server.
fn judged(recorded: &Transcript, transcript: &Transcript) -> Judgement {
    let (then, reading) = (Reading::of(recorded, &Lines), Reading::of(transcript, &Lines));
    let case = "replay/notes".parse().expect("a case");
    let recorded = Recorded { transcript: recorded, grammar: &Lines, reading: &then };
    let evidence =
        Evidence { case: &case, transcript, reading: &reading, grammar: &Lines, recorded: Some(recorded) };
    judge(&evidence, &verdict::checks::of(matrix::CaseKind::Replay), None)
}

#[tokio::test(start_paused = true)]
async fn another_release_takes_a_servers_place_and_finds_what_it_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = start(release("2.0"), &directory).await;
    let address = server.address().clone();
    assert_eq!(answer(&mut *server, PUT).await, "{\"note\": \"milk\"}\n");
    assert_eq!(server.replaced_by(), None);
    for (act, expect) in [
        (to("2.0"), "{\"release\": \"2.0\"}\n"),
        (ServerAct::Restart, "{\"release\": \"2.0\"}\n"),
        (ServerAct::Replace(Successor::First), "{\"release\": \"1.0\"}\n"),
    ] {
        server.act(&act).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer(&mut *server, WHO).await, expect, "{act}");
        assert_eq!(answer(&mut *server, GET).await, "{\"note\": \"milk\"}\n", "{act}");
        assert_eq!(*server.address(), address);
    }
    assert_eq!(server.replaced_by(), Some(&Successor::First));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_a_mark_and_what_the_server_says_of_it_and_no_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let transcript = play(&mut *start(release("2.0"), &directory).await, &story()).await;
    let at = |wanted: &EventKind| transcript.events.iter().position(|event| event.kind == *wanted);
    let mark = at(&EventKind::Mark(to("2.0").mark())).expect("a mark");
    assert_eq!(at(&Observation::ReplacedBy.event("2.0")), Some(mark + 1));
    assert!(!transcript.events.iter().any(|event| matches!(event.kind, EventKind::Exit(_))));
    let replayed = replay::script(&transcript, &Lines, None).expect("it captures nothing");
    let acts = replayed.steps.iter().filter(|step| matches!(step, Act::Server(_)));
    assert_eq!(acts.collect::<Vec<_>>(), [&Act::Server(to("2.0"))]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_has_lost_the_state_is_found_and_so_is_none_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let recorded = play(&mut *start(release("2.0"), &directory).await, &story()).await;
    let script = replay::script(&recorded, &Lines, None).expect("it captures nothing");
    let check = async |server: &mut dyn Server, verdict, shapes: &[Shape]| {
        let judgement = judged(&recorded, &play(server, &script).await);
        let expect: Vec<_> = shapes.iter().map(|shape| shape.word()).collect();
        assert_eq!(
            (judgement.verdict, judgement.shapes()),
            (verdict, expect.iter().map(|s| (*s).to_owned()).collect())
        );
    };
    check(&mut *start(release("2.0"), &directory).await, Verdict::Compatible, &[]).await;
    let forgets = Notes { forgets: true, ..release("2.0") };
    check(&mut *start(forgets, &directory).await, Verdict::Broken, &[Shape::CHANGED_MEANING]).await;
    let mut ignores = Ignores(start(release("2.0"), &directory).await);
    check(&mut ignores, Verdict::Inconclusive, &[Shape::INCOMPLETE]).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_said_and_harms_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = start(release("2.0"), &directory).await;
    let check = |done: Result<(), LaunchError>, expect: &str| {
        assert_eq!(done.expect_err("it cannot be done").to_string(), expect);
    };
    check(server.act(&to("3.0")).await, "replace the server: no build stands for the release `3.0` here");
    check(server.act(&ServerAct::Reload).await, "reload the server: nobody can do that to this server");
    assert_eq!(answer(&mut *server, WHO).await, "{\"release\": \"1.0\"}\n");
    server.act(&to("2.0")).await.expect("done");

    let reloads = Notes { reloads: true, ..release("1.0") };
    let mut server = of(reloads, &directory).start(Start::in_memory()).await.expect("started");
    server.act(&ServerAct::Reload).await.expect("done");
    assert_eq!(answer(&mut *server, WHO).await, "{\"release\": \"1.0\"}\n");
    let other = BTreeMap::from([("2.0".into(), of(release("2.0"), &directory))]);
    server.set_successors(&other.into_iter().collect());
    server.act(&to("2.0")).await.expect("done");
}
