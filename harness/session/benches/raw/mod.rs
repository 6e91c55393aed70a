//! The peers that both benchmarks measure with and against, written with as little as possible, and
//! the way of measuring.
//!
//! Every contender meets the same server, which sends back what it gets. It runs in two places:
//!
//! ```text
//! one thread    client and server are tasks of one runtime: nothing is woken across processors, so all
//!               that is left is work. The sharper comparison, and the steadier one.
//! two threads   the server blocks in a thread of its own, as a real peer does in a process of its own
//! ```

use std::io::{Read as _, Write as _};
use std::os::unix::net as blocking;
use std::path::{Path, PathBuf};
use std::time::Instant;

use session::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

/// Length of a request and of its reply: the head of LXC without payload.
pub(crate) const MESSAGE_LEN: usize = 16;
/// Round trips in one turn.
pub(crate) const EXCHANGES: usize = 200;
/// Turns that each contender gets; see [`measure`].
const TURNS: usize = 201;

/// A request that is its own reply: command 7, no payload; as a reply, success with the number 7.
pub(crate) const MESSAGE: [u8; MESSAGE_LEN] = [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Where the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the thread of the client.
    OneThread,
    /// On a thread of its own.
    TwoThreads,
}

impl Place {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::OneThread, Self::TwoThreads];

    /// As it is printed.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::OneThread => "one thread",
            Self::TwoThreads => "two threads",
        }
    }
}

/// A runtime of the client, and a server in each place, on sockets of their own.
pub(crate) struct Bed {
    /// The runtime of the client.
    pub(crate) runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Bed {
    /// Starts the servers.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let bed = Self { runtime: runtime(), folder };
        let listener = blocking::UnixListener::bind(bed.path(Place::TwoThreads)).expect("the folder is ours");
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a client that is there can be accepted");
                std::thread::spawn(move || echo_blocking(stream));
            }
        });
        let _context = bed.runtime.enter();
        let listener = UnixListener::bind(bed.path(Place::OneThread)).expect("the folder is ours");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        bed
    }

    /// A name in the folder of this bed.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the server of that place listens.
    pub(crate) fn path(&self, place: Place) -> PathBuf {
        self.socket(place.words())
    }

    /// The same for what is measured.
    pub(crate) fn address(&self, place: Place) -> Address {
        Address::Path(self.path(place))
    }
}

/// A runtime of one thread.
pub(crate) fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
}

fn echo_blocking(mut stream: blocking::UnixStream) {
    let mut message = [0; MESSAGE_LEN];
    while stream.read_exact(&mut message).is_ok() && stream.write_all(&message).is_ok() {}
}

async fn echo(mut stream: UnixStream) {
    let mut message = [0; MESSAGE_LEN];
    while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
}

/// One round trip of a blocking client.
pub(crate) fn exchange_blocking(stream: &mut blocking::UnixStream) {
    let mut reply = [0; MESSAGE_LEN];
    stream.write_all(&MESSAGE).expect("the server reads");
    stream.read_exact(&mut reply).expect("the server answers");
    assert_eq!(reply, MESSAGE);
}

/// One round trip of a client on tokio.
pub(crate) async fn exchange(stream: &mut UnixStream) {
    let mut reply = [0; MESSAGE_LEN];
    stream.write_all(&MESSAGE).await.expect("the server reads");
    stream.read_exact(&mut reply).await.expect("the server answers");
    assert_eq!(reply, MESSAGE);
}

/// A client on tokio, connected.
pub(crate) async fn connect(path: &Path) -> UnixStream {
    UnixStream::connect(path).await.expect("the server listens")
}

/// What a contender gives: something that does [`EXCHANGES`] round trips on a connection that is kept.
/// It is lent to the second argument.
pub(crate) type Contender = fn(&Bed, Place, &mut dyn FnMut(&mut dyn FnMut()));

/// Nanoseconds for one round trip of each contender, taken in turns so that a busy machine hits all of them
/// alike: the fastest tenth of many turns ends there. What else runs on the machine only ever adds.
pub(crate) fn measure(bed: &Bed, place: Place, contenders: &[(&str, Contender)]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
    for _ in 0..TURNS {
        for ((_, contender), times) in contenders.iter().zip(&mut times) {
            contender(bed, place, &mut |turn| {
                // The first turn warms up.
                turn();
                let start = Instant::now();
                turn();
                times.push(start.elapsed());
            });
        }
    }
    let tenth = |times: &mut Vec<std::time::Duration>| {
        times.sort_unstable();
        times[TURNS / 10].as_secs_f64() * 1e9 / EXCHANGES as f64
    };
    times.iter_mut().map(tenth).collect()
}

/// `cargo test --benches` and `--list` want no numbers.
pub(crate) fn wants_ratios() -> bool {
    !std::env::args().any(|arg| arg == "--test" || arg == "--list")
}
