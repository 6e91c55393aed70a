//! What framing costs: our decoders compared with a hand-written read of the same bytes and with what others
//! have for it, the codecs of tokio-util and the stream of serde_json.
//!
//! A buffer of many equal frames is taken apart, as after a large read. Two kinds of contender:
//!
//! ```text
//! borrowing   slice       a hand-written loop over the bytes, unchecked limits, no errors
//!             extents     `StreamDecoder::next_extent`: where does the next frame end?
//!             serde_json  `StreamDeserializer` of `IgnoredAny`: the same, with all of the grammar
//! owning      codec       `LengthDelimitedCodec::decode`, set up for these heads; for lines
//!                         `AnyDelimiterCodec`; nobody has one for values
//!             split       the hand-written loop, each frame cut off the buffer by `split_to`
//!             decoder     `Decoder::decode`: the same, with limits, errors and offsets
//! reading     serde_json  a heartbeat of an oVirt guest agent as a `serde_json::Value`
//!             parse       `json::Document::parse`
//!             dissect     `json::dissect`, which parses it again and names every field
//! protobuf    prost       a request of the Kata Containers agent as the structs of `prost`
//!             walk        `protobuf::Walk`, into every message in it
//!             dissect     `protobuf::dissect`, which names every field
//! ```
//!
//! `cargo bench -p wire` runs divan and then prints the ratios, measured in turns in one process so
//! that a busy machine hits all of them alike.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use divan::{Bencher, counter::ItemsCount};
use prost::Message as _;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use tokio_util::codec::{AnyDelimiterCodec, Decoder as Codec, LengthDelimitedCodec};
use wire::json::{Document, Rules as JsonRules, dissect};
use wire::json_lines::{LINE_MAX, Limits, LineDecoder, LineScan, ValueDecoder, ValueScan};
use wire::libvirt_rpc::{self, Header, LENGTH_MAX, MessageDecoder, MessageScan, MessageType, Status};
use wire::lxc::{Command, DATA_MAX, Layout, Notifies, RequestDecoder, RequestHead, RequestScan, Rules};
use wire::protobuf::{self, FieldValue, Schema, Source, Walk};
use wire::ttrpc;
use wire::{Decoder as _, Direction, Scan, StreamDecoder};

/// Frame lengths in bytes, head included.
const FRAME_LENS: [usize; 2] = [64, 4096];

/// Length of the buffer that is taken apart, in bytes: fits the second-level cache.
const BUFFER_LEN: usize = 64 * 1024;

/// A framing that is measured.
trait Framing {
    /// Its name in the table.
    const NAME: &str;
    /// What our decoder looks with.
    type Scan: Scan;
    /// What others have.
    type Codec: Codec<Error: std::fmt::Debug>;

    /// A frame of that length.
    fn frame(len: usize) -> Vec<u8>;
    /// Length of the frame at the front by the shortest code that does not panic.
    fn frame_len(bytes: &[u8]) -> Option<usize>;
    /// Our decoder.
    fn decoder() -> StreamDecoder<Self::Scan>;
    /// That of others.
    fn codec() -> Self::Codec;
}

/// Requests of LXC.
struct Lxc;

impl Lxc {
    const HEAD_LEN: usize = 16;

    /// The rules of a release, so that the tables are looked through as in real use.
    const RULES: Rules = Rules {
        payload_max: DATA_MAX,
        exempt: &[Command(11)],
        two_part: &[Command(13)],
        notifies: &[Notifies { command: Command(10), waiting: 8 }],
        silent_on_success: &[Command(2)],
    };
}

impl Framing for Lxc {
    const NAME: &str = "lxc";
    type Scan = RequestScan;
    type Codec = LengthDelimitedCodec;

    fn frame(len: usize) -> Vec<u8> {
        let payload = vec![0x61; len - Self::HEAD_LEN];
        let head = RequestHead::of(Command(7), 0, &payload).expect("a short payload");
        head.encode_with(Layout::LP64_LE, &payload)
    }

