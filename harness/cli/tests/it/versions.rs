//! `bump` and `schema-diff`: which version a release calls for, and what it is printed like.

use std::path::Path;

use serde_json::Value;

use crate::support::{Project, Ran, wireskew};

fn here(args: &[&str]) -> Ran {
    wireskew(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), args)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

fn policy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../matrices/policies/server-first.toml")
}

#[track_caller]
fn check(args: &[&str], code: i32, expect: &[&str]) -> Ran {
    let ran = here(args);
    assert_eq!(ran.code, Some(code), "{args:?}\n{}{}", ran.stdout, ran.stderr);
    for text in expect {
        assert!(ran.stdout.contains(text), "{args:?} has no `{text}`:\n{}", ran.stdout);
    }
    ran
}

#[test]
fn a_release_that_breaks_needs_a_major_version() {
    let ran = check(
        &["bump", "lxc@4.0.6..5.0.2"],
        0,
        &[
            "lxc-command 4.0.6 -> 5.0.2, policy: any break is major\n",
            "this release needs a major version, because\n",
            "  major: layout-changed: `command/14` has another request: ",
            "hurts both: an old client with a new server, and a new client with an old one",
            "4.0.11 declares `14: device item 20 -> 40 bytes`",
            "what is known to have changed\n",
        ],
    );
    assert_eq!(ran.stdout, here(&["bump", "lxc-command@4.0.6..5.0.2"]).stdout, "an alias is the protocol");
}

#[test]
fn additions_are_minor_and_nothing_is_a_patch() {
    let minor = "this release needs a minor version, because it adds\n  ";
    check(&["bump", "libvirt@9.0.0..11.3.0"], 0, &[minor]);
    let patch = "a patch version is enough: nothing changed that is locked";
    check(&["bump", "lxc@5.0.2..7.0.0"], 0, &[patch]);
    check(&["bump", "lxc@5.0.2..5.0.2"], 0, &[patch]);
}

#[test]
fn a_version_that_is_too_small_is_told() {
    check(
        &["bump", "ovirt@4.14.8..4.17.25"],
        100,
        &[
            "this release needs a major version",
            "4.14.8 -> 4.17.25 raises the minor version only; that is too little",
        ],
    );
}

/// Of messages that have a schema, the schema says it; the lock adds what was declared of them.
#[test]
fn a_schema_says_what_breaks_of_messages() {
    check(
        &["bump", "kata@2.0..2.1"],
        100,
        &[
            "  major: method-removed: `grpc.AgentService/ListProcesses` is gone; hurts an old client with a new server",
            "  major: number-reused: `grpc.LinuxSeccomp#3` was `repeated grpc.LinuxSyscall Syscalls` and is",
            "  major: number-reused: `grpc.LinuxSyscall#3` was ",
            "  minor: renamed: `types.Interface#6` was `pciAddr` and is `pciPath`; same bytes; ",
            "2.1 declares `grpc.LinuxSeccomp: 3 Syscalls -> 3 Flags, 4 Syscalls`",
            "2.0 -> 2.1 raises the minor version only; that is too little",
        ],
    );
}

