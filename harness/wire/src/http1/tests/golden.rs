//! Conversations with dockerd 28.5.2 as they were recorded, in the format of raw recordings. `golden/` holds them.

use serde_json::Value;

use super::*;
use crate::multiplex;

/// Who said what, and who ended.
fn turns(text: &str) -> Vec<(Direction, Vec<u8>)> {
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let dir = if event["dir"] == "c2s" { UP } else { DOWN };
        match event["hex"].as_str() {
            Some(hex) => Some((dir, bytes(hex))),
            None => (event["event"] == "eof").then_some((dir, Vec::new())),
        }
    };
    text.lines().skip(1).filter_map(event).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

fn kind(frame: &Frame) -> String {
    let name = match frame.kind {
        HEAD => "HEAD",
        WHOLE => "WHOLE",
        BODY => "BODY",
        CHUNKED => "CHUNKED",
        PIECE => "PIECE",
        RESPONSE => "RESPONSE",
        INTERIM => "INTERIM",
        SWITCH => "SWITCH",
        _ => "RAW",
    };
    let status = Response::of(frame).map_or(String::new(), |response| format!(" {}", response.status));
    let body = Body::of(frame).filter(|body| !body.data.is_empty());
    format!("{name}{status}{}", body.map_or(String::new(), |body| format!(" {}", body.data.len())))
}

/// What each of the files is framed as, and how the client's stream ends.
const EXPECT: &[(&str, &str, &str, Result<(), &str>)] = &[
    ("chunk-valid", "HEAD, CHUNKED 2, WHOLE", "RESPONSE 400 68, RESPONSE 200 2", Ok(())),
    ("exec-hijack-stdin", "HEAD, BODY 28, RAW 8", "SWITCH 101, RAW 24", Ok(())),
    ("expect-100-continue", "HEAD, BODY 10240", "INTERIM 100, RESPONSE 200 86", Ok(())),
    ("h2-preface", "", "RESPONSE 301", Err("version")),
    ("length-and-chunked", "HEAD, CHUNKED 2, WHOLE", "RESPONSE 400 68, RESPONSE 200 2", Ok(())),
    ("logs", "WHOLE, WHOLE", "RESPONSE 200 24, RESPONSE 200 2", Ok(())),
    ("missing-attach-plain", "WHOLE", "RESPONSE 404 25", Ok(())),
    ("ping-head", "WHOLE, WHOLE", "RESPONSE 200, RESPONSE 200 2", Ok(())),
    (
        "pipelined-5",
        "WHOLE, WHOLE, WHOLE, WHOLE, WHOLE",
        "RESPONSE 200 2, RESPONSE 404 29, RESPONSE 404 38, RESPONSE 400 117, RESPONSE 200 2",
        Ok(()),
    ),
];

#[test]
fn recorded_conversations_are_framed_in_any_pieces() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http1/tests/golden");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("it is in the repository") {
        let path = entry.expect("it is in the repository").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let text = std::fs::read_to_string(&path).expect("text");
        let turns = turns(&text);
        let turns: Vec<_> = turns.iter().map(|(dir, bytes)| (*dir, &bytes[..])).collect();
        let whole = said(&turns, usize::MAX);
        let longest = turns.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        for piece in 1..longest {
            assert_eq!(said(&turns, piece), whole, "{name} in pieces of {piece}");
        }
        let [client, server] =
            whole.each_ref().map(|said| said.frames.iter().map(kind).collect::<Vec<_>>().join(", "));
        let found = (name, &client[..], &server[..], whole[0].end.map_err(|error| error.field));
        assert_eq!(EXPECT.iter().find(|expect| expect.0 == name), Some(&found));
        assert_eq!(whole[1].end, Ok(()), "{name}: what a daemon says is framed");
        count += 1;
    }
    assert_eq!(count, EXPECT.len());
}

/// Chunk borders mean nothing: pieces of two streams lie in chunks.
#[test]
fn logs_are_multiplexed_in_chunks() {
    let turns = turns(include_str!("golden/logs.jsonl"));
    let turns: Vec<_> = turns.iter().map(|(dir, bytes)| (*dir, &bytes[..])).collect();
    let [_, server] = said(&turns, usize::MAX);
    let bodies = server.frames.iter().map(|frame| Body::of(frame).expect("whole").data);
    let found: Vec<_> = bodies.filter(|data| multiplex::looks_multiplexed(data)).collect();
    assert_eq!(found.len(), 1);
    let streams = multiplex::join(&found[0]).expect("whole pieces");
    assert_eq!((&streams.stdout[..], &streams.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
}
