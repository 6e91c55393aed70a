//! The bodies on fixed inputs, without a fuzzer.

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/replay.rs"));

use proptest::prelude::*;

use super::*;
use crate::libvirt_rpc::{Header, MessageType, Status};
use crate::lxc::{Command, Layout, RequestHead};
use crate::ttrpc;

#[test]
fn regressions_of_lxc_decode_stay_fixed() {
    replay("lxc_decode", lxc_decode);
}

#[test]
fn regressions_of_lxc_round_trip_stay_fixed() {
    replay("lxc_round_trip", lxc_round_trip);
}

#[test]
fn regressions_of_lxc_structured_stay_fixed() {
    replay("lxc_structured", lxc_structured);
}

#[test]
#[should_panic(expected = "every byte is in a frame or left over")]
fn a_lost_byte_is_noticed() {
    let head = RequestHead::of(Command(13), 0, b"payload").expect("a short payload");
    planted_defect(&lxc_input(&[&head.encode_with(Layout::LP64_LE, b"payload")[..], b"x"].concat(), b""));
}

#[test]
fn the_planted_defect_is_nowhere_else() {
    let head = RequestHead::of(Command(12), 0, b"payload").expect("a short payload");
    planted_defect(&lxc_input(&head.encode_with(Layout::LP64_LE, b"payload"), b""));
}

#[test]
fn regressions_of_libvirt_decode_stay_fixed() {
    replay("libvirt_decode", libvirt_decode);
}

#[test]
fn regressions_of_libvirt_round_trip_stay_fixed() {
    replay("libvirt_round_trip", libvirt_round_trip);
}

#[test]
fn regressions_of_libvirt_structured_stay_fixed() {
    replay("libvirt_structured", libvirt_structured);
}

/// A call with that many descriptors and their bytes.
fn call_with_fds(count: u32) -> Vec<u8> {
    let header = Header {
        program: 0x2000_8086,
        version: 1,
        procedure: 1,
        kind: MessageType::CALL_WITH_FDS,
        serial: 0,
        status: Status::OK,
    };
    [&header.message(&count.to_be_bytes())[..], &vec![0; count as usize]].concat()
}

#[test]
#[should_panic(expected = "every byte is in a frame or left over")]
fn a_lost_descriptor_byte_is_noticed() {
    libvirt_planted_defect(&libvirt_input(&call_with_fds(2), b""));
}

#[test]
fn the_planted_defect_of_libvirt_is_nowhere_else() {
    libvirt_planted_defect(&libvirt_input(&call_with_fds(0), &call_with_fds(0)));
}

#[test]
fn regressions_of_ttrpc_decode_stay_fixed() {
    replay("ttrpc_decode", ttrpc_decode);
}

#[test]
fn regressions_of_ttrpc_round_trip_stay_fixed() {
    replay("ttrpc_round_trip", ttrpc_round_trip);
}

#[test]
fn regressions_of_ttrpc_structured_stay_fixed() {
    replay("ttrpc_structured", ttrpc_structured);
}

/// Two messages on one stream, the first with these flags.
fn stream_with_flags(flags: u8) -> Vec<u8> {
    let header = ttrpc::Header { stream: 1, kind: ttrpc::MessageType::DATA, flags: ttrpc::Flags(flags) };
    let last = ttrpc::Header { flags: ttrpc::Flags(0), ..header };
    [header.message(b""), last.message(b"data")].concat()
}

#[test]
#[should_panic(expected = "every byte is in a frame or left over")]
fn a_lost_byte_behind_the_end_of_a_stream_is_noticed() {
    ttrpc_planted_defect(&ttrpc_input(&stream_with_flags(5), b""));
}

#[test]
fn the_planted_defect_of_ttrpc_is_nowhere_else() {
    ttrpc_planted_defect(&ttrpc_input(&stream_with_flags(2), &stream_with_flags(4)));
}

#[test]
fn regressions_of_http1_decode_stay_fixed() {
    replay("http1_decode", http1_decode);
}

#[test]
fn regressions_of_http1_round_trip_stay_fixed() {
    replay("http1_round_trip", http1_round_trip);
}

#[test]
fn regressions_of_http1_structured_stay_fixed() {
    replay("http1_structured", http1_structured);
}

#[test]
fn regressions_of_multiplex_stay_fixed() {
    replay("multiplex", multiplex);
}

