//! What a transaction of interface changes leaves behind, by the states that were read before and after it.
//!
//! | shape | weight | what it says |
//! |---|---|---|
//! | `not-supported-by-driver` | refusal | the driver has no transactions: code 3, which is not an unknown procedure |
//! | `begin-fails` | refusal | the driver is there, and no transaction begins |
//! | `no-such-driver` | refusal | the driver that the scenario is about is not there |
//! | `rollback-leaves-inactive` | violation | a rollback gave back an interface that was active as an inactive one |
//! | `rollback-touches-others` | violation | the same of an interface that the transaction had not touched |
//! | `changes-kept` | violation | behind a rollback or a boot something is still changed |
//! | `changes-lost` | violation | behind a commit a change is missing |
//! | `refused-but-changed` | violation | a call that was refused has changed something |
//! | `half-done` | violation | what is there is neither what was before nor what was made of it |
//! | `second-begin-accepted` | violation | a transaction begins while another of the same state is open |
//! | `discarded-at-last-close` | restriction | with its last client the driver forgets everything |
//! | `discarded-at-restart` | restriction | with its process the driver forgets everything |
//! | `transaction-lost-at-restart` | restriction | behind a restart what was changed cannot be rolled back |
//! | `transaction-lost-with-client` | restriction | behind a client's death what it changed cannot be rolled back |
//! | `state-of-driver` | note | whoever comes can end a transaction: it belongs to the driver |
//! | `state-of-client` | note | each client sees what it changed alone |
//! | `no-automatic-rollback` | note | a client's death leaves its changes and its transaction as they are |
//! | `no-automatic-rollback` | violation | the same where a rollback was promised, and of a client that is not heard |
//! | `incomplete` | violation of the harness | a state that others are compared with was not read |
//!
//! States are compared by meaning: interfaces by name, in any order, whether they are active, and their
//! descriptions but for white space. Scenarios name every address themselves, so none is made up.

use std::collections::BTreeMap;

use transcript::evidence::{Expect, Role, Shape};
use verdict::checks::Report;
use verdict::{Check, Cited, ConnReading, Evidence, FrameRef, Meaning, Step, Weight};
use wire::Direction;
use wire::libvirt_rpc::Header;

use super::{number, text};
use crate::names::{error, procedures as p};
use crate::shapes;

/// Compares each state that is due with the states that it is due to be.
pub(super) const TRANSACTION_HOLDS: Check = Check { name: "transaction-holds", judge: transaction_holds };

verdict::rules! {
    ROLLBACK:
        "a rollback gives back the interfaces as they were at begin, and touches none that is as it was",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeBegin and \
         virInterfaceChangeRollback";
    COMMIT: "a commit keeps what was changed since begin, and ends the transaction",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeCommit";
    ONE: "while a transaction is open, another one does not begin",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeBegin";
    NO_EFFECT: "what is refused has no effect", "harness/ARCHITECTURE.md#what-is-refused-has-no-effect";
    EITHER: "whatever ends a transaction, what is there then is what was before it or what was made of it",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeRollback";
    BOOT: "a transaction that is open when the machine goes down is rolled back at boot",
        "seanbruno/fbsd-netcf@a9fe5383:src/netcf-transaction.init.sh, start";
    SURVIVES: "a transaction is a state of the host: it outlives clients and the daemon",
        "measured on libvirt 7.0.0 with netcf: open behind a client's exit and behind SIGKILL of the daemon";
    OWNER: "nothing ties a transaction to the client that began it",
        "measured on libvirt 7.0.0 to 12.8.0, test driver: another client commits and rolls back";
    BEGINS: "a transaction begins where none is open",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeBegin; LV-09: no script in \
         Debian's netcf";
    BY_ITSELF: "nothing is rolled back by itself when a client goes",
        "measured on libvirt 7.0.0 to 12.8.0: virInterfaceAutoRollbackTest was proposed in 2011 and is in \
         no release";
    PROMISED: "a client that is gone, or cannot reach the address that it named in time, is rolled back",
        "harness/ARCHITECTURE.md#a-promised-rollback-comes";
    SUPPORT: "a driver without transactions says so with code 3; 39/7 is an old server",
        "measured on libvirt 9.0.0 to 12.8.0 with udev: 3/26 `this function is not supported by the \
         connection driver`";
}

