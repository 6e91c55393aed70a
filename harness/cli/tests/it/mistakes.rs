//! Mistakes in files: the message has the file, the line, the column and a hint.

use crate::support::Project;

fn message(path: &str, edit: impl FnOnce(String) -> String) -> String {
    let project = Project::new();
    project.write(path, &edit(project.read(path)));
    let ran = project.wireskew(&["run", "--quiet"]);
    assert_eq!(ran.code, Some(96), "{}", ran.stderr);
    assert_eq!(ran.stdout, "", "talk goes to standard error");
    ran.stderr
}

const BUILDS: &str = "matrices/lxc-command/builds.toml";
const MATRIX: &str = "matrices/lxc-command/matrix.toml";

#[test]
fn text_that_is_no_toml() {
    insta::assert_snapshot!(message(BUILDS, |text| text.replacen("id = \"old\"", "id = \"old", 1)));
}

#[test]
fn a_key_that_nobody_knows() {
    insta::assert_snapshot!(message(BUILDS, |text| text.replacen("version =", "verison =", 1)));
}

#[test]
fn a_value_of_the_wrong_type() {
    insta::assert_snapshot!(message(BUILDS, |text| text.replacen("\"4.0.6\"", "4.0", 1)));
}

#[test]
fn a_build_that_is_not_there() {
    insta::assert_snapshot!(message(MATRIX, |text| text.replacen(
        "servers = [\"old\"]",
        "servers = [\"odl\"]",
        1
    )));
}

#[test]
fn a_folder_of_no_protocol() {
    let project = Project::new();
    project.write("matrices/lxc-comand/builds.toml", "");
    let ran = project.wireskew(&["run"]);
    assert_eq!(ran.code, Some(100), "{}{}", ran.stdout, ran.stderr);
    // The text is wrapped, also within names.
    let told = ran.stdout.replace(['\n', ' ', '│'], "");
    assert!(told.contains("matrices/lxc-comand:") && told.contains("`lxc-command`"), "{}", ran.stdout);
    assert_eq!(project.wireskew(&["run", "-E", "case(probe/unknown-payload-16)"]).code, Some(0));
}

#[test]
fn a_rule_that_no_cell_can_match() {
    let project = Project::new();
    let path = "matrices/lxc-command/expectations.toml";
    project.write(path, &project.read(path).replacen("unknown-payload-16", "unknown-payload-17", 1));
    let ran = project.wireskew(&["run"]);
    assert_eq!(ran.code, Some(100), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("unknown-payload-17"), "{}", ran.stdout);
}

#[test]
fn a_rule_that_is_no_longer_true() {
    let project = Project::new();
    let path = "matrices/lxc-command/expectations.toml";
    project.write(path, &project.read(path).replace("probe..old/", "probe..ideal/"));
    let ran = project.wireskew(&["run"]);
    assert_eq!(ran.code, Some(100), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("xpass"), "{}", ran.stdout);
}