    #[inline]
    fn frame_len(bytes: &[u8]) -> Option<usize> {
        let len = i32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let len = Self::HEAD_LEN + usize::try_from(len).unwrap_or(0);
        (bytes.len() >= len).then_some(len)
    }

    fn decoder() -> RequestDecoder {
        RequestDecoder::new(Layout::LP64_LE, Self::RULES)
    }

    fn codec() -> LengthDelimitedCodec {
        LengthDelimitedCodec::builder()
            .little_endian()
            .length_field_offset(4)
            .length_field_type::<u32>()
            .length_adjustment(16)
            .num_skip(0)
            .max_frame_length(usize::try_from(DATA_MAX).expect("8192 fits"))
            .new_codec()
    }
}

/// Messages of libvirt to a server.
struct Libvirt;

impl Framing for Libvirt {
    const NAME: &str = "libvirt";
    type Scan = MessageScan;
    type Codec = LengthDelimitedCodec;

    fn frame(len: usize) -> Vec<u8> {
        let header = Header {
            program: 0x2000_8086,
            version: 1,
            procedure: 131,
            kind: MessageType::CALL,
            serial: 7,
            status: Status::OK,
        };
        header.message(&vec![0x61; len - libvirt_rpc::HEAD_LEN]).to_vec()
    }

    #[inline]
    fn frame_len(bytes: &[u8]) -> Option<usize> {
        let len = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        // A length of nothing would be taken for ever.
        (len > 0 && bytes.len() >= len).then_some(len)
    }

    fn decoder() -> MessageDecoder {
        MessageDecoder::towards(Direction::ToServer)
    }

    fn codec() -> LengthDelimitedCodec {
        LengthDelimitedCodec::builder()
            .big_endian()
            .length_field_offset(0)
            .length_field_type::<u32>()
            .length_adjustment(0)
            .num_skip(0)
            .max_frame_length(usize::try_from(LENGTH_MAX).expect("32 MiB fit"))
            .new_codec()
    }
}

/// Messages of ttrpc.
struct Ttrpc;

impl Framing for Ttrpc {
    const NAME: &str = "ttrpc";
    type Scan = ttrpc::MessageScan;
    type Codec = LengthDelimitedCodec;

    fn frame(len: usize) -> Vec<u8> {
        let header =
            ttrpc::Header { stream: 1, kind: ttrpc::MessageType::REQUEST, flags: ttrpc::Flags::default() };
        header.message(&vec![0x61; len - ttrpc::HEAD_LEN]).to_vec()
    }

    #[inline]
    fn frame_len(bytes: &[u8]) -> Option<usize> {
        let len = ttrpc::HEAD_LEN + u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        (bytes.len() >= len).then_some(len)
    }

    fn decoder() -> ttrpc::MessageDecoder {
        ttrpc::MessageDecoder::new()
    }

    fn codec() -> LengthDelimitedCodec {
        LengthDelimitedCodec::builder()
            .big_endian()
            .length_field_offset(0)
            .length_field_type::<u32>()
            .length_adjustment(10)
            .num_skip(0)
            .max_frame_length(usize::try_from(ttrpc::DATA_MAX).expect("4 MiB fit"))
            .new_codec()
    }
}

/// A request to qemu-ga, or an answer of it, of that length: many short tokens and one text that fills up.
fn json(len: usize) -> Vec<u8> {
    const COMMAND: &str = r#"{"enabled": true, "name": "guest-get-disks", "success-response": true}, "#;
    let (front, back) = if len < 1024 {
        (r#"{"execute":"guest-sync","arguments":{"id":1234},"id":""#.to_owned(), r#""}"#)
    } else {
        let commands = COMMAND.repeat((len - 128) / COMMAND.len());
        (format!(r#"{{"return": {{"supported_commands": [{commands}""#), r#""]}}"#)
    };
    let filled = len - front.len() - back.len();
    [front.as_bytes(), &vec![b'x'; filled], back.as_bytes()].concat()
}

/// Lines of an oVirt guest agent.
struct Lines;

impl Framing for Lines {
    const NAME: &str = "lines";
    type Scan = LineScan;
    type Codec = AnyDelimiterCodec;

    fn frame(len: usize) -> Vec<u8> {
        [&json(len - 1)[..], b"\n"].concat()
    }

    #[inline]
    fn frame_len(bytes: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|at| at + 1)
    }

    fn decoder() -> LineDecoder {
        LineDecoder::new(LINE_MAX)
    }

    fn codec() -> AnyDelimiterCodec {
        AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), LINE_MAX)
    }
}

