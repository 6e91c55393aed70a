//! Any sequence of starts, reloads, restarts, crashes and the rest: what must be so stays so.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use super::*;

const NAMES: [&str; 3] = ["aa", "bb", "cc"];
const RUNTIMES: [&str; 3] = ["", "wrap", "other"];

/// Files, good and bad ones.
fn files() -> impl Strategy<Value = String> {
    let args = || proptest::sample::subsequence(vec!["\"--debug\"", "\"--log\"", "\"json\""], 0..=3);
    let entry = |name: &'static str| {
        args()
            .prop_map(move |args| format!(r#""{name}":{{"path":"runc","runtimeArgs":[{}]}}"#, args.join(",")))
    };
    let runtimes = (proptest::option::of(entry("wrap")), proptest::option::of(entry("other")));
    let runtimes = runtimes.prop_map(|(wrap, other)| {
        let entries: Vec<String> = wrap.into_iter().chain(other).collect();
        format!(r#""runtimes":{{{}}}"#, entries.join(","))
    });
    let label = (0..3).prop_map(|label| format!(r#""labels":["a={label}"]"#));
    let default = proptest::sample::select(&["runc", "wrap", "nope"][..])
        .prop_map(|name| format!(r#""default-runtime":"{name}""#));
    let live = any::<bool>().prop_map(|live| format!(r#""live-restore":{live}"#));
    let option = |strategy: BoxedStrategy<String>| proptest::option::of(strategy);
    let parts = (runtimes, option(label.boxed()), option(default.boxed()), option(live.boxed()));
    let good = parts.prop_map(|(runtimes, label, default, live)| {
        let parts: Vec<String> = [Some(runtimes), label, default, live].into_iter().flatten().collect();
        format!("{{{}}}", parts.join(","))
    });
    let bad = [
        "",
        "null",
        "{}",
        "[]",
        "{\"labels\":",
        r#"{"nope":1}"#,
        r#"{"labels":["b=1"],"runtimes":{"runc":{"path":"crun"}}}"#,
        r#"{"labels":["b=1"],"runtimes":{"w":{}}}"#,
        r#"{"labels":["b=1"],"runtimes":{"../../evil":{"path":"runc","runtimeArgs":["-x"]}}}"#,
    ];
    prop_oneof![4 => good, 1 => proptest::sample::select(bad.to_vec()).prop_map(str::to_owned)]
}

/// What is done. Numbers are places in [`NAMES`] and [`RUNTIMES`].
#[derive(Debug, Clone)]
enum Do {
    Create(usize, usize, bool),
    Take,
    CreateTaken(usize, usize),
    Start(usize),
    StartTaken(usize),
    Prepare(usize),
    Run,
    Write(String),
    Reload,
    Pause(usize, bool),
    Exec(usize),
    Ends(usize),
    EndsUnseen(usize),
    Stop(usize),
    Kill(usize),
    Remove(usize, bool),
    Restart,
    Crash(Option<u64>),
    LosesPower,
}

struct Sequences;

impl ReferenceStateMachine for Sequences {
    type State = ();
    type Transition = Do;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Do> {
        let name = || 0..NAMES.len();
        let runtime = || 0..RUNTIMES.len();
        prop_oneof![
            4 => (name(), runtime(), any::<bool>()).prop_map(|(name, runtime, auto)| Do::Create(name, runtime, auto)),
            2 => Just(Do::Take),
            1 => (name(), runtime()).prop_map(|(name, runtime)| Do::CreateTaken(name, runtime)),
            5 => name().prop_map(Do::Start),
            2 => name().prop_map(Do::StartTaken),
            2 => name().prop_map(Do::Prepare),
            2 => Just(Do::Run),
            4 => files().prop_map(Do::Write),
            5 => Just(Do::Reload),
            2 => (name(), any::<bool>()).prop_map(|(name, pause)| Do::Pause(name, pause)),
            1 => name().prop_map(Do::Exec),
            1 => name().prop_map(Do::Ends),
            1 => name().prop_map(Do::EndsUnseen),
            1 => name().prop_map(Do::Stop),
            1 => name().prop_map(Do::Kill),
            1 => (name(), any::<bool>()).prop_map(|(name, force)| Do::Remove(name, force)),
            3 => Just(Do::Restart),
            2 => proptest::option::of(0u64..6).prop_map(Do::Crash),
            1 => Just(Do::LosesPower),
        ]
        .boxed()
    }

    fn apply((): (), _transition: &Do) {}
}

/// A daemon with requests that are half done.
struct Real {
    house: House,
    taken: Vec<Arc<Snapshot>>,
    prepared: Vec<Prepared>,
}

impl Real {
    fn start_daemon(&mut self, begins: Begins) {
        // Requests die with the daemon.
        (self.taken, self.prepared) = (Vec::new(), Vec::new());
        let boot = Boot { begins, ..self.house.boot.clone() };
        let engine = Engine::boot(self.house.directory.path(), &boot);
        self.house.engine = Some(match engine {
            Ok(engine) => engine,
            Err(BootError::Configuration(_)) => {
                self.house.write(&format!("{ARGS}}}"));
                Engine::boot(self.house.directory.path(), &Boot { begins: Begins::Again, ..boot }).unwrap()
            }
            Err(error) => panic!("{error}"),
        });
        assert_eq!(stale_scripts(self.house.engine()).unwrap(), []);
    }

    fn reload(&mut self) {
        let before = self.house.engine().info();
        let reloaded = match self.house.engine().prepare_reload() {
            Err(_) => false,
            Ok(pending) => {
                // Requests of this moment see the old configuration, all of it.
                assert_eq!(self.house.engine().info(), before);
                let seen = self.house.engine().snapshot();
                assert_eq!(unit(self.house.engine(), &seen), []);
                self.taken.push(seen);
                self.house.engine().commit_reload(pending);
                true
            }
        };
        if !reloaded {
            assert_eq!(refused_reload(&before, &self.house.engine().info()), []);
        }
    }

    /// Whatever is in the way of a start, it is not a script that is gone.
    fn started<T>(result: Result<T, Refusal>) -> Option<T> {
        result.map_err(|refusal| assert_ne!(refusal.why, Why::Fault, "{}", refusal.message)).ok()
    }

    fn apply(&mut self, what: &Do) {
        let engine = self.house.engine();
        let latest = self.taken.last().cloned();
        match what {
            Do::Create(name, runtime, auto_remove) => {
                let spec = Spec { auto_remove: *auto_remove, ..spec(NAMES[*name], RUNTIMES[*runtime]) };
                let _refused = Self::started(engine.create(spec));
            }
            Do::Take => self.taken.push(engine.snapshot()),
            Do::CreateTaken(name, runtime) => {
                if let Some(taken) = latest {
                    let _refused =
                        Self::started(engine.create_with(&taken, spec(NAMES[*name], RUNTIMES[*runtime])));
                }
            }
            Do::Start(name) => self.start(*name, None),
            Do::StartTaken(name) => self.start(*name, latest),
            Do::Prepare(name) => {
                let snapshot = latest.unwrap_or_else(|| engine.snapshot());
                let waits = self.waits(*name);
                let engine = self.house.engine();
                if !waits {
                    self.prepared.extend(Self::started(engine.prepare(&snapshot, NAMES[*name])));
                }
            }
            Do::Run => {
                if let Some(prepared) = self.prepared.pop() {
                    let _gone = Self::started(engine.run(prepared));
                }
            }
            Do::Write(text) => self.house.write(text),
            Do::Reload => self.reload(),
            Do::Pause(name, true) => drop(Self::started(engine.pause(NAMES[*name]))),
            Do::Pause(name, false) => drop(Self::started(engine.unpause(NAMES[*name]))),
            Do::Exec(name) => {
                if let Some(id) =
                    Self::started(engine.create_exec(NAMES[*name], vec!["/bin/true".to_owned()], false))
                {
                    assert!(matches!(engine.start_exec(&id), Ok(Exec::Runs(_))));
                }
            }
            Do::Ends(name) | Do::EndsUnseen(name) => self.ends(*name, matches!(what, Do::Ends(_))),
            Do::Stop(name) => self.ended(*name, |engine, name| engine.stop(name, Some(1000))),
            Do::Kill(name) => self.ended(*name, |engine, name| engine.kill(name, 9)),
            Do::Remove(name, force) => self.ended(*name, |engine, name| engine.remove(name, *force)),
            Do::Restart => {
                let shutdown = self.house.engine.take().unwrap().shutdown().unwrap();
                assert_eq!(shutdown.left, Vec::<String>::new());
                self.start_daemon(Begins::Again);
            }
            Do::Crash(steps) => self.crash(*steps),
            Do::LosesPower => {
                drop(self.house.engine.take());
                self.start_daemon(Begins::AtBoot);
            }
        }
        self.check();
    }

    /// Whether a start of that container is half done: a second one is refused, as a real daemon makes it wait.
    fn waits(&mut self, name: usize) -> bool {
        let record = self.house.engine().inspect(NAMES[name]).ok().cloned();
        let process = record.and_then(|record| self.house.process(&record.id));
        process == Some(Process::Created)
    }

    /// What is said to have ended has, in time.
    fn ended(&mut self, name: usize, end: impl FnOnce(&mut Engine, &str) -> Timed<()>) {
        let Ok(id) = self.house.engine().inspect(NAMES[name]).map(|record| record.id.clone()) else { return };
        let Timed { took_ms, result } = end(self.house.engine(), NAMES[name]);
        assert!(took_ms <= 4000, "{took_ms} ms");
        if Self::started(result).is_some() {
            assert_eq!(claimed_to_have_ended(self.house.engine(), &id).unwrap(), []);
        }
    }

    fn start(&mut self, name: usize, snapshot: Option<Arc<Snapshot>>) {
        if !self.waits(name) {
            let engine = self.house.engine();
            let snapshot = snapshot.unwrap_or_else(|| engine.snapshot());
            let _refused = Self::started(engine.start_with(&snapshot, NAMES[name]));
        }
    }

    /// A process ends by itself, before the eyes of the daemon or just before it is gone.
    fn ends(&mut self, name: usize, seen: bool) {
        let Ok(record) = self.house.engine().inspect(NAMES[name]) else { return };
        let id = record.id.clone();
        if seen {
            self.house.engine().process_ends(&id, 3).unwrap();
        } else {
            drop(self.house.engine.take());
            World::at(self.house.directory.path()).unwrap().process_ends(&id, 3).unwrap();
            self.start_daemon(Begins::Again);
        }
    }

    /// The daemon is killed; perhaps within a start of a container.
    fn crash(&mut self, steps: Option<u64>) {
        let mut engine = self.house.engine.take().unwrap();
        if let Some(steps) = steps {
            engine.world.files.lose_power_after(Some(steps));
            let _cut = engine.create(spec("cut", "")).and_then(|_| engine.start("cut"));
            let _cut = engine.remove("cut", true);
        }
        drop(engine);
        self.start_daemon(Begins::Again);
        let _gone = self.house.engine().remove("cut", true);
    }

    fn check(&mut self) {
        // A process that waits to be run is nobody's fault: it is neither a container nor left behind.
        assert_eq!(broken(self.house.engine()).unwrap(), []);
        for taken in &self.taken {
            assert_eq!(taken_earlier(self.house.engine.as_ref().unwrap(), taken).unwrap(), []);
        }
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Sequences;

    fn init_test((): &()) -> Self {
        let house = House::new("ideal", ARGS, true);
        Self { house, taken: Vec::new(), prepared: Vec::new() }
    }

    fn apply(mut real: Self, (): &(), transition: Do) -> Self {
        Real::apply(&mut real, &transition);
        real
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(Config { cases: 150, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_done_containers_stay_manageable_and_the_daemon_tells_the_truth(sequential 1..50 => Real);
}
