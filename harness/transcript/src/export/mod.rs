//! Transcripts in the formats of other tools.

mod pcapng;

pub use pcapng::{SERVER_PORT, pcapng};