/// Messages of qemu-ga, one behind the other.
struct Values;

impl Framing for Values {
    const NAME: &str = "values";
    type Scan = ValueScan;
    type Codec = SerdeStream;

    fn frame(len: usize) -> Vec<u8> {
        json(len)
    }

    #[inline]
    fn frame_len(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_text, mut escaped) = (0_i32, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn decoder() -> ValueDecoder {
        ValueDecoder::new(Limits::QEMU)
    }

    fn codec() -> SerdeStream {
        SerdeStream
    }
}

/// The stream of serde_json as a codec.
struct SerdeStream;

impl Codec for SerdeStream {
    type Item = BytesMut;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
        let mut stream = Deserializer::from_slice(src).into_iter::<IgnoredAny>();
        let found = stream.next().transpose()?;
        let len = stream.byte_offset();
        Ok(found.map(|_| src.split_to(len)))
    }
}

/// A buffer full of frames of that length.
fn buffer<F: Framing>(frame_len: usize) -> BytesMut {
    BytesMut::from(&F::frame(frame_len).repeat(BUFFER_LEN / frame_len)[..])
}

/// Takes a buffer apart and says how many frames it held. The memory of the buffer is freed outside
/// of the measurement.
type Contender = fn(&mut BytesMut) -> usize;

/// Every contender with its name; the first of each kind is what the others are measured by.
fn borrowing<F: Framing>() -> Vec<(&'static str, Contender)> {
    vec![("slice", slice::<F>), ("extents", extents::<F>)]
}

/// The same for JSON.
fn borrowing_json<F: Framing>() -> Vec<(&'static str, Contender)> {
    [borrowing::<F>(), vec![("serde_json", serde_stream)]].concat()
}

fn owning<F: Framing>() -> Vec<(&'static str, Contender)> {
    vec![("codec", codec::<F>), ("split", split::<F>), ("decoder", decoder::<F>)]
}

fn slice<F: Framing>(buffer: &mut BytesMut) -> usize {
    let (mut rest, mut count) = (&buffer[..], 0);
    while let Some(len) = F::frame_len(rest) {
        let (frame, behind) = rest.split_at(len);
        black_box(frame);
        (rest, count) = (behind, count + 1);
    }
    count
}

fn extents<F: Framing>(buffer: &mut BytesMut) -> usize {
    let mut decoder = F::decoder();
    let (mut rest, mut count) = (&buffer[..], 0);
    while let Ok(Some(extent)) = decoder.next_extent(rest) {
        let (frame, behind) = rest.split_at(extent.len);
        black_box((extent.kind, frame));
        (rest, count) = (behind, count + 1);
    }
    count
}

fn serde_stream(buffer: &mut BytesMut) -> usize {
    let stream = Deserializer::from_slice(buffer).into_iter::<IgnoredAny>();
    stream.map_while(Result::ok).map(black_box).count()
}

fn split<F: Framing>(buffer: &mut BytesMut) -> usize {
    let mut count = 0;
    while let Some(len) = F::frame_len(buffer.chunk()) {
        black_box(buffer.split_to(len).freeze());
        count += 1;
    }
    count
}

fn decoder<F: Framing>(buffer: &mut BytesMut) -> usize {
    let mut decoder = F::decoder();
    let mut count = 0;
    while let Ok(Some(frame)) = decoder.decode(buffer) {
        black_box(frame);
        count += 1;
    }
    count
}

fn codec<F: Framing>(buffer: &mut BytesMut) -> usize {
    let mut codec = F::codec();
    let mut count = 0;
    while let Ok(Some(frame)) = codec.decode(buffer) {
        black_box(frame);
        count += 1;
    }
    count
}

