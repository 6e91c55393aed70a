//! Transactions of interface changes, with other clients, deaths and restarts in the middle.
//!
//! A scenario acts in steps of the role `subject`, and reads the interfaces back in steps of the role `state`.
//! Their marks say all that the checks have to know ([`super::checks`]):
//!
//! ```text
//! subject   call=begin by=a expect=answer        what is called, by which client, and what is due
//! state     at=begin                             a state that others are held against
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

use std::collections::BTreeMap;

use matrix::{CaseId, CaseKind};
use protocol::probe::{Description, PATIENT_MS, closing};
use protocol::{Action, Case, Hazard};
use session::{Script, ServerAct};
use transcript::evidence::{Expect, Role};
use wire::xdr::Writer;

use super::names::procedures as p;
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
/// What defines `eth9`.
pub(super) const ETH9_XML: &str = "<interface type='ethernet' name='eth9'><start mode='none'/>\
<mac address='aa:bb:cc:dd:ee:99'/><mtu size='1500'/><protocol family='ipv4'>\
<ip address='10.9.9.9' prefix='24'/></protocol></interface>";
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

/// A script in the making: it knows which serial comes next.
struct Scene {
    d: Description,
    script: Script,
    serial: u32,
    uri: &'static str,
    interfaces: &'static [(&'static str, &'static str)],
}

impl Scene {
    fn new() -> Self {
        let (uri, interfaces) = (probes::URI, ALL);
        Self { d: probes::description(), script: Script::new(), serial: 0x100, uri, interfaces }
    }

    fn of_machine() -> Self {
        Self { uri: MACHINE_URI, interfaces: MACHINE, ..Self::new() }
    }

    /// A client comes and opens the driver.
    fn comes(self, conn: u32) -> Self {
        self.opens(conn, 0)
    }

    /// The same; `flags` 1 is a client that may only read.
    fn opens(mut self, conn: u32, flags: u32) -> Self {
        let serial = self.next();
        let open = request::open(serial, Some(self.uri), flags);
        let script = self.script.open(conn, Role::Greeting, &[]).send(conn, open).reply(conn, PATIENT_MS);
        Self { script, ..self }
    }

    /// A client is gone without a word. The server gets a moment to see it.
    fn dies(self, conn: u32) -> Self {
        Self { script: self.script.close(conn).pause(DEATH_MS), ..self }
    }

    /// Something happens to the server; every connection is over.
    fn server(self, act: ServerAct) -> Self {
        let script = [A, B, C].into_iter().fold(self.script, Script::close).server(act);
        Self { script, ..self }
    }

    fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    fn asks(mut self, conn: u32, procedure: i32, arguments: Writer) -> Self {
        let call = call_with(procedure, self.next(), arguments);
        let script = self.script.send(conn, call).reply(conn, PATIENT_MS);
        Self { script, ..self }
    }

    /// A client does something.
    fn acts(self, conn: u32, act: &Act, expect: &str) -> Self {
        let by = client(conn);
        let args = [("call", act.word), ("by", by), (Expect::ARG, expect)];
        let script = self.script.role(conn, Role::Subject, &args);
        Self { script, ..self }.asks(conn, act.procedure, act.arguments())
    }

    /// Several acts that must be carried out.
    fn does(self, conn: u32, acts: &[&Act]) -> Self {
        acts.iter().fold(self, |scene, act| scene.acts(conn, act, "answer"))
    }

    /// What is there now: the list, and of each interface whether it is active and how it is described.
    fn state(self, conn: u32, at: &str, args: &[(&str, &str)]) -> Self {
        let args: Vec<(&str, &str)> = [("at", at)].into_iter().chain(args.iter().copied()).collect();
        let script = self.script.role(conn, Role::State, &args);
        let scene = Self { script, ..self };
        let scene = scene.asks(conn, p::CONNECT_LIST_ALL_INTERFACES, Writer::new().i32(1).u32(3));
        scene.interfaces.iter().fold(scene, |scene, (name, mac)| {
            let scene = scene.asks(conn, p::INTERFACE_IS_ACTIVE, request::interface(name, mac));
            scene.asks(conn, p::INTERFACE_GET_XML_DESC, request::interface(name, mac).u32(0))
        })
    }