/// Most releases are like another one in all but their messages, and are compared by those that they have.
#[test]
fn a_release_has_the_messages_of_its_own_schema() {
    check(
        &["bump", "kata@2.3..2.4"],
        100,
        &[
            "kata-agent 2.3 (like 2.1 but for its messages) -> 2.4 (like 2.1 but for its messages), policy",
            "  major: method-removed: `grpc.AgentService/StartTracing` is gone; ",
            "  major: method-removed: `grpc.AgentService/StopTracing` is gone; ",
            "2.3 -> 2.4 raises the minor version only; that is too little",
        ],
    );
    check(
        &["bump", "kata@3.3..3.15"],
        0,
        &[
            "this release needs a minor version, because\n",
            "  minor: renamed: `types.Interface#6` was `pciPath` and is `devicePath`; ",
            "and it adds grpc.AgentService/AddSwapPath, ",
        ],
    );
    // A number that was free from 2.0 to 3.2.
    let reused = "  major: number-reused: `grpc.CreateContainerRequest#8` was `bool agent_pidns` and is `repeated \
                  grpc.SharedMount shared_mounts`; ";
    check(&["bump", "kata@3.2..3.3"], 100, &[reused]);
    check(&["bump", "kata@2.0..3.3"], 0, &[reused]);
    check(&["bump", "kata@1.12..3.3"], 0, &[reused]);
    // Those of a patch are those of the release that it is of.
    check(&["bump", "kata@2.0.1..2.0.9"], 0, &["2.0.1 (like 2.0) -> 2.0.9 (like 2.0), policy"]);
    check(
        &["bump", "kata@3.21..3.22"],
        0,
        &["a patch version is enough for the messages: none of them changed\n"],
    );
    check(
        &["bump", "shim@2.0..2.1"],
        100,
        &[
            "2.0 (like 1.7 but for its messages) -> 2.1, policy",
            "service-removed: `containerd.task.v2.Task` ",
        ],
    );
    check(&["bump", "shim@2.2..2.3"], 0, &["  containerd.runtime.bootstrap.v1.BootstrapResult\n"]);
}

#[test]
fn what_is_older_than_all_dialects_has_messages() {
    check(
        &["bump", "kata@1.5..1.6"],
        100,
        &[
            "1.5 (its messages alone) -> 1.6 (its messages alone), policy",
            "method-removed: `grpc.AgentService/AddInterface`",
        ],
    );
    let removed = "field-removed: `grpc.CreateContainerRequest#8` `bool agent_pidns` is gone";
    check(&["bump", "kata@1.12..2.0"], 0, &["1.12 (its messages alone) -> 2.0, policy", removed]);
    check(&["bump", "shim@1.2..1.3"], 0, &["  containerd.task.v2.StateResponse#11 exec_id\n"]);
    let found = json(&check(&["bump", "kata@1.5..1.6", "--format", "json"], 100, &[]));
    assert_eq!(found["from"], serde_json::json!({ "name": "1.5", "dialect": null, "taken-for": null }));
}

/// What is only taken for another release clears nothing.
#[test]
fn of_what_is_only_like_another_nothing_is_enough() {
    for (releases, headline, other) in [
        (
            "qemu-ga@7.2..7.3",
            "qemu-ga 7.2 -> 7.3 (like 7.2), policy",
            "of 7.3 itself nothing is known: it was taken for 7.2",
        ),
        (
            "kata@4.0..4.2",
            "-> 4.2 (like 4.0), policy",
            "of 4.2 itself nothing is known: it was taken for 4.1",
        ),
        (
            "shim@2.3..2.4",
            "-> 2.4 (like 2.1), policy",
            "of 2.4 itself nothing is known: it was taken for 2.3",
        ),
    ] {
        let ran = check(&["bump", releases], 0, &[headline, other]);
        assert!(
            ran.stdout.contains("nothing is known that calls for more than a patch version\n"),
            "{}",
            ran.stdout
        );
        assert!(!ran.stdout.contains("enough"), "{}", ran.stdout);
        let found = json(&check(&["bump", releases, "--format", "json"], 0, &[]));
        assert_eq!((&found["enough"], &found["bump"]), (&Value::Null, &Value::from("patch")));
        assert_eq!(found["from"]["taken-for"], Value::Null);
        assert_ne!(found["to"]["taken-for"], Value::Null);
    }
    check(
        &["bump", "libvirt@9.0.0..11.9"],
        0,
        &["this release needs at least a minor version, because it adds\n"],
    );
    // Nobody has looked at a build of one's own.
    let dev = "kata@dev=path:/nowhere,dialect=3.3";
    check(
        &["bump", "kata@3.3..dev", "--build", dev],
        0,
        &["of dev itself nothing is known: it was taken for 3.3"],
    );
    // More than this no release can need.
    let found = json(&check(&["bump", "kata@4.0..5.0", "--format", "json"], 0, &[]));
    assert_eq!(found["enough"], Value::from(true));
}

