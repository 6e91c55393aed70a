//! Section 7.5 of the specification: files that are wrong in different ways.

use super::*;

/// What a release makes of a reload with some file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    Takes,
    Refuses(&'static str),
}
use Makes::{Refuses, Takes};

const RELEASES: [&str; 6] = ["20.10.5", "20.10.24", "26.1.5", "28.5.2", "29.7.2", "ideal"];

#[track_caller]
fn check_each(file: Option<&str>, expect: impl Fn(&str) -> Makes) {
    for release in RELEASES {
        let mut house = House::new(release, ARGS, false);
        house.boot.flags = vec!["group".to_owned()];
        house.restart();
        let before = house.engine().info();
        match file {
            Some(text) => house.write(text),
            None => std::fs::remove_file(house.directory.path().join(CONFIGURATION)).unwrap(),
        }
        let reloaded = house.engine().reload();
        let expect = expect(release);
        match (expect, &reloaded.outcome) {
            (Takes, Ok(())) => assert!(reloaded.says_reloaded),
            (Refuses(part), Err(bad)) => {
                assert!(bad.reason.contains(part), "{release} {file:?}: {}", bad.reason);
                assert_eq!(refused_reload(&before, &house.engine().info()), [], "{release} {file:?}");
                // Measured on 28.5.2 and 29.7.2.
                let lies = ["28.5.2", "29.7.2"].contains(&release) && bad.stage == Stage::Applying;
                assert_eq!(reloaded.says_reloaded, lies, "{release} {file:?}: {}", bad.reason);
            }
            (expect, outcome) => panic!("{release} {file:?}: {expect:?}, and it is {outcome:?}"),
        }
        // It never dies, and what runs is never hurt by what is refused.
        house.runs("aa", "");
        assert!(house.is_managed("aa"));
        if reloaded.outcome.is_err() {
            house.runs("bb", "wrap");
            assert!(house.is_managed("bb"));
        }
    }
}

