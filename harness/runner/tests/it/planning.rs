//! Planned = executed + explained, and every fixture is accounted for.

use matrix::Partition;
use runner::{PlanError, Project, Work};

use crate::support::{self, Files, LIBVIRT_BUILDS, plan};

fn work(work: &Work) -> &'static str {
    match work {
        Work::Judge(_) => "judge",
        Work::Play(_) => "play",
        Work::Operate(_) => "operate",
        Work::Replay(_) => "replay",
        Work::Missing(_) => "missing",
        Work::Explain(_) => "explain",
    }
}

/// Where the recording of the first cell belongs, below the folder of the protocol.
const ZERO: &str = "probe..kept/unknown-payload-0.wire";
/// Where that of a build belongs that no cell has.
const GONE: &str = "probe..gone/unknown-payload-0.wire";

/// The work of each cell of the recorded group, and what is complained about.
#[track_caller]
fn check(fixtures: &[(&str, &str, &str)], works: [&str; 2], complaint: &str) {
    let files = Files::new();
    for (path, server, case) in fixtures {
        files.fixture(&format!("fixtures/lxc-command/{path}"), server, case);
    }
    let plan = plan(&files.project(), "recorded", None).expect("a plan");
    let planned: Vec<_> = plan.cells.iter().map(|cell| work(&cell.work)).collect();
    assert_eq!(planned, works);
    assert_eq!(plan.complaints.len(), usize::from(!complaint.is_empty()), "{:?}", plan.complaints);
    assert!(plan.complaints.iter().all(|said| said.contains(complaint)), "{:?}", plan.complaints);
}

#[test]
fn what_is_recorded_is_judged_and_what_is_not_is_missing() {
    check(&[], ["missing", "missing"], "");
    check(&[(ZERO, "kept", "probe/unknown-payload-0")], ["judge", "missing"], "");
    let sixteen = "probe..kept/unknown-payload-16.wire";
    let both = [(ZERO, "kept", "probe/unknown-payload-0"), (sixteen, "kept", "probe/unknown-payload-16")];
    check(&both, ["judge", "judge"], "");
}

#[test]
fn fixtures_that_nobody_reads_are_complained_about() {
    let check = |place, case, complaint| {
        let server = if place == GONE { "gone" } else { "kept" };
        check(&[(place, server, case)], ["missing", "missing"], complaint);
    };
    let no_such = "probe..kept/no-such.wire";
    check(GONE, "probe/unknown-payload-0", "probe..gone/unknown-payload-0.wire is read by no cell");
    check(no_such, "probe/no-such", "no-such.wire is read by no cell");
    check(no_such, "nonsense", "no-such.wire is not a recording of this case");
    let belongs = "belongs at `fixtures/lxc-command/<client>..<server>/<case>.wire`";
    for elsewhere in ["a.wire", "a/b.wire", "probe..kept/replay.idle@4.0.6.wire"] {
        check(elsewhere, "probe/unknown-payload-0", belongs);
    }
}

#[test]
fn patterns_that_stand_for_no_case_are_complained_about() {
    let files = Files::new();
    let text = std::fs::read_to_string(files.path().join("matrices/lxc-command/matrix.toml"))
        .expect("it was written");
    let slip = text.replace("unknown-payload-0", "unknwon-payload-0");
    assert_ne!(slip, text);
    files.write("matrices/lxc-command/matrix.toml", &slip);
    let plan = plan(&files.project(), "recorded", None).expect("a plan");
    assert!(
        plan.complaints.iter().any(|said| said.contains("`probe/unknwon-payload-0` matches no case")),
        "{:?}",
        plan.complaints
    );
}

/// A copy under another name does not count for the cell of that name.
#[test]
fn one_cell_has_one_fixture() {
    let copy = "probe..kept/copy.wire";
    let twice = [(ZERO, "kept", "probe/unknown-payload-0"), (copy, "kept", "probe/unknown-payload-0")];
    check(&twice, ["judge", "missing"], "copy.wire is not a recording of this case: its header says `");
}

#[test]
fn a_fixture_that_cannot_be_read_is_complained_about() {
    let files = Files::new();
    files.write(&format!("fixtures/lxc-command/{GONE}"), "# wireskew-wire 99 written by \"tomorrow\"\n");
    files.write("fixtures/lxc-command/notes.txt", "no fixture, and no fault");
    let plan = plan(&files.project(), "recorded", None).expect("a plan");
    assert_eq!(plan.cells.len(), 2);
    let [complaint] = &plan.complaints[..] else { panic!("one complaint: {:?}", plan.complaints) };
    assert!(complaint.contains(GONE) && complaint.contains("tomorrow"), "{complaint}");
}

/// Nobody waits for a pipe, and a folder with such a name is no folder of fixtures.
#[test]
fn what_is_no_file_is_no_fixture() {
    let files = Files::new();
    files.write("fixtures/lxc-command/folder.wire/a.wire", "");
    let _listening =
        std::os::unix::net::UnixListener::bind(files.path().join("fixtures/lxc-command/socket.wire"));
    std::os::unix::fs::symlink("folder.wire", files.path().join("fixtures/lxc-command/probe..kept"))
        .expect("a link can be made");
    let plan = plan(&files.project(), "recorded", None).expect("a plan");
    let [folder, link, socket] = &plan.complaints[..] else {
        panic!("three complaints: {:?}", plan.complaints)
    };
    assert!(link.contains("probe..kept: it is no file"), "{link}");
    assert!(folder.contains("folder.wire: it is no file"), "{folder}");
    assert!(socket.contains("socket.wire: it is no file"), "{socket}");
}

