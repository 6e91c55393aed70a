//! Each seeded fault, and a sequence that shows it; the same sequence shows nothing without it.

use super::*;
use crate::reference::defects as names;

/// Does what a fault shows itself in, and says what is broken then.
fn shows(switches: Switches, sequence: fn(&mut House) -> Vec<Broken>) -> Vec<Invariant> {
    let mut house = House::with("ideal", switches, ARGS, true);
    house.runs("aa", "wrap");
    let mut found = sequence(&mut house);
    found.extend(broken(house.engine()).unwrap());
    found.into_iter().map(|broken| broken.invariant).collect()
}

#[track_caller]
fn check(name: &'static str, expect: Invariant, sequence: fn(&mut House) -> Vec<Broken>) {
    assert_eq!(shows(Switches::default(), sequence), [], "without {name}");
    let table = protocol::Defect {
        name,
        side: protocol::defect::Role::Server,
        about: "",
        peer: "ideal",
        case: "",
        shape: transcript::evidence::Shape::HANG,
    };
    let switches = Switches::on(&[table], protocol::defect::Role::Server, &[name]).unwrap();
    let found = shows(switches, sequence);
    assert!(found.contains(&expect), "{name}: {found:?}");
}

#[test]
fn each_fault_is_shown_by_what_it_breaks() {
    check(names::RELOAD_DELETES_WRAPPERS, Invariant::Manageable, |house| {
        house.configure(NOARGS);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        vec![]
    });
    check(names::RELOAD_DELETES_WRAPPERS, Invariant::Handlers, |house| {
        let taken = house.engine().snapshot();
        house.configure(CHANGED);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        taken_earlier(house.engine(), &taken).unwrap()
    });
    check(names::START_REMOVES_REFERENCED, Invariant::Scripts, |house| {
        house.configure(NOARGS);
        house.restart();
        stale_scripts(house.engine()).unwrap()
    });
    check(names::TABLE_BEFORE_PATHS, Invariant::Unit, |house| {
        house.configure(CHANGED);
        let pending = house.engine().prepare_reload().unwrap();
        let seen = house.engine().snapshot();
        house.engine().commit_reload(pending);
        unit(house.engine(), &seen)
    });
    check(names::REFUSED_RELOAD_APPLIES, Invariant::Refused, |house| {
        let before = house.engine().info();
        house.write(r#"{"labels":["a=1"],"default-runtime":"nope"}"#);
        assert!(house.engine().reload().outcome.is_err());
        refused_reload(&before, &house.engine().info())
    });
    check(names::STOP_SAYS_SUCCESS, Invariant::Claims, |house| {
        let aa = house.id("aa");
        assert_eq!(house.engine().stop("aa", Some(0)).result, Ok(()));
        claimed_to_have_ended(house.engine(), &aa).unwrap()
    });
    check(names::FORGETS_LIVE, Invariant::Truth, |house| {
        house.restart();
        assert_eq!(house.broken(), []);
        house.restart();
        vec![]
    });
    check(names::COUNTS_WRONG, Invariant::Truth, |house| {
        assert!(house.engine().stop("aa", Some(0)).result.is_ok());
        vec![]
    });
}
