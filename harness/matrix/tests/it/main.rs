//! Tests of the public face: reading, refusing and looking up.

mod builds;
mod committed;
mod groups;
mod support;
