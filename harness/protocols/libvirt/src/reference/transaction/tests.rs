#![expect(clippy::unwrap_used, reason = "a panic fails the test, which is what it is for")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tempfile::TempDir;

use super::*;

impl Transactions {
    /// The directory itself, for tests that count steps.
    fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Who began the open transaction, if that is still known.
    fn owner(&self) -> Option<Owner> {
        self.owner
    }
}

const NAMES: [&[u8]; 3] = [b"eth1", b"eth9", b"br/0"];
const OWNERS: [Owner; 2] = [Owner(1), Owner(2)];
/// Most operations on three interfaces take fewer steps than this.
const STEPS_MAX: u64 = 30;

fn starts(definition: &[u8]) -> bool {
    definition.starts_with(b"onboot")
}

/// What is done to a directory. Indices are into [`NAMES`] and [`OWNERS`].
#[derive(Debug, Clone)]
enum Do {
    Begin(usize, bool),
    Commit(usize),
    Rollback(usize),
    Gone(usize),
    Late,
    Define(usize, Vec<u8>),
    Undefine(usize),
    SetRunning(usize, bool),
    Restart,
    Boot,
}

/// A step of the test: something is done to its end, or the process dies in it and starts again, or the
/// whole machine does.
#[derive(Debug, Clone)]
enum Transition {
    Whole(Do),
    DiesIn(Do, u64),
    LosesPowerIn(Do, u64),
}

/// What must be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    state: State,
    /// What was at begin, who began, and whether a connectivity test is due.
    open: Option<(State, Option<Owner>, bool)>,
}

impl Model {
    fn roll_back(&mut self) {
        if let Some((kept, ..)) = self.open.take() {
            self.state = kept;
        }
    }

    fn may_end(&self, owner: Owner) -> bool {
        matches!(self.open, Some((_, whose, _)) if whose.is_none_or(|whose| whose == owner))
    }

    fn boot(&mut self) {
        self.roll_back();
        let up = self.state.defined.iter().filter(|(_, definition)| starts(definition));
        self.state.running = up.map(|(name, _)| name.clone()).collect();
    }

    fn after(&self, what: &Do) -> Self {
        let mut next = self.clone();
        match what {
            Do::Begin(owner, test) if next.open.is_none() => {
                next.open = Some((next.state.clone(), Some(OWNERS[*owner]), *test));
            }
            Do::Commit(owner) if next.may_end(OWNERS[*owner]) => next.open = None,
            Do::Rollback(owner) if next.may_end(OWNERS[*owner]) => next.roll_back(),
            Do::Gone(owner) => match &mut next.open {
                Some((_, Some(whose), true)) if *whose == OWNERS[*owner] => next.roll_back(),
                Some((_, whose, _)) if *whose == Some(OWNERS[*owner]) => *whose = None,
                _ => {}
            },
            Do::Late => {
                if matches!(next.open, Some((_, _, true))) {
                    next.roll_back();
                }
            }
            Do::Define(name, definition) => {
                next.state.defined.insert(NAMES[*name].to_vec(), definition.clone());
            }
            Do::Undefine(name) => {
                next.state.defined.remove(NAMES[*name]);
                next.state.running.remove(NAMES[*name]);
            }
            Do::SetRunning(name, true) if next.state.defined.contains_key(NAMES[*name]) => {
                next.state.running.insert(NAMES[*name].to_vec());
            }
            Do::SetRunning(name, false) => {
                next.state.running.remove(NAMES[*name]);
            }
            Do::Restart => {
                if let Some((_, owner, _)) = &mut next.open {
                    *owner = None;
                }
            }
            Do::Boot => next.boot(),
            _ => {}
        }
        next
    }
}

fn whats() -> impl Strategy<Value = Do> {
    let definition = prop_oneof![
        "(onboot|none) [a-z]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    prop_oneof![
        3 => (0usize..2, any::<bool>()).prop_map(|(owner, test)| Do::Begin(owner, test)),
        2 => (0usize..2).prop_map(Do::Commit),
        2 => (0usize..2).prop_map(Do::Rollback),
        1 => (0usize..2).prop_map(Do::Gone),
        1 => Just(Do::Late),
        4 => (0usize..3, definition).prop_map(|(name, definition)| Do::Define(name, definition)),
        2 => (0usize..3).prop_map(Do::Undefine),
        4 => (0usize..3, any::<bool>()).prop_map(|(name, up)| Do::SetRunning(name, up)),
        1 => Just(Do::Restart),
        1 => Just(Do::Boot),
    ]
}

/// Which sequences there are. What must be so after each is kept beside the real directory: only that
/// says which side of its deciding step a cut fell on.
struct Sequences;

impl ReferenceStateMachine for Sequences {
    type State = ();
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Transition> {
        prop_oneof![
            4 => whats().prop_map(Transition::Whole),
            2 => (whats(), 0..STEPS_MAX).prop_map(|(what, steps)| Transition::DiesIn(what, steps)),
            1 => (whats(), 0..STEPS_MAX).prop_map(|(what, steps)| Transition::LosesPowerIn(what, steps)),
        ]
        .boxed()
    }

