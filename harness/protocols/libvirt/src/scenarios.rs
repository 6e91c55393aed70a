//! Transactions of interface changes, with other clients, deaths and restarts in the middle.
//!
//! The scenarios are in `scenarios.txt`. A scenario acts in steps of the role `subject`, and reads the interfaces
//! back in steps of the role `state`. Their marks say all that the checks have to know ([`super::checks`]):
//!
//! ```text
//! subject   call=begin by=a expect=answer        what is called, by which client, and what is due
//! state     at=begin                             a state that others are compared with
//! state     at=end after=rollback due=begin      what came of it, and which state that must be
//! ```
//!
//! Marks with several words in `due` take any of them: `begin|changed`. `at=initial` is the driver as it
//! starts, before an interface `eth8` is defined outside of any transaction: a driver that is back in that
//! state has forgotten everything, and that is no rollback.
//!
//! Scenarios called `connectivity-…` are for servers that promise to roll back who is gone or not heard in time.
//! Scenarios called `machine-…` open the driver of the machine's own interfaces (udev or netcf) instead of the
//! test driver. A server that does not have it, or has no transactions there, is told so: nothing else is held.

use std::collections::{BTreeMap, BTreeSet};

use matrix::{CaseId, CaseKind};
use protocol::probe::{Description, PATIENT_MS, closing};
use protocol::{Action, Case, Hazard};
use session::{Script, ServerAct};
use transcript::evidence::{Expect, Role};
use wire::xdr::Writer;

use super::names::procedures as p;
use super::operations::NEW_INTERFACE_XML;
use super::probes;
use super::request::{self, call_with};

/// The interface that the test driver starts with: active, with this address.
pub(super) const ETH1: (&str, &str) = ("eth1", "aa:bb:cc:dd:ee:ff");
/// An interface that is defined before a transaction.
const ETH8: (&str, &str) = ("eth8", "aa:bb:cc:dd:ee:88");
/// An interface that is defined within one.
const ETH9: (&str, &str) = ("eth9", "aa:bb:cc:dd:ee:99");
/// Every interface that scenarios know of the test driver.
const ALL: &[(&str, &str)] = &[ETH1, ETH8, ETH9];
/// Every interface that they know of the machine.
const MACHINE: &[(&str, &str)] = &[("lo", "00:00:00:00:00:00"), ETH9];
/// The driver of the machine's own interfaces.
const MACHINE_URI: &str = "interface:///session";

/// What defines `eth8`.
const ETH8_XML: &str = "<interface type='ethernet' name='eth8'><start mode='none'/>\
<mac address='aa:bb:cc:dd:ee:88'/><mtu size='1500'/></interface>";
/// What defines `eth8` anew, as another one.
const ETH8_OTHER_XML: &str = "<interface type='ethernet' name='eth8'><start mode='none'/>\
<mac address='aa:bb:cc:dd:ee:88'/><mtu size='9000'/></interface>";

/// How long a server gets to see that a client is gone, before another one comes.
const DEATH_MS: u64 = 150;

/// The client whose transaction it is.
const A: u32 = 2;
/// Another one.
const B: u32 = 20;
/// One that comes later.
const C: u32 = 21;

/// The serial before the first one.
const FIRST: u32 = 0x100;

/// Longer than servers that promise a rollback let who begins be silent: a second, by their setting
/// `connectivity` in `builds.toml`.
const PAST_DEADLINE_MS: u64 = 1500;

type Arguments = fn() -> Writer;

/// What a client can do to interfaces: the first part of its name is the word in marks.
const ACTS: &[(&str, i32, Arguments)] = &[
    ("begin", p::INTERFACE_CHANGE_BEGIN, || Writer::new().u32(0)),
    ("begin-with-flags", p::INTERFACE_CHANGE_BEGIN, || Writer::new().u32(1)),
    ("commit", p::INTERFACE_CHANGE_COMMIT, || Writer::new().u32(0)),
    ("commit-with-flags", p::INTERFACE_CHANGE_COMMIT, || Writer::new().u32(1)),
    ("rollback", p::INTERFACE_CHANGE_ROLLBACK, || Writer::new().u32(0)),
    ("rollback-with-flags", p::INTERFACE_CHANGE_ROLLBACK, || Writer::new().u32(1)),
    ("define-8", p::INTERFACE_DEFINE_XML, || xml(ETH8_XML)),
    ("define-8-anew", p::INTERFACE_DEFINE_XML, || xml(ETH8_OTHER_XML)),
    ("define-9", p::INTERFACE_DEFINE_XML, || xml(NEW_INTERFACE_XML)),
    ("undefine-8", p::INTERFACE_UNDEFINE, || interface(ETH8)),
    ("undefine-9", p::INTERFACE_UNDEFINE, || interface(ETH9)),
    ("start-9", p::INTERFACE_CREATE, || interface(ETH9).u32(0)),
    ("destroy-1", p::INTERFACE_DESTROY, || interface(ETH1).u32(0)),
    ("destroy-9", p::INTERFACE_DESTROY, || interface(ETH9).u32(0)),
];

