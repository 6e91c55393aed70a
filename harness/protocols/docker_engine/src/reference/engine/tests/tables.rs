//! What was measured: section 7 of the specification, row by row.

use super::*;

/// What became of a container with a script and of what was asked of it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The exit status that exec got from the daemon, or 0.
    exec: i32,
    /// Status, duration and effect of `stop -t 2`.
    stop: (u16, u64, &'static str),
}

fn status(result: &Result<(), Refusal>) -> u16 {
    result.as_ref().map_or_else(|refusal| refusal.why.status(), |()| 204)
}

fn effect(house: &mut House, id: &str) -> &'static str {
    match house.process(id) {
        Some(process) if process.lives() => "lives",
        Some(_) => "leaks",
        None => "gone",
    }
}

fn exec(house: &mut House, name: &str) -> i32 {
    match house.exec(name) {
        Exec::Runs(program) => program.exit.unwrap(),
        Exec::Fails { status, message } => {
            let [start, end] =
                ["OCI runtime exec failed: fork/exec ", ": no such file or directory: unknown"];
            assert!(message.starts_with(start) && message.ends_with(end), "{message}");
            status
        }
    }
}

fn seen(house: &mut House, name: &str) -> Seen {
    let id = house.id(name);
    let exec = exec(house, name);
    assert_eq!(house.is_managed(name), exec == 0);
    let stop = house.engine().stop(name, Some(2000));
    Seen { exec, stop: (status(&stop.result), stop.took_ms, effect(house, &id)) }
}

const FINE: Seen = Seen { exec: 0, stop: (204, 2000, "gone") };

#[test]
fn reloads_do_what_they_did() {
    // 7.2: exec, stop -t 2 of `aa`; kill of `bb` and its start behind that; a new container.
    #[track_caller]
    fn check(release: &str, to: &str, aa: &Seen, kill: (u16, u64, &str), start: &str, new: &str) {
        let mut house = House::new(release, ARGS, false);
        house.runs("aa", "wrap");
        house.runs("bb", "wrap");
        let bb = house.id("bb");
        house.configure(to);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        assert_eq!(&seen(&mut house, "aa"), aa, "{release} {to}: aa");
        let killed = house.engine().kill("bb", 9);
        let killed = (status(&killed.result), killed.took_ms, effect(&mut house, &bb));
        assert_eq!(killed, kill, "{release} {to}: kill bb");
        let said = |result: Result<Program, Refusal>| match result {
            Ok(_) => "ok".to_owned(),
            Err(Refusal { why: Why::NotModified, .. }) => "still running".to_owned(),
            Err(refusal) => refusal.message,
        };
        assert_eq!(said(house.engine().start("bb")), start, "{release} {to}: start bb");
        let created = house.create("new", "wrap").map(|_| ());
        assert_eq!(
            created.map_or_else(|refusal| refusal.message, |()| "ok".to_owned()),
            new,
            "{release} {to}: new"
        );
    }
    let old = "Unknown runtime specified wrap";
    let now = "unknown or invalid runtime name: wrap";
    let fails = Seen { exec: 126, stop: (500, 2000, "lives") };
    check("20.10.5", NOARGS, &fails, (500, 2000, "lives"), "still running", "ok");
    check("20.10.5", DROPPED, &fails, (500, 2000, "lives"), "still running", old);
    let leaks = Seen { exec: 126, stop: (204, 12_000, "leaks") };
    check("20.10.24", NOARGS, &leaks, (204, 10_000, "leaks"), "id already in use", "ok");
    check("20.10.24", DROPPED, &leaks, (204, 10_000, "leaks"), old, old);
    for release in ["26.1.5", "28.5.2", "29.7.2", "ideal"] {
        check(release, NOARGS, &FINE, (204, 0, "gone"), "ok", "ok");
        check(release, DROPPED, &FINE, (204, 0, "gone"), now, now);
    }
    for release in ["20.10.5", "20.10.24", "26.1.5", "28.5.2", "29.7.2", "ideal"] {
        check(release, CHANGED, &FINE, (204, 0, "gone"), "ok", "ok");
    }
}

