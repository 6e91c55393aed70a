use std::path::Path;

use report::json::{ReadError, read, render};
use serde_json::Value;
use verdict::RunResults;

use crate::sample;

fn committed() -> Value {
    serde_json::from_str(include_str!("../../results.schema.json")).expect("the committed schema is JSON")
}

#[test]
fn committed_schema_is_up_to_date() {
    let current =
        serde_json::to_string_pretty(&schemars::schema_for!(RunResults)).expect("a schema is JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results.schema.json");
        std::fs::write(path, &current).expect("the schema can be written");
    }
    let hint = "run `UPDATE=1 cargo test -p report` and commit the file";
    assert!(
        include_str!("../../results.schema.json") == current,
        "results.schema.json is out of date: {hint}"
    );
}

#[test]
fn documents_read_back_as_they_were() {
    for results in [sample::every_outcome(), sample::hostile(), sample::incomplete()] {
        let text = render(&results).expect("results are JSON");
        assert_eq!(read(&text).expect("own documents are readable"), results);
        assert_eq!(render(&results).expect("results are JSON"), text, "the same results, the same text");
    }
}

#[test]
fn documents_are_valid_by_the_committed_schema() {
    let schema = jsonschema::validator_for(&committed()).expect("the committed schema is a schema");
    for results in [sample::every_outcome(), sample::hostile(), sample::incomplete()] {
        let document = serde_json::from_str(&render(&results).expect("results are JSON")).expect("JSON");
        let errors: Vec<_> = schema.iter_errors(&document).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[track_caller]
fn check_broken(pointer: &str, value: Value) {
    let schema = jsonschema::validator_for(&committed()).expect("the committed schema is a schema");
    let mut document = serde_json::to_value(sample::every_outcome()).expect("results are JSON");
    *document.pointer_mut(pointer).expect("the sample has the field") = value;
    assert!(!schema.is_valid(&document), "{pointer} was accepted");
    assert!(read(&document.to_string()).is_err(), "{pointer} was read");
}

#[test]
fn broken_documents_are_not_valid() {
    check_broken("/format", "one".into());
    check_broken("/seed", (-1).into());
    check_broken("/complete", Value::Null);
    check_broken("/cells", Value::Null);
    check_broken("/cells/0/outcome", "green".into());
    check_broken("/cells/0/verdict", "fine".into());
    check_broken("/cells/0", Value::Object(serde_json::Map::new()));
    check_broken("/tally/outcomes/pass", "many".into());
}

#[test]
fn newer_formats_are_refused_by_name() {
    let text = r#"{"format": 2, "producer": "wireskew 9.0.0", "unheard-of": []}"#;
    let error = read(text).expect_err("newer");
    assert!(matches!(&error, ReadError::Newer { found: 2, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "results have format `2`, written by `wireskew 9.0.0`; this release reads up to `1`"
    );
}

#[test]
fn damaged_documents_say_where() {
    for text in ["", "{", "[]", "null", r#"{"format": 1}"#, r#"{"format": -1}"#, "\u{0}"] {
        let error = read(text).expect_err("damaged");
        let source = std::error::Error::source(&error).expect("the cause is kept").to_string();
        assert!(source.contains("line"), "{text:?}: {source}");
    }
}
