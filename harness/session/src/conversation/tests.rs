mod acting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use transcript::evidence::Role;
use verdict::{InOrder, Meaning, Pairing};
use wire::lxc::{Layout, RequestDecoder, ResponseDecoder, Rules};
use wire::{Decoder, Dissection, Extent, Fault, Frame, FrameKind, Scan, StreamDecoder};

use super::*;
use crate::{Address, BoxFuture, Listener, Look, Transport};

/// A head of LXC, which is a request, and which the server sends back as an answer.
const MESSAGE: [u8; 16] = [0; 16];
const MS: Duration = Duration::from_millis(1);

/// What is seen of the server's process.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// Nothing: a peer of this process.
    Nothing,
    /// It sleeps.
    Asleep,
    /// It could go on, and has the processor for one part of that many of the time, until then.
    Starved(u32, Duration),
    /// It has the processor all the time.
    Spinning,
}

/// A server that answers after a while, which is a list: one entry for each request.
struct Slow {
    address: Address,
    start: Instant,
    seen: Seen,
}

impl Worker for Slow {
    fn look(&self) -> Option<Look> {
        let now = self.start.elapsed();
        let (busy, cpu) = match self.seen {
            Seen::Nothing => return None,
            Seen::Asleep => (false, Duration::ZERO),
            Seen::Starved(parts, until) => (now < until, now.min(until) / parts),
            Seen::Spinning => (true, now),
        };
        Some(Look { busy, cpu, pulse: u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX) })
    }
}

impl Server for Slow {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, _recorder: &Recorder) {}

    fn worker(&self) -> Option<&dyn Worker> {
        (!matches!(self.seen, Seen::Nothing)).then_some(self)
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// How heads are read.
#[derive(Debug, Clone, Default)]
struct Heads {
    /// What comes is no answer, and no script waits for it.
    noise: Option<Noise>,
    /// The end of the client's side answers all that it has asked.
    answered_by_end: bool,
    /// How many frames were taken since this was last set to nothing, and the most that ever were.
    in_a_row: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// What a server says that answers nothing.
#[derive(Debug, Clone, Copy)]
enum Noise {
    /// Frames, each as long as a head.
    Heads,
    /// A frame without end.
    Endless,
}

impl Scan for Noise {
    fn step(&mut self, src: &[u8]) -> Result<wire::Step, Fault> {
        let len = MESSAGE.len();
        Ok(match self {
            Self::Heads if src.len() >= len => {
                wire::Step::Complete(Extent { kind: FrameKind(0), head_len: len, len })
            }
            Self::Heads => wire::Step::Partial { field: "noise", at: 0, needed: 16 },
            Self::Endless => wire::Step::Partial { field: "noise", at: 0, needed: u64::MAX },
        })
    }
}

impl Grammar for Heads {
    fn dialect(&self) -> &str {
        "heads"
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        match (dir, self.noise) {
            (Direction::ToClient, Some(noise)) => Box::new(StreamDecoder::over(noise)),
            (Direction::ToServer, _) => Box::new(RequestDecoder::new(Layout::LP64_LE, Rules::PLAIN)),
            (Direction::ToClient, None) => Box::new(ResponseDecoder::new(Layout::LP64_LE, Rules::PLAIN)),
        }
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        match self.answered_by_end {
            true => Box::new(UntilTheEnd::default()),
            false => Box::new(InOrder::new(self.clone())),
        }
    }

    fn dissect(&self, _dir: Direction, _frame: &Frame, _request: Option<&Frame>) -> Dissection {
        Dissection::default()
    }

    fn due(&self, _request: &Frame) -> Due {
        Due::One
    }

    fn is_awaited(&self, _reply: &Frame) -> bool {
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(in_a_row, Ordering::Relaxed);
        self.noise.is_none()
    }

    fn meaning(&self, _request: Option<&Frame>, _reply: &Frame) -> Meaning {
        if self.noise.is_some() { Meaning::Notification } else { Meaning::Success }
    }
}

/// Exchanges that last until the client says no more.
#[derive(Default)]
struct UntilTheEnd(Vec<ExchangeId>);

impl Pairing for UntilTheEnd {
    fn place(&mut self, _dir: Direction, _frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        self.0.extend(fresh);
        Place::Opens(Due::One)
    }

    fn ended(&mut self, dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        let ended = if dir == Direction::ToServer { std::mem::take(&mut self.0) } else { Vec::new() };
        ended.into_iter().map(|id| (id, Meaning::Success)).collect()
    }
}

/// Plays a script to a server that answers each request after that many milliseconds, on a clock that is not real; what
/// was received, in short.
fn play(seen: Seen, answers: &'static [u64], script: &Script) -> Vec<String> {
    play_as(&Heads::default(), seen, answers, script)
}

fn play_as(grammar: &Heads, seen: Seen, answers: &'static [u64], script: &Script) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(async {
        let listener = Listener::open(Transport::Memory, 1).expect("it is memory");
        let mut server = Slow { address: listener.address().clone(), start: Instant::now(), seen };
        tokio::spawn(async move {
            let mut client = listener.accept().await?;
            for after in answers {
                client.recv(Duration::MAX / 4).await?;
                sleep(Duration::from_millis(*after)).await;
                // A client that is gone is told nothing.
                let _ = client.send(&Bytes::from_static(&MESSAGE), &[], None, MS).await;
            }
            client.recv(Duration::from_secs(3600)).await.map(drop)
        });
        let recorder = Recorder::new();
        let mut conversation = Conversation::new(&mut server, grammar, &recorder, 1.0);
        conversation.play(script).await.expect("nothing of ours fails");
        let got = recorder.take().into_iter().filter(|event| event.dir == Direction::ToClient);
        got.map(|event| match event.kind {
            EventKind::Data(_) => "answer".to_owned(),
            EventKind::Timeout(ms) => format!("nothing for {ms}"),
            other => format!("{other:?}"),
        })
        .collect()
    })
}

