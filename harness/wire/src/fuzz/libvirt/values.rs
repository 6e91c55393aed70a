//! Values of XDR, read from any bytes in any order.

use crate::xdr::{Opaque, Reader, Writer, XdrError, XdrErrorKind, padding};

/// The most values of an input.
const VALUES_MAX: usize = 64;

/// Limits of what has a length, and the lengths of what has none.
const LIMITS: [u32; 8] = [0, 1, 3, 4, 16, 255, crate::libvirt_rpc::STRING_MAX, u32::MAX];

/// Reads one value of `bytes` for each byte of `script`: a read that fails does not move and says why,
/// one that does not fail is written back as the same bytes, padding aside, and reads back as the same.
pub(super) fn check(script: &[u8], bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    for choice in script.iter().take(VALUES_MAX) {
        let (at, left) = (reader.at(), reader.remaining());
        assert_eq!(at + left, bytes.len(), "every byte is read or left over");
        let limit = LIMITS.get(usize::from(choice >> 5)).copied().unwrap_or(0);
        match read(&mut reader, choice % 8, limit) {
            Ok(written) => {
                let behind = reader.at();
                assert_eq!(bytes.get(at..behind).map(<[u8]>::len), Some(written.len()));
                let mut again = Reader::new(&written);
                assert_eq!(read(&mut again, choice % 8, limit).as_deref(), Ok(&written[..]));
                assert_eq!(again.remaining(), 0);
            }
            Err(XdrError { at: place, kind }) => {
                assert_eq!(reader.at(), at, "a read that fails does not move");
                match kind {
                    XdrErrorKind::Truncated { needed, got } => {
                        assert!(needed > got && place + got == bytes.len(), "{needed} of {got} at {place}");
                    }
                    XdrErrorKind::AboveLimit { announced, limit: named } => {
                        assert!(announced > named && named == limit && place == at);
                    }
                }
            }
        }
    }
}

/// Reads a value and writes it again.
fn read(reader: &mut Reader<'_>, choice: u8, limit: u32) -> Result<Vec<u8>, XdrError> {
    let writer = Writer::new();
    let at = reader.at();
    let writer = match choice {
        0 => writer.u32(reader.u32()?.1),
        1 => writer.i32(reader.i32()?.1),
        2 => writer.u64(reader.u64()?.1),
        3 => writer.i64(reader.i64()?.1),
        4 => {
            let (span, set) = reader.flag()?;
            assert_eq!(span, at..reader.at());
            // A flag of any number is written as 1.
            writer.u32(set.into())
        }
        5 => writer.u32(reader.count(limit)?.1),
        6 => {
            let len = limit as usize;
            let opaque = reader.fixed(len)?;
            assert_eq!((opaque.bytes.len(), &opaque.len_span), (len, &(at..at)));
            check_spans(&opaque, at, reader.at());
            writer.fixed(opaque.bytes)
        }
        _ => {
            let opaque = reader.opaque(limit)?;
            assert_eq!(opaque.len_span, at..at + 4);
            assert!(opaque.bytes.len() <= limit as usize);
            check_spans(&opaque, at, reader.at());
            writer.opaque(opaque.bytes)
        }
    };
    Ok(writer.finish().to_vec())
}

/// The parts lie one behind the other, from `at` to `behind`.
fn check_spans(opaque: &Opaque<'_>, at: usize, behind: usize) {
    let Opaque { len_span, span, pad_span, bytes } = opaque;
    assert_eq!((len_span.start, len_span.end, span.end), (at, span.start, pad_span.start));
    assert_eq!((pad_span.end, span.len(), pad_span.len()), (behind, bytes.len(), padding(bytes.len())));
}
