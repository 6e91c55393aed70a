//! The original proposal, in the messages of vdsm 9a00df7a7 and oga 906949e: two versions and nothing else.
//!
//! ```text
//! refresh [H]      host to guest: A := min(H, G); without a value A := 0 at once
//! heartbeat [G]    guest to host: E := min(G, H); without a value E := 0; api-version when it has changed
//! api-version v    host to guest: A := min(v, G)
//! ```
//!
//! It is the rule that the machines of [`super::agent`] and [`super::host`] are measured by. Member absent is version 0
//! of a side that has none.

use crate::names::NO_VERSION;

/// The agent of the proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agent {
    /// G; none without versioning.
    pub max: Option<i64>,
    /// A.
    pub version: i64,
}

/// The host of the proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    /// H; none without versioning.
    pub max: Option<i64>,
    /// E.
    pub version: i64,
}

impl Agent {
    /// A process that starts.
    pub(crate) fn start(max: Option<i64>) -> Self {
        Self { max, version: NO_VERSION }
    }

    /// `refresh` came, with the host's maximum or without.
    pub(crate) fn refresh(&mut self, told: Option<i64>) {
        self.version = lower(told, self.max);
    }

    /// `api-version` came.
    pub(crate) fn api_version(&mut self, told: i64) {
        self.version = lower(Some(told), self.max);
    }

    /// What a heartbeat says.
    pub(crate) fn heartbeat(&self) -> Option<i64> {
        self.max
    }

    /// Whether a message with that minimum may go out.
    pub(crate) fn may_send(&self, min: i64) -> bool {
        min <= self.version
    }
}

impl Host {
    /// A process that starts.
    pub(crate) fn start(max: Option<i64>) -> Self {
        Self { max, version: NO_VERSION }
    }

    /// What a refresh says.
    pub(crate) fn refresh(&self) -> Option<i64> {
        self.max
    }

    /// A heartbeat came: the announcement, where the version has changed.
    pub(crate) fn heartbeat(&mut self, told: Option<i64>) -> Option<i64> {
        let version = lower(told, self.max);
        let changed = std::mem::replace(&mut self.version, version) != version;
        (changed && self.max.is_some()).then_some(version)
    }

    /// Whether a message with that minimum may go out.
    pub(crate) fn may_send(&self, min: i64) -> bool {
        min <= self.version
    }
}

/// The lower one of both maxima, an absent one counting as 0.
fn lower(a: Option<i64>, b: Option<i64>) -> i64 {
    a.unwrap_or(NO_VERSION).min(b.unwrap_or(NO_VERSION)).max(NO_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_settle_on_the_lower_maximum() {
        let maxima = [None, Some(1), Some(2), Some(3)];
        for h in maxima {
            for g in maxima {
                let (mut host, mut agent) = (Host::start(h), Agent::start(g));
                agent.refresh(host.refresh());
                if let Some(announced) = host.heartbeat(agent.heartbeat()) {
                    agent.api_version(announced);
                }
                let expect = h.unwrap_or(0).min(g.unwrap_or(0));
                assert_eq!((host.version, agent.version), (expect, expect), "{h:?} {g:?}");
                assert_eq!(
                    host.heartbeat(agent.heartbeat()),
                    None,
                    "{h:?} {g:?}: no change, no announcement"
                );
            }
        }
    }

    #[test]
    fn a_side_without_versions_takes_the_other_back_to_0_at_once() {
        let mut agent = Agent { max: Some(3), version: 3 };
        agent.refresh(None);
        assert!(!agent.may_send(1) && agent.may_send(0));
        let mut host = Host { max: Some(3), version: 3 };
        assert_eq!(host.heartbeat(None), Some(0));
        assert!(!host.may_send(1) && host.may_send(0));
    }
}
