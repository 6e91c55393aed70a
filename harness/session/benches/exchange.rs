//! What a replayed exchange costs: a request of 16 bytes and its reply over a unix socket that is kept,
//! as the runner plays it, compared with a client that does nothing but write and read.
//!
//! ```text
//! blocking       std, blocking write and read
//! tokio          tokio, write_all and read_exact: what the others are measured by
//! connection     `Connection`: the same with descriptors, credentials and deadlines
//! conversation   `Conversation`: the same, decoded and written down
//! ```
//!
//! `cargo bench -p session --bench exchange` runs divan and then prints the ratios.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

mod raw;

use std::os::unix::net as blocking;
use std::time::Duration;

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use raw::{Bed, Contender, EXCHANGES, MESSAGE, Place};
use session::{Address, BoxFuture, Connection, Conversation, Received, Recorder, Script, Server};
use transcript::evidence::Role;
use verdict::{ConnContext, Due, Grammar, InOrder, Meaning, Pairing};
use wire::lxc::{Layout, RequestDecoder, ResponseDecoder, Rules};
use wire::{Decoder, Direction, Dissection, Frame};

/// A conversation may take this much longer than the bare round trip on tokio.
const GOAL: f64 = 1.5;

const DEADLINE: Duration = Duration::from_secs(2);
const DEADLINE_MS: u64 = 2_000;

const CONTENDERS: [(&str, Contender); 4] = [
    ("tokio", on_tokio),
    ("blocking", on_threads),
    ("connection", by_connection),
    ("conversation", by_conversation),
];

fn on_threads(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    if place == Place::OneThread {
        // A server on the same thread would never get to answer: this one is measured on two for both tables.
        return on_threads(bed, Place::TwoThreads, lend);
    }
    let mut stream = blocking::UnixStream::connect(bed.path(place)).expect("the server listens");
    lend(&mut || (0..EXCHANGES).for_each(|_| raw::exchange_blocking(&mut stream)));
}

fn on_tokio(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    let mut stream = bed.runtime.block_on(raw::connect(&bed.path(place)));
    lend(&mut || {
        bed.runtime.block_on(async {
            for _ in 0..EXCHANGES {
                raw::exchange(&mut stream).await;
            }
        });
    });
}

fn by_connection(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    let connection = bed.runtime.block_on(Connection::connect(&bed.address(place), DEADLINE));
    let mut connection = connection.expect("the server listens");
    let message = Bytes::from_static(&MESSAGE);
    lend(&mut || {
        bed.runtime.block_on(async {
            for _ in 0..EXCHANGES {
                connection.send(&message, &[], None, DEADLINE).await.expect("the server reads");
                let received = connection.recv(DEADLINE).await.expect("the server answers");
                assert!(matches!(received, Received::Data(data, _) if data.bytes[..] == MESSAGE));
            }
        });
    });
}

fn by_conversation(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    let mut server = Echo(bed.address(place));
    let recorder = Recorder::new();
    let mut conversation = Conversation::new(&mut server, &Heads, &recorder, 1.0);
    let opened = bed.runtime.block_on(conversation.play(&Script::new().open(1, Role::Subject, &[])));
    opened.expect("the server listens");
    let exchange = |script: Script, _| script.send(1, MESSAGE.to_vec()).reply(1, DEADLINE_MS);
    let script = (0..EXCHANGES).fold(Script::new(), exchange);
    let mut turns = 0;
    lend(&mut || {
        bed.runtime.block_on(conversation.play(&script)).expect("the server answers");
        turns += 1;
    });
    let events = recorder.take().len();
    // Opened, marked, and two for each exchange: nothing was cut off, timed out or closed.
    assert_eq!(events, 2 + turns * EXCHANGES * 2, "every exchange is written down");
}

/// The server that sends back what it gets.
struct Echo(Address);

impl Server for Echo {
    fn address(&self) -> &Address {
        &self.0
    }

    fn watch(&mut self, _recorder: &Recorder) {}

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// As much of a protocol as a conversation needs: heads of LXC.
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

/// Few samples: what a conversation writes down is kept until its end, and has a limit.
#[divan::bench(args = CONTENDERS.map(|(name, _)| name), sample_count = 100, sample_size = 1)]
fn one_thread(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, Place::OneThread, name);
}

#[divan::bench(args = CONTENDERS.map(|(name, _)| name), sample_count = 100, sample_size = 1)]
fn two_threads(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, Place::TwoThreads, name);
}

fn bench(bencher: Bencher<'_, '_>, place: Place, name: &str) {
    let bed = Bed::new();
    let (_, contender) = CONTENDERS.iter().find(|(known, _)| *known == name).expect("names come from there");
    let mut bencher = Some(bencher.counter(ItemsCount::new(EXCHANGES)));
    contender(&bed, place, &mut |turn| {
        if let Some(bencher) = bencher.take() {
            bencher.bench_local(&mut *turn);
        }
    });
}

fn main() {
    divan::main();
    if !raw::wants_ratios() {
        return;
    }
    let bed = Bed::new();
    println!("\nserver       client         ns/exchange   ratio");
    for place in Place::ALL {
        let times = raw::measure(&bed, place, &CONTENDERS);
        for ((name, _), time) in CONTENDERS.iter().zip(&times) {
            if *name == "blocking" && place == Place::OneThread {
                continue;
            }
            let ratio = time / times[0];
            println!("{:<11}  {name:<12}   {time:>11.0}   {ratio:>5.2} x tokio", place.words());
        }
    }
    println!("goal: conversation at most {GOAL} x tokio");
}
