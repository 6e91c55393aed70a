//! One conversation with a peer.
//!
//! A [`Connection`] carries bytes, descriptors and credentials over a socket, every wait with a
//! deadline. A [`Recorder`] writes down what passes. A [`Script`] is a conversation as data; a
//! [`Conversation`] plays it and judges nothing; real servers it waits for in their own time, which a [`Worker`] tells.
//! Launchers start peers and end them for sure.

mod actor;
mod connection;
pub mod containers;
mod conversation;
mod errno;
mod patience;
mod payload;
mod peer;
pub mod process;
pub mod proxy;
pub mod pty;
mod recorder;
pub mod rootfs;
pub mod sandbox;
mod script;

pub use actor::Actor;
pub use connection::{
    Connection, FDS_PER_MESSAGE_MAX, Listener, Port, READ_LEN_MAX, Received, SendEnd, Timer, Transport,
};
pub use conversation::{Conversation, REPLY_BYTES_MAX};
pub use errno::errno_name;
pub use patience::{Look, Pair, Worker, is_at_rest, until, until_at_rest};
pub use payload::{Payload, Piece, Template, Unbound, Variables};
pub use peer::{
    Address, BoxFuture, Client, ClientReport, LaunchError, LaunchErrorKind, Launcher, Server, Stage, Start,
    Successors,
};
pub use recorder::{RECORDED_BYTES_MAX, RECORDED_EVENTS_MAX, Recorder};
pub use script::{ClientAct, Closes, Injection, Script, Step, mark};
pub use transcript::evidence::{Capture, ServerAct, Successor};
