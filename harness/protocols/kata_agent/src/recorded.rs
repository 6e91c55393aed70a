//! What was recorded elsewhere of real agents and of kata-agent-ctl, and what became of it there.

use matrix::{CaseId, CaseKind};
use protocol::{Action, Case, Hazard};
use verdict::Check;
use verdict::checks::Report;

use super::dialect::{DIALECTS, Dialect};

/// A conversation that was recorded.
struct Recorded {
    kind: CaseKind,
    name: &'static str,
    about: &'static str,
    /// The calls that were made, as [`ttrpc::recorded`] has them, of an agent.
    due: fn(&Dialect) -> &'static str,
}

const fn ctl(name: &'static str, about: &'static str, due: fn(&Dialect) -> &'static str) -> Recorded {
    Recorded { kind: CaseKind::Client, name, about, due }
}

/// A container from its beginning to its end; its bytes differ from release to release.
const LIFECYCLE: &str = "CreateSandbox CreateContainer StartContainer ReadStdout ReadStderr StatsContainer PauseContainer \
    ResumeContainer WriteStdin CloseStdin TtyWinResize! ExecProcess ReadStdout WaitProcess WaitProcess SignalProcess \
    RemoveContainer StatsContainer! Check";
const CTL_LIFECYCLE: &str = "CreateSandbox CreateContainer StartContainer StatsContainer PauseContainer ResumeContainer \
    SignalProcess WaitProcess RemoveContainer";
const CTL_REFUSED: &str = "StatsContainer! PauseContainer! ResumeContainer! RemoveContainer! WaitProcess!";

/// Everything.
const RECORDED: &[Recorded] = &[
    Recorded {
        kind: CaseKind::Probe,
        name: "alone-lifecycle",
        about: "a container from its beginning to its end; recorded elsewhere",
        due: |_| LIFECYCLE,
    },
    ctl("ctl-guest-details", "kata-agent-ctl asks for what the guest has", |_| "GetGuestDetails"),
    ctl("ctl-health", "kata-agent-ctl asks for what the guest has, beside its health", |_| "GetGuestDetails"),
    ctl(
        "ctl-health-2",
        "kata-agent-ctl asks for the health and the version, on its second connection",
        |_| "Check Version",
    ),
    // A race with what reaps children fails it at times.
    ctl("ctl-iptables", "kata-agent-ctl asks for the tables of the firewall", |_| "GetIPTables?"),
    ctl("ctl-lifecycle", "kata-agent-ctl makes a container and ends it", |_| CTL_LIFECYCLE),
    ctl("ctl-metrics", "kata-agent-ctl asks for metrics", |_| "GetMetrics"),
    ctl("ctl-network", "kata-agent-ctl asks for interfaces and routes", |_| "ListInterfaces ListRoutes"),
    ctl("ctl-refused", "kata-agent-ctl asks for a container that is not there", |_| CTL_REFUSED),
    ctl("ctl-reseed", "kata-agent-ctl sends entropy that is empty", |agent| {
        if agent.takes_no_entropy { "ReseedRandomDev" } else { "ReseedRandomDev!" }
    }),
    ctl("ctl-swap", "kata-agent-ctl adds swap without a path", |_| "AddSwap!"),
    ctl("ctl-volume", "kata-agent-ctl asks for a volume that is not there", |_| "GetVolumeStats!"),
];

/// The cases of all of it.
pub(super) fn cases() -> impl Iterator<Item = Case> {
    RECORDED.iter().map(|recorded| {
        let id = CaseId::new(recorded.kind, recorded.name);
        Case::new(id, recorded.about, Hazard::Disturbs, Action::Recorded)
    })
}

fn of(case: &CaseId) -> Option<&'static Recorded> {
    RECORDED.iter().find(|recorded| case.is(recorded.kind, recorded.name))
}

/// Whether that case was only recorded.
pub(super) fn is_recorded(case: &CaseId) -> bool {
    of(case).is_some()
}

/// What was recorded is carried out as it was.
pub(super) const AS_RECORDED: Check = Check { name: "as-recorded", judge: as_recorded };

fn as_recorded(report: &mut Report<'_>) {
    let agent = DIALECTS.named(report.evidence.grammar.dialect());
    if let (Some(agent), Some(recorded)) = (agent, of(report.evidence.case)) {
        ttrpc::recorded::as_recorded(report, agent.schema(), (recorded.due)(agent));
    }
}
