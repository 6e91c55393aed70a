//! Both sides as exact state machines, without I/O and without a clock.
//!
//! ```text
//! proposal.rs     the two versions and nothing else, as the proposal has them
//! agent.rs        the agent as merged: bytes in, messages out, driven by the facts of a dialect
//! host.rs         the host as merged, likewise
//! process.rs      the process of an agent: when it does what
//! port.rs         the port between them: QEMU's character device and the guest's driver
//! simulation.rs   all three in virtual time, for scenarios that take no real time
//! ```
//!
//! The same machines sit in the reference peers, whose shells add sockets and sleep.

pub(crate) mod agent;
pub(crate) mod host;
#[cfg(test)]
mod port;
pub(crate) mod process;
#[cfg(test)]
mod proposal;
#[cfg(test)]
pub(crate) mod simulation;

pub(crate) use agent::Rates;
#[cfg(test)]
pub(crate) use agent::{Agent, Sent, Thread};
pub(crate) use host::{Call, Host};
pub(crate) use process::Process;
#[cfg(test)]
pub(crate) use simulation::{Side, Simulation, Timing};

#[cfg(test)]
mod tests;