fn xml(xml: &str) -> Writer {
    Writer::new().opaque(xml.as_bytes()).u32(0)
}

fn interface((name, mac): (&str, &str)) -> Writer {
    request::interface(name, mac)
}

/// What a server has to be run with that a scenario is for, as `builds.toml` has it.
pub(super) fn settings_for(case: &CaseId) -> BTreeMap<String, String> {
    let promises = case.to_string().starts_with("scenario/connectivity-");
    promises.then(|| ("connectivity".to_owned(), "1000".to_owned())).into_iter().collect()
}

/// What can have happened before a state: [`super::checks`] has a rule for each.
const AFTER: &[&str] = &[
    "nothing",
    "refused",
    "commit",
    "rollback",
    "foreign-begin",
    "foreign-commit",
    "foreign-rollback",
    "late-begin",
    "late-rollback",
    "client-death",
    "last-close",
    "restart",
    "crash",
    "reboot",
    "promise-client-gone",
    "promise-deadline",
];

/// Every scenario.
pub(crate) fn all() -> Vec<Case> {
    read(include_str!("scenarios.txt")).expect("a constant, which tests read")
}

/// Reads `scenarios.txt`. An error names the line.
fn read(text: &'static str) -> Result<Vec<Case>, String> {
    let mut scenes: Vec<Scene> = Vec::new();
    for (at, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let read = match (line.strip_prefix("    "), scenes.last_mut()) {
            (None, _) => Scene::new(line).map(|scene| scenes.push(scene)),
            (Some(steps), Some(scene)) => steps
                .split("; ")
                .try_for_each(|step| scene.step(step).ok_or_else(|| format!("`{step}` is no step here"))),
            (Some(_), None) => Err("steps without a title".to_owned()),
        };
        read.map_err(|what| format!("line {at}: {what}"))?;
    }
    scenes.into_iter().map(Scene::case).collect()
}

/// A script in the making: it knows which serial comes next.
struct Scene {
    name: &'static str,
    about: &'static str,
    /// The states that were read: others can be due to be like them.
    states: BTreeSet<String>,
    d: Description,
    script: Script,
    serial: u32,
    uri: &'static str,
    interfaces: &'static [(&'static str, &'static str)],
}

impl Scene {
    /// The scenario with that title: its name, and what it is about.
    fn new(title: &'static str) -> Result<Self, String> {
        let (name, about) = title.split_once(": ").ok_or_else(|| format!("`{title}` is no title"))?;
        let (d, script, states) = (probes::description(), Script::new(), BTreeSet::new());
        Ok(Self { name, about, states, d, script, serial: FIRST, uri: probes::URI, interfaces: ALL })
    }

