//! The port between host and guest: QEMU's character device at one end, the driver of the guest at the other.
//!
//! ```text
//! host (connects)  <->  character device  <->  agent (opens the port)
//! ```
//!
//! - The host's connection stays when the agent is restarted or replaced.
//! - While no host is connected the agent reads "nothing" at once, and its writes wait.
//! - What a host wrote and the agent has not read stays, also when that host goes.

use std::collections::VecDeque;

use super::process::{AGENT_READ_LEN_MAX, AgentRead};

/// The port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Port {
    connection: u64,
    connected: bool,
    to_agent: VecDeque<(u64, Vec<u8>)>,
    to_host: VecDeque<Vec<u8>>,
}

impl Port {
    /// A host connects. Connections count from 1.
    pub(crate) fn connect(&mut self) -> u64 {
        self.connected = true;
        self.connection += 1;
        self.to_host.clear();
        self.connection
    }

    /// The host closes its end; what it has not taken is gone.
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.to_host.clear();
    }

    /// Whether a host is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Number of the last connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// The host writes.
    pub(crate) fn host_writes(&mut self, bytes: &[u8]) {
        if self.connected && !bytes.is_empty() {
            self.to_agent.push_back((self.connection, bytes.to_vec()));
        }
    }

    /// The agent reads.
    pub(crate) fn agent_reads(&mut self) -> AgentRead {
        let Some((connection, mut bytes)) = self.to_agent.pop_front() else {
            return if self.connected { AgentRead::Waits } else { AgentRead::NoHost };
        };
        if bytes.len() > AGENT_READ_LEN_MAX {
            let rest = bytes.split_off(AGENT_READ_LEN_MAX);
            self.to_agent.push_front((connection, rest));
        }
        AgentRead::Bytes(connection, bytes)
    }

    /// The agent writes; false when it has to wait for a host.
    pub(crate) fn agent_writes(&mut self, bytes: &[u8]) -> bool {
        if self.connected {
            self.to_host.push_back(bytes.to_vec());
        }
        self.connected
    }

    /// The host takes all that is there, at most that many bytes.
    pub(crate) fn host_reads(&mut self, len_max: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(mut bytes) = self.to_host.pop_front() {
            let room = len_max.saturating_sub(read.len());
            if bytes.len() > room {
                let rest = bytes.split_off(room);
                self.to_host.push_front(rest);
                read.append(&mut bytes);
                break;
            }
            read.append(&mut bytes);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_for_a_host_and_reads_give_nothing() {
        let mut port = Port::default();
        assert_eq!(port.agent_reads(), AgentRead::NoHost);
        assert!(!port.agent_writes(b"x"));
        assert_eq!(port.connect(), 1);
        assert_eq!(port.agent_reads(), AgentRead::Waits);
        assert!(port.agent_writes(b"x"));
        assert_eq!(port.host_reads(10), b"x");
    }

    #[test]
    fn what_a_host_wrote_outlives_it_and_what_it_did_not_read_does_not() {
        let mut port = Port::default();
        port.connect();
        port.host_writes(b"half a li");
        assert!(port.agent_writes(b"never read"));
        port.disconnect();
        assert_eq!(port.agent_reads(), AgentRead::Bytes(1, b"half a li".to_vec()));
        assert_eq!(port.agent_reads(), AgentRead::NoHost);
        assert_eq!(port.connect(), 2);
        assert_eq!(port.host_reads(10), b"");
    }

    #[test]
    fn reads_are_cut() {
        let mut port = Port::default();
        port.connect();
        port.host_writes(&[b'x'; AGENT_READ_LEN_MAX + 1]);
        let lens: Vec<_> = std::iter::from_fn(|| match port.agent_reads() {
            AgentRead::Bytes(_, bytes) => Some(bytes.len()),
            AgentRead::Waits | AgentRead::NoHost => None,
        })
        .collect();
        assert_eq!(lens, [AGENT_READ_LEN_MAX, 1]);
        assert!(port.agent_writes(b"abc") && port.agent_writes(b"def"));
        assert_eq!((port.host_reads(4), port.host_reads(4)), (b"abcd".to_vec(), b"ef".to_vec()));
    }
}
