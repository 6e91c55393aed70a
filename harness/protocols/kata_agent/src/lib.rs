//! `kata-agent`: the agent of Kata Containers in the guest, and the runtime on the host that calls it.

pub mod schema;
