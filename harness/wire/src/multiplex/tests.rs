//! Pieces: golden bytes, limits, what is none.

use proptest::prelude::*;

use super::*;
use crate::testing::{drain, feed};
use crate::{DecodeError, FrameKind};

/// As measured on dockerd 28.5.2.
const GOLDEN: &[u8] = b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\x04err\n\x01\0\0\0\0\0\0\0";

#[track_caller]
fn check(stream: &[u8], lens: &[usize], end: Result<(), (DecodeErrorKind, &'static str, u64)>) {
    let end = end.map_err(|(kind, field, offset)| DecodeError { kind, field, offset });
    for piece in [1, 3, 8, 9, stream.len()] {
        let (frames, ended) = drain(&mut PieceDecoder::new(), stream, piece);
        let found: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.bytes.len())).collect();
        let expect: Vec<(FrameKind, usize)> = lens.iter().map(|len| (PIECE, *len)).collect();
        assert_eq!((found, ended), (expect, end), "{stream:02x?} in pieces of {piece}");
    }
}

#[test]
fn streams_come_in_pieces() {
    check(GOLDEN, &[11, 12, 8], Ok(()));
    let (stdout, stderr) = (b"hi\n".to_vec(), b"err\n".to_vec());
    assert_eq!(join(GOLDEN), Ok(Streams { stdout, stderr, ..Streams::default() }));
    let sent = [(0, b"a"), (3, b"b"), (0, b"c")].map(|(stream, data)| piece(Stream(stream), data)).concat();
    let (stdin, system_error) = (b"ac".to_vec(), b"b".to_vec());
    assert_eq!(join(&sent), Ok(Streams { stdin, system_error, ..Streams::default() }));
    assert_eq!(join(b""), Ok(Streams::default()));
    assert_eq!(piece(Stream::STDOUT, b"hi\n"), GOLDEN[..11]);
    assert_eq!(stream(GOLDEN).map(|stream| stream.to_string()).as_deref(), Some("STDOUT"));
}

#[test]
fn a_cut_piece_is_truncated_wherever_it_is_cut() {
    for cut in 1..GOLDEN.len() {
        let (_, end) = drain(&mut PieceDecoder::new(), &GOLDEN[..cut], cut);
        let at = [0, 11, 23].into_iter().rfind(|at| *at <= cut).expect("0");
        let whole = cut == at;
        assert_eq!(end.is_ok(), whole, "{cut}");
        assert_eq!(join(&GOLDEN[..cut]).err(), (!whole).then_some(JoinError::Truncated(at)), "{cut}");
        assert_eq!(looks_multiplexed(&GOLDEN[..cut]), cut >= HEAD_LEN, "{cut}");
    }
}

#[test]
fn what_is_no_piece_is_refused() {
    check(b"\x04\0\0\0\0\0\0\0", &[], Err((DecodeErrorKind::Syntax, "stream", 0)));
    check(b"\x01\0\x01\0\0\0\0\0", &[], Err((DecodeErrorKind::Syntax, "zeros", 2)));
    check(&[GOLDEN, b"/ # "].concat(), &[11, 12, 8], Err((DecodeErrorKind::Syntax, "stream", 31)));
    let head = |length: u32| [&[1, 0, 0, 0][..], &length.to_be_bytes()].concat();
    let above =
        DecodeErrorKind::AboveLimit { announced: u64::from(LENGTH_MAX) + 1, limit: LENGTH_MAX.into() };
    check(&head(LENGTH_MAX + 1), &[], Err((above, "length", 4)));
    let cut = DecodeErrorKind::Truncated { needed: LENGTH_MAX.into(), got: 0 };
    check(&head(LENGTH_MAX), &[], Err((cut, "data", 8)));
    for text in [&b"hello world"[..], b"\x01\0\0\x01\0\0\0\0", b"\x1b[H\x1b[J/ # ", b"", b"\x01\0\0"] {
        assert!(!looks_multiplexed(text), "{text:?}");
    }
    assert_eq!(join(b"hello"), Err(JoinError::NotMultiplexed(0)));
    assert_eq!(join(&[GOLDEN, b"hello"].concat()), Err(JoinError::NotMultiplexed(31)));
}

proptest! {
    #[test]
    fn what_is_sent_is_joined_and_splits_do_not_matter(
        sent in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..9),
    ) {
        let stream = sent.iter().map(|(stream, data)| piece(Stream(*stream), data)).collect::<Vec<_>>().concat();
        let of = |wanted: u8| -> Vec<u8> {
            sent.iter().filter(|(stream, _)| *stream == wanted).flat_map(|(_, data)| data.clone()).collect()
        };
        let expect = Streams { stdin: of(0), stdout: of(1), stderr: of(2), system_error: of(3) };
        prop_assert_eq!(join(&stream), Ok(expect));
        let outcome = feed(&mut PieceDecoder::new(), &stream, &cuts)?;
        prop_assert_eq!((outcome.frames.len(), outcome.end), (sent.len(), Ok(())));
    }
}
