//! One recorded exchange for each command, as the releases sent it.
//!
//! Measured on the Debian builds 4.0.6, 5.0.2, 6.0.4 and 7.0.0, except command 9, which is computed.

use super::super::*;
use super::{RULES, hex, replies_to};
use crate::testing::drain;

/// An exchange: request, its length of payload, reply, its `ret` and length of payload. A reply of no
/// bytes is a connection that was closed.
struct Row(u32, &'static str, usize, &'static str, Option<(i32, usize)>);

const ROWS: &[Row] = &[
    Row(0, "0*8 ffffffff ffffffff", 0, "0*8 01000000 0*4", Some((0, 0))),
    Row(0, "0*8 ffffffff ffffffff", 0, "f7ffffff 0*4 0*8", Some((-9, 0))),
    Row(1, "01000000 0*12", 0, "0*16", Some((0, 0))),
    Row(1, "01000000 0*12", 0, "", None),
    Row(2, "02000000 0*12", 0, "", None),
    Row(3, "03000000 0*12", 0, "0*8 02000000 0*4", Some((0, 0))),
    Row(4, "04000000 0*12", 0, "0*8 bf2c0000 0*4", Some((0, 0))),
    Row(5, "05000000 0*12", 0, "0*8 0000026e 0*4", Some((0, 0))),
    Row(
        6,
        "06000000 08000000 0*8 66726565 7a657200",
        8,
        "0*4 18000000 P 2f6c7863 2e706179 6c6f6164 2e782d62 6f6f6b77 6f726d00",
        Some((0, 24)),
    ),
    Row(
        7,
        "07000000 0d000000 0*8 6c78632e 7574732e 6e616d65 00",
        13,
        "0*4 0b000000 P 782d626f 6f6b776f 726d00",
        Some((0, 11)),
    ),
    Row(7, "07000000 03000000 0*8 6e6f00", 3, "ffffffff 0*12", Some((-1, 0))),
    Row(8, "08000000 0*12", 0, "0*4 0b000000 P 782d626f 6f6b776f 726d00", Some((0, 11))),
    Row(9, "09000000 0*12", 0, "0*4 0d000000 P 2f766172 2f6c6962 2f6c7863 00", Some((0, 13))),
    Row(10, "0a000000 20000000 0*8 01000000 0*28", 32, "08000000 0*4 08000000 0*4", Some((8, 0))),
    Row(10, "0a000000 20000000 0*8 0*8 01000000 0*20", 32, "02000000 0*4 02000000 0*4", Some((2, 0))),
    Row(
        11,
        "0b000000 18000000 0*8 00010000 0*4 0*8 0*8",
        24,
        "0*4 0b000000 P 696e6974 20757020 310d0a",
        Some((0, 11)),
    ),
    Row(11, "0b000000 18000000 0*8 00010000 0*20", 24, "c3ffffff 0*4 P", Some((-61, 0))),
    Row(12, "0c000000 0*4 05000000 0*4", 0, "0*16", Some((0, 0))),
    Row(13, "0d000000 0*12 00", 0, "eaffffff 0*12", Some((-22, 0))),
    Row(
        14,
        "0e000000 18000000 0*8 63000000 0a000000 e5000000 72776d00 01000000 ffffffff",
        24,
        "0*16",
        Some((0, 0)),
    ),
    Row(
        14,
        "0e000000 28000000 0*8 63000000 0a000000 e5000000 72776d00 01000000 0*20",
        40,
        "0*16",
        Some((0, 0)),
    ),
    Row(15, "0f000000 0*4 ffffffff ffffffff", 0, "0*16", Some((0, 0))),
    Row(16, "10000000 0*4 ffffffff ffffffff", 0, "feffffff 0*12", Some((-2, 0))),
    Row(17, "11000000 0*12", 0, "0*16", Some((0, 0))),
    Row(18, "12000000 0*12", 0, "0*16", Some((0, 0))),
    Row(
        19,
        "13000000 08000000 0*8 66726565 7a657200",
        8,
        "0*4 18000000 P 2f6c7863 2e706179 6c6f6164 2e782d62 6f6f6b77 6f726d00",
        Some((0, 24)),
    ),
    Row(20, "14000000 0*12", 0, "eaffffff 0*12", Some((-22, 0))),
    Row(21, "15000000 0*12", 0, "0*16", Some((0, 0))),
    Row(22, "16000000 0*12", 0, "f7ffffff 0*12", Some((-9, 0))),
    Row(
        23,
        "17000000 60000000 0*8 0*96",
        96,
        "0*4 60000000 P 02000000 03000000 01000000 11000000 0*80",
        Some((0, 96)),
    ),
    Row(
        24,
        "18000000 50000000 0*8 0*16 64657669 636573 0*57",
        80,
        "0*4 50000000 P 02000000 03000000 70726763 11000000 64657669 636573 0*57",
        Some((0, 80)),
    ),
    Row(26, "1a000000 0*12", 0, "eaffffff 0*12", Some((-22, 0))),
    Row(200, "c8000000 10000000 0*8 0*16", 16, "daffffff 0*12", Some((-38, 0))),
];

#[test]
fn frames_and_writes_back_every_recorded_exchange() {
    for Row(cmd, request, request_len, reply, expect) in ROWS {
        let (frames, end) =
            drain(&mut RequestDecoder::new(Layout::LP64_LE, RULES), &hex(request), usize::MAX);
        assert_eq!(end, Ok(()), "command {cmd}");
        let head = RequestHead::of_frame(Layout::LP64_LE, &frames[0]).expect("a request");
        assert_eq!((head.cmd, frames[0].payload().len()), (Command(*cmd), *request_len));
        assert_eq!(head.encode_with(Layout::LP64_LE, frames[0].payload()), frames[0].bytes);

        let (frames, end) = drain(&mut replies_to(request), &hex(reply), usize::MAX);
        assert_eq!(end, Ok(()), "reply to command {cmd}");
        let found = frames.first().map(|frame| {
            let head = ResponseHead::of_frame(Layout::LP64_LE, frame).expect("a reply");
            assert_eq!(head.encode_with(Layout::LP64_LE, frame.payload()), frame.bytes);
            (head.ret, frame.payload().len())
        });
        assert_eq!((found, frames.len()), (*expect, usize::from(expect.is_some())), "command {cmd}");
    }
}