/// Asks a server that needs that long with a deadline of half a second.
#[track_caller]
fn check(seen: Seen, needs_ms: &'static [u64], expect: &str) {
    let script = Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]).reply(1, 500);
    assert_eq!(play(seen, needs_ms, &script), [expect], "{seen:?}");
}

#[test]
fn a_server_that_is_starved_is_waited_for() {
    check(Seen::Starved(10, Duration::from_secs(4)), &[4_000], "answer");
}

#[test]
fn a_server_that_sleeps_is_timed_out() {
    check(Seen::Asleep, &[4_000], "nothing for 500");
    check(Seen::Nothing, &[4_000], "nothing for 500");
}

#[test]
fn a_server_that_spins_is_timed_out() {
    // The first look is after a tenth of the deadline; so much later it has had its time.
    check(Seen::Spinning, &[4_000], "nothing for 550");
    check(Seen::Starved(4, Duration::MAX / 4), &[4_000], "nothing for 2050");
}

#[test]
fn a_server_that_stops_working_is_timed_out() {
    check(Seen::Starved(10, Duration::from_secs(1)), &[4_000], "nothing for 1010");
}

/// A machine may be so busy that the processor's time says nothing.
#[test]
fn no_server_is_waited_for_without_end() {
    check(Seen::Starved(1_000, Duration::MAX / 4), &[120_000], "nothing for 60000");
}

#[test]
fn what_the_end_of_a_side_answers_is_awaited_no_longer() {
    let script =
        Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]).half_close(1).answers(1, 500);
    for (answered_by_end, expect) in [(false, &["nothing for 500".to_owned()][..]), (true, &[])] {
        let grammar = Heads { answered_by_end, ..Heads::default() };
        assert_eq!(play_as(&grammar, Seen::Nothing, &[4_000], &script), expect);
    }
}

#[test]
fn a_slow_answer_makes_later_bounds_longer() {
    let script = Script::new().open(1, Role::Subject, &[]);
    let script = script.send(1, &MESSAGE[..]).reply(1, 500).send(1, &MESSAGE[..]).reply(1, 500);
    assert_eq!(play(Seen::Nothing, &[0, 900], &script), ["answer", "nothing for 500"]);
    assert_eq!(play(Seen::Nothing, &[100, 900], &script), ["answer", "answer"]);
    assert_eq!(play(Seen::Nothing, &[100, 1_100], &script), ["answer", "nothing for 1000"]);
    // There is a bound for that as well.
    let script = Script::new().open(1, Role::Subject, &[]);
    let script = script.send(1, &MESSAGE[..]).reply(1, 2_000).send(1, &MESSAGE[..]).reply(1, 500);
    assert_eq!(play(Seen::Nothing, &[1_900, 15_100], &script), ["answer", "nothing for 15000"]);
}

