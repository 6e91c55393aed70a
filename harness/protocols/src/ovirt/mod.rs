//! `ovirt-guest-agent`: VDSM, the host, and ovirt-guest-agent in the guest, over a virtio-serial port.
//!
//! Specified by the two sources alone: `oVirt/ovirt-guest-agent`, `ovirt-guest-agent/OVirtAgentLogic.py`, and
//! `oVirt/vdsm`, `lib/vdsm/virt/guestagent.py`. One message is one JSON object on one line; its member `__name__` is
//! the name, every other member an argument. The client is the host: it connects, the guest's port listens. Nothing is
//! numbered and errors are never answered.
//!
//! ```text
//! names.rs       messages, their arguments and the version that each asks for
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! message.rs     what is read of a line, and how a line is written
//! model/         both sides as exact state machines, and the port between them
//! scenarios.rs   what can happen to a running pair     inputs.rs     what a guest can send that a host must survive
//! defects.rs     faults that can be switched on
//! ```

pub mod defects;
pub mod dialect;
pub mod inputs;
pub mod message;
pub mod model;
pub mod names;
mod releases;
pub mod scenarios;

pub use dialect::Dialect;
