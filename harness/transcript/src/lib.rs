//! What happened on the wire.
//!
//! A [`Transcript`] is everything that happened in one run of a cell: bytes, descriptors,
//! credentials, EOF, reset, timeout, exit, marks and observations, with times. It says nothing of
//! what the bytes mean. A fixture is a transcript with its provenance, kept as text in a `.wire`
//! file: the format is described in [`text`], files are read and listed by [`fixture`], recordings
//! of other tools are read by [`import`], and [`export`] writes captures for Wireshark.

pub mod evidence;
pub mod export;
pub mod fixture;
pub mod fuzz;
pub mod import;
mod model;
mod rules;
pub mod text;
mod view;
mod zeros;

pub use model::{
    BuildChange, ConnId, Credentials, Data, Endpoint, Event, EventKind, ExitStatus, FdNote, Mark, MaskedSpan,
    Provenance, Transcript,
};
pub use rules::{Broken, DATA_LEN_MAX, Invalid};
pub use view::slug;
pub use zeros::zeros_behind;
