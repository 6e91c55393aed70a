#![expect(clippy::unwrap_used, reason = "a panic fails the test, which is what it is for")]

mod configurations;
mod crashes;
mod defects;
mod property;
mod tables;

use tempfile::TempDir;

use super::config::Stage;
use super::invariants::{
    Broken, Invariant, broken, claimed_to_have_ended, refused_reload, stale_scripts, taken_earlier, unit,
};
use super::lifecycle::Shutdown;
use super::reload::Pending;
use super::starts::Prepared;
use super::*;
use crate::dialect::DIALECTS;

/// A runtime with arguments.
const ARGS: &str = r#"{"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug"]}}"#;
/// The same runtime without them.
const NOARGS: &str = r#"{"runtimes":{"wrap":{"path":"runc"}}"#;
/// No runtime.
const DROPPED: &str = r#"{"runtimes":{}"#;
/// The same runtime with others.
const CHANGED: &str =
    r#"{"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug","--log-format","json"]}}"#;

/// A directory, and the daemon over it.
struct House {
    directory: TempDir,
    boot: Boot,
    engine: Option<Engine>,
    live_restore: bool,
}

impl House {
    /// A daemon of a release with a configuration, started for the first time.
    fn new(release: &str, configuration: &str, live_restore: bool) -> Self {
        Self::with(release, Switches::default(), configuration, live_restore)
    }

    fn with(release: &str, switches: Switches, configuration: &str, live_restore: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let boot = Boot { switches, ..Boot::of(dialect(release), Begins::First) };
        let mut house = Self { directory, boot, engine: None, live_restore };
        house.configure(configuration);
        house.start_daemon(Begins::First);
        house
    }

