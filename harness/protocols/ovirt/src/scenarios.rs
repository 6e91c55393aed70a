//! What can happen to a running pair: as data, for the simulation, the reference host and a real one.
//!
//! Time is counted in passes of the agent's worker, a fifth of a heartbeat; a scenario ends as soon as enough heartbeats
//! have passed.

use std::sync::LazyLock;

use matrix::CaseKind;
use protocol::effects::Operation;
use session::Recorder;
use transcript::evidence::Expectation;

use super::inputs::{self, CANARY_MAX, CANARY_ZERO};
use super::model::Call;

/// How many passes of the worker go into one heartbeat.
pub(crate) const PASSES_PER_HEARTBEAT: u32 = 5;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A host process starts and connects.
    StartHost {
        /// Its version; none is the build under test.
        version: Option<String>,
        /// Whether it is told the version that the process before had.
        handed_over: bool,
    },
    /// The host process is killed, and its connection ends.
    KillHost,
    /// The host ends its connection and goes on.
    Leave,
    /// The host writes the first half of a refresh, ends its connection and goes on.
    LeaveInMidLine,
    /// The host connects again.
    Reconnect,
    /// So many passes go by.
    Passes(u32),
    /// The agent is killed and started again behind the host's connection.
    RestartAgent,
    /// The agent is killed and another release is started behind the host's connection.
    ReplaceAgent {
        /// Its version; none is the build under test.
        version: Option<String>,
    },
    /// The agent writes the first half of a heartbeat, and no more.
    HalfLine,
    /// The host's own API is called.
    Call(ApiCall),
    /// The agent is held, and the guest's end of the port sends something.
    Inject(&'static str),
    /// What the guest sends from here on shows whether the host still listens.
    Canary,
    /// The agent is let go on.
    Release,
}

/// A call of the host's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiCall {
    /// `setNumberOfCPUs(2)`.
    SetNumberOfCpus,
    /// `events.<name>()`: one that begins with `before_` waits for a completion, and one that ends with `_failure` tells
    /// that what was to come has failed.
    Event(&'static str),
}

impl ApiCall {
    /// As marks of recordings have it.
    pub(crate) fn word(self) -> String {
        match self {
            Self::SetNumberOfCpus => "setNumberOfCPUs(2)".to_owned(),
            Self::Event(name) => format!("events.{name}()"),
        }
    }

    /// Whether it waits for a completion.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Event(name) if name.starts_with("before_"))
    }

    /// The call as the model takes it; `id` is for a completion.
    pub(crate) fn call(self, id: &str) -> Call {
        match self {
            Self::SetNumberOfCpus => Call::set_number_of_cpus(2),
            Self::Event(name) => {
                let failed = name.strip_suffix("_failure");
                Call::lifecycle(failed.unwrap_or(name), self.waits().then_some(id), failed.is_some())
            }
        }
    }
}

/// A scenario.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Its name, behind `scenario/`.
    pub name: String,
    /// What happens, in one sentence.
    pub about: &'static str,
    /// Whether the guest has directories of hooks.
    pub hooks: bool,
    /// What happens, in order. It begins without a host and ends with its end.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// How many passes it takes, without what calls wait for.
    pub(crate) fn passes(&self) -> u32 {
        let passes = |step: &Step| if let Step::Passes(count) = step { *count } else { 0 };
        self.steps.iter().map(passes).sum()
    }
}

impl Operation for Scenario {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    /// What comes of it depends on who meets: its own checks say what is right.
    fn expected(&self) -> Vec<Expectation> {
        Vec::new()
    }

    /// Each of its steps is written down when it happens.
    fn announce(&self, _recorder: &Recorder) {}

    fn kind(&self) -> CaseKind {
        CaseKind::Scenario
    }
}

/// Hosts to which a running agent is migrated: one of each dialect.
pub(crate) const HOSTS: [&str; 7] = ["4.13.4", "4.14.17", "4.16.38", "4.17.24", "4.17.44", "4.50.7", "ideal"];
/// Agents by which a running one is replaced: one of each dialect.
pub(crate) const AGENTS: [&str; 7] =
    ["1.0.9", "1.0.9.1", "1.0.11.2", "1.0.11.3", "1.0.12", "1.0.16", "ideal"];

static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let mut all = plain();
    all.extend(migrations());
    all.extend(replacements());
    all.extend(inputs::all().map(guest_sends));
    all
});

/// Every scenario.
pub(crate) fn all() -> &'static [Scenario] {
    &SCENARIOS
}

/// The scenario of that name.
pub(crate) fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

const fn beats(count: u32) -> Step {
    Step::Passes(count * PASSES_PER_HEARTBEAT)
}

fn start() -> Step {
    Step::StartHost { version: None, handed_over: false }
}

fn made(name: impl Into<String>, about: &'static str, middle: Vec<Step>) -> Scenario {
    let mut steps = vec![start(), beats(BEFORE)];
    steps.extend(middle);
    steps.push(Step::KillHost);
    Scenario { name: name.into(), about, hooks: true, steps }
}

/// Heartbeats before something happens: the second one says the maximum in any release.
const BEFORE: u32 = 5;
/// Heartbeats behind it: two to settle, and some to show that it stays so.
const BEHIND: u32 = 7;

/// Heartbeats behind the last call: what it asks for may take as long as a busy machine needs.
const AFTER_CALLS: u32 = 4;

fn calls() -> Vec<Step> {
    let calls =
        [ApiCall::SetNumberOfCpus, ApiCall::Event("before_migration"), ApiCall::Event("after_migration")];
    calls.into_iter().flat_map(|call| [Step::Call(call), Step::Passes(1)]).collect()
}

