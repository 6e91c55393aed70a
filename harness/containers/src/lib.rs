//! Containers of an engine as places for peers: see [`session::sandbox::Place`].
//!
//! ```text
//! engine.rs       finds images, starts containers
//! container.rs    a container that runs, as a place
//! program.rs      what of this program a container has to be shown for it to run there
//! removal.rs      no container outlives its run
//! ```
//!
//! A container is started by testcontainers and runs this program, which is its first process and the agent that a slot
//! has as well (`session::sandbox`): it starts what is to be tested, tells how it ended, and brings descriptors of the
//! container's root directory and network. The engine's `exec` would tell less: neither the signal that ended a process,
//! nor anything of processes that others have started.
//!
//! ```text
//! <run>/shared/c-N        the container's files; the same path outside and inside
//! <run>/shared/c-N/w      is /wireskew inside
//! /wireskew-agent         inside: this program, with the loader and the libraries of this machine
//! ```
//!
//! # Nothing stays
//!
//! When wireskew ends in whatever way, the sockets of its agents end, with them the first processes of the containers, and
//! the engine removes those, as they were started to be removed. What was made and not yet started then, the cleaner of the
//! sandbox removes ([`clean`]), and what even a killed cleaner has left, the next run.
#![cfg(feature = "engine")]

mod container;
mod engine;
mod program;
mod removal;

pub use engine::engine;
pub use removal::clean;