    /// Writes a configuration, which begins an object that is ended here.
    fn configure(&self, configuration: &str) {
        let end = if self.live_restore { r#","live-restore":true}"# } else { "}" };
        self.write(&format!("{configuration}{end}"));
    }

    fn write(&self, text: &str) {
        std::fs::write(self.directory.path().join(CONFIGURATION), text).unwrap();
    }

    fn start_daemon(&mut self, begins: Begins) {
        let boot = Boot { begins, ..self.boot.clone() };
        self.engine = Some(Engine::boot(self.directory.path(), &boot).unwrap());
    }

    fn restart(&mut self) -> Shutdown {
        let shutdown = self.engine.take().unwrap().shutdown().unwrap();
        self.start_daemon(Begins::Again);
        shutdown
    }

    /// Another release over the same directory.
    fn becomes(&mut self, release: &str) {
        let _shutdown = self.engine.take().unwrap().shutdown().unwrap();
        self.boot.dialect = dialect(release);
        self.start_daemon(Begins::Again);
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    fn create(&mut self, name: &str, runtime: &str) -> Result<String, Refusal> {
        self.engine().create(spec(name, runtime))
    }

    /// Makes and starts a container that stays.
    fn runs(&mut self, name: &str, runtime: &str) {
        self.create(name, runtime).unwrap();
        self.engine().start(name).unwrap();
    }

    fn state(&mut self, name: &str) -> State {
        self.engine().inspect(name).unwrap().state
    }

    /// What the process of a container does, also of one that was removed.
    fn process(&mut self, id: &str) -> Option<Process> {
        self.engine().world().shim(id).unwrap().map(|shim| shim.process)
    }

    fn id(&mut self, name: &str) -> String {
        self.engine().inspect(name).unwrap().id.clone()
    }

    fn exec(&mut self, name: &str) -> Exec {
        let id =
            self.engine().create_exec(name, vec!["/bin/echo".to_owned(), "ok".to_owned()], false).unwrap();
        self.engine().start_exec(&id).unwrap()
    }

    fn scripts(&mut self) -> Vec<String> {
        self.engine().world().files.names(super::world::SCRIPTS).unwrap()
    }

    fn broken(&mut self) -> Vec<Invariant> {
        let mut broken: Vec<Invariant> =
            broken(self.engine()).unwrap().into_iter().map(|broken| broken.invariant).collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    /// How far a container can be managed: everything, or nothing.
    fn is_managed(&mut self, name: &str) -> bool {
        let exec = matches!(self.exec(name), Exec::Runs(_));
        let top = self.engine().top(name).is_ok();
        let pause = self.engine().pause(name).is_ok() && self.engine().unpause(name).is_ok();
        assert!(exec == top && top == pause, "{name}: exec {exec}, top {top}, pause {pause}");
        exec
    }
}

fn dialect(release: &str) -> &'static Dialect {
    if release == "ideal" {
        return DIALECTS.all().last().unwrap();
    }
    DIALECTS.for_version(release).unwrap()
}

fn spec(name: &str, runtime: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        image: "tiny:1".to_owned(),
        runtime: runtime.to_owned(),
        command: vec!["/bin/sleep".to_owned(), "1000".to_owned()],
        ..Spec::default()
    }
}

#[test]
fn the_life_of_a_container_is_what_it_is_for_all_releases() {
    for release in ["20.10.5", "20.10.24", "26.1.5", "28.5.2", "29.7.2", "ideal"] {
        let mut house = House::new(release, ARGS, false);
        house.runs("aa", "wrap");
        house.runs("pp", "");
        let why = |result: Result<(), Refusal>| result.map_err(|refusal| refusal.why);
        assert_eq!(house.engine().counts(), Counts { running: 2, paused: 0, stopped: 0 }, "{release}");
        assert_eq!(house.engine().start("aa").unwrap_err().why, Why::NotModified);
        house.engine().pause("aa").unwrap();
        assert_eq!(why(house.engine().pause("aa")), Err(Why::Conflict));
        assert_eq!(house.engine().counts(), Counts { running: 1, paused: 1, stopped: 0 });
        house.engine().unpause("/aa").unwrap();
        assert_eq!(house.engine().top("aa").unwrap(), ["/bin/sleep 1000"]);
        assert_eq!(why(house.engine().rename("aa", "pp")), Err(Why::Conflict));
        house.engine().rename("aa", "bb").unwrap();
        let stopped = house.engine().stop("bb", Some(2000));
        assert_eq!((stopped.took_ms, stopped.result), (2000, Ok(())));
        assert_eq!(why(house.engine().stop("bb", None).result), Err(Why::NotModified));
        assert_eq!(house.engine().exit_status("bb"), Ok(Some(137)));
        assert_eq!(why(house.engine().kill("bb", 9).result), Err(Why::Conflict));
        assert_eq!(why(house.engine().remove("pp", false).result), Err(Why::Conflict));
        assert_eq!(why(house.engine().kill("pp", 15).result), Ok(()));
        assert_eq!(
            house.state("pp"),
            State::Running,
            "the first process of a container takes no signal that it did not ask for"
        );
        assert_eq!(why(house.engine().remove("pp", true).result), Ok(()));
        assert_eq!(why(house.engine().remove("bb", false).result), Ok(()));
        assert_eq!((house.engine().list().len(), house.broken()), (0, vec![]), "{release}");
        let actions: Vec<_> = house.engine().take_events().iter().map(|event| event.action).collect();
        let expect = "create start create start pause unpause rename die stop kill die destroy destroy";
        assert_eq!(actions.join(" "), expect);
    }
}

#[test]
fn what_cannot_be_is_refused_in_the_words_of_the_release() {
    #[track_caller]
    fn check(release: &str, spec: Spec, why: Why, message: &str) {
        let mut house = House::new(release, ARGS, false);
        let id = house.create("taken", "").unwrap();
        let refusal = house.engine().create(spec).unwrap_err();
        assert_eq!((refusal.why, refusal.message), (why, message.replace("ID", &id)), "{release}");
    }
    check("20.10.24", spec("a1", "nope"), Why::BadParameter, "Unknown runtime specified nope");
    check("26.1.5", spec("a1", "nope"), Why::BadParameter, "unknown or invalid runtime name: nope");
    let image = Spec { image: "nope:1".to_owned(), ..spec("a1", "") };
    check("28.5.2", image, Why::NotFound, "No such image: nope:1");
    let conflict = "Conflict. The container name \"/taken\" is already in use by container \"ID\". You have to remove \
                    (or rename) that container to be able to reuse that name.";
    check("28.5.2", spec("taken", ""), Why::Conflict, conflict);
    let letters = "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
    check("28.5.2", spec("a/b", ""), Why::BadParameter, letters);
}

#[test]
fn a_container_that_is_removed_when_it_ends_is_gone_also_when_it_never_ran() {
    let mut house = House::new("ideal", ARGS, false);
    for (command, ends) in [("/bin/true", true), ("/bin/nope", false)] {
        let spec = Spec { auto_remove: true, command: vec![command.to_owned()], ..spec("aa", "wrap") };
        let id = house.engine().create(spec).unwrap();
        let program = house.engine().start("aa").ok();
        assert_eq!(program.as_ref().map(|program| program.exit), ends.then_some(Some(0)));
        if ends {
            house.engine().process_ends(&id, 0).unwrap();
        }
        assert_eq!((house.engine().list().len(), house.process(&id), house.broken()), (0, None, vec![]));
    }
}

#[test]
fn ids_are_the_same_in_every_directory_unless_another_seed_is_asked_for() {
    let first = House::new("ideal", ARGS, false).create("aa", "").unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(House::new("ideal", ARGS, false).create("aa", "").unwrap(), first);
    let mut other = House::new("ideal", ARGS, false);
    other.boot.seed = "other".to_owned();
    other.restart();
    assert_ne!(other.create("aa", "").unwrap(), first);
    // What was removed does not give its id back, and a restart forgets none.
    assert!(other.engine().remove("aa", false).result.is_ok());
    other.boot.seed.clear();
    other.restart();
    assert_ne!(other.create("aa", "").unwrap(), first);
}

#[test]
fn a_daemon_may_be_kept_by_any_thread() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Engine>();
    is_send::<Prepared>();
    is_send::<Pending>();
}
