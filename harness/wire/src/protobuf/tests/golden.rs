//! Messages that were measured on real builds: agents of Kata Containers 2.5.0 and 3.2.0, containerd-shim 1.4.13 and 2.1.9, taken apart
//! from the frame to the payload.

use super::*;
use crate::ttrpc::{HEAD_LEN, Header, MessageType};
use crate::{Dissection, Value};

/// What is used of the files of ttrpc, Kata Containers and containerd.
const TEXTS: [Source<'_>; 3] = [
    Source {
        name: "ttrpc.proto",
        text: r#"
            package ttrpc;
            message Request {
                string service = 1; string method = 2; bytes payload = 3; int64 timeout_nano = 4;
                repeated KeyValue metadata = 5;
            }
            message KeyValue { string key = 1; string value = 2; }
            message Response { Status status = 1; bytes payload = 2; }
            message Status { int32 code = 1; string message = 2; }
        "#,
    },
    Source {
        name: "health.proto",
        text: r#"
            package grpc;
            message CheckRequest { string service = 1; }
            message HealthCheckResponse {
                enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; }
                ServingStatus status = 1;
            }
            message VersionCheckResponse { string grpc_version = 1; string agent_version = 2; }
            service Health {
                rpc Check(CheckRequest) returns (HealthCheckResponse);
                rpc Version(CheckRequest) returns (VersionCheckResponse);
            }
        "#,
    },
    Source {
        name: "task.proto",
        text: r#"
            package containerd.task.v2;
            message ConnectRequest { string id = 1; }
            message ConnectResponse { uint32 shim_pid = 1; uint32 task_pid = 2; string version = 3; }
            message WaitResponse { uint32 exit_status = 1; Timestamp exited_at = 2; }
            message Timestamp { int64 seconds = 1; int32 nanos = 2; }
            service Task { rpc Connect(ConnectRequest) returns (ConnectResponse); }
        "#,
    },
];

fn texts() -> Schema {
    Schema::parse(&TEXTS).unwrap_or_else(|error| panic!("{error}"))
}

fn show(found: &Dissection) -> String {
    let fields = found.fields.iter().filter(|field| field.mask.is_none()).map(|field| {
        let value = match &field.value {
            Value::Uint(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Hex(value) => format!("{value:#x}"),
            Value::Text(text) => format!("{text:?}"),
            Value::Bool(value) => value.to_string(),
            Value::Empty | Value::Null | Value::Float(_) | Value::Bytes | Value::Unread => {
                format!("{} bytes", field.span.len())
            }
        };
        let label = field.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
        format!("{}={value}{label}", field.name)
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// A message of that name is there, and nothing is wrong with it.
#[track_caller]
fn check_message(name: &str, bytes: &[u8], base: usize, expect: &str) {
    let found = dissect(&texts(), name, bytes, base);
    assert_eq!((show(&found).as_str(), &found.problems[..]), (expect, &[][..]));
    let end = found.fields.last().map_or(base, |field| field.span.end);
    assert_eq!(end, base + bytes.len());
    let written =
        Walk::new(bytes).fold(Writer::new(), |writer, field| writer.field(&field.expect("whole"), bytes));
    assert_eq!(written.finish(), bytes, "{name} is written as it came");
}

/// A frame: its envelope, and its payload as the method has it.
#[track_caller]
fn check(frame: &str, envelope: &str, (service, method): (&str, &str), payload: &str) {
    let bytes = hex(frame);
    let header = Header::read(&bytes).expect("a head");
    assert_eq!(Header::length(&bytes).map(|length| length as usize), Some(bytes.len() - HEAD_LEN));
    let schema = texts();
    let method = schema.method(service, method).expect("defined");
    let (name, number, message) = match header.kind {
        MessageType::REQUEST => ("ttrpc.Request", 3, &method.request),
        _ => ("ttrpc.Response", 2, &method.response),
    };
    check_message(name, &bytes[HEAD_LEN..], HEAD_LEN, envelope);
    let payload_at = Walk::within(&bytes, HEAD_LEN..bytes.len()).find_map(|field| match field {
        Ok(FieldAt { number: found, value: FieldValue::Len(part), .. }) if found == number => Some(part),
        _ => None,
    });
    let part = payload_at.unwrap_or(bytes.len()..bytes.len());
    check_message(message, &bytes[part.clone()], part.start, payload);
}

#[test]
fn agents_are_read() {
    let (version, health) = (("grpc.Health", "Version"), ("grpc.Health", "Check"));
    check(
        "0000001b0000000101000a0b677270632e4865616c7468120756657273696f6e1a030a0161",
        r#"service="grpc.Health", method="Version", payload=5 bytes"#,
        version,
        r#"service="a""#,
    );
    check(
        "000000120000000102000a00120e0a05302e302e311205332e322e30",
        "status=2 bytes {}, payload=16 bytes",
        version,
        r#"grpc_version="0.0.1", agent_version="3.2.0""#,
    );
    check(
        "00000014 00000001 0100 0a0b 677270632e4865616c7468 1205 436865636b",
        r#"service="grpc.Health", method="Check""#,
        health,
        "",
    );
    check(
        "00000006 00000001 0200 0a00 1202 0801",
        "status=2 bytes {}, payload=4 bytes",
        health,
        "status=1 SERVING",
    );
}

#[test]
fn refusals_are_read() {
    #[track_caller]
    fn check(head: &str, message: &str, expect: &str) {
        let bytes = [&hex(head)[..], message.as_bytes()].concat();
        check_message("ttrpc.Response", &bytes, 0, expect);
    }
    check(
        "0a2a 0803 1226",
        "/grpc.Health/GetVersion does not exist",
        r#"status.code=3, status.message="/grpc.Health/GetVersion does not exist""#,
    );
    check("0a15 080c 1211", "GetVersion method", r#"status.code=12, status.message="GetVersion method""#);
    check(
        "0a34 0805 1230",
        "/grpc.AgentService/ResizeVolume is not supported",
        r#"status.code=5, status.message="/grpc.AgentService/ResizeVolume is not supported""#,
    );
    let task = r#"status.message="service containerd.task.v3.Task""#;
    check("0a23 0805 121f", "service containerd.task.v3.Task", &format!("status.code=5, {task}"));
    check("0a23 080c 121f", "service containerd.task.v3.Task", &format!("status.code=12, {task}"));
}

#[test]
fn shims_are_read() {
    let connect = ("containerd.task.v2.Task", "Connect");
    check(
        "000000280000000101000a17636f6e7461696e6572642e7461736b2e76322e5461736b1207436f6e6e6563741a040a026332",
        r#"service="containerd.task.v2.Task", method="Connect", payload=6 bytes"#,
        connect,
        r#"id="c2""#,
    );
    check("00000005 00000001 0200 12030893 23", "payload=5 bytes", connect, "shim_pid=4499");
    check("00000000 00000013 0200", "", connect, "");
    // Never exited.
    check_message(
        "containerd.task.v2.WaitResponse",
        &hex("12 0b 08 80 92 b8 c3 98 fe ff ff ff 01"),
        0,
        "exited_at.seconds=-62135596800",
    );
}