fn bench<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize, contender: Contender) {
    bencher
        .counter(ItemsCount::new(BUFFER_LEN / frame_len))
        .with_inputs(|| buffer::<F>(frame_len))
        .bench_refs(contender);
}

#[divan::bench(types = [Lxc, Libvirt, Ttrpc, Lines, Values], args = FRAME_LENS)]
fn borrowing_slice<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench::<F>(bencher, frame_len, slice::<F>);
}

#[divan::bench(types = [Lxc, Libvirt, Ttrpc, Lines, Values], args = FRAME_LENS)]
fn borrowing_extents<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench::<F>(bencher, frame_len, extents::<F>);
}

#[divan::bench(types = [Lxc, Libvirt, Ttrpc, Lines, Values], args = FRAME_LENS)]
fn owning_split<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench::<F>(bencher, frame_len, split::<F>);
}

#[divan::bench(types = [Lxc, Libvirt, Ttrpc, Lines, Values], args = FRAME_LENS)]
fn owning_decoder<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench::<F>(bencher, frame_len, decoder::<F>);
}

#[divan::bench(types = [Lxc, Libvirt, Ttrpc, Lines, Values], args = FRAME_LENS)]
fn owning_codec<F: Framing>(bencher: Bencher<'_, '_>, frame_len: usize) {
    bench::<F>(bencher, frame_len, codec::<F>);
}

