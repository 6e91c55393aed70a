//! Bodies of fuzz targets.

use crate::text;

/// Any bytes: reading them never panics, and what can be read has one canonical text, which reads
/// back as the same transcript.
///
/// # Panics
/// When one of these does not hold.
pub fn parse(data: &[u8]) {
    let Ok(transcript) = text::parse_bytes(data) else { return };
    assert_eq!(transcript.check(), Ok(()), "what was read keeps the rules");
    let canonical = text::render(&transcript);
    let again = text::parse(&canonical).expect("what was rendered can be read");
    assert_eq!(again, transcript, "what was rendered reads back as the same");
    assert_eq!(text::render(&again), canonical, "the canonical text is a fixed point");
}
