//! Raw recordings become transcripts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use transcript::import::raw;
use transcript::text::{parse, render};
use transcript::{ConnId, EventKind, Transcript};
use wire::Direction::{ToClient, ToServer};

use crate::samples::not_run;

/// Name of a folder whose raw recordings are imported too, for runs with all of them.
const FOLDER: &str = "WIRESKEW_RAW_RECORDINGS";

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/raw")
}

fn sample(name: &str) -> Transcript {
    let text = std::fs::read_to_string(samples().join(name)).unwrap();
    raw::import(&text).unwrap()
}

/// All `.jsonl` files below a folder.
fn recordings(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                found.insert(path);
            }
        }
    }
    found
}

/// Every byte of the raw file is in the transcript, per label of a connection in order of opening, and the text reads
/// back as the same transcript.
#[track_caller]
fn import_faithfully(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let transcript = raw::import(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(transcript.check(), Ok(()), "{}", path.display());
    let rendered = render(&transcript);
    let again = parse(&rendered).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(again, transcript, "{}", path.display());

    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let blocks = transcript.events.iter().filter_map(|event| match &event.kind {
        EventKind::Data(data) => Some((event.at_us, event.dir.to_string(), hex(&data.bytes))),
        _ => None,
    });
    let raw = text.lines().skip(1).filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let at_us = (line["t_ms"].as_f64().unwrap() * 1000.0).round() as u64;
        Some((at_us, line["dir"].as_str().unwrap().to_owned(), line.get("hex")?.as_str().unwrap().to_owned()))
    });
    assert!(blocks.eq(raw), "{}: the bytes are those of the recording", path.display());
}

#[test]
fn imports_samples_faithfully() {
    let samples = recordings(&samples());
    assert_eq!(samples.len(), 5);
    for path in samples {
        import_faithfully(&path);
    }
}

#[test]
fn imports_a_folder_of_recordings_faithfully_if_one_is_named() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        not_run(&format!("set `{FOLDER}` to a folder with raw recordings to import all of them"));
        return;
    };
    let recordings = recordings(Path::new(&folder));
    assert!(!recordings.is_empty(), "`{FOLDER}` names a folder without recordings");
    for path in recordings {
        import_faithfully(&path);
    }
}

#[test]
fn numbers_connections_as_they_open() {
    let run = sample("docker-cli-28.5.2..dockerd-20.10.24.run-tty.jsonl");
    assert_eq!(run.conns(), [ConnId(1), ConnId(2), ConnId(3)]);
    assert!(run.stream(ConnId(1), ToServer).starts_with(b"HEAD /_ping "));
    assert!(run.stream(ConnId(2), ToServer).starts_with(b"POST "));
}

#[test]
fn keeps_replaced_builds_in_provenance_and_as_marks() {
    let migration = sample("vdsm-4.16.38-then-4.19.51..oga-1.0.9.migration.jsonl");
    let [change] = &migration.provenance.builds[..] else { panic!("{:?}", migration.provenance.builds) };
    assert_eq!((migration.provenance.client.id.as_str(), change.client.id.as_str()), ("4.16.38", "4.19.51"));
    assert_eq!(change.server, migration.provenance.server);
    let mark = migration.events.iter().find_map(|event| match &event.kind {
        EventKind::Mark(mark) if mark.label == "builds" => {
            Some((event.at_us, event.conn, mark.args["client"].as_str()))
        }
        _ => None,
    });
    assert_eq!(mark, Some((change.from_us, ConnId(0), "vdsm 4.19.51")));
}

#[test]
fn shows_marks_details_and_observations() {
    let mut shown = sample("vdsm-4.14.17..probe.negative-heartbeat.jsonl");
    assert_eq!(
        shown.provenance.recorder,
        concat!("wireskew ", env!("CARGO_PKG_VERSION"), " from raw-recording/1")
    );
    // The snapshot does not change with the version.
    shown.provenance.recorder = "[recorder]".into();
    insta::assert_snapshot!(render(&shown));
}

#[test]
fn reset_is_an_event_and_the_timeout_comes_from_the_detail() {
    let smuggle = sample("probe..shim-2.1.9.data-unknown-stream.jsonl");
    let resets = smuggle.events.iter().filter(|e| e.kind == EventKind::Reset && e.dir == ToClient).count();
    assert_eq!(resets, 1);
    check(
        "{\"t_ms\":9,\"event\":\"timeout\",\"dir\":\"s2c\",\"detail\":\"nothing for 2 s\"}",
        &[EventKind::Timeout(2000)],
    );
    check("{\"t_ms\":9,\"event\":\"timeout\",\"dir\":\"s2c\"}", &[EventKind::Timeout(8)]);
}