#[test]
fn bad_files_are_taken_and_refused_as_they_were() {
    let old = |release: &str| release.starts_with("20.10");
    for empty in ["", " \n"] {
        check_each(Some(empty), |release| if old(release) { Refuses("EOF") } else { Takes });
    }
    check_each(Some("null"), |_| Takes);
    check_each(Some(r#"{"labels":["a=1""#), |_| Refuses("at offset"));
    check_each(Some("[]"), |_| Refuses("json: cannot unmarshal array into Go value of type config.Config"));
    check_each(Some(r#"{"nope":1}"#), |_| Refuses("don't match any configuration option: nope"));
    let wrong = "json: cannot unmarshal string into Go struct field Config.debug of type bool";
    check_each(Some(r#"{"debug":"yes"}"#), |_| Refuses(wrong));
    check_each(Some(r#"{"labels":["a=1","a=2"]}"#), |_| Refuses("conflict labels for a=2 and a=1"));
    check_each(Some(r#"{"labels":["a=1","a=1"]}"#), |_| Takes);
    check_each(None, |_| Refuses("no such file or directory"));
    let twice = "specified both as a flag and in the configuration file: group";
    check_each(Some(r#"{"group":"docker"}"#), |_| Refuses(twice));
    let pathless = "either a runtimeType or a path must be configured";
    check_each(
        Some(r#"{"runtimes":{"w":{}}}"#),
        |release| if old(release) { Takes } else { Refuses(pathless) },
    );
    check_each(Some(r#"{"runtimes":{"runc":{"path":"crun"}}}"#), |_| {
        Refuses("runtime name 'runc' is reserved")
    });
    let missing = "specified default runtime 'nope' does not exist";
    check_each(Some(r#"{"labels":["x=1"],"debug":true,"default-runtime":"nope"}"#), |_| Refuses(missing));
    check_each(Some(r#"{"runtimes":{"w":{"path":"/nope/nope"}}}"#), |_| Takes);
    let evil = r#"{"runtimes":{"../../evil":{"path":"runc","runtimeArgs":["--debug"]}}}"#;
    let leads = "leads out of the directory of scripts";
    check_each(Some(evil), |release| if release == "ideal" { Refuses(leads) } else { Takes });
    for version in ["1.40", "1.99"] {
        let file = format!(r#"{{"min-api-version":"{version}"}}"#);
        let unknown = Refuses("don't match any configuration option: min-api-version");
        check_each(
            Some(&file),
            |release| if ["29.7.2", "ideal"].contains(&release) { Takes } else { unknown },
        );
    }
}

#[test]
fn a_reload_changes_only_what_its_file_says() {
    let mut house = House::new("28.5.2", ARGS, false);
    let before = house.engine().info();
    for text in ["null", "{}", ""] {
        house.write(text);
        assert_eq!(house.engine().reload().outcome, Ok(()));
        assert_eq!(house.engine().info(), before, "{text:?}");
    }
    house.write(r#"{"labels":["a=1"],"default-runtime":"wrap","live-restore":true,"debug":true}"#);
    assert_eq!(house.engine().reload().outcome, Ok(()));
    let info = house.engine().info();
    assert_eq!((info.labels, info.default_runtime.as_str()), (vec!["a=1".to_owned()], "wrap"));
    assert_eq!((info.live_restore, info.debug, info.runtimes), (true, true, before.runtimes));
    // The default runtime cannot go while it is that.
    house.write(r#"{"runtimes":{}}"#);
    assert!(house.engine().reload().outcome.is_err());
    house.create("aa", "").unwrap();
    assert_eq!(house.engine().inspect("aa").unwrap().spec.runtime, "wrap");
    // A reload does not apply this one, a start does.
    let mut house = House::new("29.7.2", ARGS, false);
    house.write(r#"{"min-api-version":"1.44"}"#);
    assert_eq!(house.engine().reload().outcome, Ok(()));
    assert_eq!(house.engine().snapshot().configuration.min_api_version, None);
    house.restart();
    assert_eq!(house.engine().snapshot().configuration.min_api_version.as_deref(), Some("1.44"));
}

#[test]
fn a_script_of_a_name_that_leads_away_stays_there_and_inside() {
    // Real ones write it to <data-root>/../evil, and never remove it.
    for (release, name) in
        [("20.10.24", "evil"), ("28.5.2", "evil.0RXGPLZYC6FYVG04-RZ9N02SBD3CRX0M30GGYX-VNF2XDY2Y38D0====")]
    {
        for lead in ["../../", "../../../../../../"] {
            let runtimes =
                format!(r#"{{"runtimes":{{"{lead}evil":{{"path":"runc","runtimeArgs":["--debug"]}}}}"#);
            let mut house = House::new(release, &runtimes, false);
            let file = house.directory.path().join(name);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "#!/bin/sh\nrunc --debug $@\n");
            house.configure(DROPPED);
            house.restart();
            assert!(file.exists(), "{release}");
        }
    }
}

#[test]
fn a_daemon_does_not_start_with_what_it_refuses_and_changes_nothing_then() {
    let mut house = House::new("ideal", ARGS, true);
    house.runs("aa", "wrap");
    let scripts = house.scripts();
    for text in ["[]", "{", r#"{"nope":1}"#, r#"{"runtimes":{},"default-runtime":"wrap"}"#] {
        drop(house.engine.take());
        house.write(text);
        let boot = Boot { begins: Begins::Again, ..house.boot.clone() };
        let refused = Engine::boot(house.directory.path(), &boot);
        assert!(matches!(refused, Err(BootError::Configuration(_))), "{text}");
        house.configure(ARGS);
        house.start_daemon(Begins::Again);
        assert_eq!((house.scripts(), house.broken()), (scripts.clone(), vec![]));
        assert!(house.is_managed("aa"));
    }
}
