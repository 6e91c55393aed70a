use report::sarif::render;
use serde_json::Value;

use crate::sample;

fn results(run: &verdict::RunResults) -> Vec<Value> {
    let document: Value = serde_json::from_str(&render(run).expect("SARIF is JSON")).expect("JSON");
    document.pointer("/runs/0/results").and_then(Value::as_array).expect("results").clone()
}

#[test]
fn document_of_every_outcome() {
    insta::assert_snapshot!("sarif", render(&sample::every_outcome()).expect("SARIF is JSON"));
}

#[test]
fn known_crashes_are_notes_and_others_errors() {
    let mut run = sample::every_outcome();
    run.complaints.clear();
    for cell in run.cells.iter_mut().filter(|c| c.case == "probe/unknown-payload-16" && c.server == "4.0.6") {
        cell.shapes = vec!["crash".into()];
    }
    let levels: Vec<_> = results(&run).iter().map(|r| r["level"].clone()).collect();
    // Two known ones; the flaky cell crashed as well; and the new one.
    assert_eq!(levels, ["note", "error", "note", "error"]);
}

#[track_caller]
fn check_place(complaint: &str, expect: Option<(&str, u64)>) {
    let mut run = sample::results(Vec::new());
    run.complaints = vec![complaint.into()];
    let result = results(&run).remove(0);
    let place = result.pointer("/locations/0/physicalLocation");
    let found = place.map(|p| {
        let uri = p.pointer("/artifactLocation/uri").and_then(Value::as_str).expect("a uri");
        (uri.to_owned(), p.pointer("/region/startLine").and_then(Value::as_u64).expect("a line"))
    });
    assert_eq!(found, expect.map(|(uri, line)| (uri.to_owned(), line)));
}

#[test]
fn complaints_point_at_the_line_that_they_name() {
    check_place("a/expectations.toml:12: stale", Some(("a/expectations.toml", 12)));
    check_place("a/expectations.toml:12:3: stale", Some(("a/expectations.toml", 12)));
    check_place("a%b.toml:1: x", Some(("a%25b.toml", 1)));
    check_place("javascript:alert(1)", None);
    check_place("fixture is not read", None);
    check_place("rule in line 12: stale", None);
    check_place("a.toml:0: x", None);
    check_place(":12: x", None);
}

#[test]
fn hostile_text_is_escaped() {
    let mut run = sample::hostile();
    for cell in &mut run.cells {
        cell.shapes = vec!["crash".into()];
    }
    let text = render(&run).expect("SARIF is JSON");
    assert!(!text.contains("\\u001b") && text.contains("u{1b}"), "{text}");
}