#[test]
fn what_cannot_be_reached_is_told_in_the_words_of_recordings() {
    let mut house = House::new("20.10.5", ARGS, false);
    house.runs("aa", "wrap");
    let (id, path) = (house.id("aa"), "/engine/data/runtimes/wrap");
    house.configure(NOARGS);
    assert_eq!(house.engine().reload().outcome, Ok(()));
    let gone = format!("fork/exec {path}: no such file or directory: <nil>: unknown");
    let kill = format!("Cannot kill container {id}: unknown error after kill: {gone}");
    let said = |result: Result<(), Refusal>| result.unwrap_err().message;
    assert_eq!(house.engine().top("aa").unwrap_err().message, gone);
    let paused = said(house.engine().pause("aa"));
    assert_eq!(paused, format!("Cannot pause container {id}: OCI runtime pause failed: {gone}"));
    let stopped = said(house.engine().stop("aa", Some(2000)).result);
    assert_eq!(stopped, format!("cannot stop container: aa: {kill}"));
    let killed = said(house.engine().kill("aa", 9).result);
    assert_eq!(killed, format!("Cannot kill container: aa: {kill}"));
    let removed = said(house.engine().remove("aa", true).result);
    assert_eq!(removed, format!("Could not kill running container {id}, cannot remove - {kill}"));
}

#[test]
fn a_daemon_without_live_restore_leaves_what_it_cannot_reach() {
    // 7.2, the row of the daemon's stop.
    #[track_caller]
    fn check(release: &str, survives: bool, effect_on_aa: &str) {
        let mut house = House::new(release, ARGS, false);
        house.runs("aa", "wrap");
        house.runs("pp", "");
        let (aa, pp) = (house.id("aa"), house.id("pp"));
        house.configure(NOARGS);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        let shutdown = house.restart();
        assert_eq!(shutdown.left, if survives { vec![aa.clone()] } else { vec![] }, "{release}");
        assert_eq!(effect(&mut house, &aa), effect_on_aa, "{release}");
        assert_eq!((effect(&mut house, &pp), house.state("pp")), ("gone", State::Exited(137)));
        assert_eq!(house.state("aa"), if survives { State::Running } else { State::Exited(137) });
        if survives {
            assert!(!house.is_managed("aa"));
        }
        assert_eq!(house.scripts(), Vec::<String>::new(), "{release}: stale scripts go at the start");
    }
    check("20.10.5", true, "lives");
    check("20.10.24", false, "leaks");
    for release in ["26.1.5", "28.5.2", "29.7.2", "ideal"] {
        check(release, false, "gone");
    }
}

#[test]
fn restarts_with_live_restore_do_what_they_did() {
    // 7.3: what becomes of `aa` at the first restart, and what the second one says of it.
    #[track_caller]
    fn check(release: &str, to: &str, first: &Seen, second: State) {
        for twice in [false, true] {
            let mut house = House::new(release, ARGS, true);
            house.runs("aa", "wrap");
            house.runs("pp", "");
            let aa = house.id("aa");
            house.configure(to);
            house.restart();
            assert!(house.is_managed("pp"));
            if !twice {
                assert_eq!(&seen(&mut house, "aa"), first, "{release} {to}");
                continue;
            }
            house.restart();
            assert!(house.is_managed("pp"));
            assert_eq!(house.state("aa"), second, "{release} {to}");
            assert_eq!(effect(&mut house, &aa), "lives");
            assert_eq!(house.engine().counts().running, 2, "{release} {to}: what /info says");
            if second != State::Running {
                let removed = house.engine().remove("aa", true);
                assert_eq!((status(&removed.result), removed.took_ms), (204, 0));
                assert_eq!(effect(&mut house, &aa), "lives", "for ever");
                assert!(house.broken().contains(&Invariant::Truth));
            }
        }
    }
    let leaks = |exec| Seen { exec, stop: (204, 12_000, "leaks") };
    for (release, exec, second) in [
        ("20.10.24", 126, State::Running),
        ("26.1.5", 126, State::Exited(255)),
        ("28.5.2", 127, State::Exited(255)),
        ("29.7.2", 127, State::Exited(255)),
    ] {
        check(release, ARGS, &FINE, State::Running);
        check(release, NOARGS, &leaks(exec), second);
        check(release, DROPPED, &leaks(exec), second);
    }
    check("20.10.24", CHANGED, &FINE, State::Running);
    check("26.1.5", CHANGED, &leaks(126), State::Exited(255));
    check("28.5.2", CHANGED, &leaks(127), State::Exited(255));
    for to in [ARGS, NOARGS, DROPPED, CHANGED] {
        check("ideal", to, &FINE, State::Running);
    }
}