fn transaction_holds(report: &mut Report<'_>) {
    let evidence = report.evidence;
    let story = Story::of(evidence);
    if let Some(first) = story.acts.iter().find(|act| act.call == "begin")
        && first.step.arg(Expect::ARG) != Some(Expect::Refusal.word())
        && !first.done()
    {
        return did_not_begin(report, first);
    }
    for (at, state) in story.states.iter().enumerate() {
        if let Some(after) = state.step.arg("after") {
            Held { story: &story, at, state, after }.hold(report);
        }
    }
}

/// No transaction began that was to begin: there is none to be judged.
fn did_not_begin(report: &mut Report<'_>, begin: &Act<'_>) {
    let mut greetings =
        report.evidence.reading.steps(Role::Greeting).filter(|(conn, _)| conn.conn == begin.conn.conn);
    let opened = greetings.any(|(_, step)| step.answers().any(|reply| reply.meaning == Meaning::Success));
    let (shape, rule, message, was) = if !opened {
        let message = "the driver that this is about is not there";
        (shapes::NO_SUCH_DRIVER, SUPPORT, message, "refused to open".to_owned())
    } else if begin.refused_with_no_support() {
        let message = "the driver has no transactions of interface changes";
        (shapes::NOT_SUPPORTED_BY_DRIVER, SUPPORT, message, "refused with code 3".to_owned())
    } else {
        let (message, was) = match begin.meaning {
            Some(Meaning::Refused(code)) => (
                "the driver has transactions of interface changes, and cannot begin one",
                format!("refused with code {code}"),
            ),
            Some(Meaning::NotSupported) => (
                "the server does not know the procedures of interface transactions",
                "refused as an unknown procedure".to_owned(),
            ),
            _ => ("whether a transaction has begun cannot be told", "no answer that can be read".to_owned()),
        };
        (shapes::BEGIN_FAILS, BEGINS, message, was)
    };
    let frame = begin.frame(report);
    report.finding(Weight::Refusal, shape, rule, message).at(frame).push("a transaction begins", was);
}

/// One interface as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Interface {
    active: Option<bool>,
    /// Its description without white space.
    xml: Option<String>,
}

type Interfaces = BTreeMap<String, Interface>;

/// The interfaces at one time.
struct State<'a> {
    conn: &'a ConnReading,
    step: &'a Step,
    interfaces: Interfaces,
}

/// What a client did.
struct Act<'a> {
    conn: &'a ConnReading,
    step: &'a Step,
    call: &'a str,
    meaning: Option<Meaning>,
}

/// Acts and states in the order of time.
struct Story<'a> {
    acts: Vec<Act<'a>>,
    states: Vec<State<'a>>,
}

impl<'a> Story<'a> {
    fn of(evidence: &'a Evidence<'_>) -> Self {
        let mut acts: Vec<Act<'a>> = evidence
            .reading
            .steps(Role::Subject)
            .map(|(conn, step)| Act {
                conn,
                step,
                call: step.arg("call").unwrap_or_default(),
                meaning: step.answers().next().map(|reply| reply.meaning),
            })
            .collect();
        let mut states: Vec<State<'a>> = evidence
            .reading
            .steps(Role::State)
            .map(|(conn, step)| State { conn, step, interfaces: interfaces(evidence, step) })
            .collect();
        acts.sort_by_key(|act| act.step.event);
        states.sort_by_key(|state| state.step.event);
        Self { acts, states }
    }

    /// The latest state of that name before another one.
    fn named(&self, before: usize, name: &str) -> Option<&State<'a>> {
        self.states[..before].iter().rev().find(|state| state.step.arg("at") == Some(name))
    }

    /// The last thing that a client did before a state was read.
    fn last_act(&self, state: &State<'_>) -> Option<&Act<'a>> {
        self.acts.iter().rev().find(|act| act.step.event < state.step.event)
    }
}

