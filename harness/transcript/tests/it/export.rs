//! Captures for Wireshark.

use std::process::Command;

use transcript::export::{SERVER_PORT, pcapng};
use transcript::text::render;
use transcript::{ConnId, EventKind, Transcript};
use wire::Direction::{ToClient, ToServer};

use crate::samples::{data, event, everything, not_run};

/// The output of a tool, or `None` with a loud word where it is not installed.
fn run(tool: &str, args: &[&str]) -> Option<String> {
    match Command::new(tool).args(args).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool} {args:?}: {said}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            not_run(&format!("`{tool}` cannot be started ({error}); what it reads is not checked here"));
            None
        }
    }
}

/// Blocks of a capture: type and body. Lengths in front and behind must agree.
fn blocks(mut capture: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    while !capture.is_empty() {
        let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
        let len = word(4) as usize;
        assert_eq!(len % 4, 0, "blocks are whole words");
        assert_eq!(word(len - 4) as usize, len, "both lengths agree");
        blocks.push((word(0), capture[8..len - 4].to_vec()));
        capture = &capture[len..];
    }
    blocks
}

/// A block beyond one segment, of which no two lines of a dump that follow each other are alike: text2pcap passes over
/// folded ones.
fn big() -> Vec<u8> {
    (0..70_000).map(|at| if at % 32 == 31 { 0x5b } else { 0x5a }).collect()
}

/// Two connections with everything that TCP can show.
fn conversation() -> Transcript {
    let big = big();
    Transcript {
        provenance: everything().provenance,
        events: vec![
            event(0, 1, ToServer, EventKind::Connect),
            event(5, 2, ToServer, EventKind::Connect),
            event(10, 1, ToServer, data(b"GET / HTTP/1.1\r\nHost: a\r\n")),
            event(11, 1, ToServer, data(b"\r\n")),
            event(15, 2, ToServer, data(&big)),
            event(1_000_020, 1, ToClient, data(b"HTTP/1.1 204 No Content\r\n\r\n")),
            event(1_000_030, 1, ToServer, EventKind::Eof(Some("half-close".into()))),
            event(1_000_040, 1, ToClient, EventKind::Eof(None)),
            event(1_000_050, 2, ToClient, EventKind::Reset),
        ],
    }
}

#[test]
fn capture_has_the_structure_of_pcapng() {
    let capture = pcapng(&everything());
    let kinds: Vec<_> = blocks(&capture).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..3], [0x0a0d_0d0a, 1, 1], "section header and two interfaces");
    assert!(kinds[3..].iter().all(|kind| *kind == 6), "then packets");
    // Every event is one packet, but connecting takes three.
    assert_eq!(kinds.len() - 3, everything().events.len() + 2);
}

#[test]
fn packet_is_the_one_worked_out_by_hand() {
    // Checksums by another implementation (a few lines of Python).
    let transcript = Transcript {
        events: vec![
            event(0, 1, ToServer, EventKind::Connect),
            event(0x1_0000_0002, 1, ToServer, data(b"abc")),
        ],
        ..Transcript::default()
    };
    let capture = pcapng(&transcript);
    let blocks = blocks(&capture);
    assert_eq!(blocks.len(), 7);
    #[rustfmt::skip]
    let expect = [
        0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 43, 0, 0, 0, 43, 0, 0, 0,
        0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6, 0x26, 0xcc, 10, 1, 0, 0, 10, 0, 0, 1,
        0x04, 0x00, 0xc0, 0x00, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0x13, 0x63, 0, 0, b'a', b'b', b'c', 0,
        2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(blocks[6].1, expect);
}

#[test]
fn tshark_follows_the_streams() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.pcapng");
    std::fs::write(&file, pcapng(&conversation())).unwrap();
    let file = file.to_str().unwrap();
    let decode = format!("tcp.port=={SERVER_PORT},http");
    let checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];

    let bad =
        ["-Y", "_ws.malformed or tcp.analysis.flags or tcp.checksum.status==0 or ip.checksum.status==0"];
    let Some(bad) = run("tshark", &[&["-r", file][..], &checks, &bad].concat()) else { return };
    assert_eq!(bad, "", "packets with which tshark finds fault");

    let http = run(
        "tshark",
        &[
            "-r",
            file,
            "-d",
            &decode,
            "-Y",
            "http",
            "-T",
            "fields",
            "-e",
            "tcp.stream",
            "-e",
            "frame.time_epoch",
            "-e",
            "http.request.uri",
            "-e",
            "http.response.code",
        ],
    )
    .unwrap();
    assert_eq!(http, "0\t0.000011000\t/\t\n0\t1.000020000\t\t204\n");

    let raw = run("tshark", &["-r", file, "-q", "-z", "follow,tcp,raw,1"]).unwrap();
    let digits: String = raw.lines().filter(|line| line.starts_with("5a")).collect();
    let whole: String = big().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, whole, "a block beyond one segment is whole");

    let ends = run(
        "tshark",
        &[
            "-r",
            file,
            "-Y",
            "tcp.flags.fin==1 or tcp.flags.reset==1",
            "-T",
            "fields",
            "-e",
            "tcp.srcport",
            "-e",
            "frame.comment",
        ],
    )
    .unwrap();
    assert_eq!(ends, "1024\thalf-close\n49152\t\n49152\t\n");
}

#[test]
fn tshark_shows_what_is_not_on_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.pcapng");
    std::fs::write(&file, pcapng(&everything())).unwrap();
    let args = [
        "-r",
        file.to_str().unwrap(),
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-e",
        "frame.comment",
        "-e",
        "data-text-lines",
    ];
    let Some(shown) = run("tshark", &args) else { return };
    insta::assert_snapshot!(shown);
}

/// The packets that `text2pcap` makes of a `.wire` text are the blocks of data, in order, with direction and time.
#[test]
fn text2pcap_reads_the_text_form() {
    let mut transcript = conversation();
    // Connection 3 has bytes, descriptors and a text column that look like offsets.
    for mut event in everything().events {
        if event.conn == ConnId(1) {
            event.conn = ConnId(3);
            event.at_us += 2_000_000;
            transcript.events.push(event);
        }
    }
    assert_eq!(transcript.check(), Ok(()));
    let blocks: Vec<_> = transcript
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Data(data) => {
                let flags = if event.dir == ToServer { 2 } else { 1 };
                let hex: String = data.bytes.iter().map(|b| format!("{b:02x}")).collect();
                Some(format!(
                    "{}.{:06}000\t0x{flags:08x}\t{hex}\n",
                    event.at_us / 1_000_000,
                    event.at_us % 1_000_000
                ))
            }
            _ => None,
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (text, capture) = (folder.path().join("a.wire"), folder.path().join("a.pcapng"));
    std::fs::write(&text, render(&transcript)).unwrap();
    let (text, capture) = (text.to_str().unwrap(), capture.to_str().unwrap());
    if run("text2pcap", &["-q", "-D", "-t", "%s.%f", "-l", "147", text, capture]).is_none() {
        return;
    }
    let Some(read) = run(
        "tshark",
        &[
            "-r",
            capture,
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
            "-e",
            "frame.packet_flags",
            "-e",
            "data.data",
        ],
    ) else {
        return;
    };
    assert_eq!(read, blocks.concat());
}