fn behind(steps: Vec<Step>) -> Vec<Step> {
    [steps, vec![beats(BEHIND - 1)], calls(), vec![beats(AFTER_CALLS)]].concat()
}

/// What the host can tell of, in the order in which it does.
const EVENTS: [&str; 6] = [
    "before_migration",
    "after_migration",
    "after_migration_failure",
    "before_hibernation",
    "after_hibernation",
    "after_hibernation_failure",
];

fn plain() -> Vec<Scenario> {
    let told = EVENTS.map(ApiCall::Event).into_iter().chain([ApiCall::SetNumberOfCpus]);
    let events: Vec<Step> = told.flat_map(|call| [Step::Call(call), Step::Passes(3)]).collect();
    vec![
        made(
            "steady",
            "The host is connected and nothing happens; at the end its API is used.",
            [vec![beats(2)], calls(), vec![beats(AFTER_CALLS)]].concat(),
        ),
        made(
            "restart",
            "The agent is killed and started again behind the host's connection.",
            behind(vec![Step::RestartAgent]),
        ),
        made(
            "restart-in-mid-line",
            "The agent dies in the middle of a line and starts again.",
            behind(vec![Step::HalfLine, Step::RestartAgent]),
        ),
        made(
            "host-restart",
            "The host is killed and started again.",
            behind(vec![Step::KillHost, beats(1), start()]),
        ),
        made(
            "host-reconnect",
            "The host ends its connection and connects again, and its API is used at once.",
            behind([vec![Step::Leave, Step::Passes(2), Step::Reconnect, beats(2)], calls()].concat()),
        ),
        made(
            "host-reconnect-in-mid-line",
            "The host goes in the middle of a line and connects again.",
            behind(vec![Step::LeaveInMidLine, Step::Passes(2), Step::Reconnect]),
        ),
        made(
            "there-and-back",
            "The agent is migrated to a host without versions and back.",
            behind([moved(host("4.13.4", false)), vec![beats(BEHIND)], moved(start())].concat()),
        ),
        made(
            "upgrade-then-downgrade",
            "The agent is replaced by the newest one and then by itself.",
            behind(vec![agent("1.0.16"), beats(BEHIND), Step::ReplaceAgent { version: None }]),
        ),
        made("lifecycle", "The host tells of migrations and hibernations.", events.clone()),
        Scenario {
            hooks: false,
            ..made("lifecycle-nohooks", "The same with a guest that has no directories of hooks.", events)
        },
    ]
}

fn host(version: &str, handed_over: bool) -> Step {
    Step::StartHost { version: Some(version.to_owned()), handed_over }
}

fn agent(version: &str) -> Step {
    Step::ReplaceAgent { version: Some(version.to_owned()) }
}

/// The host goes, and another one comes.
fn moved(host: Step) -> Vec<Step> {
    vec![Step::KillHost, Step::Passes(8), host]
}

fn migrations() -> impl Iterator<Item = Scenario> {
    HOSTS.into_iter().flat_map(|version| {
        let go = |way, about, handed_over| {
            made(format!("{way}-to-{version}"), about, behind(moved(host(version, handed_over))))
        };
        let about = "The agent goes on, its host goes, and a host of another release connects.";
        let over = "The same; the version in force is handed over.";
        [go("migration", about, false), go("migration-api3", over, true)]
    })
}

fn replacements() -> impl Iterator<Item = Scenario> {
    let about = "The agent is replaced by another release behind the host's connection.";
    let go = move |way, version| made(format!("{way}-to-{version}"), about, behind(vec![agent(version)]));
    AGENTS.into_iter().flat_map(move |version| ["upgrade", "downgrade"].map(|way| go(way, version)))
}

fn guest_sends(input: &inputs::Input) -> Scenario {
    let mut steps = vec![Step::Inject(input.name), Step::Passes(2)];
    if input.closes != inputs::Closes::Never {
        // Connects again by itself; the call shows which version it has kept.
        steps.extend([Step::Reconnect, Step::Call(ApiCall::SetNumberOfCpus), Step::Passes(1)]);
    }
    steps.extend([
        Step::Canary,
        Step::Inject(CANARY_ZERO),
        Step::Passes(2),
        Step::Inject(CANARY_MAX),
        Step::Passes(2),
        Step::Release,
        beats(BEHIND - 1),
    ]);
    made(format!("guest-sends-{}", input.name), input.about, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    #[test]
    fn every_scenario_starts_a_host_and_ends_it() {
        for (at, scenario) in all().iter().enumerate() {
            assert_eq!(scenario.steps.first(), Some(&start()), "{}", scenario.name);
            assert_eq!(scenario.steps.last(), Some(&Step::KillHost), "{}", scenario.name);
            assert!(all()[..at].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn every_version_in_a_scenario_has_a_dialect_of_its_side() {
        for version in HOSTS {
            assert!(DIALECTS.for_version(version).is_some_and(|dialect| dialect.host.is_some()), "{version}");
        }
        for version in AGENTS {
            assert!(
                DIALECTS.for_version(version).is_some_and(|dialect| dialect.agent.is_some()),
                "{version}"
            );
        }
    }

    #[test]
    fn every_scenario_of_a_defect_exists() {
        for defect in crate::defects::DEFECTS {
            if let Some(name) = defect.case.strip_prefix("scenario/") {
                assert!(scenario(name).is_some(), "{}: {}", defect.name, defect.case);
            }
        }
    }
}
