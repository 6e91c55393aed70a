//! Plays scripts to a server and writes down what happens. It acts and does not judge.

mod heard;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::time::Instant;
use transcript::evidence::Observation;
use transcript::{ConnId, Credentials, Data, EventKind, FdNote};
use verdict::exchange::Placed;
use verdict::{ConnContext, Due, ExchangeId, Exchanges, Grammar, Place};
use wire::Direction;

use crate::patience::{Pace, REST_AGAIN, Wait, is_at_rest, until_at_rest};
use crate::{
    Actor, Capture, ClientAct, Connection, Injection, Payload, Received, Recorder, Script, SendEnd, Server,
    ServerAct, Step, Variables, Worker, errno_name,
};
use heard::Heard;

/// Most bytes that are taken while waiting for one reply; a server that sends more floods.
pub const REPLY_BYTES_MAX: usize = 16 << 20;
/// Most frames that are taken while waiting for one reply, none of which ends the wait; likewise.
const FRAMES_MAX: usize = 1 << 16;
/// After that many frames or reads others have their turn: for who floods us, neither makes us wait.
const TURNS_AT_ONCE: usize = 1 << 10;
/// How long a server may go on sending unasked, in milliseconds before scaling.
const NOISE_MS: u64 = 2_000;
/// How long a server may hold more descriptors than before, in milliseconds before scaling.
const HOLDS_MS: u64 = 480;
/// How often it is looked at in the meantime, likewise.
const LOOK_AGAIN_MS: u64 = 20;
/// How long one of our own writes may take, and how much longer for each mebibyte of it.
const SEND_DEADLINE: Duration = Duration::from_secs(2);
const SEND_DEADLINE_PER_MIB: Duration = Duration::from_millis(500);

/// A conversation with one server, over any number of connections.
pub struct Conversation<'a> {
    server: &'a mut dyn Server,
    grammar: &'a dyn Grammar,
    recorder: &'a Recorder,
    deadline_scale: f64,
    actor: Option<&'a mut dyn Actor>,
    /// Descriptors that the server held at the first look.
    first_fds: Option<u64>,
    /// The last write, if nothing else was done since.
    asked: Option<(ConnId, Instant)>,
    pace: Pace,
    /// Whether anything is captured of replies, and what was.
    captures: bool,
    variables: Variables,
    open: BTreeMap<ConnId, Open>,
}

struct Open {
    connection: Connection,
    exchanges: Exchanges,
    /// Replies that came while nobody waited for one.
    early: usize,
    awaited: Awaited,
    /// The last reply, where something is captured of replies.
    heard: Option<Heard>,
    /// The last write was withheld: nobody waits for what answers it.
    withheld: bool,
    /// The server ended the stream, or its bytes can no longer be framed.
    ended: bool,
}

/// The requests of the last write that are due an answer in any case.
#[derive(Default)]
struct Awaited {
    /// Whether there are any.
    asked: bool,
    /// Those that have none.
    open: BTreeSet<ExchangeId>,
}

impl Awaited {
    fn ask(&mut self, placed: &Placed) {
        if placed.place == Place::Opens(Due::One) {
            self.asked |= placed.exchange.is_some();
            self.open.extend(placed.exchange);
        }
    }

    fn answer(&mut self, placed: &Placed) {
        if let Place::Completes(id, _) = placed.place {
            self.open.remove(&id);
        }
    }
}

impl Open {
    /// Takes note of a frame; whether it is one that a script may wait for.
    fn note(&mut self, grammar: &dyn Grammar, placed: &Placed) -> bool {
        match placed.dir {
            Direction::ToServer => {
                self.awaited.ask(placed);
                false
            }
            Direction::ToClient => {
                self.awaited.answer(placed);
                self.heard.iter_mut().for_each(|heard| heard.hear(placed));
                grammar.is_awaited(&placed.frame)
            }
        }
    }

    /// A side says no more: what only its end shows is there now, and what its end answers is awaited no longer.
    fn end(&mut self, grammar: &dyn Grammar, dir: Direction) {
        let ended = self.exchanges.end(dir);
        for placed in ended.frames {
            self.early += usize::from(self.note(grammar, &placed));
        }
        for (exchange, _) in ended.completed {
            self.awaited.open.remove(&exchange);
        }
    }
}

