//! Tests of the public face: reading, refusing and looking up.

mod builds;
mod builds_lock;
mod bump;
mod committed;
mod expectations;
mod groups;
mod known_bugs;
mod messages_lock;
mod schema;
mod selection;
mod support;
mod swagger;
mod update;