/// The interfaces that a step has read.
fn interfaces(evidence: &Evidence<'_>, step: &Step) -> Interfaces {
    let mut seen = Interfaces::new();
    for reply in step.answers().filter(|reply| reply.meaning == Meaning::Success) {
        let Some(request) = &reply.request else { continue };
        let Some(header) = Header::of_frame(request) else { continue };
        let answer = evidence.grammar.dissect(Direction::ToClient, &reply.at.frame, Some(request));
        let asked = evidence.grammar.dissect(Direction::ToServer, request, None);
        match header.procedure {
            p::CONNECT_LIST_ALL_INTERFACES => {
                for name in (0..).map_while(|at| text(&answer, &format!("ifaces.{at}.name"))) {
                    seen.entry(name).or_default();
                }
            }
            p::INTERFACE_IS_ACTIVE => {
                if let (Some(name), Some(active)) = (text(&asked, "iface.name"), number(&answer, "active")) {
                    seen.entry(name).or_default().active = Some(active != 0);
                }
            }
            p::INTERFACE_GET_XML_DESC => {
                if let (Some(name), Some(xml)) = (text(&asked, "iface.name"), text(&answer, "xml")) {
                    let xml = xml.chars().filter(|c| !c.is_whitespace()).collect();
                    seen.entry(name).or_default().xml = Some(xml);
                }
            }
            _ => {}
        }
    }
    seen
}

impl Act<'_> {
    fn done(&self) -> bool {
        self.meaning == Some(Meaning::Success)
    }

    fn refused_with_no_support(&self) -> bool {
        self.meaning == Some(Meaning::Refused(error::NO_SUPPORT.into()))
    }

    fn frame(&self, report: &Report<'_>) -> Option<FrameRef> {
        let reply = self.step.answers().next().map(|reply| report.reply(self.conn.conn.0, reply));
        reply.or_else(|| report.subject(self.conn.conn.0, self.step))
    }
}

/// How what is there differs from what is due.
#[derive(Debug, Default)]
struct Difference {
    /// Interfaces that are as they should be, but for being inactive.
    inactive: Vec<String>,
    /// Everything else, in words.
    others: Vec<String>,
}

impl Difference {
    fn between(due: &Interfaces, now: &Interfaces) -> Self {
        let mut found = Self::default();
        for (name, was) in due {
            match now.get(name) {
                None => found.others.push(format!("{name} is missing")),
                Some(is) if is == was => {}
                Some(is) if is.xml != was.xml => found.others.push(format!("{name} is another one")),
                Some(is) if (was.active, is.active) == (Some(true), Some(false)) => {
                    found.inactive.push(name.clone());
                }
                Some(_) => found.others.push(format!("{name} is active")),
            }
        }
        let added = now.keys().filter(|name| !due.contains_key(*name));
        found.others.extend(added.map(|name| format!("{name} is there")));
        found
    }

    fn is_none(&self) -> bool {
        self.inactive.is_empty() && self.others.is_empty()
    }

    fn words(&self) -> String {
        let inactive = self.inactive.iter().map(|name| format!("{name} is inactive"));
        inactive.chain(self.others.iter().cloned()).collect::<Vec<_>>().join(", ")
    }
}

/// What can happen before a state is read that is no call: then the state itself shows what is wrong.
const DEATHS: [&str; 5] = ["client-death", "last-close", "restart", "crash", "reboot"];

/// A state that is compared with those that it is due to be.
struct Held<'a> {
    story: &'a Story<'a>,
    /// Where it stands among the states.
    at: usize,
    state: &'a State<'a>,
    /// What happened before it.
    after: &'a str,
}

