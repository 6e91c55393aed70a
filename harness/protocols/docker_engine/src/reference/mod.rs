//! Reference peers: daemons that behave as a release was measured to behave, and a CLI.
//!
//! ```text
//! daemon.rs      clients of a daemon, and what each is doing     http.rs      requests in, answers out
//! routes.rs      endpoints                                        replies.rs   the keys of their answers
//! engine/        containers, runtimes and their scripts, without sockets
//! conditions.rs  what is done to a daemon from outside
//! client.rs      the CLI                                          defects.rs   faults that can be switched on
//! ```

mod client;
mod conditions;
mod daemon;
mod defects;
mod engine;
mod http;
mod replies;
mod routes;

pub(crate) use client::client;
pub(crate) use daemon::server;
pub(crate) use defects::DEFECTS;