/// Nanoseconds per frame of each contender: the median of many turns.
fn measure<F: Framing>(frame_len: usize, contenders: &[(&str, Contender)]) -> Vec<f64> {
    const TURNS: usize = 401;
    let expected = BUFFER_LEN / frame_len;
    let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
    for _ in 0..TURNS {
        for ((name, contender), times) in contenders.iter().zip(&mut times) {
            let mut input = buffer::<F>(frame_len);
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

fn print_ratios<F: Framing>(borrowing: Vec<(&'static str, Contender)>) {
    for frame_len in FRAME_LENS {
        for contenders in [&borrowing, &owning::<F>()] {
            let times = measure::<F>(frame_len, contenders);
            for ((name, _), time) in contenders.iter().zip(&times) {
                let (ratio, first) = (time / times[0], contenders[0].0);
                println!("{:<7}  {frame_len:>5}  {name:<10}  {time:>9.2}   {ratio:>5.2} x {first}", F::NAME);
            }
        }
    }
}

/// What reads one message; says how many parts of it there are.
type Reader = fn(&[u8]) -> usize;

/// Every reader of JSON with its name and how many parts it sees.
const READERS: [(&str, Reader, usize); 3] =
    [("serde_json", tree, 4), ("parse", parse, 4), ("dissect", fields, 4)];

/// A heartbeat of ovirt-guest-agent 1.0.16, as recorded.
const HEARTBEAT: &[u8] = b"{\"__name__\": \"heartbeat\", \"memory-stat\": {\"swap_out\": 0, \"majflt\": 0, \
    \"swap_usage\": 0, \"mem_cached\": 2535120, \"mem_free\": 23652196, \"mem_buffers\": 152740, \"swap_in\": 0, \
    \"swap_total\": 0, \"pageflt\": 0, \"mem_total\": 24684096, \"mem_unused\": 20964336}, \
    \"free-ram\": \"23097\", \"apiVersion\": 0}\n";

fn tree(bytes: &[u8]) -> usize {
    let value: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
    black_box(value).as_object().map_or(0, serde_json::Map::len)
}

fn parse(bytes: &[u8]) -> usize {
    let document = Document::parse(bytes, JsonRules::PYTHON).expect("JSON");
    black_box(&document).root().members().count()
}

fn fields(bytes: &[u8]) -> usize {
    let found = black_box(dissect(bytes, JsonRules::PYTHON, &|_| None));
    // Members of the heartbeat, not of what is in it.
    found.fields.iter().filter(|field| field.mask.is_none() && !field.name.contains('.')).count() + 1
}

#[divan::bench(args = READERS.map(|(name, ..)| name))]
fn reading(bencher: Bencher<'_, '_>, name: &str) {
    let reader = READERS.into_iter().find(|(found, ..)| *found == name).expect("listed").1;
    bencher.counter(ItemsCount::new(1_usize)).bench(|| reader(black_box(HEARTBEAT)));
}

/// A request to create a container, with the fields that matter of it.
#[derive(Clone, PartialEq, prost::Message)]
struct Create {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(string, tag = "2")]
    exec_id: String,
    #[prost(message, repeated, tag = "5")]
    storages: Vec<Storage>,
    #[prost(message, optional, tag = "6")]
    oci: Option<Spec>,
    #[prost(bool, tag = "7")]
    sandbox_pidns: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Storage {
    #[prost(string, tag = "1")]
    driver: String,
    #[prost(string, tag = "3")]
    source: String,
    #[prost(string, tag = "4")]
    fstype: String,
    #[prost(string, repeated, tag = "5")]
    options: Vec<String>,
    #[prost(string, tag = "6")]
    mount_point: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Spec {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(message, optional, tag = "2")]
    process: Option<Process>,
    #[prost(message, repeated, tag = "5")]
    mounts: Vec<Mount>,
    #[prost(btree_map = "string, string", tag = "7")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Process {
    #[prost(bool, tag = "1")]
    terminal: bool,
    #[prost(message, optional, tag = "3")]
    user: Option<User>,
    #[prost(string, repeated, tag = "4")]
    args: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    env: Vec<String>,
    #[prost(string, tag = "6")]
    cwd: String,
    #[prost(int64, tag = "11")]
    oom_score_adj: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct User {
    #[prost(uint32, tag = "1")]
    uid: u32,
    #[prost(uint32, tag = "2")]
    gid: u32,
    #[prost(uint32, repeated, tag = "3")]
    additional_gids: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Mount {
    #[prost(string, tag = "1")]
    destination: String,
    #[prost(string, tag = "2")]
    source: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, repeated, tag = "4")]
    options: Vec<String>,
}

/// The same as text.
const CREATE: &str = r#"
    message Create {
        string container_id = 1; string exec_id = 2; repeated Storage storages = 5; Spec OCI = 6;
        bool sandbox_pidns = 7;
    }
    message Storage {
        string driver = 1; string source = 3; string fstype = 4; repeated string options = 5;
        string mount_point = 6;
    }
    message Spec {
        string Version = 1; Process Process = 2; repeated Mount Mounts = 5; map<string, string> Annotations = 7;
    }
    message Process {
        bool Terminal = 1; User User = 3; repeated string Args = 4; repeated string Env = 5; string Cwd = 6;
        int64 OOMScoreAdj = 11;
    }
    message User { uint32 UID = 1; uint32 GID = 2; repeated uint32 AdditionalGids = 3; }
    message Mount { string destination = 1; string source = 2; string type = 3; repeated string options = 4; }
"#;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::parse(&[Source { name: "create.proto", text: CREATE }]).expect("what the language has")
});

/// Where the messages in a message are.
struct Inside(&'static [(u32, Inside)]);

const LEAF: Inside = Inside(&[]);
const CREATE_INSIDE: Inside =
    Inside(&[(5, LEAF), (6, Inside(&[(2, Inside(&[(3, LEAF)])), (5, LEAF), (7, LEAF)]))]);

static REQUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mount = |destination: &str, kind: &str| Mount {
        destination: destination.to_owned(),
        source: kind.to_owned(),
        kind: kind.to_owned(),
        options: texts(&["nosuid", "noexec", "nodev", "relatime", "rw"]),
    };
    let process = Process {
        terminal: false,
        user: Some(User { uid: 1000, gid: 1000, additional_gids: vec![4, 24, 27, 30, 46] }),
        args: texts(&["/bin/sh", "-c", "while true; do sleep 3600; done"]),
        env: texts(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=c1",
            "TERM=xterm",
        ]),
        cwd: "/".to_owned(),
        oom_score_adj: -998,
    };
    let annotations = ["container-type", "sandbox-id", "sandbox-name", "image-name"];
    let spec = Spec {
        version: "1.0.2".to_owned(),
        process: Some(process),
        mounts: ["/proc", "/dev", "/dev/pts", "/dev/shm", "/sys", "/run"]
            .map(|at| mount(at, "tmpfs"))
            .to_vec(),
        annotations: annotations
            .map(|key| (format!("io.kubernetes.cri.{key}"), "0123456789abcdef".repeat(2)))
            .into(),
    };
    let storage = Storage {
        driver: "virtio-fs".to_owned(),
        source: "kataShared".to_owned(),
        fstype: "virtiofs".to_owned(),
        options: texts(&["nodev"]),
        mount_point: "/run/kata-containers/shared/containers/".to_owned(),
    };
    let id = "0123456789abcdef".repeat(4);
    let create = Create {
        container_id: id.clone(),
        exec_id: id,
        storages: vec![storage.clone(), storage],
        oci: Some(spec),
        sandbox_pidns: true,
    };
    create.encode_to_vec()
});

