//! What happened on the wire.
//!
//! A [`Transcript`] is everything that happened in one run of a cell: bytes, descriptors,
//! credentials, EOF, reset, timeout, exit, marks and observations, with times. It says nothing of
//! what the bytes mean. A fixture is a transcript with its provenance, kept as text in a `.wire` file.

mod model;

pub use model::{
    ConnId, Credentials, Data, Endpoint, Event, EventKind, ExitStatus, FdNote, Mark, Provenance, Transcript,
};
