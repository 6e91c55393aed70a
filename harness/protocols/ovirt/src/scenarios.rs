//! What can happen to a running pair: scripts, for the simulation, the reference host and a real one.
//!
//! The host is a client that acts by itself: its process starts, is killed, leaves and comes back as the script has it, and in
//! between it answers as its release does. The agent is the server, which is restarted, replaced and held behind its port.
//! Pauses are those of real peers, whose heartbeat takes 5 s; peers with another heartbeat take as many passes of the
//! agent's worker, a fifth of a heartbeat each. A scenario ends as soon as enough heartbeats have passed.

use std::sync::LazyLock;

use bytes::Bytes;
use matrix::CaseKind;
use protocol::effects::Operation;
use session::{ClientAct, Closes, Injection, Recorder, Script, ServerAct, Step, Successor, mark};
use transcript::ConnId;
use transcript::evidence::{Expectation, Role};

use super::inputs::{self, CANARY_MAX, CANARY_ZERO};
use super::message::HALF_HEARTBEAT;
use super::model::Call;

/// How many passes of the worker go into one heartbeat.
pub(crate) const PASSES_PER_HEARTBEAT: u32 = 5;
/// How long a pass of a real agent takes.
const PASS_MS: u64 = 1_000;

/// The condition of a guest without directories of hooks.
pub(crate) const NO_HOOKS: &str = "no-hooks";

/// How many passes a pause of a script stands for.
pub(crate) fn passes_in(ms: u64) -> u32 {
    u32::try_from(ms / PASS_MS).unwrap_or(u32::MAX)
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

    /// The call of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::SetNumberOfCpus].into_iter().chain(EVENTS.map(Self::Event)).find(|call| call.word() == word)
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
    /// What happens, in order. It begins without a host and ends with its end.
    pub script: Script,
}

impl Scenario {
    /// How many passes it takes, without what calls wait for.
    pub(crate) fn passes(&self) -> u32 {
        let passes = |step: &Step| if let Step::Pause { ms } = step { passes_in(*ms) } else { 0 };
        self.script.steps.iter().map(passes).sum()
    }