/// A request with that body in chunks, and another one.
fn two_requests(body: &[u8]) -> Vec<u8> {
    const HEAD: &[u8] = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    [HEAD, body, b"GET / HTTP/1.1\r\n\r\n"].concat()
}

#[test]
#[should_panic(expected = "every byte is in a frame or left over")]
fn a_lost_byte_behind_a_body_in_chunks_is_noticed() {
    http1_planted_defect(&http1_input(&two_requests(b"1\r\na\r\n0\r\n\r\n"), b""));
}

#[test]
fn the_planted_defect_of_http1_is_nowhere_else() {
    http1_planted_defect(&http1_input(&two_requests(b"1\r\na\r\n0\r\n"), b"HTTP/1.1 200 OK\r\n\r\nabc"));
}

#[test]
fn regressions_of_json_decode_stay_fixed() {
    replay("json_decode", json_decode);
}

#[test]
fn regressions_of_json_values_stay_fixed() {
    replay("json_values", json_values);
}

#[test]
fn regressions_of_json_dissect_stay_fixed() {
    replay("json_dissect", json_dissect);
}

#[test]
#[should_panic(expected = "every byte is in a frame or left over")]
fn a_lost_byte_behind_skipped_ones_is_noticed() {
    json_planted_defect(&json_input(b"%x]", b""));
}

#[test]
fn the_planted_defect_of_json_is_nowhere_else() {
    json_planted_defect(&json_input(b"%]\xff\n{}{\xff\n", b"[1]hello "));
}

#[test]
fn regressions_of_protobuf_walk_stay_fixed() {
    replay("protobuf_walk", protobuf_walk);
}

#[test]
fn regressions_of_protobuf_schema_stay_fixed() {
    replay("protobuf_schema", protobuf_schema);
}

proptest! {
    #[test]
    fn the_bodies_hold_on_random_bytes(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        lxc_decode(&data);
        lxc_round_trip(&data);
        lxc_structured(&data);
        libvirt_decode(&data);
        libvirt_round_trip(&data);
        libvirt_structured(&data);
        ttrpc_decode(&data);
        ttrpc_round_trip(&data);
        ttrpc_structured(&data);
        http1_decode(&data);
        http1_round_trip(&data);
        http1_structured(&data);
        multiplex(&data);
        json_decode(&data);
        json_values(&data);
        json_dissect(&data);
        protobuf_walk(&data);
        protobuf_schema(&data);
    }
}

proptest! {
    /// Random bytes are no text and no descriptors; those with a few wrong bytes nearly are.
    #[test]
    fn schemas_hold_with_a_few_wrong_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        const INPUTS: [&[u8]; 2] = [
            include_bytes!("../../../../fuzz/regressions/protobuf_schema/text-of-others"),
            include_bytes!("../../../../fuzz/regressions/protobuf_schema/descriptors"),
        ];
        for input in INPUTS {
            let mut data = input.to_vec();
            for (at, byte) in &changes {
                // The first byte says which of both it is.
                let at = at.index(data.len()).max(1);
                data.splice(at..=at, [*byte]);
            }
            protobuf_schema(&data);
            data.truncate(end.index(data.len()));
            protobuf_schema(&data);
        }
    }
}

const NEARLY_HTTP1: &[&[u8]] = &[
    include_bytes!("../../../../fuzz/regressions/http1_decode/pipelined"),
    include_bytes!("../../../../fuzz/regressions/http1_decode/byte-by-byte"),
    include_bytes!("../../../../fuzz/regressions/http1_decode/length-and-chunked"),
    include_bytes!("../../../../fuzz/regressions/http1_decode/upgrade-and-raw"),
    include_bytes!("../../../../fuzz/regressions/http1_decode/upgrade-refused"),
    include_bytes!("../../../../fuzz/regressions/http1_decode/to-the-end"),
];

proptest! {
    /// Random bytes are no head; those with a few wrong bytes nearly are.
    #[test]
    fn http1_holds_with_a_few_wrong_bytes(
        input in prop::sample::select(NEARLY_HTTP1),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n :;,05"[..])]),
            0..6,
        ),
        pieces in any::<[u8; 2]>(),
    ) {
        let mut data = input.to_vec();
        for (at, byte) in changes {
            let at = at.index(data.len());
            data.splice(at..=at, [byte]);
        }
        data.splice(1..3, pieces);
        http1_decode(&data);
        http1_round_trip(&data);
    }
}