/// Both sides of the debate: a message that is gone hurts who meets a newer server, and both policies call that major.
#[test]
fn a_policy_decides() {
    let args =
        ["bump", "qemu-ga@7.2..10.0", "--format", "json", "--policy", "matrices/policies/server-first.toml"];
    let found = json(&check(&args, 0, &[]));
    assert_eq!(found["bump"], "major");
    assert_eq!(found["breaks"][0]["kind"], "message-removed");
    assert_eq!(found["breaks"][0]["hurts"], "old-client-new-server");
    assert_eq!((&found["enough"], &found["step"]), (&Value::from(true), &Value::from("major")));
    // Nothing but what a new server gives to an old client, and the other way round.
    let project = Project::new();
    let answers = |kind: &str| {
        format!("message M {{ {kind} a = 1; }} message R {{}} service S {{ rpc Do(R) returns (M); }}")
    };
    project.write("string.proto", &answers("string"));
    project.write("bytes.proto", &answers("bytes"));
    project.write("policy.toml", &std::fs::read_to_string(policy()).expect("it is committed"));
    let bump = |old: &str, new: &str, policy: &[&str]| {
        json(&project.wireskew(&[&["schema-diff", "--format", "json", old, new], policy].concat()))["bump"]
            .clone()
    };
    let server_first = ["--policy", "policy.toml"];
    assert_eq!(bump("string.proto", "bytes.proto", &[]), "major");
    assert_eq!(bump("bytes.proto", "string.proto", &[]), "major");
    assert_eq!(bump("string.proto", "bytes.proto", &server_first), "major");
    assert_eq!(bump("bytes.proto", "string.proto", &server_first), "minor");
}

/// A build of one's own speaks as the dialect that it says, or as the newest one.
#[test]
fn a_build_of_ones_own_is_one_of_both() {
    let dev = "lxc@dev=path:/nowhere,dialect=5.0.2";
    check(
        &["bump", "lxc@4.0.6..dev", "--build", dev],
        0,
        &["4.0.6 -> dev (like 5.0.2)", "needs a major version"],
    );
    check(&["bump", "lxc@4.0.6..ideal"], 0, &["4.0.6 -> ideal", "needs a major version"]);
}