    /// The releases by which the agent is replaced.
    pub(crate) fn replaced_by(&self) -> Vec<String> {
        let release = |step: &Step| match step {
            Step::Server(ServerAct::Replace(Successor::Release(release))) => Some(release.to_string()),
            _ => None,
        };
        self.script.steps.iter().filter_map(release).collect()
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

const fn passes(count: u32) -> Step {
    Step::Pause { ms: count as u64 * PASS_MS }
}

const fn beats(count: u32) -> Step {
    passes(count * PASSES_PER_HEARTBEAT)
}

/// The host of the build starts.
pub(crate) fn start() -> Step {
    Step::Client(ClientAct::Start { build: Successor::First, handed_over: false })
}

/// A host of another release starts, and is perhaps told the version that the one before it had.
pub(crate) fn host(version: &str, handed_over: bool) -> Step {
    Step::Client(ClientAct::Start { build: Successor::release(version), handed_over })
}

/// The host is killed.
pub(crate) const KILL_HOST: Step = Step::Client(ClientAct::Kill);
/// The host ends its connection and goes on.
pub(crate) const LEAVE: Step = Step::Client(ClientAct::Leave { in_mid_message: false });
/// The same in the middle of a line.
pub(crate) const LEAVE_IN_MID_LINE: Step = Step::Client(ClientAct::Leave { in_mid_message: true });
/// The host connects again.
pub(crate) const RETURN: Step = Step::Client(ClientAct::Return);
/// The agent is killed and started again behind the host's connection.
pub(crate) const RESTART_AGENT: Step = Step::Server(ServerAct::CrashRestart);

/// The agent is killed and another release is started behind the host's connection.
pub(crate) fn agent(version: &str) -> Step {
    Step::Server(ServerAct::Replace(Successor::release(version)))
}

/// The agent writes the first half of a heartbeat, and no more.
pub(crate) fn half_line() -> Step {
    Step::Inject(Injection { writes: vec![Bytes::from_static(HALF_HEARTBEAT)], closes: Closes::Never })
}

fn call(call: ApiCall) -> Step {
    Step::Client(ClientAct::Call(call.word().into()))
}

fn marked(label: &str, args: &[(&str, &str)]) -> Step {
    Step::Mark(ConnId(0), mark(label, args))
}

/// The agent is held, and an input goes to the host.
fn sends(name: &'static str) -> Vec<Step> {
    let Some(input) = inputs::input(name) else { return Vec::new() };
    let writes: Vec<_> = input.writes.iter().map(|write| Bytes::from_static(write)).collect();
    let sent = marked("guest sends", &[("input", name), ("writes", &writes.len().to_string())]);
    vec![sent, Step::Inject(Injection { writes, closes: input.closes })]
}

fn made(name: impl Into<String>, about: &'static str, middle: Vec<Step>) -> Scenario {
    let steps = [vec![start(), beats(BEFORE)], middle, vec![KILL_HOST]].concat();
    Scenario { name: name.into(), about, script: Script { condition: None, steps } }
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
    calls.into_iter().flat_map(|told| [call(told), passes(1)]).collect()
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
    let events: Vec<Step> = told.flat_map(|told| [call(told), passes(3)]).collect();
    vec![
        made(
            "steady",
            "The host is connected and nothing happens; at the end its API is used.",
            [vec![beats(2)], calls(), vec![beats(AFTER_CALLS)]].concat(),
        ),
        made(
            "restart",
            "The agent is killed and started again behind the host's connection.",
            behind(vec![RESTART_AGENT]),
        ),
        made(
            "restart-in-mid-line",
            "The agent dies in the middle of a line and starts again.",
            behind(vec![half_line(), RESTART_AGENT]),
        ),
        made(
            "host-restart",
            "The host is killed and started again.",
            behind(vec![KILL_HOST, beats(1), start()]),
        ),
        made(
            "host-reconnect",
            "The host ends its connection and connects again, and its API is used at once.",
            behind([vec![LEAVE, passes(2), RETURN, beats(2)], calls()].concat()),
        ),
        made(
            "host-reconnect-in-mid-line",
            "The host goes in the middle of a line and connects again.",
            behind(vec![LEAVE_IN_MID_LINE, passes(2), RETURN]),
        ),
        made(
            "there-and-back",
            "The agent is migrated to a host without versions and back.",
            behind([moved(host("4.13.4", false)), vec![beats(BEHIND)], moved(start())].concat()),
        ),
        made(
            "upgrade-then-downgrade",
            "The agent is replaced by the newest one and then by itself.",
            behind(vec![agent("1.0.16"), beats(BEHIND), Step::Server(ServerAct::Replace(Successor::First))]),
        ),
        made("lifecycle", "The host tells of migrations and hibernations.", events.clone()),
        without_hooks(made(
            "lifecycle-nohooks",
            "The same with a guest that has no directories of hooks.",
            events,
        )),
    ]
}

fn without_hooks(scenario: Scenario) -> Scenario {
    let script = Script { condition: Some(NO_HOOKS.to_owned()), ..scenario.script };
    Scenario { script, ..scenario }
}

/// The host goes, and another one comes.
fn moved(host: Step) -> Vec<Step> {
    vec![KILL_HOST, passes(8), host]
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
    let mut steps = [sends(input.name), vec![passes(2)]].concat();
    if input.closes != Closes::Never {
        // Connects again by itself; the call shows which version it has kept.
        steps.extend([RETURN, call(ApiCall::SetNumberOfCpus), passes(1)]);
    }
    // What the guest sends from here on shows whether the host still listens.
    steps.push(marked(Role::Canary.word(), &[]));
    for heartbeat in [CANARY_ZERO, CANARY_MAX] {
        steps.extend(sends(heartbeat));
        steps.push(passes(2));
    }
    steps.extend([Step::Release, beats(BEHIND - 1)]);
    made(format!("guest-sends-{}", input.name), input.about, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    #[test]
    fn every_scenario_starts_a_host_and_ends_it() {
        for (at, scenario) in all().iter().enumerate() {
            assert_eq!(scenario.script.steps.first(), Some(&start()), "{}", scenario.name);
            assert_eq!(scenario.script.steps.last(), Some(&KILL_HOST), "{}", scenario.name);
            assert!(all()[..at].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn every_call_in_a_scenario_is_one_that_a_host_has() {
        let steps = all().iter().flat_map(|scenario| &scenario.script.steps);
        let words = steps.filter_map(|step| match step {
            Step::Client(ClientAct::Call(word)) => Some(word),
            _ => None,
        });
        for word in words {
            assert_eq!(ApiCall::parse(word).map(ApiCall::word).as_deref(), Some(&**word));
        }
        assert_eq!(ApiCall::parse("events.before_dinner()"), None);
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