    fn apply((): (), _transition: &Transition) {}
}

/// A real directory, and what it must hold before the next transition.
struct Real {
    dir: TempDir,
    transactions: Transactions,
    faults: BTreeSet<Fault>,
    model: Model,
}

impl Real {
    fn new(faults: BTreeSet<Fault>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let transactions = Transactions::open(dir.path()).unwrap();
        let transactions = transactions.with_faults(faults.iter().copied());
        Self { dir, transactions, faults, model: Model::default() }
    }

    /// The process dies and another one takes the directory over.
    fn reopen(&mut self) {
        self.transactions =
            Transactions::open(self.dir.path()).unwrap().with_faults(self.faults.iter().copied());
    }

    fn attempt(&mut self, what: &Do) -> Result<(), TransactionError> {
        let t = &mut self.transactions;
        match what {
            Do::Begin(owner, tests) => {
                let test = ConnectivityTest { host: "localhost".to_owned(), port: 1, deadline_ms: 30 };
                t.begin(OWNERS[*owner], tests.then_some(test))
            }
            Do::Commit(owner) => t.commit(OWNERS[*owner]),
            Do::Rollback(owner) => t.rollback(OWNERS[*owner]).map(|_touched| ()),
            Do::Gone(owner) => t.client_gone(OWNERS[*owner]).map(|_gone| ()),
            Do::Late => t.elapsed(Duration::from_secs(1)).map(|_late| ()),
            Do::Define(name, definition) => t.define(NAMES[*name], definition),
            Do::Undefine(name) => t.undefine(NAMES[*name]),
            Do::SetRunning(name, up) => t.set_running(NAMES[*name], *up),
            Do::Restart => {
                self.reopen();
                Ok(())
            }
            Do::Boot => t.boot(starts),
        }
    }

    /// Does something to its end. What it refuses must leave everything as it is.
    fn whole(&mut self, what: &Do) {
        if let Err(error @ TransactionError::Store(_)) = self.attempt(what) {
            panic!("{what:?}: {error}");
        }
        self.model = self.model.after(what);
        self.check(&format!("{what:?}"));
    }

    fn check(&self, what: &str) {
        assert_eq!(self.transactions.state().unwrap(), self.model.state, "after {what}");
        assert_eq!(self.transactions.is_open(), self.model.open.is_some(), "open after {what}");
        assert_eq!(
            self.transactions.owner(),
            self.model.open.as_ref().and_then(|(_, owner, _)| *owner),
            "owner after {what}"
        );
    }

    /// What is on disk is one of the two, and says which.
    fn is_one_of(&self, what: &str, before: &Model, after: &Model) -> Model {
        let state = self.transactions.state().unwrap();
        let open = self.transactions.is_open();
        let is = |model: &Model| state == model.state && open == model.open.is_some();
        assert!(
            is(before) || is(after),
            "{what}: neither before nor after\n  is: {state:?} open {open}\n  before: {before:?}\n  after: {after:?}"
        );
        if is(after) { after.clone() } else { before.clone() }
    }

    fn dies_in(&mut self, what: &Do, steps: u64) {
        self.transactions.store().crash_after(Some(steps));
        // Whether it got so far is not asked: the process is dead.
        let _dead = self.attempt(what);
        self.reopen();
        let before = self.model.after(&Do::Restart);
        let after = self.model.after(what).after(&Do::Restart);
        self.model = self.is_one_of(&format!("{what:?} cut off at {steps}"), &before, &after);
    }

    fn loses_power_in(&mut self, what: &Do, steps: u64) {
        self.transactions.store().crash_after(Some(steps));
        let _dead = self.attempt(what);
        self.reopen();
        self.transactions.boot(starts).unwrap();
        let before = self.model.after(&Do::Boot);
        let after = self.model.after(what).after(&Do::Boot);
        self.model = self.is_one_of(&format!("power lost in {what:?} at {steps}"), &before, &after);
    }