/// A dialect that nobody has written to the lock yet is that of the code, and not the one before it.
#[test]
fn what_is_not_locked_yet_is_compared_too() {
    let project = Project::new();
    let lock = "format = 1\nprotocol = \"lxc-command\"\n\n[[dialect]]\nname = \"4.0.6\"\n";
    project.write("matrices/lxc-command/messages.lock", lock);
    let ran = project.wireskew(&["bump", "lxc@4.0.6..5.0.2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("layout-changed: `command/14`"), "{}", ran.stdout);
}

#[test]
fn wrong_releases_are_a_wrong_command_line() {
    for (args, said) in [
        (["bump", "lxc@5.0.2"], "names no two releases"),
        (["bump", "lxc@..5.0.2"], "names no two releases"),
        (["bump", "nobody@1..2"], "no protocol is called `nobody`"),
        (["bump", "lxc@0.1..5.0.2"], "`0.1` is no build"),
        (["bump", "kata@0.9..2.0"], "and the messages of 1.0 to 4.1"),
        (["bump", "lxc@4.0.6..dev"], "`dev` is no build"),
        (["bump", "lxc@5.0.2..4.0.6"], "the older one comes first"),
    ] {
        let ran = here(&args);
        assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.replace(['\n', '│'], " ").contains(said), "{}", ran.stderr);
    }
    check(&["bump", "lxc@4.0.6..5.0.2", "--policy", "matrices/none.toml"], 96, &[]);
    check(&["lock", "--policy", "matrices/policies/strict.toml"], 2, &[]);
}

#[test]
fn the_lock_says_what_each_dialect_calls_for() {
    check(
        &["lock", "--changes"],
        0,
        &["    calls for a major version: 1 break (policy: any break is major)\n"],
    );
    let lenient = ["lock", "--changes", "--policy", "matrices/policies/server-first.toml"];
    check(&lenient, 0, &["(policy: matrices/policies/server-first.toml)\n"]);
}

#[test]
fn a_folder_of_policies_is_no_protocol() {
    let project = Project::new();
    project.write("matrices/policies/ours.toml", "not even looked at");
    let ran = project.wireskew(&["run"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

const OLD: &str = "\
syntax = \"proto3\";
package agent;
option go_package = \"x\";
message Create {
  string id = 1;
  bool own_pids = 8;
}
message Empty {}
service Agent {
  rpc Create(Create) returns (Empty);
  rpc List(Empty) returns (Empty);
}
";

const NEW: &str = "\
syntax = \"proto3\";
package agent;
message Mount {}
message Create {
  string id = 1;
  repeated Mount mounts = 8 [deprecated = false];
}
message Empty {}
service Agent {
  rpc Create(Create) returns (Empty) {}
}
";

#[test]
fn a_schema_diff_points_at_both_sides() {
    let project = Project::new();
    project.write("old/agent.proto", OLD);
    project.write("new/agent.proto", NEW);
    let ran = project.wireskew(&["schema-diff", "old", "new"]);
    assert_eq!(ran.code, Some(100), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
    let ran = project.wireskew(&["schema-diff", "old/agent.proto", "new/agent.proto", "--format", "json"]);
    assert_eq!(ran.code, Some(100), "{}", ran.stderr);
    let found = json(&ran);
    assert_eq!(found["breaks"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["breaks"][1]["places"], Value::from(vec!["old/agent.proto:6", "new/agent.proto:6"]));
    let ran = project.wireskew(&["schema-diff", "old", "old"]);
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(0), "0 breaks, 0 additions: a patch version is called for (policy: any break is major)\n")
    );
}

/// What was free in the release before is not seen without the one before that.
#[test]
fn a_schema_diff_looks_behind_the_release_before() {
    let project = Project::new();
    project.write("1.proto", "message M {\n  bool own_pids = 8;\n}\n");
    project.write("2.proto", "message M {}\n");
    project.write("3.proto", "message M {\n  repeated string mounts = 8;\n}\n");
    let ran = project.wireskew(&["schema-diff", "1.proto", "2.proto", "3.proto"]);
    assert_eq!(ran.code, Some(100), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(project.wireskew(&["schema-diff", "2.proto", "3.proto"]).code, Some(0));
}

#[test]
fn a_schema_that_cannot_be_read_is_96() {
    let project = Project::new();
    project.write("old.proto", OLD);
    project.write("bad.proto", &OLD.replace("bool own_pids", "required bool own_pids"));
    project.write("bad.bin", "no descriptors");
    let ran = project.wireskew(&["schema-diff", "old.proto", "bad.proto"]);
    assert_eq!(ran.code, Some(96), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr);
    for args in [["schema-diff", "old.proto", "bad.bin"], ["schema-diff", "none.proto", "old.proto"]] {
        assert_eq!(project.wireskew(&args).code, Some(96), "{args:?}");
    }
    assert_eq!(project.wireskew(&["schema-diff", "old.proto"]).code, Some(2));
    project.write("more.proto", "package agent; message More { Create create = 1; }");
    let ran = project.wireskew(&["schema-diff", "old.proto", "old.proto,more.proto"]);
    assert_eq!(ran.code, Some(0), "several files are one schema: {}", ran.stderr);
}