/// How long an answer took is no measure where we did something else meanwhile.
#[test]
fn our_own_pauses_make_nothing_longer() {
    let script = Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]).pause(200).reply(1, 500);
    let script = script.send(1, &MESSAGE[..]).reply(1, 500);
    assert_eq!(play(Seen::Nothing, &[200, 900], &script), ["answer", "nothing for 500"]);
}

#[test]
fn silence_is_believed_of_a_server_that_is_at_rest() {
    let script = Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]).quiet(1, 5);
    assert_eq!(play(Seen::Asleep, &[50], &script), ["nothing for 5"]);
    let starved = Seen::Starved(50, Duration::from_millis(60));
    assert_eq!(play(starved, &[50], &script), ["answer", "nothing for 5"]);
    // One that spins is given what an answer may take of the processor's time, and no more.
    assert_eq!(play(Seen::Spinning, &[50], &script), ["nothing for 5"]);
}

/// Plays a script to a server that sends the same without end as soon as it was asked; what was noted of it, and how long
/// that took, on a clock that is not real. Somebody else is always ready to run meanwhile, and sets the frames in a row to
/// nothing.
fn flooded(heads: &Heads, piece: &'static [u8], script: &Script) -> (Vec<String>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(async {
        let listener = Listener::open(Transport::Memory, 1).expect("it is memory");
        let start = Instant::now();
        let mut server = Slow { address: listener.address().clone(), start, seen: Seen::Nothing };
        tokio::spawn(async move {
            let mut client = listener.accept().await?;
            client.recv(Duration::MAX / 4).await?;
            while client.send(&Bytes::from_static(piece), &[], None, MS).await.is_ok() {}
            io::Result::Ok(())
        });
        let in_a_row = Arc::clone(&heads.in_a_row);
        let other = tokio::spawn(async move {
            loop {
                in_a_row.store(0, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let recorder = Recorder::new();
        let mut conversation = Conversation::new(&mut server, heads, &recorder, 1.0);
        conversation.play(script).await.expect("nothing of ours fails");
        other.abort();
        let noted = recorder.take().into_iter().filter_map(|event| match event.kind {
            EventKind::Observe { key, value } => Some(format!("{key}: {value}")),
            EventKind::Timeout(ms) => Some(format!("nothing for {ms}")),
            EventKind::Eof(how) => Some(format!("{}: {how:?}", event.dir)),
            _ => None,
        });
        (noted.collect(), start.elapsed())
    })
}

/// Enough frames at once that others would wait long if they had to wait for all.
static MANY: [u8; 4000 * MESSAGE.len()] = [0; 4000 * MESSAGE.len()];

#[test]
fn a_flood_of_small_frames_ends_and_lets_others_run() {
    let opened = || Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]);
    let scripts = [
        (opened().reply(1, 500), "flood: 65537 frames without an answer"),
        (opened().answers(1, 500), "flood: 65537 frames without an answer"),
        (opened().quiet(1, 500), " frames unasked"),
    ];
    for (script, expect) in scripts {
        for piece in [&MANY[..], &MANY[..MESSAGE.len()]] {
            let heads = Heads { noise: Some(Noise::Heads), ..Heads::default() };
            let (noted, took) = flooded(&heads, piece, &script);
            assert!(noted[0].starts_with("flood: ") && noted[0].ends_with(expect), "{noted:?}");
            assert_eq!(noted[1..], ["c2s: Some(\"closes\")"]);
            assert_eq!(took, Duration::ZERO);
            let most = heads.most.load(Ordering::Relaxed);
            assert!(most <= TURNS_AT_ONCE, "{most} frames in a row");
        }
    }
}

/// A frame that never ends is a flood by its bytes, in the words that recordings have.
#[test]
fn a_flood_without_a_frame_ends_by_its_bytes() {
    let opened = || Script::new().open(1, Role::Subject, &[]).send(1, &MESSAGE[..]);
    let heads = Heads { noise: Some(Noise::Endless), ..Heads::default() };
    for (script, words) in
        [(opened().reply(1, 500), "bytes without a frame"), (opened().quiet(1, 500), "bytes unasked")]
    {
        let (noted, _) = flooded(&heads, &MANY, &script);
        assert!(noted[0].starts_with("flood: ") && noted[0].ends_with(words), "{noted:?}");
    }
}
