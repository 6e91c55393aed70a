use std::time::Duration;

use tokio::time::{Instant, sleep};
use transcript::evidence::Role;
use verdict::{InOrder, Meaning, Pairing};
use wire::lxc::{Layout, RequestDecoder, ResponseDecoder, Rules};
use wire::{Decoder, Dissection, Frame};

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

struct Heads;

impl Grammar for Heads {
    fn dialect(&self) -> &str {
        "heads"
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        match dir {
            Direction::ToServer => Box::new(RequestDecoder::new(Layout::LP64_LE, Rules::PLAIN)),
            Direction::ToClient => Box::new(ResponseDecoder::new(Layout::LP64_LE, Rules::PLAIN)),
        }
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(Self))
    }

    fn dissect(&self, _dir: Direction, _frame: &Frame, _request: Option<&Frame>) -> Dissection {
        Dissection::default()
    }

    fn due(&self, _request: &Frame) -> Due {
        Due::One
    }

    fn meaning(&self, _request: Option<&Frame>, _reply: &Frame) -> Meaning {
        Meaning::Success
    }
}

/// Plays a script to a server that answers each request after so many milliseconds, on a clock that is not real; what
/// was received, in short.
fn play(seen: Seen, answers: &'static [u64], script: &Script) -> Vec<String> {
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
        let mut conversation = Conversation::new(&mut server, &Heads, &recorder, 1.0);
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
