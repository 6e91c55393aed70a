//! What framing costs: our decoder of LXC requests beside a hand-written read of the same bytes and
//! beside the `LengthDelimitedCodec` of tokio-util.
//!
//! A buffer of many equal frames is taken apart, as after a large read. Two kinds of contender:
//!
//! ```text
//! borrowing   slice       a hand-written loop over the bytes, unchecked limits, no errors
//!             extents     `RequestDecoder::next_extent`: where does the next frame end?
//! owning      split       the hand-written loop, each frame cut off the buffer by `split_to`
//!             decoder     `RequestDecoder::decode`: the same, with limits, errors and offsets
//!             codec       `LengthDelimitedCodec::decode`, set up for these heads
//! ```
//!
//! `cargo bench -p wire` runs divan and then prints the ratios, measured in turns in one process so
//! that a busy machine hits all of them alike.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use divan::{Bencher, counter::ItemsCount};
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use wire::Decoder as _;
use wire::lxc::{Command, DATA_MAX, Layout, Notifies, RequestDecoder, RequestHead, Rules};

/// The rules of a release, so that the tables are looked through as in real use.
const RULES: Rules = Rules {
    payload_max: DATA_MAX,
    exempt: &[Command(11)],
    two_part: &[Command(13)],
    notifies: &[Notifies { command: Command(10), waiting: 8 }],
    silent_on_success: &[Command(2)],
};

/// Length of a head in bytes.
const HEAD_LEN: usize = 16;

/// Frame lengths in bytes, head included.
const FRAME_LENS: [usize; 2] = [64, 4096];

/// Length of the buffer that is taken apart, in bytes: fits the second-level cache.
const BUFFER_LEN: usize = 64 * 1024;

/// A buffer full of frames of that length.
fn buffer(frame_len: usize) -> BytesMut {
    let payload = vec![0x61; frame_len - HEAD_LEN];
    let head = RequestHead::of(Command(7), 0, &payload).expect("a short payload");
    BytesMut::from(&head.encode_with(Layout::LP64_LE, &payload).repeat(BUFFER_LEN / frame_len)[..])
}

/// Takes a buffer apart and says how many frames it held. The memory of the buffer is freed outside
/// of the measurement.
type Contender = fn(&mut BytesMut) -> usize;

/// Every contender with its name; the first of each kind is what the others are measured by.
const BORROWING: [(&str, Contender); 2] = [("slice", slice), ("extents", extents)];
const OWNING: [(&str, Contender); 3] = [("codec", codec), ("split", split), ("decoder", decoder)];

/// Length of the frame at the front by the shortest code that does not panic.
#[inline]
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let len = i32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let len = HEAD_LEN + usize::try_from(len).unwrap_or(0);
    (bytes.len() >= len).then_some(len)
}

fn slice(buffer: &mut BytesMut) -> usize {
    let (mut rest, mut count) = (&buffer[..], 0);
    while let Some(len) = frame_len(rest) {
        let (frame, behind) = rest.split_at(len);
        black_box(frame);
        (rest, count) = (behind, count + 1);
    }
    count
}

fn extents(buffer: &mut BytesMut) -> usize {
    let mut decoder = RequestDecoder::new(Layout::LP64_LE, RULES);
    let (mut rest, mut count) = (&buffer[..], 0);
    while let Ok(Some(extent)) = decoder.next_extent(rest) {
        let (frame, behind) = rest.split_at(extent.len);
        black_box((extent.kind, frame));
        (rest, count) = (behind, count + 1);
    }
    count
}

fn split(buffer: &mut BytesMut) -> usize {
    let mut count = 0;
    while let Some(len) = frame_len(buffer.chunk()) {
        black_box(buffer.split_to(len).freeze());
        count += 1;
    }
    count
}

fn decoder(buffer: &mut BytesMut) -> usize {
    let mut decoder = RequestDecoder::new(Layout::LP64_LE, RULES);
    let mut count = 0;
    while let Ok(Some(frame)) = decoder.decode(buffer) {
        black_box(frame);
        count += 1;
    }
    count
}

fn codec(buffer: &mut BytesMut) -> usize {
    let mut codec = LengthDelimitedCodec::builder()
        .little_endian()
        .length_field_offset(4)
        .length_field_type::<u32>()
        .length_adjustment(16)
        .num_skip(0)
        .max_frame_length(usize::try_from(DATA_MAX).expect("8192 fits"))
        .new_codec();
    let mut count = 0;
    while let Ok(Some(frame)) = codec.decode(buffer) {
        black_box(frame);
        count += 1;
    }
    count
}

fn bench(bencher: Bencher<'_, '_>, frame_len: usize, contender: Contender) {
    bencher
        .counter(ItemsCount::new(BUFFER_LEN / frame_len))
        .with_inputs(|| buffer(frame_len))
        .bench_refs(contender);
}

#[divan::bench(args = FRAME_LENS)]
fn borrowing_slice(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench(bencher, frame_len, slice);
}

#[divan::bench(args = FRAME_LENS)]
fn borrowing_extents(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench(bencher, frame_len, extents);
}

#[divan::bench(args = FRAME_LENS)]
fn owning_split(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench(bencher, frame_len, split);
}

#[divan::bench(args = FRAME_LENS)]
fn owning_decoder(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench(bencher, frame_len, decoder);
}

#[divan::bench(args = FRAME_LENS)]
fn owning_codec(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench(bencher, frame_len, codec);
}

/// Nanoseconds per frame of each contender: the median of many turns.
fn measure(frame_len: usize, contenders: &[(&str, Contender)]) -> Vec<f64> {
    const TURNS: usize = 401;
    let expected = BUFFER_LEN / frame_len;
    let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
    for _ in 0..TURNS {
        for ((name, contender), times) in contenders.iter().zip(&mut times) {
            let mut input = buffer(frame_len);
            let start = Instant::now();
            let count = contender(&mut input);
            times.push(start.elapsed());
            assert_eq!(count, expected, "`{name}` takes the whole buffer apart");
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[TURNS / 2].as_secs_f64() * 1e9 / expected as f64
    };
    times.iter_mut().map(median).collect()
}

fn print_ratios() {
    println!("\nframe  contender   ns/frame   ratio");
    for frame_len in FRAME_LENS {
        for contenders in [&BORROWING[..], &OWNING[..]] {
            let times = measure(frame_len, contenders);
            for ((name, _), time) in contenders.iter().zip(&times) {
                let ratio = time / times[0];
                println!("{frame_len:>5}  {name:<9}  {time:>9.2}   {ratio:>5.2} x {}", contenders[0].0);
            }
        }
    }
}

fn main() {
    divan::main();
    // `cargo test --benches` and `--list` want no numbers.
    if !std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        print_ratios();
    }
}