#[test]
fn shards_share_the_cells_without_rest() {
    let files = Files::new();
    let project = files.project();
    let whole = plan(&project, "probes", None).expect("a plan").cells.len();
    for kind in ["hash", "count"] {
        let parts = (1..=3).map(|shard| {
            let partition: Partition = format!("{kind}:{shard}/3").parse().expect("a partition");
            plan(&project, "probes", Some(&partition)).expect("a plan").cells.len()
        });
        assert_eq!(parts.sum::<usize>(), whole, "{kind}");
    }
}

#[test]
fn the_folder_of_no_protocol_is_told_and_breaks_nothing() {
    let files = Files::new();
    let whole = plan(&files.project(), "probes", None).expect("a plan");
    files.write("matrices/no-protocol/builds.toml", "");
    let with = plan(&files.project(), "probes", None).expect("a plan");
    assert_eq!(with.cells.len(), whole.cells.len());
    let told: Vec<_> = with.complaints.iter().filter(|told| !whole.complaints.contains(told)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("matrices/no-protocol: the folder of no protocol"), "{told:?}");
}

#[test]
fn runs_of_unknown_protocols_are_refused() {
    let files = Files::new();
    let mut project = files.project();
    project.protocols.clear();
    let error = plan_without_files(&project).expect_err("the protocol is gone");
    assert!(matches!(error, PlanError::UnknownProtocol(_)), "{error}");
}

#[test]
fn what_a_client_has_no_command_for_is_explained_and_never_missing() {
    #[track_caller]
    fn check(source: &str, case: &str, works: [&str; 2]) {
        let files = Files::new();
        let cells = format!(
            "[[cells]]\nname = \"them\"\nabout = \"two clients\"\nclients = [\"newer\", \"older\"]\n\
             servers = [\"newer\"]\ncases = [\"{case}\"]\nsource = \"{source}\"\n"
        );
        files.libvirt(&cells);
        let plan = plan(&files.project(), "them", None).expect("a plan");
        let planned: Vec<_> = plan.cells.iter().map(|cell| work(&cell.work)).collect();
        assert_eq!(planned, works, "{source} {case}");
    }
    check("reference", "client/net-desc", ["operate", "explain"]);
    check("recorded", "client/net-desc", ["missing", "explain"]);
    check("reference", "client/list", ["operate", "operate"]);
    check("recorded", "client/list", ["missing", "missing"]);
}

/// Nobody plays a conversation behind a half-close again, so its only cell is explained and reads nothing.
#[test]
fn damage_does_not_hide_in_a_recording_that_is_only_explained() {
    let files = Files::new();
    let folder = "matrices/libvirt-remote";
    let head = "protocol = \"libvirt-remote\"\n";
    let kept = "[[build]]\nid = \"kept\"\nversion = \"12.8.0\"\nrecorded = true\n";
    let cells = |servers: &str, cases: &str, source: &str| {
        format!(
            "[[cells]]\nname = \"them\"\nclients = [\"probe\"]\nservers = [\"{servers}\"]\n\
             cases = [\"{cases}\"]\nsource = \"{source}\"\n"
        )
    };
    let blocks =
        [cells("kept", "probe/idle-then-request", "recorded"), cells("newer", "replay/**", "reference")];
    files.write(&format!("{folder}/builds.toml"), &format!("{LIBVIRT_BUILDS}\n{kept}"));
    files.write(&format!("{folder}/matrix.toml"), &format!("{head}\n{}", blocks.concat()));
    files.write(&format!("{folder}/expectations.toml"), head);
    files.write(&format!("{folder}/known-bugs.toml"), head);
    files.write("matrices/them.toml", &format!("[[run]]\n{head}groups = [\"them\"]\n"));
    let text = "# wireskew-wire 1 written by \"a test\"\n# protocol = \"libvirt-remote\"\n\
                # case = \"probe/half-close-after-request\"\n# [client]\n# id = \"probe\"\n# name = \"p\"\n\
                # [server]\n# id = \"kept\"\n# name = \"s\"\n# version = \"12.8.0\"\n\n# end events=0 bytes=0\n";
    let path = "fixtures/libvirt-remote/probe..kept/half-close-after-request.wire";
    let check = |text: &str, complaints: usize| {
        files.write(path, text);
        let plan = plan(&files.project(), "them", None).expect("a plan");
        let planned: Vec<_> = plan.cells.iter().map(|cell| work(&cell.work)).collect();
        assert_eq!(planned, ["missing", "explain"]);
        let damaged = format!("fixture {path}: cannot read ");
        assert_eq!(plan.complaints.len(), complaints, "{:?}", plan.complaints);
        assert!(plan.complaints.iter().all(|said| said.starts_with(&damaged)), "{:?}", plan.complaints);
    };
    check(text, 0);
    check(&text.replace("events=0", "events=1"), 1);
}

fn plan_without_files(project: &Project) -> Result<runner::Plan, PlanError> {
    let run = matrix::RunFile {
        about: None,
        settings: matrix::Settings::default(),
        runs: vec![matrix::ProtocolRun { protocol: "lxc-command".to_owned(), groups: Vec::new() }],
    };
    let selection = matrix::Selection::all();
    let request = runner::Request { name: String::new(), run: &run, selection: &selection, partition: None };
    runner::plan(project, &request)
}

#[test]
fn refuses_a_build_whose_dialect_nobody_knows() {
    let files = Files::new();
    let text = std::fs::read_to_string(files.path().join("matrices/lxc-command/builds.toml"))
        .expect("it was written");
    let slip = text.replace("recorded = true", "recorded = true\ndialect = \"no-such\"");
    assert_ne!(slip, text);
    files.write("matrices/lxc-command/builds.toml", &slip);
    let error = Project::load(files.path(), &support::protocols(), &[])
        .err()
        .expect("the dialect is not known")
        .to_string();
    assert!(error.contains("build `kept` has the dialect `no-such`"), "{error}");
}