/// Every reader of protobuf with its name and how many parts it sees.
const PROTOBUF_READERS: [(&str, Reader, usize); 3] =
    [("prost", structs, 6), ("walk", walk, 96), ("dissect", named, 93)];

fn structs(bytes: &[u8]) -> usize {
    let create = black_box(Create::decode(bytes).expect("protobuf"));
    create.oci.map_or(0, |spec| spec.mounts.len())
}

fn walk(bytes: &[u8]) -> usize {
    walk_into(Walk::new(bytes), bytes, &CREATE_INSIDE)
}

/// Every field, with those of the messages in it.
fn walk_into(walk: Walk<'_>, bytes: &[u8], inside: &Inside) -> usize {
    let mut count = 0;
    for field in walk {
        let field = black_box(field.expect("protobuf"));
        count += 1;
        if let FieldValue::Len(part) = field.value
            && let Some((_, inside)) = inside.0.iter().find(|(number, _)| *number == field.number)
        {
            count += walk_into(Walk::within(bytes, part), bytes, inside);
        }
    }
    count
}

fn named(bytes: &[u8]) -> usize {
    black_box(protobuf::dissect(&SCHEMA, "Create", bytes, 0)).fields.len()
}

#[divan::bench(args = PROTOBUF_READERS.map(|(name, ..)| name))]
fn reading_protobuf(bencher: Bencher<'_, '_>, name: &str) {
    let reader = PROTOBUF_READERS.into_iter().find(|(found, ..)| *found == name).expect("listed").1;
    bencher.counter(ItemsCount::new(1_usize)).bench(|| reader(black_box(&REQUEST)));
}

/// Nanoseconds per message of each reader, in turns.
fn print_readings<const N: usize>(kind: &str, message: &[u8], readers: [(&str, Reader, usize); N]) {
    const TURNS: usize = 201;
    const EACH: usize = 100;
    let mut times = readers.map(|_| Vec::with_capacity(TURNS));
    for _ in 0..TURNS {
        for ((name, reader, parts), times) in readers.iter().zip(&mut times) {
            let start = Instant::now();
            let count = (0..EACH).map(|_| reader(black_box(message))).sum::<usize>();
            times.push(start.elapsed());
            assert_eq!(count, parts * EACH, "`{name}` reads every part");
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[TURNS / 2].as_secs_f64() * 1e9 / EACH as f64
    });
    for ((name, ..), time) in readers.iter().zip(&medians) {
        let ratio = time / medians[0];
        println!("{kind:<8} {:>5}  {name:<10}  {time:>9.2}   {ratio:>5.2} x {}", message.len(), readers[0].0);
    }
}

fn main() {
    divan::main();
    // `cargo test --benches` and `--list` want no numbers.
    if !std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        println!("\nframing  frame  contender    ns/frame   ratio");
        print_ratios::<Lxc>(borrowing::<Lxc>());
        print_ratios::<Libvirt>(borrowing::<Libvirt>());
        print_ratios::<Ttrpc>(borrowing::<Ttrpc>());
        print_ratios::<Lines>(borrowing_json::<Lines>());
        print_ratios::<Values>(borrowing_json::<Values>());
        print_readings("json", HEARTBEAT, READERS);
        print_readings("protobuf", &REQUEST, PROTOBUF_READERS);
    }
}
