//! A capture for Wireshark, in the pcapng format
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>).
//!
//! ```text
//! section header          comment: provenance
//! interface 0 "wire"      link type RAW (101): every connection as a TCP connection over IPv4
//! interface 1 "events"    link type WIRESHARK_UPPER_PDU (252): what is not on the wire, as lines of text
//! enhanced packets        time in microseconds, direction flag, comments
//! ```
//!
//! TCP is made up, since it is what Wireshark's tools work on: *Follow Stream* shows a conversation, filters and
//! statistics tell connections apart, and dissectors reassemble messages that are spread over blocks.
//!
//! | event | packet |
//! |---|---|
//! | connect | SYN, SYN ACK, ACK; client `10.1.0.0` port 1023 + number of the connection, server `10.0.0.1` port [`SERVER_PORT`] |
//! | data | one segment, or several where a block is longer than one; descriptors and credentials as comments |
//! | first EOF of a side, reset | FIN, RST; detail as comment |
//! | all else | one line of text on interface 1, as it stands in the `.wire` file |
//!
//! To have the payload dissected: `tshark -d tcp.port==49152,http -r fixture.pcapng`. Times count from 1970, since
//! a transcript knows no time of day.

use std::collections::BTreeMap;

use wire::Direction;

use crate::text::{event_line, render_front_matter};
use crate::{ConnId, Event, EventKind, Transcript};

/// Port of the server in an exported capture: the first of the dynamic ports, which belongs to no protocol.
pub const SERVER_PORT: u16 = 49152;

const SERVER_ADDRESS: [u8; 4] = [10, 0, 0, 1];
const LINKTYPE_RAW: u16 = 101;
const LINKTYPE_WIRESHARK_UPPER_PDU: u16 = 252;
const WIRE: u32 = 0;
const EVENTS: u32 = 1;

const OPT_ENDOFOPT: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Longest value of an option that is written; options count in 16 bits, with padding.
const OPTION_LEN_MAX: usize = 65_000;
/// IPv4 counts the packet in 16 bits; 20 bytes each for its header and that of TCP.
const SEGMENT_LEN_MAX: usize = 65_535 - 40;
/// Longest line on interface 1: readers refuse packets above 256 KiB.
const LINE_LEN_MAX: usize = 200_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Writes a transcript as a capture.
#[must_use]
pub fn pcapng(transcript: &Transcript) -> Vec<u8> {
    let mut capture = Capture { out: Vec::new(), conns: BTreeMap::new() };
    capture.section_header(transcript);
    capture.interface(LINKTYPE_RAW, "wire");
    capture.interface(LINKTYPE_WIRESHARK_UPPER_PDU, "events");
    for event in &transcript.events {
        capture.event(event);
    }
    capture.out
}

struct Capture {
    out: Vec<u8>,
    conns: BTreeMap<ConnId, Tcp>,
}

/// The made-up TCP connection: next sequence number and whether FIN was sent, client first.
#[derive(Default, Clone, Copy)]
struct Tcp {
    sequence: [u32; 2],
    finished: [bool; 2],
}

impl Capture {
    fn event(&mut self, event: &Event) {
        let (dir, side) = (event.dir, index(event.dir));
        let tcp = self.conns.get(&event.conn).copied();
        match (&event.kind, tcp) {
            (EventKind::Connect, None) if dir == Direction::ToServer => {
                self.conns.insert(event.conn, Tcp::default());
                self.segment(event, dir, SYN, &[], &[]);
                self.segment(event, dir.reversed(), SYN | ACK, &[], &[]);
                self.segment(event, dir, ACK, &[], &[]);
            }
            (EventKind::Data(data), _) => {
                let mut comments = Vec::new();
                if !data.fds.is_empty() {
                    let fds: Vec<_> = data.fds.iter().map(|fd| fd.0.as_str()).collect();
                    comments.push(format!("descriptors: {}", fds.join(", ")));
                }
                if let Some(creds) = data.creds {
                    comments
                        .push(format!("credentials: pid {} uid {} gid {}", creds.pid, creds.uid, creds.gid));
                }
                let count = data.bytes.len().div_ceil(SEGMENT_LEN_MAX);
                for (index, part) in data.bytes.chunks(SEGMENT_LEN_MAX).enumerate() {
                    if count > 1 {
                        comments.push(format!("part {} of {count} of one block", index + 1));
                    }
                    self.segment(event, dir, PSH | ACK, part, &comments);
                    comments.clear();
                }
            }
            (EventKind::Eof(detail), Some(tcp)) if !tcp.finished[side] => {
                self.segment(event, dir, FIN | ACK, &[], detail.as_slice());
                self.conns.entry(event.conn).or_default().finished[side] = true;
            }
            (EventKind::Reset, Some(_)) => self.segment(event, dir, RST | ACK, &[], &[]),
            _ => self.line(event),
        }
    }