    fn apply(&mut self, transition: &Transition) {
        match transition {
            Transition::Whole(what) => self.whole(what),
            // What boot does is done until it is through: a boot that is cut off is another boot.
            Transition::DiesIn(Do::Boot, steps) => self.loses_power_in(&Do::Boot, *steps),
            Transition::DiesIn(what, steps) => self.dies_in(what, *steps),
            Transition::LosesPowerIn(what, steps) => self.loses_power_in(what, *steps),
        }
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Sequences;

    fn init_test((): &()) -> Self {
        Self::new(BTreeSet::new())
    }

    fn apply(mut real: Self, (): &(), transition: Transition) -> Self {
        Real::apply(&mut real, &transition);
        real
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn rollback_gives_back_begin_and_commit_keeps_and_a_crash_gives_one_of_the_two(sequential 1..30 => Real);
}

/// The same sequences on a directory with a fault: the first that shows it.
fn found(fault: Fault) -> Option<String> {
    let config =
        Config { cases: 2000, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome =
        TestRunner::new(config).run(&Sequences::sequential_strategy(1..30), |((), steps, _seen)| {
            let mut real = Real::new(BTreeSet::from([fault]));
            for step in &steps {
                real.apply(step);
            }
            Ok(())
        });
    outcome.err().map(|error| error.to_string())
}

#[test]
fn the_property_finds_each_planted_fault() {
    for fault in [
        Fault::RollbackForgetsAdded,
        Fault::RollbackLeavesInactive,
        Fault::SnapshotNotAtomic,
        Fault::CommitDiscards,
        Fault::BeginTwiceAccepted,
        Fault::GoneClientKeepsTransaction,
        Fault::BootKeepsTransaction,
    ] {
        assert!(found(fault).is_some(), "{fault:?} was not found");
    }
}

#[test]
fn rollback_touches_only_what_changed() {
    let mut real = Real::new(BTreeSet::new());
    let t = &mut real.transactions;
    for name in [&b"same"[..], b"changed", b"removed", b"downed"] {
        t.define(name, b"onboot 1").unwrap();
        t.set_running(name, true).unwrap();
    }
    let before = t.state().unwrap();
    t.begin(Owner(1), None).unwrap();
    t.define(b"changed", b"onboot 2").unwrap();
    t.undefine(b"removed").unwrap();
    t.set_running(b"downed", false).unwrap();
    t.define(b"added", b"none").unwrap();
    t.set_running(b"added", true).unwrap();
    let touched = t.rollback(Owner(1)).unwrap();
    let expect = [&b"added"[..], b"changed", b"downed", b"removed"].map(<[u8]>::to_vec);
    assert_eq!(touched, BTreeSet::from(expect));
    assert_eq!(t.state().unwrap(), before);
}

#[test]
fn a_client_that_reaches_its_address_is_not_rolled_back() {
    let test = ConnectivityTest { host: "127.0.0.1".to_owned(), port: 16_509, deadline_ms: 30_000 };
    for (reached, at_ms, expect) in [(false, 29_999, false), (false, 30_000, true), (true, 60_000, false)] {
        let mut real = Real::new(BTreeSet::new());
        let t = &mut real.transactions;
        t.begin(Owner(1), Some(test.clone())).unwrap();
        t.define(b"eth9", b"none").unwrap();
        if reached {
            t.reached();
        }
        assert_eq!(t.elapsed(Duration::from_millis(at_ms)).unwrap(), expect, "{reached} {at_ms}");
        assert_eq!(t.state().unwrap().defined.is_empty(), expect);
        // The test is kept with the transaction: whoever opens the directory next knows it.
        if !expect {
            real.reopen();
            assert_eq!(real.transactions.test(), Some((&test, false)));
        }
    }
}

#[test]
fn only_who_began_may_end_and_a_transaction_of_nobody_ends_with_its_server() {
    let mut real = Real::new(BTreeSet::new());
    real.transactions.begin(Owner(1), None).unwrap();
    real.transactions.define(b"eth9", b"none").unwrap();
    assert!(matches!(real.transactions.commit(Owner(2)), Err(TransactionError::NotOwner)));
    assert!(matches!(real.transactions.rollback(Owner(2)), Err(TransactionError::NotOwner)));
    assert!(matches!(real.transactions.begin(Owner(2), None), Err(TransactionError::AlreadyOpen)));
    assert!(!real.transactions.client_gone(Owner(2)).unwrap());
    real.reopen();
    assert!(real.transactions.is_open());
    assert!(real.transactions.end_orphan().unwrap());
    assert_eq!(real.transactions.state().unwrap(), State::default());
}

#[test]
fn every_cut_of_a_whole_transaction_ends_in_one_of_the_two() {
    // Counted, not guessed: every step of begin, define, commit and of begin, define, rollback.
    for end in [Do::Commit(0), Do::Rollback(0)] {
        let doings = [Do::Define(0, b"onboot".to_vec()), Do::SetRunning(0, true), Do::Begin(0, true)];
        let later = [Do::Define(1, b"none".to_vec()), Do::Undefine(0), end];
        let whole: Vec<Do> = doings.into_iter().chain(later).collect();
        for (at, what) in whole.iter().enumerate() {
            for steps in 0.. {
                let mut real = Real::new(BTreeSet::new());
                for earlier in &whole[..at] {
                    real.whole(earlier);
                }
                let done = real.transactions.store().steps_done();
                real.loses_power_in(what, steps);
                let mut free = Real::new(BTreeSet::new());
                for earlier in &whole[..at] {
                    free.whole(earlier);
                }
                free.whole(what);
                if steps > free.transactions.store().steps_done() - done {
                    break;
                }
            }
        }
    }
}
