//! What the recording proxy adds to a round trip, compared with a proxy that only copies.
//!
//! ```text
//! direct      a client on the server
//! copying     the smallest proxy on tokio: two loops of read and write_all
//! recording   `Proxy`: write boundaries, descriptors, credentials, ways of closing, all written down
//! ```
//! A client writes 16 bytes and reads 16 bytes on a connection that is kept. The proxies run in the
//! runtime of the client, or in one of their own between two that block.
//!
//! `cargo bench -p session --bench proxy` runs divan and then prints the ratios.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

mod raw;

use std::os::unix::net as blocking;
use std::path::Path;

use divan::{Bencher, counter::ItemsCount};
use raw::{Bed, Contender, EXCHANGES, Place};
use session::proxy::Proxy;
use session::{Address, READ_LEN_MAX, Recorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use transcript::ConnId;

/// The recording proxy may add this much more than the copying one.
const GOAL: f64 = 1.2;

const CONTENDERS: [(&str, Contender); 3] =
    [("direct", direct), ("copying", copying), ("recording", recording)];

fn direct(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    client(bed, place, &bed.path(place), lend);
}

fn copying(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    let front = bed.socket("copying");
    let back = bed.path(place);
    let start = || {
        let listener = UnixListener::bind(&front).expect("the folder is ours");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&back).await.expect("the server listens");
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(copy(from_client, to_server));
                tokio::spawn(copy(from_server, to_client));
            }
        })
    };
    let stop = async |task: JoinHandle<()>| {
        task.abort();
        // An abort is the only way in which the task ends.
        let _ = task.await;
    };
    with_proxy(bed, place, start, stop, || client(bed, place, &front, lend));
    std::fs::remove_file(&front).expect("the socket is ours");
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; READ_LEN_MAX];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

fn recording(bed: &Bed, place: Place, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    let front = bed.socket("recording");
    let recorder = Recorder::new();
    let start = || {
        let listen = Address::Path(front.clone());
        let proxy = Proxy::start(listen, bed.address(place), recorder.clone(), ConnId(1));
        proxy.expect("the folder is ours")
    };
    let mut turns = 0;
    let mut counted = |turn: &mut dyn FnMut()| {
        lend(&mut || {
            turn();
            turns += 1;
        });
    };
    with_proxy(bed, place, start, Proxy::stop, || client(bed, place, &front, &mut counted));
    let data =
        recorder.take().iter().filter(|event| matches!(event.kind, transcript::EventKind::Data(_))).count();
    assert_eq!(data, turns * EXCHANGES * 2, "all that passes is written down");
}

/// Has a proxy run while something is done: in the runtime of the client, or on a thread of its own.
fn with_proxy<P>(
    bed: &Bed,
    place: Place,
    start: impl FnOnce() -> P + Send,
    stop: impl AsyncFnOnce(P) + Send,
    work: impl FnOnce(),
) {
    if place == Place::OneThread {
        let proxy = {
            let _context = bed.runtime.enter();
            start()
        };
        work();
        return bed.runtime.block_on(stop(proxy));
    }
    let (started, wait_started) = std::sync::mpsc::channel();
    let (done, wait_done) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            raw::runtime().block_on(async {
                let proxy = start();
                started.send(()).expect("it waits for that");
                // An error means that the work is done, too.
                let _ = wait_done.await;
                stop(proxy).await;
            });
        });
        wait_started.recv().expect("the proxy starts");
        work();
        drop(done);
    });
}

fn client(bed: &Bed, place: Place, path: &Path, lend: &mut dyn FnMut(&mut dyn FnMut())) {
    if place == Place::TwoThreads {
        let mut stream = blocking::UnixStream::connect(path).expect("it listens");
        return lend(&mut || (0..EXCHANGES).for_each(|_| raw::exchange_blocking(&mut stream)));
    }
    let mut stream = bed.runtime.block_on(raw::connect(path));
    lend(&mut || {
        bed.runtime.block_on(async {
            for _ in 0..EXCHANGES {
                raw::exchange(&mut stream).await;
            }
        });
    });
}

#[divan::bench(args = CONTENDERS.map(|(name, _)| name), sample_count = 100, sample_size = 1)]
fn one_thread(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, Place::OneThread, name);
}

#[divan::bench(args = CONTENDERS.map(|(name, _)| name), sample_count = 100, sample_size = 1)]
fn own_threads(bencher: Bencher<'_, '_>, name: &str) {
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
    println!("\nproxy and server       through     ns/exchange     added   ratio");
    for place in Place::ALL {
        let times = raw::measure(&bed, place, &CONTENDERS);
        let where_ = match place {
            Place::OneThread => "on the client's thread",
            Place::TwoThreads => "on threads of their own",
        };
        for ((name, _), time) in CONTENDERS.iter().zip(&times) {
            let added = time - times[0];
            let ratio = match *name {
                "direct" => String::new(),
                _ => format!("{:>5.2} x copying", added / (times[1] - times[0])),
            };
            println!("{where_:<23} {name:<9}   {time:>11.0}   {added:>7.0}   {ratio}");
        }
    }
    println!("goal: recording adds at most {GOAL} x what copying adds");
}