    fn section_header(&mut self, transcript: &Transcript) {
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // Length of the section: not stated.
        body.extend((-1_i64).to_le_bytes());
        option(&mut body, OPT_COMMENT, render_front_matter(&transcript.provenance).as_bytes());
        option(&mut body, SHB_USERAPPL, concat!("wireskew ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(&mut body, OPT_ENDOFOPT, &[]);
        self.block(0x0a0d_0d0a, &body);
    }

    fn interface(&mut self, link_type: u16, name: &str) {
        let mut body = Vec::new();
        body.extend(link_type.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // No limit on the length of a packet.
        body.extend(0_u32.to_le_bytes());
        option(&mut body, IF_NAME, name.as_bytes());
        // Times are in units of 10^-6 s.
        option(&mut body, IF_TSRESOL, &[6]);
        option(&mut body, OPT_ENDOFOPT, &[]);
        self.block(1, &body);
    }

    /// One TCP segment.
    fn segment(&mut self, event: &Event, dir: Direction, flags: u8, payload: &[u8], comments: &[String]) {
        let tcp = self.conns.entry(event.conn).or_default();
        let (from, to) = (index(dir), index(dir.reversed()));
        let acknowledged = if flags & ACK == 0 { 0 } else { tcp.sequence[to] };
        let packet = packet(event.conn, dir, flags, [tcp.sequence[from], acknowledged], payload);
        // SYN and FIN count as one byte each.
        let taken = payload.len() as u64 + u64::from(flags & (SYN | FIN) != 0);
        let taken = u32::try_from(taken).expect("a segment is shorter than 65536 bytes");
        tcp.sequence[from] = tcp.sequence[from].wrapping_add(taken);
        self.packet(WIRE, event.at_us, dir, &packet, comments);
    }

    /// One line of text, which Wireshark shows as such.
    fn line(&mut self, event: &Event) {
        const DISSECTOR: &[u8; 16] = b"data-text-lines\0";
        let mut packet = Vec::new();
        // Tag 12: name of the dissector. Then the tag that ends the list.
        packet.extend([0, 12, 0, 16]);
        packet.extend(DISSECTOR);
        packet.extend([0; 4]);
        let line = event_line(event);
        packet.extend(cut(line.as_bytes(), LINE_LEN_MAX));
        packet.push(b'\n');
        self.packet(EVENTS, event.at_us, event.dir, &packet, &[line]);
    }

    fn packet(&mut self, interface: u32, at_us: u64, dir: Direction, packet: &[u8], comments: &[String]) {
        let len = u32::try_from(packet.len()).expect("packets are cut below 256 KiB");
        let time = at_us.to_le_bytes();
        let mut body = Vec::with_capacity(packet.len() + 64);
        body.extend(interface.to_le_bytes());
        body.extend(&time[4..]);
        body.extend(&time[..4]);
        body.extend(len.to_le_bytes());
        body.extend(len.to_le_bytes());
        pad(&mut body, packet);
        // Seen from the client: 2 is outbound, 1 is inbound.
        let flags: u32 = if dir == Direction::ToServer { 2 } else { 1 };
        option(&mut body, EPB_FLAGS, &flags.to_le_bytes());
        for comment in comments {
            option(&mut body, OPT_COMMENT, comment.as_bytes());
        }
        option(&mut body, OPT_ENDOFOPT, &[]);
        self.block(6, &body);
    }

    /// Type, length, body, and the length again.
    fn block(&mut self, kind: u32, body: &[u8]) {
        let len = u32::try_from(body.len() + 12).expect("packets and options are cut far below 4 GiB");
        self.out.extend(kind.to_le_bytes());
        self.out.extend(len.to_le_bytes());
        self.out.extend(body);
        self.out.extend(len.to_le_bytes());
    }
}

fn index(dir: Direction) -> usize {
    match dir {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

/// Code, length, value, and zeros up to the next multiple of four.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = cut(value, OPTION_LEN_MAX);
    let len = u16::try_from(value.len()).expect("the value was cut");
    out.extend(code.to_le_bytes());
    out.extend(len.to_le_bytes());
    pad(out, value);
}

fn pad(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// At most `max` bytes of a text, and no half character at the end.
fn cut(text: &[u8], max: usize) -> &[u8] {
    let mut end = text.len().min(max);
    while end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// An IPv4 packet with a TCP segment.
fn packet(
    conn: ConnId,
    dir: Direction,
    flags: u8,
    [sequence, acknowledged]: [u32; 2],
    payload: &[u8],
) -> Vec<u8> {
    // 64000 connections to an address, then the next one.
    let number = conn.0.saturating_sub(1);
    let port = u16::try_from(1024 + number % 64_000).expect("at most 65023");
    let [_, _, high, low] = (number / 64_000).to_be_bytes();
    let client = ([10, 1, high, low], port);
    let server = (SERVER_ADDRESS, SERVER_PORT);
    let (source, destination) = if dir == Direction::ToServer { (client, server) } else { (server, client) };

    let tcp_len = u16::try_from(20 + payload.len()).expect("a segment is at most 65495 bytes long");
    let mut tcp = Vec::with_capacity(usize::from(tcp_len));
    tcp.extend(source.1.to_be_bytes());
    tcp.extend(destination.1.to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledged.to_be_bytes());
    // Header of five words, flags, window, checksum, no urgent data.
    tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let pseudo_header = [source.0, destination.0, [0, 6, tcp_len.to_be_bytes()[0], tcp_len.to_be_bytes()[1]]];
    let sum = checksum(&[pseudo_header.as_flattened(), &tcp]);
    tcp[16..18].copy_from_slice(&sum);

    let mut ip = Vec::with_capacity(20 + tcp.len());
    ip.extend([0x45, 0]);
    ip.extend((20 + tcp_len).to_be_bytes());
    // Identification, do not fragment, time to live, TCP, checksum.
    ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(source.0);
    ip.extend(destination.0);
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum);
    ip.extend(tcp);
    ip
}

/// The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words. Every part but
/// the last has an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 =
        words.map(|word| u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("folded to 16 bits")).to_be_bytes()
}
