use bytes::Bytes;
use wire::http1::{HEAD, WHOLE};

use super::*;

fn request(line: &str) -> Frame {
    let bytes = Bytes::from(format!("{line} HTTP/1.1\r\nHost: d\r\n\r\n"));
    Frame { kind: WHOLE, head_len: bytes.len(), bytes }
}

fn answer_with(kind: &str, body: &[u8]) -> Frame {
    let head = format!("HTTP/1.1 {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    let bytes = [head.as_bytes(), body].concat();
    Frame { kind: RESPONSE, head_len: head.len(), bytes: bytes.into() }
}

/// What of an answer is compared, as `name=value`, with the mask of what is not.
fn compared(line: &str, kind: &str, body: &str) -> Vec<String> {
    let frame = answer_with(kind, body.as_bytes());
    let read = dissect(Direction::ToClient, &frame, Some(&request(line)));
    assert!(read.covers(frame.bytes.len()), "{line}: {read:?}");
    let fields =
        read.fields.iter().filter(|field| field.name.starts_with("body") && field.mask != Some(SYNTAX));
    let value = |field: &Field| match (&field.value, field.mask) {
        (_, Some(mask)) => format!("<{mask}>"),
        (Value::Text(text), None) => text.clone(),
        (value, None) => format!("{value:?}"),
    };
    fields.map(|field| format!("{}={}", field.name.trim_start_matches("body."), value(field))).collect()
}

#[track_caller]
fn check(line: &str, kind: &str, body: &str, expect: &[&str]) {
    assert_eq!(compared(line, kind, body), expect, "{line}");
}

#[test]
fn objects_are_compared_by_their_values() {
    let body = r#"{"Id":"5c1e","State":{"Running":true,"Pid":7},"Args":["a"],"Config":{"Image":"tiny:1"},"Driver":"vfs"}"#;
    let expect = [
        "Id=<id>",
        "State.Running=Bool(true)",
        "State.Pid=<moment>",
        "Args.0=a",
        "Config.Image=tiny:1",
        "Driver=<machine>",
    ];
    check("GET /v1.41/containers/aa/json", "200 OK", body, &expect);
}

#[test]
fn listings_are_compared_by_the_types_of_what_their_elements_have() {
    let body = r#"[{"Id":"a","Names":[],"Size":null},{"Id":"b","Names":["/x"],"Size":3,"Labels":{"a":"b"}}]"#;
    check(
        "GET /v1.41/containers/json",
        "200 OK",
        body,
        &["*.Id=a text", "*.Names.*=a text", "*.Size=a number"],
    );
    let body = r#"{"Runtimes":{"io.containerd.runc.v2":{"path":"runc"},"runc":{"path":"runc"}},"NCPU":2,"Warnings":null}"#;
    check("GET /v1.41/info", "200 OK", body, &["Runtimes.*.path=a text", "NCPU=a number"]);
    let lines = "{\"status\":\"a\"}\r\n{\"id\":\"b\"}\r\n";
    check("POST /v1.41/images/create?fromSrc=-", "200 OK", lines, &["status=a text", "id=a text"]);
    check("GET /v1.41/events", "200 OK", "", &[]);
}

#[test]
fn errors_are_compared_by_their_form() {
    check("GET /v1.41/containers/aa/json", "404 Not Found", "{\"message\":\"no\"}\n", &["message=<text>"]);
    check("GET /v1.23/containers/aa/json", "404 Not Found", "no\n", &["text=<text>"]);
}

#[test]
fn streams_are_compared_by_what_was_written_wherever_pieces_end() {
    let one = "\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01e\x01\0\0\0\0\0\0\x01!";
    check("GET /v1.41/containers/aa/logs", "200 OK", one, &["stdout=hi!", "stderr=e"]);
    check("GET /v1.41/containers/aa/logs", "200 OK", "tty\r\n", &["terminal=tty\r\n"]);
    let cut = answer_with("200 OK", b"\x01\0\0\0\0\0\0\x09hi");
    let read = dissect(Direction::ToClient, &cut, Some(&request("GET /v1.41/containers/aa/logs")));
    assert_eq!(read.problems.len(), 1, "{read:?}");
}

#[test]
fn what_was_asked_is_read_too() {
    let head =
        Bytes::from_static(b"POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n");
    let frame = Frame { kind: HEAD, head_len: head.len(), bytes: head };
    let read = dissect(Direction::ToServer, &frame, None);
    assert_eq!(read.title, "POST /v1.41/containers/create HTTP/1.1");
    assert!(read.covers(frame.bytes.len()));
}

#[test]
fn command_lines_are_told_where_their_words_are_plain() {
    #[track_caller]
    fn check(body: &str, expect: Option<&str>) {
        assert_eq!(command(&answer_with("200 OK", body.as_bytes())).as_deref(), expect, "{body}");
    }
    check(r#"{"Config":{"Cmd":["/bin/sleep","3000"]}}"#, Some("/bin/sleep 3000"));
    check(r#"{"Config":{"Cmd":["/bin/sh","-c","echo a"]}}"#, None);
    check(r#"{"Config":{"Cmd":null}}"#, None);
    check("no", None);
}