    /// What came of it.
    fn due(self, conn: u32, at: &str, after: &str, due: &str) -> Self {
        self.state(conn, at, &[("after", after), ("due", due)])
    }

    fn case(self, name: &str, about: &'static str) -> Case {
        let script = [A, B, C].into_iter().fold(self.script, Script::close);
        let script = closing(&self.d, script);
        Case {
            id: CaseId::new(CaseKind::Scenario, name),
            about,
            hazard: Hazard::Disturbs,
            action: Action::Script(script.into()),
        }
    }
}

fn client(conn: u32) -> &'static str {
    match conn {
        A => "a",
        B => "b",
        _ => "c",
    }
}

/// Something that a client can do to interfaces.
struct Act {
    word: &'static str,
    procedure: i32,
    what: What,
}

enum What {
    Flags(u32),
    Xml(&'static str),
    Interface((&'static str, &'static str)),
    InterfaceFlags((&'static str, &'static str)),
}

impl Act {
    const fn new(word: &'static str, procedure: i32, what: What) -> Self {
        Self { word, procedure, what }
    }

    fn arguments(&self) -> Writer {
        match self.what {
            What::Flags(flags) => Writer::new().u32(flags),
            What::Xml(xml) => Writer::new().opaque(xml.as_bytes()).u32(0),
            What::Interface((name, mac)) => request::interface(name, mac),
            What::InterfaceFlags((name, mac)) => request::interface(name, mac).u32(0),
        }
    }
}

const BEGIN: &Act = &Act::new("begin", p::INTERFACE_CHANGE_BEGIN, What::Flags(0));
const BEGIN_WITH_FLAGS: &Act = &Act::new("begin", p::INTERFACE_CHANGE_BEGIN, What::Flags(1));
const COMMIT: &Act = &Act::new("commit", p::INTERFACE_CHANGE_COMMIT, What::Flags(0));
const COMMIT_WITH_FLAGS: &Act = &Act::new("commit", p::INTERFACE_CHANGE_COMMIT, What::Flags(1));
const ROLLBACK: &Act = &Act::new("rollback", p::INTERFACE_CHANGE_ROLLBACK, What::Flags(0));
const ROLLBACK_WITH_FLAGS: &Act = &Act::new("rollback", p::INTERFACE_CHANGE_ROLLBACK, What::Flags(1));
const DEFINE_8: &Act = &Act::new("define", p::INTERFACE_DEFINE_XML, What::Xml(ETH8_XML));
const REDEFINE_8: &Act = &Act::new("define", p::INTERFACE_DEFINE_XML, What::Xml(ETH8_OTHER_XML));
const DEFINE_9: &Act = &Act::new("define", p::INTERFACE_DEFINE_XML, What::Xml(ETH9_XML));
const UNDEFINE_8: &Act = &Act::new("undefine", p::INTERFACE_UNDEFINE, What::Interface(ETH8));
const UNDEFINE_9: &Act = &Act::new("undefine", p::INTERFACE_UNDEFINE, What::Interface(ETH9));
const START_9: &Act = &Act::new("start", p::INTERFACE_CREATE, What::InterfaceFlags(ETH9));
const DESTROY_1: &Act = &Act::new("destroy", p::INTERFACE_DESTROY, What::InterfaceFlags(ETH1));
const DESTROY_9: &Act = &Act::new("destroy", p::INTERFACE_DESTROY, What::InterfaceFlags(ETH9));

/// What a server has to be run with that a scenario is for, as `builds.toml` has it.
pub(super) fn settings_for(case: &CaseId) -> BTreeMap<String, String> {
    let promises = case.to_string().starts_with("scenario/connectivity-");
    promises.then(|| ("connectivity".to_owned(), "1000".to_owned())).into_iter().collect()
}

/// Every scenario.
#[must_use]
pub(crate) fn all() -> Vec<Case> {
    let mut cases = within_one_client();
    cases.extend(refusals());
    cases.extend(with_others());
    cases.extend(deaths());
    cases.extend(restarts());
    cases.extend(machine());
    cases.extend(connectivity());
    cases
}

/// Client `a` is there, has defined `eth8`, and has seen what is there.
fn begun(acts: &[&Act]) -> Scene {
    let scene = Scene::new().comes(A).state(A, "initial", &[]).does(A, &[DEFINE_8]).state(A, "begin", &[]);
    scene.does(A, &[BEGIN]).does(A, acts).state(A, "changed", &[])
}

fn within_one_client() -> Vec<Case> {
    let rolled_back = |acts: &[&Act]| begun(acts).does(A, &[ROLLBACK]).due(A, "end", "rollback", "begin");
    let committed = |acts: &[&Act]| begun(acts).does(A, &[COMMIT]).due(A, "end", "commit", "changed");
    let untouched = [("after", "rollback"), ("due", "begin"), ("untouched", "eth1")];
    let two = committed(&[DEFINE_9]).state(A, "begin", &[]).does(A, &[BEGIN, UNDEFINE_9]);
    let two = two.state(A, "changed", &[]).does(A, &[ROLLBACK]).due(A, "end", "rollback", "begin");
    vec![
        rolled_back(&[DEFINE_9])
            .case("rollback-restores", "an interface that was added is gone after a rollback"),
        rolled_back(&[])
            .case("rollback-of-nothing", "a rollback with nothing to roll back changes nothing (LV-07)"),
        rolled_back(&[UNDEFINE_8])
            .case("undefine-then-rollback", "an interface that was removed is back after a rollback"),
        rolled_back(&[REDEFINE_8])
            .case("redefine-then-rollback", "an interface that was changed is as before after a rollback"),
        rolled_back(&[DEFINE_9, START_9]).case(
            "define-start-then-rollback",
            "an interface that was added and started is gone after a rollback",
        ),
        rolled_back(&[DESTROY_1])
            .case("destroy-then-rollback", "an interface that was stopped is active after a rollback"),
        begun(&[DEFINE_9]).does(A, &[ROLLBACK]).state(A, "end", &untouched).case(
            "rollback-touches-only-changed",
            "a rollback leaves alone what the transaction did not touch (LV-07)",
        ),
        committed(&[DEFINE_9]).case("commit-keeps", "an interface that was added is there after a commit"),
        committed(&[DEFINE_9, START_9, DESTROY_1, UNDEFINE_8]).case(
            "commit-keeps-everything",
            "what was added, started, stopped and removed is so after a commit",
        ),
        two.case("two-transactions-in-a-row", "a second transaction begins where the first was committed"),
    ]
}

fn refusals() -> Vec<Case> {
    let refused = |conn: u32, act: &'static Act| move |scene: Scene| scene.acts(conn, act, "refusal");
    let after = |scene: Scene, due: &str| scene.due(A, "end", "refused", due);
    let plain = || Scene::new().comes(A).state(A, "begin", &[]);
    let twice = refused(A, BEGIN)(begun(&[DEFINE_9])).due(A, "still", "refused", "changed");
    let late = begun(&[DEFINE_9]).does(A, &[COMMIT]).due(A, "kept", "commit", "changed");
    let no_begin = refused(A, ROLLBACK)(refused(A, COMMIT)(plain()));
    let flags = refused(A, BEGIN_WITH_FLAGS)(plain());
    let later_flags = refused(A, ROLLBACK_WITH_FLAGS)(refused(A, COMMIT_WITH_FLAGS)(begun(&[DEFINE_9])));
    let late_commit = begun(&[DEFINE_9]).does(A, &[COMMIT]);
    let unknown = refused(A, DESTROY_9)(plain());
    let reader = Scene::new().opens(A, 1).state(A, "begin", &[]);
    let reader = [BEGIN, DEFINE_9, COMMIT, ROLLBACK].into_iter().fold(reader, |s, act| refused(A, act)(s));
    vec![
        twice
            .does(A, &[COMMIT])
            .due(A, "end", "commit", "changed")
            .case("begin-twice", "a second transaction is refused, and the first goes on"),
        after(refused(A, ROLLBACK)(late), "changed")
            .case("commit-then-rollback-refused", "what was committed cannot be rolled back"),
        after(refused(A, COMMIT)(late_commit), "changed")
            .case("commit-twice-refused", "what was committed cannot be committed again"),
        after(no_begin, "begin")
            .case("no-transaction-refused", "without a transaction there is nothing to end"),
        after(refused(A, COMMIT)(flags), "begin")
            .case("begin-with-flags-refused", "a transaction that asks for what nobody knows does not begin"),
        later_flags
            .due(A, "still", "refused", "changed")
            .does(A, &[COMMIT])
            .due(A, "end", "commit", "changed")
            .case("end-with-flags-refused", "a transaction that is ended in an unknown way stays open"),
        after(unknown, "begin")
            .case("destroy-unknown-refused", "an interface that nobody knows cannot be stopped"),
        after(reader, "begin").case("read-only-refused", "who may only read can neither begin nor change"),
    ]
}

fn with_others() -> Vec<Case> {
    let both = |acts: &[&Act]| {
        let scene = Scene::new().comes(A).comes(B).state(A, "initial", &[]).does(A, &[DEFINE_8]);
        scene.state(A, "begin", &[]).does(A, &[BEGIN]).does(A, acts).state(A, "changed", &[])
    };
    let same = Scene::new().comes(A).comes(B).state(A, "begin", &[]).does(A, &[BEGIN, DEFINE_9]);
    let same = same.state(A, "changed", &[]).due(B, "seen", "nothing", "changed");
    vec![
        both(&[DEFINE_9]).acts(B, ROLLBACK, "any").due(A, "end", "foreign-rollback", "begin|changed").case(
            "rollback-by-another-client",
            "what comes of a rollback by somebody who did not begin (LV-08)",
        ),
        both(&[DEFINE_9])
            .acts(B, COMMIT, "any")
            .due(A, "end", "foreign-commit", "changed")
            .case("commit-by-another-client", "what comes of a commit by somebody who did not begin (LV-08)"),
        both(&[DEFINE_9])
            .acts(B, BEGIN, "any")
            .due(B, "still", "foreign-begin", "changed")
            .does(A, &[COMMIT])
            .due(A, "end", "commit", "changed")
            .case(
                "begin-by-another-client",
                "while a transaction is open, nobody else begins one of the same driver",
            ),
        both(&[])
            .does(B, &[DEFINE_9])
            .does(A, &[ROLLBACK])
            .due(A, "end", "rollback", "begin")
            .case("change-by-another-client", "what somebody else changed meanwhile is rolled back too"),
        same.does(A, &[COMMIT])
            .due(B, "end", "commit", "changed")
            .case("changes-seen-by-others", "changes within a transaction are there at once, for everybody"),
    ]
}

fn deaths() -> Vec<Case> {
    let both = || {
        let scene = Scene::new().comes(B).comes(A).state(A, "initial", &[]).does(A, &[DEFINE_8]);
        scene.state(A, "begin", &[]).does(A, &[BEGIN, DEFINE_9]).state(A, "changed", &[]).dies(A)
    };
    let died = || both().due(B, "left", "client-death", "begin|changed");
    let either = "begin|changed";
    vec![
        died().acts(B, ROLLBACK, "any").due(B, "end", "late-rollback", either).case(
            "client-dies-in-transaction",
            "a client dies and another stays: what becomes of its changes (LV-08)",
        ),
        died()
            .acts(B, BEGIN, "any")
            .due(B, "end", "late-begin", either)
            .case("client-dies-then-begin", "a client dies and another wants to begin (LV-08)"),
        begun(&[DEFINE_9])
            .dies(A)
            .comes(C)
            .due(C, "left", "last-close", either)
            .acts(C, ROLLBACK, "any")
            .due(C, "end", "late-rollback", either)
            .case("last-client-dies", "the only client dies within its transaction"),
    ]
}

fn restarts() -> Vec<Case> {
    let rows: [(&str, &'static str, ServerAct, &str, &str); 3] = [
        (
            "daemon-restart-in-transaction",
            "the daemon is restarted within a transaction, which is then rolled back",
            ServerAct::Restart,
            "restart",
            "begin|changed",
        ),
        (
            "daemon-crash-in-transaction",
            "the daemon crashes within a transaction, which is then rolled back",
            ServerAct::CrashRestart,
            "crash",
            "begin|changed",
        ),
        (
            "reboot-in-transaction",
            "the machine loses power within a transaction: it is rolled back at boot",
            ServerAct::Reboot,
            "reboot",
            "begin",
        ),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(name, about, act, after, due)| {
            begun(&[DEFINE_9])
                .server(act)
                .comes(C)
                .due(C, "left", after, due)
                .acts(C, ROLLBACK, "any")
                .due(C, "end", "late-rollback", "begin|changed")
                .case(name, about)
        })
        .collect();
    let kept: [(&str, &'static str, ServerAct, &str); 2] = [
        ("daemon-crash-after-commit", "the daemon crashes behind a commit", ServerAct::CrashRestart, "crash"),
        ("reboot-after-commit", "the machine loses power behind a commit", ServerAct::Reboot, "reboot"),
    ];
    cases.extend(kept.into_iter().map(|(name, about, act, after)| {
        let scene = begun(&[DEFINE_9]).does(A, &[COMMIT]).due(A, "kept", "commit", "changed");
        scene.server(act).comes(C).due(C, "end", after, "changed").case(name, about)
    }));
    let gone = begun(&[UNDEFINE_8]).does(A, &[ROLLBACK]).due(A, "back", "rollback", "begin");
    cases.push(
        gone.server(ServerAct::CrashRestart)
            .comes(C)
            .due(C, "end", "crash", "begin")
            .case("daemon-crash-after-rollback", "the daemon crashes behind a rollback"),
    );
    cases
}

/// Longer than servers that promise a rollback let who begins be silent: a second, by their setting
/// `connectivity` in `builds.toml`.
const PAST_DEADLINE_MS: u64 = 1500;

/// With servers that promise to roll back who is gone or not heard: whoever begins has to connect anew in time.
fn connectivity() -> Vec<Case> {
    let begun = |scene: Scene| scene.state(A, "begin", &[]).does(A, &[BEGIN]);
    let changed = |scene: Scene| scene.does(A, &[DEFINE_9]).state(A, "changed", &[]);
    let heard = || changed(begun(Scene::new().comes(A)).comes(B));
    let late = |scene: Scene| Scene { script: scene.script.pause(PAST_DEADLINE_MS), ..scene };
    let unheard = late(changed(begun(Scene::new().comes(A))));
    vec![
        late(heard())
            .due(A, "kept", "promise-deadline", "changed")
            .does(A, &[COMMIT])
            .due(A, "end", "commit", "changed")
            .case("connectivity-reached", "a client that connects anew in time is not rolled back"),
        unheard
            .due(A, "end", "promise-deadline", "begin")
            .case("connectivity-not-reached", "a client that does not connect anew in time is rolled back"),
        heard()
            .dies(A)
            .due(B, "end", "promise-client-gone", "begin")
            .case("connectivity-client-gone", "a client that was heard and is gone is rolled back"),
    ]
}

/// The same on the machine's own interfaces, with whatever the driver can do.
fn machine() -> Vec<Case> {
    let begun = || {
        let scene = Scene::of_machine().comes(A).state(A, "begin", &[]);
        let scene = [BEGIN, DEFINE_9].into_iter().fold(scene, |scene, act| scene.acts(A, act, "any"));
        scene.state(A, "changed", &[])
    };
    let late = |scene: Scene| {
        scene
            .acts(C, ROLLBACK, "any")
            .due(C, "end", "late-rollback", "begin|changed")
            .acts(C, UNDEFINE_9, "any")
            .state(C, "cleaned", &[])
    };
    let ended = |act: &Act, after: &str, due: &str| {
        let scene = begun().acts(A, act, "any").due(A, "end", after, due);
        scene.acts(A, UNDEFINE_9, "any").state(A, "cleaned", &[])
    };
    let restarted = |act: ServerAct, after: &str, due: &str| {
        late(begun().server(act).comes(C).due(C, "left", after, due))
    };
    let either = "begin|changed";
    vec![
        ended(ROLLBACK, "rollback", "begin")
            .case("machine-rollback", "a rollback gives back the machine's own interfaces (LV-09)"),
        ended(COMMIT, "commit", "changed")
            .case("machine-commit", "a commit keeps the machine's own interfaces (LV-09)"),
        late(begun().dies(A).comes(C).due(C, "left", "client-death", either)).case(
            "machine-client-dies",
            "the only client dies within a transaction of the machine's interfaces",
        ),
        restarted(ServerAct::CrashRestart, "crash", either)
            .case("machine-crash", "the daemon crashes within a transaction of the machine's interfaces"),
        restarted(ServerAct::Reboot, "reboot", "begin")
            .case("machine-reboot", "the machine loses power within a transaction of its interfaces"),
    ]
}
