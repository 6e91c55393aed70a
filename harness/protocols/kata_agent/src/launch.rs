//! A user's own agent, as a command line, without a virtual machine or in one.
//!
//! ```text
//! --build kata@dev=path:./kata-agent,role=server,dialect=4.0
//!     told by KATA_AGENT_SERVER_ADDR=unix://{socket}
//! --build 'kata@dev=path:./start-agent,arg={socket},role=server,dialect=4.0'
//!     told by an argument, and by nothing else
//! --build 'kata@dev=path:./start-vm,arg={socket},set=hybrid-vsock=1024,role=server,dialect=4.0'
//!     the muxer of a virtual machine listens there, and an agent in it on port 1024
//! ```
//!
//! Where an agent binds that is told of a path, its release decides: see [`Dialect::bound`](super::dialect::Dialect). An
//! abstract name belongs to a network namespace, so an agent that gets one of its own cannot be reached there.

use std::collections::BTreeMap;
use std::sync::Arc;

use matrix::Build;
use protocol::Made;
use protocol::launch::{Bound, CommandLine, OwnServers};
use session::{LaunchErrorKind, Launcher};

use super::dialect::DIALECTS;

/// The setting of a build that is a virtual machine: the port of the agent behind the muxer.
const HYBRID_VSOCK: &str = "hybrid-vsock";
/// What tells an agent where to listen, in all releases.
const TOLD_BY: &[(&str, &str)] = &[("KATA_AGENT_SERVER_ADDR", "unix://{socket}")];

/// The name of what a kernel answers to `SO_REUSEPORT` on sockets that do not have it, as agents say it.
const NO_REUSEPORT: &str = "EOPNOTSUPP";
/// Linux commit 5b0af621c3f6 refuses it; containerd/ttrpc-rust asks for it up to 0.8.3, and from 0.5 on minds the refusal.
const REUSEPORT: &str = "the kernel refuses `SO_REUSEPORT` on unix and vsock sockets since Linux 6.12.9, 6.13 and Debian's \
                         6.1.124, and agents 2.1 to 3.13 (ttrpc-rust 0.5 to 0.8.3) end of that; preload a library that answers \
                         0 to this call (`path:env,arg=LD_PRELOAD=…,arg=./kata-agent`), or take an agent from 3.14 on";

/// The variable that tells an agent where to listen. What starts a virtual machine does not read it.
pub(crate) fn told_by(build: &Build) -> &'static [(&'static str, &'static str)] {
    if build.settings.contains_key(HYBRID_VSOCK) { &[] } else { TOLD_BY }
}

/// A launcher of agents.
///
/// # Errors
/// It has a setting or a dialect that nobody knows.
pub(crate) fn own_server(line: CommandLine, build: &Build) -> Made<dyn Launcher> {
    let bound = bound(build).map_err(|why| line.error(LaunchErrorKind::Setup(why)))?;
    Ok(Arc::new(OwnServers::new(line.bound(bound).explained(explain))))
}

fn bound(build: &Build) -> Result<Bound, String> {
    if let Some(port) = port(&build.settings)? {
        return Ok(Bound::HybridVsock { port });
    }
    let dialect = DIALECTS.for_version(&build.dialect);
    dialect.map(|dialect| dialect.bound).ok_or_else(|| format!("there is no dialect `{}`", build.dialect))
}

fn port(settings: &BTreeMap<String, String>) -> Result<Option<u32>, String> {
    let mut port = None;
    for (word, value) in settings {
        if word != HYBRID_VSOCK {
            return Err(format!("no setting `{word}`; there is `{HYBRID_VSOCK}`"));
        }
        let read = value.parse();
        port =
            Some(read.map_err(|_| format!("`{HYBRID_VSOCK}` is a port of vsock, e.g. 1024, not `{value}`"))?);
    }
    Ok(port)
}

fn explain(said: &str) -> Option<&'static str> {
    said.contains(NO_REUSEPORT).then_some(REUSEPORT)
}

#[cfg(test)]
mod tests;