const HEADER: &str = r#"{"format":"raw-recording/1","protocol":"p","client":{"name":"probe","version":"1"},"server":{"name":"s","version":"2"},"recorded":"2026-11-20","transport":"unix-stream","scenario":"a b","note":"","new":{}}"#;
const CONNECT: &str = r#"{"t_ms":1.0,"event":"connect","dir":"c2s"}"#;

/// The line behind header and connect becomes these events; a trailing `detail` aside.
#[track_caller]
fn check(line: &str, expect: &[EventKind]) {
    let transcript = raw::import(&format!("{HEADER}\n{CONNECT}\n{line}\n")).unwrap();
    let kinds: Vec<_> = transcript.events[1..].iter().map(|e| &e.kind).collect();
    let kinds: Vec<_> = kinds
        .into_iter()
        .filter(|k| !matches!(k, EventKind::Observe { key, .. } if key == "detail"))
        .collect();
    assert_eq!(kinds, expect.iter().collect::<Vec<_>>());
}

#[track_caller]
fn refuse(text: &str, expect: &str) {
    assert_eq!(raw::import(text).expect_err("refused").to_string(), expect);
}

#[test]
fn refuses_with_line_and_reason() {
    let with = |line: &str| format!("{HEADER}\n{CONNECT}\n{line}\n");
    refuse("", "line 1: empty file, expected the header of a raw recording");
    refuse(
        "{\"format\":\"raw-recording/2\"}",
        "line 1: format `raw-recording/2`, only `raw-recording/1` can be read",
    );
    refuse("# wireskew", "line 1: column 1: expected value");
    refuse("{\"format\":\"raw-recording/1\"}", "line 1: column 28: missing field `protocol`");
    refuse(&with("{\"t_ms\":2,\"dir\":\"c2s\""), "line 3: column 21: EOF while parsing an object");
    refuse(&with("{\"t_ms\":2,\"dir\":\"c2s\"}"), "line 3: expected either `hex` or `event`");
    refuse(&with("{\"t_ms\":2,\"dir\":\"c2s\",\"hex\":\"\"}"), "line 3: data without a byte");
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"c2s\",\"hex\":\"0g\"}"),
        "line 3: `hex` is wrong at its character 1, expected pairs of lower-case hexadecimal digits",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"c2s\",\"hex\":\"0\"}"),
        "line 3: `hex` is wrong at its character 1, expected pairs of lower-case hexadecimal digits",
    );
    refuse(
        &with("{\"t_ms\":0.5,\"dir\":\"c2s\",\"hex\":\"00\"}"),
        "line 3: time goes back from 1000 us to 500 us",
    );
    refuse(
        &with("{\"t_ms\":-1,\"dir\":\"c2s\",\"hex\":\"00\"}"),
        "line 3: `t_ms` is -1, expected milliseconds from 0 up to 31622400000",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"c2s\",\"event\":\"fin\"}"),
        "line 3: unknown event `fin`, expected `connect`, `eof`, `reset`, `timeout` or `exit`",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"up\",\"event\":\"eof\"}"),
        "line 3: column 20: unknown variant `up`, expected `c2s` or `s2c`",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"c2s\",\"event\":\"eof\",\"x\":1}"),
        "line 3: column 39: unknown field `x`, expected one of `t_ms`, `dir`, `hex`, `event`, `detail`, `conn`",
    );
    refuse(
        &with("{\"t_ms\":2,\"t_ms\":2,\"dir\":\"c2s\",\"event\":\"eof\"}"),
        "line 3: column 16: duplicate field `t_ms`",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"c2s\",\"hex\":\"00\",\"conn\":\"B\"}"),
        "line 3: connection 0 is not open: no client connected on it before",
    );
    refuse(
        &with("{\"t_ms\":2,\"dir\":\"s2c\",\"event\":\"eof\"}\n{\"t_ms\":3,\"dir\":\"s2c\",\"hex\":\"00\"}"),
        "line 4: bytes from the server of connection 1 after its eof",
    );
}

#[test]
fn any_damage_is_imported_or_refused() {
    let text = std::fs::read(samples().join("probe..shim-2.1.9.data-unknown-stream.jsonl")).unwrap();
    for at in 0..text.len() {
        transcript::fuzz::import(&text[..at]);
        for other in *b"\x00\"09,}e-\n" {
            let mut damaged = text.clone();
            damaged[at] = other;
            transcript::fuzz::import(&damaged);
        }
    }
}