    /// One step, as `scenarios.txt` has it; nothing where it has none like that.
    fn step(&mut self, step: &str) -> Option<()> {
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["machine"] => (self.uri, self.interfaces) = (MACHINE_URI, MACHINE),
            ["late"] => self.then(|script| script.pause(PAST_DEADLINE_MS)),
            ["server", ref act @ ..] => {
                let act = ServerAct::parse(&act.join(" "))?;
                self.then(|script| [A, B, C].into_iter().fold(script, Script::close).server(act));
            }
            ["begun", ref acts @ ..] => {
                for step in ["a sees initial", "a define-8", "a sees begin", "a begin"] {
                    self.step(step)?;
                }
                acts.iter().try_for_each(|act| self.step(&format!("a {act}")))?;
                self.step("a sees changed")?;
            }
            [client, "comes"] => self.opens(conn(client)?, 0),
            [client, "reads"] => self.opens(conn(client)?, 1),
            [client, "dies"] => {
                let conn = conn(client)?;
                self.then(|script| script.close(conn).pause(DEATH_MS));
            }
            // What is due is held only where it is said after what.
            [client, "sees", at, ref marks @ ..] if matches!(marks.len(), 0 | 2 | 3) => {
                let marks = ["after", "due", "untouched"].into_iter().zip(marks);
                let marks: Option<Vec<_>> = marks.map(|(key, mark)| self.mark(key, mark)).collect();
                let marks: Vec<_> = [("at", at)].into_iter().chain(marks?).collect();
                self.sees(conn(client)?, &marks);
                self.states.insert(at.to_owned());
            }
            [client, act] => self.acts(client, act, Expect::Answer)?,
            [client, act, expect] => self.acts(client, act, Expect::parse(expect)?)?,
            [..] => return None,
        }
        Some(())
    }

    /// What a mark of a state says, where the checks can read it.
    fn mark<'a>(&self, key: &'static str, mark: &'a str) -> Option<(&'static str, &'a str)> {
        let value = mark.strip_prefix(key)?.strip_prefix('=')?;
        let is_known = match key {
            "after" => AFTER.contains(&value),
            "due" => value.split('|').all(|state| self.states.contains(state)),
            _ => self.interfaces.iter().any(|(name, _)| *name == value),
        };
        is_known.then_some((key, value))
    }

    fn then(&mut self, step: impl FnOnce(Script) -> Script) {
        self.script = step(std::mem::take(&mut self.script));
    }

    fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// A client comes and opens the driver; `flags` 1 is one that may only read.
    fn opens(&mut self, conn: u32, flags: u32) {
        let open = request::open(self.next(), Some(self.uri), flags);
        self.then(|script| script.open(conn, Role::Greeting, &[]).send(conn, open).reply(conn, PATIENT_MS));
    }

    fn asks(&mut self, conn: u32, procedure: i32, arguments: Writer) {
        let call = call_with(procedure, self.next(), arguments);
        self.then(|script| script.send(conn, call).reply(conn, PATIENT_MS));
    }

    fn acts(&mut self, client: &str, act: &str, expect: Expect) -> Option<()> {
        let (_, procedure, arguments) = ACTS.iter().find(|(name, ..)| *name == act)?;
        let conn = conn(client)?;
        let word = act.split('-').next().unwrap_or(act);
        let args = [("call", word), ("by", client), expect.arg()];
        self.then(|script| script.role(conn, Role::Subject, &args));
        self.asks(conn, *procedure, arguments());
        Some(())
    }

    /// What is there now: the list, and of each interface whether it is active and how it is described.
    fn sees(&mut self, conn: u32, marks: &[(&str, &str)]) {
        self.then(|script| script.role(conn, Role::State, marks));
        self.asks(conn, p::CONNECT_LIST_ALL_INTERFACES, Writer::new().i32(1).u32(3));
        for known in self.interfaces {
            self.asks(conn, p::INTERFACE_IS_ACTIVE, interface(*known));
            self.asks(conn, p::INTERFACE_GET_XML_DESC, interface(*known).u32(0));
        }
    }

    fn case(self) -> Result<Case, String> {
        if self.serial == FIRST {
            return Err(format!("`{}` asks for nothing", self.name));
        }
        let script = [A, B, C].into_iter().fold(self.script, Script::close);
        let script = closing(&self.d, script);
        let id = CaseId::new(CaseKind::Scenario, self.name);
        Ok(Case::new(id, self.about, Hazard::Disturbs, Action::Script(script.into())))
    }
}

fn conn(client: &str) -> Option<u32> {
    match client {
        "a" => Some(A),
        "b" => Some(B),
        "c" => Some(C),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_step_is_an_error_with_its_line() {
        #[track_caller]
        fn check(table: &'static str, expect: &str) {
            assert_eq!(read(table).err().as_deref(), Some(expect), "{table}");
        }
        for step in [
            "",
            "latest",
            "server",
            "server dies",
            "d comes",
            "a comes twice",
            "a begins",
            "d begin",
            "a begin refused",
            "a begin any refusal",
            "begun begins",
            "a sees",
            "a sees end due=begin",
            "a sees end after=commit due:begin",
            "a sees end after=commit due=",
            "a sees end after=commit due=begin|end",
            "a sees end after=lunch due=begin",
            "a sees end after=commit due=begin untouched=eth0",
            "a sees end after=commit due=begin when=now",
            "a sees end after=commit due=begin untouched=eth1 late",
        ] {
            let table = format!("# a\n\nb: c\n    a comes; a sees begin\n    late; {step}; late").leak();
            check(table, &format!("line 5: `{step}` is no step here"));
        }
        check("    late", "line 1: steps without a title");
        check("a\n    late", "line 1: `a` is no title");
        check("a: b\n    a comes\nc: d", "`c` asks for nothing");
        assert_eq!(all().last().map(|case| &*case.id.name), Some("connectivity-client-gone"));
    }
}
