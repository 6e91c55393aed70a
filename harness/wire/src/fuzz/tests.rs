//! The bodies on fixed inputs, without a fuzzer.

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/replay.rs"));

use proptest::prelude::*;

use super::*;

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

proptest! {
    #[test]
    fn the_bodies_hold_on_random_bytes(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        lxc_decode(&data);
        lxc_round_trip(&data);
        lxc_structured(&data);
    }
}
