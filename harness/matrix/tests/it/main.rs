//! Tests of the public face: reading, refusing and looking up.

mod builds;
mod committed;
mod expectations;
mod groups;
mod known_bugs;
mod selection;
mod support;
mod update;
