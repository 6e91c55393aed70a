//! Bodies of fuzz targets.

use crate::text::ParseErrorKind;
use crate::{Provenance, Transcript, import, text};

/// Any bytes: reading them as a `.wire` text never panics, and what can be read has one canonical text, which reads
/// back as the same transcript.
///
/// # Panics
/// When one of these does not hold.
pub fn parse(data: &[u8]) {
    if let Ok(transcript) = text::parse_bytes(data) {
        round_trip(&transcript);
    }
}

/// Any bytes: importing them never panics, and what can be imported can be kept.
///
/// # Panics
/// When one of these does not hold.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(transcript) = import::raw::import(text) {
        round_trip(&transcript);
    }
    if let Ok(transcript) = import::strace::import(text, "s", Provenance::default()) {
        round_trip(&transcript);
    }
}

fn round_trip(transcript: &Transcript) {
    assert_eq!(transcript.check(), Ok(()), "what was read keeps the rules");
    let canonical = text::render(transcript);
    let again = match text::parse(&canonical) {
        Ok(again) => again,
        // Escapes can make a line longer than the one that was read.
        Err(error) if matches!(error.kind, ParseErrorKind::LineTooLong { .. }) => return,
        Err(error) => panic!("what was rendered cannot be read: {error}"),
    };
    assert_eq!(again, *transcript, "what was rendered reads back as the same");
    assert_eq!(text::render(&again), canonical, "the canonical text is a fixed point");
}

#[cfg(test)]
mod tests {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/replay.rs"));

    #[test]
    fn regressions_of_fixture_parse_stay_fixed() {
        replay("fixture_parse", super::parse);
    }
}
