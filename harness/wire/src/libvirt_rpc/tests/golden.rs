//! Exchanges of real builds: virsh and libvirtd 12.8.0; what closes a connection and the German text are
//! of libvirtd 11.3.0.

use bytes::BytesMut;

use super::super::*;
use crate::testing::drain;
use crate::xdr::{Reader, Writer};
use crate::{Decoder, Direction};
use Value::{Fixed, I, L, Text};

/// A value of the payload. Errors have optional texts: a flag and, if it is 1, a text.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// 32 bits.
    I(i32),
    /// 64 bits.
    L(u64),
    /// Bytes with a length.
    Text(&'static [u8]),
    /// Bytes of a fixed number.
    Fixed(&'static [u8]),
}

/// A message: its way, its bytes, the numbers of its header in the order of the wire, and its payload.
struct Row(Direction, &'static str, (u32, u32, i32, i32, u32, i32), &'static [Value]);

const C2S: Direction = Direction::ToServer;
const S2C: Direction = Direction::ToClient;
const REMOTE: u32 = 0x2000_8086;

const ROWS: &[Row] = &[
    // AUTH_LIST.
    Row(C2S, "0000001c200080860000000100000042000000000000000000000000", (REMOTE, 1, 66, 0, 0, 0), &[]),
    Row(
        S2C,
        "00000024200080860000000100000042000000010000000000000000\
         0000000100000000",
        (REMOTE, 1, 66, 1, 0, 0),
        &[I(1), I(0)],
    ),
    // SUPPORTS_FEATURE(10).
    Row(
        C2S,
        "0000002020008086000000010000003c000000000000000100000000\
         0000000a",
        (REMOTE, 1, 60, 0, 1, 0),
        &[I(10)],
    ),
    Row(
        S2C,
        "0000002020008086000000010000003c000000010000000100000000\
         00000001",
        (REMOTE, 1, 60, 1, 1, 0),
        &[I(1)],
    ),
    // CONNECT_OPEN test:///default.
    Row(
        C2S,
        "00000038200080860000000100000001000000000000000200000000\
         000000010000000f746573743a2f2f2f64656661756c740000000000",
        (REMOTE, 1, 1, 0, 2, 0),
        &[I(1), Text(b"test:///default"), I(0)],
    ),
    Row(S2C, "0000001c200080860000000100000001000000010000000200000000", (REMOTE, 1, 1, 1, 2, 0), &[]),
    // SUPPORTS_FEATURE(14), then REGISTER_CLOSE_CALLBACK, UNREGISTER_CLOSE_CALLBACK, CLOSE.
    Row(
        C2S,
        "0000002020008086000000010000003c000000000000000300000000\
         0000000e",
        (REMOTE, 1, 60, 0, 3, 0),
        &[I(14)],
    ),
    Row(
        S2C,
        "0000002020008086000000010000003c000000010000000300000000\
         00000001",
        (REMOTE, 1, 60, 1, 3, 0),
        &[I(1)],
    ),
    Row(C2S, "0000001c200080860000000100000168000000000000000500000000", (REMOTE, 1, 360, 0, 5, 0), &[]),
    Row(S2C, "0000001c200080860000000100000168000000010000000500000000", (REMOTE, 1, 360, 1, 5, 0), &[]),
    Row(C2S, "0000001c200080860000000100000169000000000000000900000000", (REMOTE, 1, 361, 0, 9, 0), &[]),
    Row(S2C, "0000001c200080860000000100000169000000010000000900000000", (REMOTE, 1, 361, 1, 9, 0), &[]),
    Row(C2S, "0000001c200080860000000100000002000000000000000a00000000", (REMOTE, 1, 2, 0, 10, 0), &[]),
    Row(S2C, "0000001c200080860000000100000002000000010000000a00000000", (REMOTE, 1, 2, 1, 10, 0), &[]),
    // GET_LIB_VERSION.
    Row(C2S, "0000001c20008086000000010000009d000000000000000400000000", (REMOTE, 1, 157, 0, 4, 0), &[]),
    Row(
        S2C,
        "0000002420008086000000010000009d000000010000000400000000\
         0000000000b73a40",
        (REMOTE, 1, 157, 1, 4, 0),
        &[L(12008000)],
    ),
    // LIST_ALL_INTERFACES.
    Row(
        C2S,
        "0000002420008086000000010000011c000000000000000500000000\
         0000000100000003",
        (REMOTE, 1, 284, 0, 5, 0),
        &[I(1), I(3)],
    ),
    Row(
        S2C,
        "0000004420008086000000010000011c000000010000000500000000\
         0000000100000004657468310000001161613a62623a63633a64643a65653a666600000000000001",
        (REMOTE, 1, 284, 1, 5, 0),
        &[I(1), Text(b"eth1"), Text(b"aa:bb:cc:dd:ee:ff"), I(1)],
    ),
    // INTERFACE_LOOKUP_BY_NAME eth1.
    Row(
        C2S,
        "00000024200080860000000100000080000000000000000600000000\
         0000000465746831",
        (REMOTE, 1, 128, 0, 6, 0),
        &[Text(b"eth1")],
    ),
    Row(
        S2C,
        "0000003c200080860000000100000080000000010000000600000000\
         00000004657468310000001161613a62623a63633a64643a65653a6666000000",
        (REMOTE, 1, 128, 1, 6, 0),
        &[Text(b"eth1"), Text(b"aa:bb:cc:dd:ee:ff")],
    ),
    // INTERFACE_IS_ACTIVE.
    Row(
        C2S,
        "0000003c20008086000000010000009c000000000000000700000000\
         00000004657468310000001161613a62623a63633a64643a65653a6666000000",
        (REMOTE, 1, 156, 0, 7, 0),
        &[Text(b"eth1"), Text(b"aa:bb:cc:dd:ee:ff")],
    ),
    Row(
        S2C,
        "0000002020008086000000010000009c000000010000000700000000\
         00000001",
        (REMOTE, 1, 156, 1, 7, 0),
        &[I(1)],
    ),
    // CHANGE_BEGIN.
    Row(
        C2S,
        "000000202000808600000001000000dc000000000000000800000000\
         00000000",
        (REMOTE, 1, 220, 0, 8, 0),
        &[I(0)],
    ),
    Row(S2C, "0000001c2000808600000001000000dc000000010000000800000000", (REMOTE, 1, 220, 1, 8, 0), &[]),
    // CHANGE_BEGIN a second time (55/12).
    Row(
        C2S,
        "000000202000808600000001000000dc000000000000000900000000\
         00000000",
        (REMOTE, 1, 220, 0, 9, 0),
        &[I(0)],
    ),
    Row(
        S2C,
        "000000ec2000808600000001000000dc000000010000000900000001\
         000000370000000c0000000100000047526571756573746564206f7065726174696f6e206973206e6f742076\
         616c69643a20746865726520697320616e6f74686572207472616e73616374696f6e2072756e6e696e672e00\
         00000002000000000000000100000026526571756573746564206f7065726174696f6e206973206e6f742076\
         616c69643a202531247300000000000100000025746865726520697320616e6f74686572207472616e736163\
         74696f6e2072756e6e696e672e00000000000000ffffffffffffffff00000000",
        (REMOTE, 1, 220, 1, 9, 1),
        &[
            I(55),
            I(12),
            I(1),
            Text(b"Requested operation is not valid: there is another transaction running."),
            I(2),
            I(0),
            I(1),
            Text(b"Requested operation is not valid: %1$s"),
            I(1),
            Text(b"there is another transaction running."),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // CHANGE_ROLLBACK.
    Row(
        C2S,
        "000000202000808600000001000000de000000000000000a00000000\
         00000000",
        (REMOTE, 1, 222, 0, 10, 0),
        &[I(0)],
    ),
    Row(S2C, "0000001c2000808600000001000000de000000010000000a00000000", (REMOTE, 1, 222, 1, 10, 0), &[]),
    // CHANGE_COMMIT without begin (55/12).
    Row(
        C2S,
        "000000202000808600000001000000dd000000000000000b00000000\
         00000000",
        (REMOTE, 1, 221, 0, 11, 0),
        &[I(0)],
    ),
    Row(
        S2C,
        "000001002000808600000001000000dd000000010000000b00000001\
         000000370000000c0000000100000052526571756573746564206f7065726174696f6e206973206e6f742076\
         616c69643a206e6f207472616e73616374696f6e2072756e6e696e672c206e6f7468696e6720746f20626520\
         636f6d6d69747465642e000000000002000000000000000100000026526571756573746564206f7065726174\
         696f6e206973206e6f742076616c69643a2025312473000000000001000000306e6f207472616e7361637469\
         6f6e2072756e6e696e672c206e6f7468696e6720746f20626520636f6d6d69747465642e00000000ffffffff\
         ffffffff00000000",
        (REMOTE, 1, 221, 1, 11, 1),
        &[
            I(55),
            I(12),
            I(1),
            Text(b"Requested operation is not valid: no transaction running, nothing to be committed."),
            I(2),
            I(0),
            I(1),
            Text(b"Requested operation is not valid: %1$s"),
            I(1),
            Text(b"no transaction running, nothing to be committed."),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // unknown procedure 9999 with 16 bytes (39/7.
    Row(
        C2S,
        "0000002c20008086000000010000270f000000000000000c00000000\
         41414141414141414141414141414141",
        (REMOTE, 1, 9999, 0, 12, 0),
        &[Fixed(b"AAAAAAAAAAAAAAAA")],
    ),
    Row(
        S2C,
        "0000008820008086000000010000270f000000010000000c00000001\
         00000027000000070000000100000017756e6b6e6f776e2070726f6365647572653a20393939390000000002\
         000000000000000100000002257300000000000100000017756e6b6e6f776e2070726f6365647572653a2039\
         3939390000000000ffffffffffffffff00000000",
        (REMOTE, 1, 9999, 1, 12, 1),
        &[
            I(39),
            I(7),
            I(1),
            Text(b"unknown procedure: 9999"),
            I(2),
            I(0),
            I(1),
            Text(b"%s"),
            I(1),
            Text(b"unknown procedure: 9999"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // DOMAIN_ANNOUNCE_INTERFACE (456) to an 11.3.0 server with a German locale.
    Row(
        C2S,
        "000000442000808600000001000001c8000000000000000800000000\
         00000004746573746695eb01f6a4830479aa97f2502e193f00000001000000000000000000000000",
        (REMOTE, 1, 456, 0, 8, 0),
        &[Text(b"test"), Fixed(b"f\x95\xeb\x01\xf6\xa4\x83\x04y\xaa\x97\xf2P.\x19?"), I(1), I(0), I(0), I(0)],
    ),
    Row(
        S2C,
        "000000882000808600000001000001c8000000010000000800000001\
         00000027000000070000000100000018756e62656b616e6e74652050726f7a656475723a2034353600000002\
         000000000000000100000002257300000000000100000018756e62656b616e6e74652050726f7a656475723a\
         2034353600000000ffffffffffffffff00000000",
        (REMOTE, 1, 456, 1, 8, 1),
        &[
            I(39),
            I(7),
            I(1),
            Text(b"unbekannte Prozedur: 456"),
            I(2),
            I(0),
            I(1),
            Text(b"%s"),
            I(1),
            Text(b"unbekannte Prozedur: 456"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // unknown program 0xdeadbeef.
    Row(C2S, "0000001cdeadbeef0000000100000003000000000000000d00000000", (0xdead_beef, 1, 3, 0, 13, 0), &[]),
    Row(
        S2C,
        "000000a8deadbeef0000000100000003000000010000000d00000001\
         0000002700000007000000010000002843616e6e6f742066696e642070726f6772616d202d35353930333837\
         33372076657273696f6e20310000000200000000000000010000000225730000000000010000002843616e6e\
         6f742066696e642070726f6772616d202d3535393033383733372076657273696f6e203100000000ffffffff\
         ffffffff00000000",
        (0xdead_beef, 1, 3, 1, 13, 1),
        &[
            I(39),
            I(7),
            I(1),
            Text(b"Cannot find program -559038737 version 1"),
            I(2),
            I(0),
            I(1),
            Text(b"%s"),
            I(1),
            Text(b"Cannot find program -559038737 version 1"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // version 2.
    Row(C2S, "0000001c200080860000000200000003000000000000000e00000000", (REMOTE, 2, 3, 0, 14, 0), &[]),
    Row(
        S2C,
        "000000a8200080860000000200000003000000010000000e00000001\
         0000002700000007000000010000002743616e6e6f742066696e642070726f6772616d203533363930333831\
         342076657273696f6e2032000000000200000000000000010000000225730000000000010000002743616e6e\
         6f742066696e642070726f6772616d203533363930333831342076657273696f6e20320000000000ffffffff\
         ffffffff00000000",
        (REMOTE, 2, 3, 1, 14, 1),
        &[
            I(39),
            I(7),
            I(1),
            Text(b"Cannot find program 536903814 version 2"),
            I(2),
            I(0),
            I(1),
            Text(b"%s"),
            I(1),
            Text(b"Cannot find program 536903814 version 2"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // short arguments (CHANGE_BEGIN without flags).
    Row(C2S, "0000001c2000808600000001000000dc000000000000000f00000000", (REMOTE, 1, 220, 0, 15, 0), &[]),
    Row(
        S2C,
        "000000982000808600000001000000dc000000010000000f00000001\
         00000027000000070000000100000020556e61626c6520746f206465636f6465206d65737361676520706179\
         6c6f616400000002000000000000000100000002257300000000000100000020556e61626c6520746f206465\
         636f6465206d657373616765207061796c6f616400000000ffffffffffffffff00000000",
        (REMOTE, 1, 220, 1, 15, 1),
        &[
            I(39),
            I(7),
            I(1),
            Text(b"Unable to decode message payload"),
            I(2),
            I(0),
            I(1),
            Text(b"%s"),
            I(1),
            Text(b"Unable to decode message payload"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
    // keepalive PING and PONG.
    Row(C2S, "0000001c6b6565700000000100000001000000020000000000000000", (0x6b65_6570, 1, 1, 2, 0, 0), &[]),
    Row(S2C, "0000001c6b6565700000000100000002000000020000000000000000", (0x6b65_6570, 1, 2, 2, 0, 0), &[]),
    // event lifecycle, domain test suspended (event 3, detail 0).
    Row(
        S2C,
        "0000004420008086000000010000013e000000020000000100000000\
         0000000000000004746573746695eb01f6a4830479aa97f2502e193f000000010000000300000000",
        (REMOTE, 1, 318, 2, 1, 0),
        &[I(0), Text(b"test"), Fixed(b"f\x95\xeb\x01\xf6\xa4\x83\x04y\xaa\x97\xf2P.\x19?"), I(1), I(3), I(0)],
    ),
    // NETWORK_UPDATE add-last ip-dhcp-host, correct order.
    Row(
        C2S,
        "00000080200080860000000100000123000000000000000800000000\
         0000000764656661756c7400dd8fe8846c02601e7551cca97df1c5df0000000300000004ffffffff00000033\
         3c686f7374206d61633d2730303a31313a32323a33333a34343a3535272069703d273139322e3136382e3132\
         322e3737272f3e0000000000",
        (REMOTE, 1, 291, 0, 8, 0),
        &[
            Text(b"default"),
            Fixed(b"\xdd\x8f\xe8\x84l\x02`\x1euQ\xcc\xa9}\xf1\xc5\xdf"),
            I(3),
            I(4),
            I(-1),
            Text(b"<host mac='00:11:22:33:44:55' ip='192.168.122.77'/>"),
            I(0),
        ],
    ),
    Row(S2C, "0000001c200080860000000100000123000000010000000800000000", (REMOTE, 1, 291, 1, 8, 0), &[]),
    // the same call of a 7.0.0 client (order swapped) to a 12.8.0 server.
    Row(
        C2S,
        "00000080200080860000000100000123000000000000000700000000\
         0000000764656661756c7400dd8fe8846c02601e7551cca97df1c5df0000000400000003ffffffff00000033\
         3c686f7374206d61633d2730303a31313a32323a33333a34343a3535272069703d273139322e3136382e3132\
         322e3737272f3e0000000000",
        (REMOTE, 1, 291, 0, 7, 0),
        &[
            Text(b"default"),
            Fixed(b"\xdd\x8f\xe8\x84l\x02`\x1euQ\xcc\xa9}\xf1\xc5\xdf"),
            I(4),
            I(3),
            I(-1),
            Text(b"<host mac='00:11:22:33:44:55' ip='192.168.122.77'/>"),
            I(0),
        ],
    ),
    Row(
        S2C,
        "000000ec200080860000000100000123000000010000000700000001\
         000000540000001300000001000000474f7065726174696f6e206e6f7420737570706f727465643a2063616e\
         27742075706461746520276970272073656374696f6e206f66206e6574776f726b202764656661756c742700\
         0000000200000000000000010000001d4f7065726174696f6e206e6f7420737570706f727465643a20253124\
         73000000000000010000002e63616e27742075706461746520276970272073656374696f6e206f66206e6574\
         776f726b202764656661756c7427000000000000ffffffffffffffff00000000",
        (REMOTE, 1, 291, 1, 7, 1),
        &[
            I(84),
            I(19),
            I(1),
            Text(b"Operation not supported: can't update 'ip' section of network 'default'"),
            I(2),
            I(0),
            I(1),
            Text(b"Operation not supported: %1$s"),
            I(1),
            Text(b"can't update 'ip' section of network 'default'"),
            I(0),
            I(-1),
            I(-1),
            I(0),
        ],
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ascii"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

/// Reads the value that stands there and writes it again.
fn read(reader: &mut Reader<'_>, value: Value, writer: Writer) -> Writer {
    match value {
        I(value) => {
            assert_eq!(reader.i32().expect("an integer").1, value);
            writer.i32(value)
        }
        L(value) => {
            assert_eq!(reader.u64().expect("an integer").1, value);
            writer.u64(value)
        }
        Text(text) => {
            assert_eq!(reader.opaque(STRING_MAX).expect("a text").bytes, text);
            writer.opaque(text)
        }
        Fixed(value) => {
            assert_eq!(reader.fixed(value.len()).expect("so many bytes").bytes, value);
            writer.fixed(value)
        }
    }
}

#[test]
fn reads_and_writes_back_every_recorded_message() {
    for Row(_, hex, numbers, values) in ROWS {
        let bytes = bytes(hex);
        let header = Header::read(&bytes).expect("a header");
        let Header { program, version, procedure, kind, serial, status } = header;
        assert_eq!((program, version, procedure, kind.0, serial, status.0), *numbers, "{hex}");
        let payload = bytes.get(HEAD_LEN..).expect("a payload");
        let mut reader = Reader::new(payload);
        let written = values.iter().fold(Writer::new(), |writer, value| read(&mut reader, *value, writer));
        assert_eq!(reader.remaining(), 0, "{hex}");
        assert_eq!(header.message(&written.finish()), bytes);
    }
}

#[test]
fn frames_the_whole_conversation_in_any_pieces() {
    for direction in [C2S, S2C] {
        let messages: Vec<_> =
            ROWS.iter().filter(|row| row.0 == direction).map(|Row(_, hex, ..)| bytes(hex)).collect();
        let stream = messages.concat();
        for piece in [1, 2, 3, 27, 28, 29, stream.len()] {
            let (frames, end) = drain(&mut MessageDecoder::towards(direction), &stream, piece);
            assert_eq!(end, Ok(()));
            let found: Vec<_> = frames.iter().map(|frame| frame.bytes.to_vec()).collect();
            assert_eq!(found, messages, "in pieces of {piece}");
        }
        for (at, message) in messages.iter().enumerate() {
            for cut in 1..message.len() {
                let whole = messages.get(..at).expect("in range").concat();
                let mut src = BytesMut::from(&[&whole[..], &message[..cut]].concat()[..]);
                let mut decoder = MessageDecoder::towards(direction);
                let count = std::iter::from_fn(|| decoder.decode(&mut src).expect("in step")).count();
                assert_eq!((count, src.len()), (at, cut));
                let error = decoder.decode_eof(&mut src).expect_err("cut");
                assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
            }
        }
    }
}
