//! `lxc-command`: the socket on which an LXC container's monitor takes commands.
//!
//! Specified by its source alone: `lxc/lxc`, `src/lxc/commands.h` and `src/lxc/commands.c`. The client
//! connects to an abstract unix socket, sends one request of 16 bytes and perhaps a payload, and reads
//! one reply; the framing is [`wire::lxc`].

pub mod effects;
