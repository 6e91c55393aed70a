//! What framing HTTP costs, compared with httparse alone over the same bytes: heads by `Request::parse` and `Response::parse`,
//! the lines of chunks by `parse_chunk_size`, and nothing else: no limits, no line ends, no lengths, no state.
//!
//! ```text
//! requests  what the docker CLI asks              pings      small answers by length
//! chunks    answers in chunks of that many bytes  upload     a request in chunks
//! 4 KiB     the same as `chunks 4096`, but read in pieces of 4 KiB: what was looked at is not looked at again
//! ```
//!
//! Measured in turns in one process, so that a busy machine hits both alike. A ratio above [`RATIO_MAX`] fails.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use wire::http1::{MessageDecoder, Version, chunk, last_chunk, request_head, response_head};
use wire::{Decoder as _, Direction};

/// The most that framing may cost, with httparse alone as one.
const RATIO_MAX: f64 = 1.5;

const TURNS: usize = 301;

/// Many messages of one sort, in one direction.
struct Load {
    name: String,
    dir: Direction,
    bytes: Vec<u8>,
    messages: usize,
}

impl Load {
    fn of(name: &str, dir: Direction, message: &[u8], frames: usize) -> Self {
        let count = (256 * 1024 / message.len()).max(1);
        Self { name: name.to_owned(), dir, bytes: message.repeat(count), messages: count * frames }
    }
}

fn request(headers: &[(&str, &str)]) -> Bytes {
    let common = [
        ("Host", "api.moby.localhost"),
        ("User-Agent", "Docker-Client/28.5.2 (linux)"),
        ("Content-Type", "application/json"),
    ];
    let target = "/v1.51/containers/json?all=1&filters=%7B%22name%22%3A%7B%22a%22%3Atrue%7D%7D";
    request_head("POST", target, Version(1), &[&common[..], headers].concat()).expect("well formed")
}

fn answer(headers: &[(&str, &str)]) -> Bytes {
    let common = [
        ("Api-Version", "1.51"),
        ("Builder-Version", "2"),
        ("Cache-Control", "no-cache, no-store, must-revalidate"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Date", "Fri, 20 Nov 2026 10:00:00 GMT"),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Pragma", "no-cache"),
        ("Server", "Docker/28.5.2+dfsg4 (linux)"),
        ("Swarm", "inactive"),
    ];
    response_head(200, "OK", Version(1), &[&common[..], headers].concat()).expect("well formed")
}

/// A body of about 64 KiB in chunks of that many bytes.
fn chunks(size: usize) -> Vec<u8> {
    let one = chunk(&vec![b'x'; size]);
    [&one.repeat(64 * 1024 / size)[..], &last_chunk(&[]).expect("no trailers")].concat()
}

fn loads() -> Vec<Load> {
    let coded = [("Transfer-Encoding", "chunked")];
    let mut loads = vec![
        Load::of("requests", Direction::ToServer, &request(&[]), 1),
        Load::of("pings", Direction::ToClient, &[&answer(&[("Content-Length", "2")])[..], b"OK"].concat(), 1),
    ];
    for size in [16, 256, 4096, 32 * 1024] {
        let message = [&answer(&coded)[..], &chunks(size)].concat();
        loads.push(Load::of(&format!("chunks {size}"), Direction::ToClient, &message, 1));
    }
    loads.push(Load::of("upload", Direction::ToServer, &[&request(&coded)[..], &chunks(256)].concat(), 2));
    loads
}

/// httparse alone: how many heads and bodies there are.
fn theirs(load: &Load) -> usize {
    let (mut rest, mut count) = (&load.bytes[..], 0);
    while !rest.is_empty() {
        let mut room = [httparse::EMPTY_HEADER; 64];
        let (len, chunked, length) = match load.dir {
            Direction::ToServer => {
                let mut request = httparse::Request::new(&mut room);
                let len = request.parse(rest).expect("a request").unwrap();
                (len, coded(request.headers), 0)
            }
            Direction::ToClient => {
                let mut response = httparse::Response::new(&mut room);
                let len = response.parse(rest).expect("an answer").unwrap();
                (len, coded(response.headers), 2)
            }
        };
        rest = &rest[len..];
        count += 1;
        if !chunked {
            rest = &rest[length..];
            continue;
        }
        count += usize::from(load.dir == Direction::ToServer);
        loop {
            let (line, size) = httparse::parse_chunk_size(rest).expect("a chunk").unwrap();
            rest = &rest[line + usize::try_from(size).expect("in memory") + 2..];
            if size == 0 {
                break;
            }
        }
    }
    count
}

/// Whether a body is in chunks, which it has to know: the last header of these messages says that.
fn coded(headers: &[httparse::Header<'_>]) -> bool {
    headers.last().is_some_and(|last| last.name == "Transfer-Encoding")
}

fn ours(load: &Load) -> usize {
    let mut decoder = MessageDecoder::new(load.dir);
    let (mut rest, mut count) = (&load.bytes[..], 0);
    while let Ok(Some(extent)) = decoder.next_extent(rest) {
        black_box(extent.kind);
        rest = &rest[extent.len..];
        count += 1;
    }
    count
}

/// The same in reads of 4 KiB, with frames that are owned.
fn in_reads(load: &Load) -> usize {
    let mut decoder = MessageDecoder::new(load.dir);
    let (mut buffer, mut count) = (BytesMut::new(), 0);
    for read in load.bytes.chunks(4096) {
        buffer.extend_from_slice(read);
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            black_box(frame);
            count += 1;
        }
    }
    count
}

/// Nanoseconds per message of each contender: the median of many turns.
fn measure(load: &Load, contenders: [fn(&Load) -> usize; 3]) -> [f64; 3] {
    let mut times = contenders.map(|_| Vec::with_capacity(TURNS));
    for _ in 0..TURNS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let start = Instant::now();
            assert_eq!(contender(black_box(load)), load.messages, "{} is taken apart", load.name);
            times.push(start.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[TURNS / 2].as_secs_f64() * 1e9 / load.messages as f64
    })
}

/// What Linux says of this process: seconds on a processor, and the most memory in MiB.
fn cost() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    let behind = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: f64 = behind.map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    let peak: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    (ticks / 100.0, peak / 1024.0)
}

fn main() {
    // `cargo test --benches` and `--list` want no numbers.
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    println!("messages       bytes  httparse ns   ours ns    MB/s   ratio  reads of 4 KiB ns");
    let mut worst = 0.0_f64;
    for load in loads() {
        let [theirs, ours, in_reads] = measure(&load, [theirs, ours, in_reads]);
        let len = load.bytes.len() as f64 / load.messages as f64;
        let (rate, ratio) = (len / ours * 1e3, ours / theirs);
        worst = worst.max(ratio);
        let name = &load.name;
        println!(
            "{name:<12} {len:>7.0}  {theirs:>11.1} {ours:>9.1} {rate:>7.0}  {ratio:>6.2}  {in_reads:>17.1}"
        );
    }
    let (cpu_s, peak_mib) = cost();
    println!("CPU {cpu_s:.2} s, peak memory {peak_mib:.1} MiB, worst ratio {worst:.2}, at most {RATIO_MAX}");
    assert!(worst <= RATIO_MAX, "framing costs {worst:.2} times what httparse does alone");
}