/// What was taken during one wait.
#[derive(Debug, Default)]
struct Intake {
    bytes: usize,
    frames: usize,
    turns: usize,
}

impl Intake {
    /// Counts a frame or a read, and lets others have their turn from time to time.
    async fn turn(&mut self) {
        self.turns += 1;
        if self.turns.is_multiple_of(TURNS_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }

    /// How much came, if that is too much.
    fn flood(&self) -> Option<String> {
        if self.bytes > REPLY_BYTES_MAX {
            return Some(format!("{} bytes", self.bytes));
        }
        (self.frames > FRAMES_MAX).then(|| format!("{} frames", self.frames))
    }
}

impl<'a> Conversation<'a> {
    /// Prepares a conversation; nothing is connected yet.
    pub fn new(
        server: &'a mut dyn Server,
        grammar: &'a dyn Grammar,
        recorder: &'a Recorder,
        deadline_scale: f64,
    ) -> Self {
        Self {
            server,
            grammar,
            recorder,
            deadline_scale,
            actor: None,
            first_fds: None,
            asked: None,
            pace: Pace::default(),
            captures: false,
            variables: Variables::default(),
            open: BTreeMap::new(),
        }
    }

    /// Lets a client take part that acts by itself.
    #[must_use]
    pub fn with(mut self, actor: &'a mut dyn Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Plays all steps in order. What the server does wrong is recorded and does not end the script.
    ///
    /// # Errors
    /// Only what is the harness's own fault, e.g. no descriptors left.
    pub async fn play(&mut self, script: &Script) -> io::Result<()> {
        if let Some(condition) = &script.condition {
            self.server.prepare(condition).await.map_err(io::Error::other)?;
        }
        self.captures = script.steps.iter().any(|step| matches!(step, Step::Capture(..)));
        for step in &script.steps {
            if !matches!(step, Step::Mark(..) | Step::AwaitReply { .. } | Step::AwaitAnswers { .. }) {
                self.asked = None;
            }
            match step {
                Step::Connect(conn) => self.connect(*conn).await?,
                Step::Mark(conn, mark) => {
                    self.catch_up().await?;
                    self.recorder.mark(*conn, mark.clone());
                }
                Step::Send { conn, payload, fds, creds } => self.fill(*conn, payload, fds, *creds).await?,
                Step::Capture(conn, capture) => self.capture(*conn, capture),
                Step::AwaitReply { conn, deadline_ms } => {
                    let deadline = self.scaled(*deadline_ms);
                    self.await_frames(*conn, deadline, |_| true).await?;
                }
                Step::AwaitAnswers { conn, deadline_ms } => {
                    let deadline = self.scaled(*deadline_ms);
                    self.await_answers(*conn, deadline).await?;
                }
                Step::AwaitQuiet { conn, quiet_ms } => {
                    let quiet = self.scaled(*quiet_ms);
                    self.await_quiet(*conn, quiet).await?;
                }
                Step::HalfClose(conn) => self.half_close(*conn),
                Step::Close(conn) => self.close(*conn),
                Step::Pause { ms } => self.pause(Duration::from_millis(*ms)).await?,
                Step::Watch => self.watch().await?,
                Step::Server(act) => self.act(act).await?,
                Step::Client(act) => self.tell(act).await?,
                Step::Inject(injection) => self.inject(injection).await?,
                Step::Release => self.server.release().await.map_err(io::Error::other)?,
            }
        }
        Ok(())
    }

    /// Notes that something is about to happen to the server, and lets it happen.
    async fn act(&mut self, act: &ServerAct) -> io::Result<()> {
        self.recorder.mark(ConnId(0), act.mark());
        // Another process holds other descriptors, and what a reload opens is no client's.
        self.first_fds = None;
        let done = match &mut self.actor {
            Some(actor) => actor.meet(act, self.server).await,
            None => self.server.act(act).await,
        };
        done.map_err(io::Error::other)?;
        if let (ServerAct::Replace(_), Some(by)) = (act, self.server.replaced_by()) {
            self.recorder.observe(Direction::ToClient, Observation::ReplacedBy, by.word());
        }
        Ok(())
    }

    /// Tells the client that acts by itself to do something.
    async fn tell(&mut self, act: &ClientAct) -> io::Result<()> {
        let Some(actor) = &mut self.actor else {
            return Err(io::Error::other("no client takes part that acts by itself"));
        };
        actor.act(act, self.server).await.map_err(io::Error::other)
    }

    /// Lets it read what is there.
    async fn catch_up(&mut self) -> io::Result<()> {
        match &mut self.actor {
            Some(actor) => actor.catch_up().await.map_err(io::Error::other),
            None => Ok(()),
        }
    }

    async fn inject(&mut self, injection: &Injection) -> io::Result<()> {
        let done = match &mut self.actor {
            Some(actor) => actor.hear(injection, self.server).await,
            None => self.server.inject(injection).await,
        };
        done.map_err(io::Error::other)
    }

    /// Waits, and lets a real server come to rest: it sees what is sent behind a gap apart from what came before.
    async fn pause(&mut self, gap: Duration) -> io::Result<()> {
        if let Some(actor) = &mut self.actor {
            return actor.go_on(gap, self.server).await.map_err(io::Error::other);
        }
        tokio::time::sleep(gap).await;
        if let Some(worker) = self.server.worker() {
            until_at_rest(worker, self.pace.bound(gap)).await;
        }
        Ok(())
    }

    /// Looks at the server, the first time when it has come to rest. One that holds more descriptors than at the first look gets a moment
    /// to close what its clients have left: a busy machine is no leak.
    async fn watch(&mut self) -> io::Result<()> {
        if self.first_fds.is_none() {
            // It takes a moment to see who has left.
            self.pause(self.scaled(LOOK_AGAIN_MS)).await?;
        }
        let mut wait = Wait::new(self.pace.bound(self.scaled(HOLDS_MS)));
        loop {
            let look = Recorder::new();
            self.server.watch(&look);
            let events = look.take();
            let fds = events.iter().find_map(|event| match event.kind.observed() {
                Some((Observation::Fds, value)) => value.parse::<u64>().ok(),
                _ => None,
            });
            let first = *self.first_fds.get_or_insert(fds.unwrap_or(u64::MAX));
            let holds_more = self.open.is_empty() && fds.is_some_and(|fds| fds > first);
            if holds_more && wait.goes_on(self.server.worker()) {
                tokio::time::sleep(self.scaled(LOOK_AGAIN_MS)).await;
                continue;
            }
            for event in events {
                self.recorder.record(event.conn, event.dir, event.kind);
            }
            return Ok(());
        }
    }

    fn scaled(&self, ms: u64) -> Duration {
        Duration::from_millis(ms).mul_f64(self.deadline_scale)
    }

    async fn connect(&mut self, conn: ConnId) -> io::Result<()> {
        match Connection::connect(self.server.address(), self.pace.bound(self.scaled(2_000))).await {
            Ok(connection) => {
                self.recorder.record(conn, Direction::ToServer, EventKind::Connect);
                self.open.insert(
                    conn,
                    Open {
                        connection,
                        exchanges: Exchanges::new(self.grammar, &ConnContext { conn }),
                        early: 0,
                        awaited: Awaited::default(),
                        heard: self.captures.then(Heard::default),
                        withheld: false,
                        ended: false,
                    },
                );
                Ok(())
            }
            Err(error) if is_ours(&error) => Err(error),
            Err(error) => {
                let name = errno_name(&error).into_owned();
                self.recorder.record(conn, Direction::ToServer, EventKind::ConnectFailed(name));
                Ok(())
            }
        }
    }

    /// Takes a value from the last reply.
    fn capture(&mut self, conn: ConnId, capture: &Capture) {
        let heard = self.open.get(&conn).and_then(|open| open.heard.as_ref());
        let value = heard.filter(|heard| !heard.is_empty()).ok_or("there is no reply").and_then(|heard| {
            let found = verdict::quoted(self.grammar, heard.reply(), &capture.field);
            found.ok_or("the reply has no such field")
        });
        match &value {
            Ok(_) => self.recorder.mark(conn, capture.mark()),
            Err(why) => {
                let text = format!("`{}` as `{}`: {why}", capture.field, capture.var);
                self.observe(conn, Direction::ToClient, Observation::NotCaptured, &text);
            }
        }
        self.variables.bind(&capture.var, value.ok());
    }

    /// Sends what can be filled in.
    async fn fill(
        &mut self,
        conn: ConnId,
        payload: &Payload,
        notes: &[FdNote],
        creds: Option<Credentials>,
    ) -> io::Result<()> {
        let filled = payload.fill(&self.variables);
        if let Some(open) = self.open.get_mut(&conn) {
            open.withheld = filled.is_err();
        }
        match filled {
            Ok(bytes) => self.send(conn, &bytes, notes, creds).await,
            Err(unbound) => {
                self.observe(conn, Direction::ToServer, Observation::NotSent, &unbound.to_string());
                Ok(())
            }
        }
    }

    async fn send(
        &mut self,
        conn: ConnId,
        bytes: &Bytes,
        notes: &[FdNote],
        creds: Option<Credentials>,
    ) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&conn) else { return Ok(()) };
        self.server.may_send(conn, bytes).map_err(io::Error::other)?;
        let owned = notes.iter().map(open_kind).collect::<io::Result<Vec<OwnedFd>>>()?;
        let fds: Vec<_> = owned.iter().map(AsFd::as_fd).collect();
        let creds = creds.map(|creds| open.connection.claim(creds));
        let data = Data { bytes: bytes.clone(), fds: notes.to_vec(), creds };
        let mebibytes = u32::try_from(bytes.len() >> 20).unwrap_or(u32::MAX);
        let deadline = SEND_DEADLINE.saturating_add(SEND_DEADLINE_PER_MIB.saturating_mul(mebibytes));
        let sent =
            send_all(&open.connection, bytes, (&fds, creds), self.pace.bound(deadline), self.server.worker());
        match sent.await {
            Ok(()) => {
                self.asked = Some((conn, Instant::now()));
                self.recorder.data(conn, Direction::ToServer, data);
                open.exchanges.push(Direction::ToServer, bytes);
                // Nobody waits for what was asked before.
                open.awaited = Awaited::default();
                // A request that is no frame has no part in how replies are read.
                while let Ok(Some(placed)) = open.exchanges.next(Direction::ToServer) {
                    open.early += usize::from(open.note(self.grammar, &placed));
                }
                Ok(())
            }
            Err(SendEnd::Closed { sent }) => {
                self.went_in_part(conn, data, sent);
                self.observe(conn, Direction::ToServer, Observation::SendFailed, "closed by peer");
                Ok(())
            }
            Err(SendEnd::Timeout { sent }) => {
                let text = format!("peer took {sent} of {} bytes", bytes.len());
                self.went_in_part(conn, data, sent);
                self.observe(conn, Direction::ToServer, Observation::SendFailed, &text);
                Ok(())
            }
            Err(SendEnd::Io(error)) => Err(error),
        }
    }

