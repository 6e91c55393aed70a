//! Which families a server can be of, by what it answered.

use verdict::{Meaning, Reading};
use wire::protobuf::Schema;
use wire::ttrpc::{Header, MessageType};

use crate::envelope::{Call, Success, code, data};
use crate::family::{self, Family};

/// The families that were measured, oldest first.
const FAMILIES: [&Family; 8] = [
    &family::GO_1_0,
    &family::GO_1_1,
    &family::GO_1_2_0,
    &family::RS_SYNC_0_3,
    &family::RS_ASYNC_0_5_0,
    &family::RS_ASYNC_0_5_3,
    &family::RS_ASYNC_0_7,
    &family::RS_ASYNC_0_8,
];

/// How a success is written.
fn spelling(data: &[u8]) -> Success {
    if data.starts_with(b"\x0a\0") { Success::EmptyStatus } else { Success::Bare }
}

/// The families that write a success, and answer unknown services, unknown methods and streams of even numbers, as a server
/// did, oldest and newest; `None` where it was asked nothing of the kind, or answered as none of them does. `schema` says what it knows.
#[must_use]
pub fn fingerprint(reading: &Reading, schema: &Schema) -> Option<String> {
    let mut told = false;
    let mut left = FAMILIES.to_vec();
    for conn in &reading.conns {
        for exchange in conn.exchanges() {
            let Some((Some(reply), meaning)) = exchange.completed else { continue };
            if meaning == Meaning::Success {
                told = true;
                left.retain(|family| family.success == spelling(data(&reply.frame.bytes)));
            }
            let Some(header) = Header::of_frame(&exchange.request.frame) else { continue };
            let code = match meaning {
                Meaning::NotSupported => code::UNIMPLEMENTED,
                Meaning::Refused(code) => code,
                _ => code::OK,
            };
            if header.kind != MessageType::REQUEST {
                continue;
            }
            if header.stream.is_multiple_of(2) {
                told = true;
                left.retain(|family| family.even_streams == (code == code::OK));
                continue;
            }
            let Ok(call) = Call::read(data(&exchange.request.frame.bytes)) else { continue };
            let knows_service = schema.service(call.service).is_some();
            if call.service.is_empty() || schema.method(call.service, call.method).is_some() {
                continue;
            }
            told = true;
            left.retain(|family| {
                code == if knows_service { family.unknown_method } else { family.unknown_service }
            });
        }
    }
    told.then(|| named(&left)).filter(|names| !names.is_empty())
}

/// Families by name; those that follow on each other by the first and the last of them.
fn named(left: &[&Family]) -> String {
    let is_left = |family: &&Family| left.iter().any(|other| other.name == family.name);
    let runs =
        FAMILIES.chunk_by(|one, next| is_left(one) == is_left(next)).filter(|run| run.iter().all(is_left));
    let names = runs.map(|run| match run {
        [first, .., last] => format!("{} .. {}", first.name, last.name),
        _ => run.iter().map(|family| family.name).collect(),
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use transcript::{ConnId, Data, Event, EventKind, Transcript};
    use wire::Direction;

    use super::*;
    use crate::api::Side;
    use crate::envelope::{failure, request, success};
    use crate::{Api, TtrpcGrammar};

    const TEXT: &str = "syntax = \"proto3\"; package s; message E {} service S { rpc M(E) returns (E); }";

    static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(|| {
        let source = wire::protobuf::Source { name: "s.proto", text: TEXT };
        Schema::parse(&[source]).expect("the text of this test")
    });

    #[derive(Clone, Copy)]
    struct Toy;

    impl Api for Toy {
        fn dialect(&self) -> &'static str {
            "toy"
        }

        fn schema(&self) -> &'static Schema {
            &SCHEMA
        }

        fn mask(&self, _: &wire::protobuf::schema::Method, _: Side, _: &str) -> Option<&'static str> {
            None
        }

        fn whole_mask(&self, _: &wire::protobuf::schema::Method) -> Option<&'static str> {
            None
        }

        fn unordered(&self, _: &wire::protobuf::schema::Method) -> &'static [&'static str] {
            &[]
        }
    }

    #[test]
    fn servers_are_told_by_what_they_answer_to_what_they_do_not_know() {
        #[track_caller]
        fn check(said: &[(bytes::Bytes, bytes::Bytes)], expect: Option<&str>) {
            let conn = ConnId(1);
            let event = |dir, kind| Event { at_us: 0, conn, dir, kind };
            let data = |dir, bytes: &bytes::Bytes| {
                event(dir, EventKind::Data(Data { bytes: bytes.clone(), ..Data::default() }))
            };
            let asked = |(asked, answered): &(bytes::Bytes, bytes::Bytes)| {
                [data(Direction::ToServer, asked), data(Direction::ToClient, answered)]
            };
            let connect = event(Direction::ToServer, EventKind::Connect);
            let events = std::iter::once(connect).chain(said.iter().flat_map(asked)).collect();
            let transcript = Transcript { events, ..Transcript::default() };
            let reading = Reading::of(&transcript, &TtrpcGrammar(Toy));
            assert_eq!(fingerprint(&reading, &SCHEMA).as_deref(), expect);
        }
        let known = |stream| request(stream, "s.S", "M", b"");
        let unknown = |stream| request(stream, "s.S", "N", b"");
        check(&[], None);
        check(&[(unknown(1), failure(1, code::NOT_FOUND, ""))], Some("go-1.0"));
        check(
            &[(unknown(1), failure(1, code::UNIMPLEMENTED, ""))],
            Some("go-1.1 .. go-1.2.0, rs-async-0.7 .. rs-async-0.8"),
        );
        let bare = (known(3), success(3, Success::Bare, b""));
        check(&[(unknown(1), failure(1, code::UNIMPLEMENTED, "")), bare], Some("go-1.1 .. go-1.2.0"));
        let empty = (known(3), success(3, Success::EmptyStatus, b""));
        check(
            &[(unknown(1), failure(1, code::UNIMPLEMENTED, "")), empty.clone()],
            Some("rs-async-0.7 .. rs-async-0.8"),
        );
        check(
            &[(known(2), success(2, Success::EmptyStatus, b"")), empty],
            Some("rs-sync-0.3 .. rs-async-0.5.3"),
        );
        check(&[(unknown(1), failure(1, code::OK, ""))], None);
    }
}
