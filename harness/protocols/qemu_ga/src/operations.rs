//! What a host does with an agent, and what it must come to.
//!
//! There is no version to agree on. A host repairs the stream, asks what is enabled, and takes another command where
//! one is not: VDSM takes guest-get-fsinfo where there is no guest-get-disks (`vdsm@fd4b0df20`,
//! `lib/vdsm/virt/qemuguestagent.py`), and kubevirt looked at version texts until its pull request 4682.

use protocol::effects;
use transcript::evidence::Expectation;

/// Condition: another host said half a request and went.
pub(crate) const HALF_SAID: &str = "half-said";
/// Condition: nothing has been said.
pub(crate) const FRESH: &str = "fresh";
/// What it said.
pub(crate) const HALF: &[u8] = b"{\"execute\":\"guest-ping\"\n";

/// Claim: whether guest-ping was answered: `answered`.
pub(crate) const PING: &str = "ping";
/// Claim: what the host says of the disks: `known` or `none`.
pub(crate) const DISKS: &str = "disks";

/// One thing that a host does, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Its name; the case is `client/<name>`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What has to be so before.
    pub before: &'static str,
    /// What the host must have said: `(claim, value)`.
    pub claims: &'static [(&'static str, &'static str)],
}

/// Every operation.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "sync",
        about: "repairs a stream in which another host left half a request, and is answered",
        before: HALF_SAID,
        claims: &[(PING, "answered")],
    },
    Operation {
        name: "devices",
        about: "finds the disks, by whatever command is enabled for that",
        before: FRESH,
        claims: &[(DISKS, "known")],
    },
];

/// The operation of that name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl effects::Operation for Operation {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn condition(&self) -> Option<&'static str> {
        Some(self.before)
    }

    fn expected(&self) -> Vec<Expectation> {
        effects::expected(0, self.claims, &[])
    }
}