impl Held<'_> {
    fn hold(&self, report: &mut Report<'_>) {
        for name in self.due() {
            if self.story.named(self.at, name).is_none() {
                report.lacks(vec![format!("the state `{name}` was not read")]);
                return;
            }
        }
        let done = self.story.last_act(self.state).is_some_and(Act::done);
        match self.after {
            "rollback" if done => self.rolled_back(report),
            "commit" if done => self.committed(report),
            "foreign-rollback" | "late-rollback" if done => {
                self.owned_by_nobody(report);
                self.rolled_back(report);
            }
            "foreign-commit" if done => {
                self.owned_by_nobody(report);
                self.committed(report);
            }
            "foreign-begin" if done => self.begun_twice(report),
            "late-begin" if done => self.lost_with_client(report),
            "late-rollback" => {
                self.without_effect(report);
                self.lost_transaction(report);
            }
            "refused" | "rollback" | "commit" | "foreign-rollback" | "foreign-commit" | "foreign-begin"
            | "late-begin" => self.without_effect(report),
            "nothing" => self.seen_by_others(report),
            "promise-client-gone" | "promise-deadline" => self.promised(report),
            _ => self.left_behind(report),
        }
    }

    fn due(&self) -> impl Iterator<Item = &str> {
        self.state.step.arg("due").unwrap_or_default().split('|').filter(|name| !name.is_empty())
    }

    fn is(&self, name: &str) -> bool {
        self.difference(name).is_some_and(|difference| difference.is_none())
    }

    /// How it differs from the state of that name; `None` where that was not read.
    fn difference(&self, name: &str) -> Option<Difference> {
        let due = self.story.named(self.at, name)?;
        Some(Difference::between(&due.interfaces, &self.state.interfaces))
    }

    fn frame(&self, report: &Report<'_>) -> Option<FrameRef> {
        match self.story.last_act(self.state) {
            Some(act) if !DEATHS.contains(&self.after) => act.frame(report),
            _ => report.subject(self.state.conn.conn.0, self.state.step),
        }
    }

    fn push(
        &self,
        report: &mut Report<'_>,
        weight: Weight,
        shape: Shape,
        rule: Cited,
        message: &str,
        was: &str,
    ) {
        let due: Vec<&str> = self.due().collect();
        let due =
            if due.is_empty() { "as before".to_owned() } else { format!("as at `{}`", due.join("` or `")) };
        let frame = self.frame(report);
        report.finding(weight, shape, rule, message).at(frame).push(due, was);
    }

    /// A rollback was reported as done.
    fn rolled_back(&self, report: &mut Report<'_>) {
        let Some(difference) = self.difference("begin") else { return };
        let untouched = |name: &String| self.state.step.arg("untouched") == Some(name);
        let words = difference.words();
        if !difference.others.is_empty() {
            let message = "a rollback is reported, and something is still changed";
            self.push(report, Weight::Violation, shapes::CHANGES_KEPT, ROLLBACK, message, &words);
        }
        if difference.inactive.iter().any(untouched) {
            let message = "a rollback stops an interface that the transaction had not touched";
            self.push(report, Weight::Violation, shapes::ROLLBACK_TOUCHES_OTHERS, ROLLBACK, message, &words);
        } else if !difference.inactive.is_empty() {
            let message = "a rollback is reported, and what was active is inactive";
            self.push(report, Weight::Violation, shapes::ROLLBACK_LEAVES_INACTIVE, ROLLBACK, message, &words);
        }
    }

    /// A commit was reported as done.
    fn committed(&self, report: &mut Report<'_>) {
        let Some(difference) = self.difference("changed").filter(|found| !found.is_none()) else { return };
        let message = "a commit is reported, and what was changed is not there";
        self.push(report, Weight::Violation, shapes::CHANGES_LOST, COMMIT, message, &difference.words());
    }

    fn owned_by_nobody(&self, report: &mut Report<'_>) {
        let message = "another client than the one that began it ends a transaction";
        self.push(report, Weight::Note, shapes::STATE_OF_DRIVER, OWNER, message, "carried out");
    }

    fn begun_twice(&self, report: &mut Report<'_>) {
        let message = "a second transaction begins while the first is open";
        self.push(report, Weight::Violation, shapes::SECOND_BEGIN_ACCEPTED, ONE, message, "carried out");
    }

    /// What was refused has left everything as it was at the last look.
    fn without_effect(&self, report: &mut Report<'_>) {
        let Some(before) = self.at.checked_sub(1).and_then(|at| self.story.states.get(at)) else { return };
        let difference = Difference::between(&before.interfaces, &self.state.interfaces);
        if !difference.is_none() {
            let message = "a call was refused and has changed something all the same";
            self.push(
                report,
                Weight::Violation,
                shapes::REFUSED_BUT_CHANGED,
                NO_EFFECT,
                message,
                &difference.words(),
            );
        }
    }

    fn seen_by_others(&self, report: &mut Report<'_>) {
        if !self.is("changed") {
            let message = "what one client changes is not seen by another";
            self.push(report, Weight::Note, shapes::STATE_OF_CLIENT, OWNER, message, "as before");
        }
    }

    /// A rollback that came late was refused: was there anything left to roll back?
    fn lost_transaction(&self, report: &mut Report<'_>) {
        let Some(left) = self.story.named(self.at, "left") else { return };
        let Some(begin) = self.story.named(self.at, "begin") else { return };
        if Difference::between(&begin.interfaces, &left.interfaces).is_none() {
            return;
        }
        let (shape, message) = match left.step.arg("after").unwrap_or_default() {
            "restart" | "crash" | "reboot" => (
                shapes::TRANSACTION_LOST_AT_RESTART,
                "behind a restart nobody knows of the transaction that was open: nothing can be rolled back",
            ),
            // A driver that has forgotten everything has nothing to roll back either; that is told already.
            "last-close" => return,
            _ => (
                shapes::TRANSACTION_LOST_WITH_CLIENT,
                "behind a client's death nobody knows of its transaction: nothing can be rolled back",
            ),
        };
        self.push(report, Weight::Restriction, shape, SURVIVES, message, "no transaction is open");
    }

    /// Somebody begins anew behind a client's death: what that one changed stays for good, if it is there.
    fn lost_with_client(&self, report: &mut Report<'_>) {
        if self.is("changed") {
            let message = "behind a client's death its changes stay and its transaction is over";
            let shape = shapes::TRANSACTION_LOST_WITH_CLIENT;
            self.push(report, Weight::Restriction, shape, SURVIVES, message, "another transaction begins");
        }
    }

    /// What the server promised: the changes of a client that is gone or not heard in time are rolled back, and
    /// those of one that is heard are left alone.
    fn promised(&self, report: &mut Report<'_>) {
        let Some(difference) = self.due().next().and_then(|name| self.difference(name)) else { return };
        if difference.is_none() {
            return;
        }
        let words = difference.words();
        if !self.due_is_changed() && self.is("changed") {
            let message =
                "a client that is gone or was not heard in time is not rolled back, as was promised";
            let shape = shapes::NO_AUTOMATIC_ROLLBACK;
            return self.push(report, Weight::Violation, shape, PROMISED, message, &words);
        }
        let (shape, message) = if self.due_is_changed() {
            (shapes::CHANGES_LOST, "a client was heard in time, and its changes are rolled back all the same")
        } else {
            (
                shapes::HALF_DONE,
                "what is there is neither what was before the transaction nor what it made of it",
            )
        };
        self.push(report, Weight::Violation, shape, PROMISED, message, &words);
    }

    /// A client, the daemon or the machine went down.
    fn left_behind(&self, report: &mut Report<'_>) {
        let client = matches!(self.after, "client-death" | "last-close");
        if self.due().any(|name| self.is(name)) {
            if client && self.is("changed") {
                let message = "a client dies within its transaction, and its changes stay";
                self.push(
                    report,
                    Weight::Note,
                    shapes::NO_AUTOMATIC_ROLLBACK,
                    BY_ITSELF,
                    message,
                    "as at `changed`",
                );
            }
            return;
        }
        if self.after != "client-death" && self.is("initial") {
            let (shape, message) = if client {
                (shapes::DISCARDED_AT_LAST_CLOSE, "with its last client the driver forgets what it was told")
            } else {
                (shapes::DISCARDED_AT_RESTART, "with its process the driver forgets what it was told")
            };
            let was = "as the driver starts";
            return self.push(report, Weight::Restriction, shape, SURVIVES, message, was);
        }
        if self.after == "reboot" && self.is("changed") {
            let message =
                "a transaction was open when the machine went down, and its changes are still there";
            return self.push(
                report,
                Weight::Violation,
                shapes::CHANGES_KEPT,
                BOOT,
                message,
                "as at `changed`",
            );
        }
        self.neither(report);
    }

    /// It is no state that was ever due.
    fn neither(&self, report: &mut Report<'_>) {
        let begin = self.difference("begin");
        if let Some(difference) = begin.filter(|found| found.others.is_empty() && !self.due_is_changed()) {
            let message = "something was rolled back, and what was active is inactive";
            let shape = shapes::ROLLBACK_LEAVES_INACTIVE;
            return self.push(report, Weight::Violation, shape, ROLLBACK, message, &difference.words());
        }
        let name = self.due().next().unwrap_or("begin");
        let words = self.difference(name).map(|found| found.words()).unwrap_or_default();
        if self.due_is_changed() {
            let message = "what was committed is not there any more";
            self.push(report, Weight::Violation, shapes::CHANGES_LOST, COMMIT, message, &words);
        } else {
            let message = "what is there is neither what was before the transaction nor what it made of it";
            self.push(report, Weight::Violation, shapes::HALF_DONE, EITHER, message, &words);
        }
    }

    /// Whether only what was committed is right.
    fn due_is_changed(&self) -> bool {
        self.due().eq(["changed"])
    }
}