    /// The server has taken only so many bytes; a request may be whole in them.
    fn went_in_part(&mut self, conn: ConnId, data: Data, sent: usize) {
        let Some(open) = self.open.get_mut(&conn).filter(|_| sent > 0) else { return };
        let bytes = data.bytes.slice(..sent);
        open.exchanges.push(Direction::ToServer, &bytes);
        open.awaited = Awaited::default();
        while let Ok(Some(placed)) = open.exchanges.next(Direction::ToServer) {
            open.early += usize::from(open.note(self.grammar, &placed));
        }
        self.recorder.data(conn, Direction::ToServer, Data { bytes, ..data });
    }

    /// Takes frames until the last write is answered; where it is due no answer, one frame that comes behind it.
    async fn await_answers(&mut self, conn: ConnId, deadline: Duration) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&conn) else { return Ok(()) };
        if open.withheld {
            return Ok(());
        }
        // Whose these are is known already.
        open.early = 0;
        match (open.awaited.asked, open.awaited.open.is_empty()) {
            (false, _) => self.await_frames(conn, deadline, |_| true).await,
            (true, false) => self.await_frames(conn, deadline, |awaited| awaited.open.is_empty()).await,
            (true, true) => Ok(()),
        }
    }

    /// Takes frames until enough of them came.
    async fn await_frames(
        &mut self,
        conn: ConnId,
        deadline: Duration,
        enough: fn(&Awaited) -> bool,
    ) -> io::Result<()> {
        let mut wait = Wait::new(self.pace.bound(deadline));
        let is_seen = self.server.worker().is_some();
        let asked = self.asked.take().filter(|(asked, _)| *asked == conn).map(|(_, at)| at);
        let mut intake = Intake::default();
        while let Some(open) = self.open.get_mut(&conn).filter(|open| !open.withheld) {
            if let Some(much) = intake.flood() {
                let lacks = if intake.bytes > REPLY_BYTES_MAX { "a frame" } else { "an answer" };
                self.observe(
                    conn,
                    Direction::ToClient,
                    Observation::Flood,
                    &format!("{much} without {lacks}"),
                );
                self.close(conn);
                return Ok(());
            }
            if open.early > 0 {
                open.early -= 1;
                if enough(&open.awaited) {
                    return Ok(());
                }
                continue;
            }
            match open.exchanges.next(Direction::ToClient) {
                Ok(Some(placed)) => {
                    if open.note(self.grammar, &placed) && enough(&open.awaited) {
                        self.pace.answered(asked.map_or(Duration::ZERO, |asked| asked.elapsed()));
                        return Ok(());
                    }
                    intake.frames += 1;
                    intake.turn().await;
                    continue;
                }
                // The bytes are in the transcript; the checks find there what is wrong with them.
                Err(_) => {
                    open.ended = true;
                    return Ok(());
                }
                Ok(None) if open.ended => return Ok(()),
                Ok(None) => {}
            }
            match self.take(conn, wait.left(is_seen)).await? {
                Taken::Bytes(count) => intake.bytes += count,
                Taken::End => return Ok(()),
                Taken::Nothing if wait.goes_on(self.server.worker()) => {}
                Taken::Nothing if self.has_unread(conn) && !wait.is_overdue() => wait.go_on(),
                Taken::Nothing => {
                    let kind = EventKind::Timeout(millis(wait.took()));
                    self.recorder.record(conn, Direction::ToClient, kind);
                    return Ok(());
                }
            }
            intake.turn().await;
        }
        Ok(())
    }

    /// Takes whatever comes until nothing came for so long. Where the server can be seen, it is at rest then: silence
    /// alone may be that of a machine that has other things to do.
    async fn await_quiet(&mut self, conn: ConnId, quiet: Duration) -> io::Result<()> {
        let mut intake = Intake::default();
        let is_seen = self.server.worker().is_some();
        let quiet = if is_seen { quiet } else { self.pace.bound(quiet) };
        let until = Instant::now() + self.pace.bound(self.scaled(NOISE_MS));
        let mut quiet_at = Instant::now() + quiet;
        let mut wait = Wait::new(self.pace.bound(quiet));
        while self.open.get(&conn).is_some_and(|open| !open.ended) {
            match self.take(conn, quiet_at.saturating_duration_since(Instant::now())).await? {
                Taken::Bytes(count) => {
                    intake.bytes += count;
                    if self.sort_out(conn, &mut intake).await {
                        quiet_at = Instant::now() + quiet;
                        wait = Wait::new(self.pace.bound(quiet));
                    }
                    intake.turn().await;
                    // A server that drips never lets the stream be quiet; one that floods does not either.
                    let drips = || (Instant::now() >= until).then(|| format!("{} bytes", intake.bytes));
                    if let Some(much) = intake.flood().or_else(drips) {
                        self.observe(
                            conn,
                            Direction::ToClient,
                            Observation::Flood,
                            &format!("{much} unasked"),
                        );
                        self.close(conn);
                    }
                }
                Taken::End => break,
                Taken::Nothing if self.is_not_at_rest(conn, &mut wait) => {
                    quiet_at = Instant::now() + REST_AGAIN;
                }
                Taken::Nothing => {
                    self.recorder.record(conn, Direction::ToClient, EventKind::Timeout(millis(quiet)));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether something is still to come on a connection: the server is at work, or what it said was not read yet.
    fn is_not_at_rest(&self, conn: ConnId, wait: &mut Wait) -> bool {
        let worker = self.server.worker();
        let at_work = worker.is_some_and(|worker| !is_at_rest(worker)) && wait.goes_on(worker);
        // In this order: what it said before it came to rest is there now.
        at_work || (self.has_unread(conn) && !wait.is_overdue())
    }

    fn has_unread(&self, conn: ConnId) -> bool {
        self.open.get(&conn).is_some_and(|open| open.connection.has_unread())
    }

    /// Takes complete frames out of what came unasked. True unless they are all such as the server sends by itself
    /// from time to time, and nothing is left over.
    async fn sort_out(&mut self, conn: ConnId, intake: &mut Intake) -> bool {
        let Some(open) = self.open.get_mut(&conn) else { return true };
        let mut awaited = 0;
        let mut others = 0;
        // An error is given again when somebody waits.
        while let Ok(Some(placed)) = open.exchanges.next(Direction::ToClient) {
            if open.note(self.grammar, &placed) {
                awaited += 1;
            } else {
                others += usize::from(placed.dir == Direction::ToClient);
            }
            intake.frames += 1;
            intake.turn().await;
        }
        open.early += awaited;
        awaited > 0 || others == 0
    }

    /// Takes what comes next on a connection and writes it down.
    async fn take(&mut self, conn: ConnId, deadline: Duration) -> io::Result<Taken> {
        let Some(open) = self.open.get_mut(&conn) else { return Ok(Taken::End) };
        let kind = match open.connection.recv(deadline).await? {
            Received::Data(data, _fds) => {
                let count = data.bytes.len();
                open.exchanges.push(Direction::ToClient, &data.bytes);
                self.recorder.data(conn, Direction::ToClient, data);
                return Ok(Taken::Bytes(count));
            }
            Received::Timeout => return Ok(Taken::Nothing),
            Received::Eof => EventKind::Eof(None),
            Received::Reset => EventKind::Reset,
        };
        open.end(self.grammar, Direction::ToClient);
        open.ended = true;
        self.recorder.record(conn, Direction::ToClient, kind);
        Ok(Taken::End)
    }

    fn half_close(&mut self, conn: ConnId) {
        let Some(open) = self.open.get_mut(&conn) else { return };
        if open.connection.half_close().is_ok() {
            open.end(self.grammar, Direction::ToServer);
            let kind = EventKind::Eof(Some("half-close".to_owned()));
            self.recorder.record(conn, Direction::ToServer, kind);
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.open.remove(&conn).is_some() {
            let kind = EventKind::Eof(Some("closes".to_owned()));
            self.recorder.record(conn, Direction::ToServer, kind);
        }
    }

    fn observe(&self, conn: ConnId, dir: Direction, what: Observation<'_>, value: &str) {
        self.recorder.record(conn, dir, what.event(value));
    }
}

/// Sends all bytes to a server that takes some from time to time, or is at work.
async fn send_all(
    connection: &Connection,
    bytes: &Bytes,
    (fds, creds): (&[BorrowedFd<'_>], Option<Credentials>),
    deadline: Duration,
    worker: Option<&dyn Worker>,
) -> Result<(), SendEnd> {
    let mut wait = Wait::new(deadline);
    let mut done = 0;
    loop {
        let (fds, creds) = if done == 0 { (fds, creds) } else { (&[][..], None) };
        match connection.send(&bytes.slice(done..), fds, creds, wait.left(worker.is_some())).await {
            Err(SendEnd::Timeout { sent }) => {
                done += sent;
                if !wait.goes_on(worker) {
                    return Err(SendEnd::Timeout { sent: done });
                }
            }
            Err(SendEnd::Closed { sent }) => return Err(SendEnd::Closed { sent: done + sent }),
            ended => return ended,
        }
    }
}

enum Taken {
    Bytes(usize),
    End,
    Nothing,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a failure to connect is our own lack of resources and says nothing of the peer.
fn is_ours(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM))
}

/// Opens something of the kind that a script wants to pass.
fn open_kind(note: &FdNote) -> io::Result<OwnedFd> {
    let open = |path: &str, flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    Ok(match note.0.as_str() {
        "dir" => open("/", OFlags::RDONLY | OFlags::DIRECTORY)?,
        "socket" => {
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?
        }
        "fifo" => rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?.0,
        _ => open("/dev/null", OFlags::RDWR)?,
    })
}

#[cfg(test)]
mod tests;
