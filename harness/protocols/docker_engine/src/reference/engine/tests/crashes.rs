//! A loss of power between any two changes of a file.

use super::*;

/// A scripted life: everything that writes.
fn life(engine: &mut Engine, directory: &std::path::Path) -> Option<()> {
    let write = |text: &str| std::fs::write(directory.join(CONFIGURATION), text).unwrap();
    engine.create(spec("aa", "wrap")).ok()?;
    engine.start("aa").ok()?;
    let gone = Spec { auto_remove: true, ..spec("gone", "wrap") };
    let gone = engine.create(gone).ok()?;
    engine.start("gone").ok()?;
    let taken = engine.snapshot();
    write(&format!(r#"{CHANGED},"live-restore":true,"labels":["a=1"]}}"#));
    engine.reload().outcome.ok()?;
    engine.create_with(&taken, spec("bb", "wrap")).ok()?;
    let prepared = engine.prepare(&taken, "bb").ok()?;
    write(&format!(r#"{DROPPED},"live-restore":true}}"#));
    engine.reload().outcome.ok()?;
    engine.run(prepared).ok()?;
    engine.pause("aa").ok()?;
    engine.unpause("aa").ok()?;
    engine.process_ends(&gone, 3).ok()?;
    engine.stop("bb", Some(0)).result.ok()?;
    engine.rename("bb", "cc").ok()?;
    engine.remove("cc", false).result.ok()?;
    engine.create(spec("dd", "")).ok()?;
    engine.start("dd").ok()?;
    engine.kill("dd", 9).result.ok()?;
    engine.remove("aa", true).result.ok()
}

/// Cuts a life off behind each of its steps, and looks at what the next daemon makes of it.
fn cut_off_anywhere(begins: Begins, live_restore: bool) {
    for steps in 0.. {
        let mut house = House::new("ideal", ARGS, true);
        let directory = house.directory.path().to_owned();
        house.engine().world.files.lose_power_after(Some(steps));
        let whole = life(house.engine(), &directory).is_some();
        drop(house.engine.take());
        house.live_restore = live_restore;
        house.configure(ARGS);
        house.start_daemon(begins);
        let what = format!("{begins:?}, live-restore {live_restore}, behind {steps} steps");
        assert_eq!(broken(house.engine()).unwrap(), [], "{what}");
        assert_eq!(stale_scripts(house.engine()).unwrap(), [], "{what}");
        for name in ["aa", "bb", "cc", "dd", "gone"] {
            let Ok(record) = house.engine().inspect(name) else { continue };
            match record.state {
                State::Created | State::Exited(_) => {
                    assert!(house.engine().start(name).is_ok(), "{what}: {name}")
                }
                State::Running | State::Paused => {
                    assert!(live_restore && begins == Begins::Again, "{what}")
                }
            }
            assert!(house.engine().remove(name, true).result.is_ok(), "{what}: {name}");
        }
        assert_eq!(house.engine().world().shims().unwrap(), [], "{what}");
        if whole {
            assert!(steps > 50, "a life of {steps} steps is none");
            break;
        }
    }
}

#[test]
fn a_daemon_that_dies_anywhere_is_found_sound_by_the_next_one() {
    cut_off_anywhere(Begins::Again, true);
}

#[test]
fn a_daemon_that_dies_anywhere_is_found_sound_by_one_that_stops_what_lives() {
    cut_off_anywhere(Begins::Again, false);
}

#[test]
fn a_machine_that_dies_anywhere_is_found_sound_when_it_starts() {
    cut_off_anywhere(Begins::AtBoot, true);
}

#[test]
fn a_start_that_is_cut_off_anywhere_is_made_good_by_the_next_one() {
    for live_restore in [true, false] {
        for steps in 0.. {
            let mut house = House::new("ideal", ARGS, true);
            house.runs("aa", "wrap");
            house.runs("pp", "");
            let prepared = {
                house.create("half", "wrap").unwrap();
                let snapshot = house.engine().snapshot();
                house.engine().prepare(&snapshot, "half").unwrap()
            };
            drop((prepared, house.engine.take()));
            house.live_restore = live_restore;
            house.configure(CHANGED);
            let mut world = World::at(house.directory.path()).unwrap();
            world.files.lose_power_after(Some(steps));
            let boot = Boot { begins: Begins::Again, ..house.boot.clone() };
            let started = Engine::boot_over(world, &boot).is_ok();
            house.start_daemon(Begins::Again);
            let what = format!("live-restore {live_restore}, behind {steps} steps");
            assert_eq!(broken(house.engine()).unwrap(), [], "{what}");
            assert_eq!(stale_scripts(house.engine()).unwrap(), [], "{what}");
            let expect = if live_restore { State::Running } else { State::Exited(137) };
            assert_eq!((house.state("aa"), house.state("half")), (expect, State::Created), "{what}");
            if started {
                assert!(steps > 3, "a start of {steps} steps is none");
                break;
            }
        }
    }
}