#[test]
fn upgrades_and_downgrades_do_what_they_did() {
    // 7.4: a plain container and one with a script, behind the step and behind one more restart.
    #[track_caller]
    fn check(from: &str, to: &str, plain: &str, wrap: &str, later: State, running: usize) {
        let mut house = House::new(from, ARGS, true);
        house.runs("aa", "wrap");
        house.runs("pp", "");
        house.becomes(to);
        let how = |house: &mut House, name: &str| match house.state(name) {
            State::Running if house.is_managed(name) => "ok",
            State::Running => "unmanageable",
            _ => "killed",
        };
        assert_eq!((how(&mut house, "pp"), how(&mut house, "aa")), (plain, wrap), "{from} to {to}");
        assert_eq!(house.engine().counts().running, running, "{from} to {to}: what /info says");
        let (aa, pp) = (house.id("aa"), house.id("pp"));
        if plain == "killed" {
            assert_eq!((effect(&mut house, &aa), effect(&mut house, &pp)), ("leaks", "leaks"));
        }
        house.runs("new", "wrap");
        house.restart();
        assert_eq!(house.state("aa"), later, "{from} to {to}");
        assert!(house.is_managed("new"));
    }
    let up = State::Running;
    check("20.10.5", "20.10.24", "ok", "ok", up, 2);
    check("20.10.24", "20.10.5", "ok", "ok", up, 2);
    check("20.10.24", "26.1.5", "ok", "unmanageable", State::Exited(255), 2);
    check("20.10.24", "28.5.2", "ok", "unmanageable", State::Exited(255), 2);
    check("26.1.5", "28.5.2", "ok", "ok", up, 2);
    check("28.5.2", "29.7.2", "ok", "ok", up, 2);
    check("29.7.2", "28.5.2", "ok", "ok", up, 2);
    check("26.1.5", "20.10.24", "ok", "unmanageable", up, 2);
    check("28.5.2", "26.1.5", "killed", "killed", State::Exited(255), 2);
    check("28.5.2", "20.10.24", "killed", "killed", State::Exited(255), 2);
    // Ours takes over from each of them.
    for from in ["20.10.5", "20.10.24", "26.1.5", "28.5.2", "29.7.2"] {
        check(from, "ideal", "ok", "ok", up, 2);
    }
}

#[test]
fn a_start_that_races_a_reload_fails_where_it_did() {
    // 7.2, the race: the reload falls before the process is made, or between that and its run.
    #[track_caller]
    fn check(release: &str, fails: bool, leaks: bool) {
        let mut house = House::new(release, ARGS, false);
        house.create("aa", "wrap").unwrap();
        house.create("bb", "wrap").unwrap();
        let snapshot = house.engine().snapshot();
        let prepared = house.engine().prepare(&snapshot, "bb").unwrap();
        house.configure(NOARGS);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        let made = house.engine().start_with(&snapshot, "aa");
        let run = house.engine().run(prepared);
        if !fails {
            assert!(made.is_ok() && run.is_ok(), "{release}");
            return;
        }
        let path = "/engine/data/runtimes/wrap";
        let gone = format!("fork/exec {path}: no such file or directory: unknown");
        let words = "OCI runtime create failed: unable to retrieve OCI runtime error";
        assert_eq!(made.unwrap_err().message, format!("{words}: {gone}"));
        assert_eq!(run.unwrap_err().message, format!("OCI runtime start failed: {gone}"));
        let bb = house.id("bb");
        assert_eq!(house.process(&bb).is_some(), leaks, "{release}");
    }
    check("20.10.5", true, false);
    check("20.10.24", true, true);
    check("26.1.5", false, false);
    check("28.5.2", false, false);
    check("ideal", false, false);
}

#[test]
fn nothing_lives_behind_a_loss_of_power() {
    for release in ["20.10.5", "20.10.24", "26.1.5", "28.5.2", "29.7.2", "ideal"] {
        let mut house = House::new(release, ARGS, true);
        house.runs("aa", "wrap");
        let aa = house.id("aa");
        drop(house.engine.take());
        house.start_daemon(Begins::AtBoot);
        assert_eq!((house.state("aa"), house.process(&aa)), (State::Exited(255), None), "{release}");
        assert_eq!((house.broken(), house.scripts().len()), (vec![], 1), "{release}");
    }
}
