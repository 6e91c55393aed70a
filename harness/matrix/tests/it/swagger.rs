//! Swagger documents: what is read, what is refused, and what replies are held to. The documents are our own.

use matrix::swagger::{Asked, DEPARTURES_MAX, Documents, Says};
use proptest::prelude::*;
use wire::json::{Document, Rules};

const OLD: &str = r##"
swagger: "2.0"
info: {version: "1.2", title: things}
paths:
  /things/json:
    get: {responses: {200: {schema: {type: array, items: {$ref: "#/definitions/Thing"}}}}}
  /things/{id}:
    get:
      responses:
        200: {description: "one", schema: {$ref: "#/definitions/Thing"}}
        default: {$ref: "#/responses/Failure"}
    head: {responses: {200: {description: "no body"}}}
  /things/{name}/text:
    get: {responses: {"200": {schema: {type: string, format: binary}}}}
responses:
  Failure: {schema: {type: object, required: [message], properties: {message: {type: string}}}}
definitions:
  Named: {type: object, properties: {Name: {type: string, x-nullable: false}}}
  Thing:
    allOf:
      - $ref: "#/definitions/Named"
      - type: object
        required: [Id, Name]
        properties:
          Id: {type: string}
          Size: {type: integer, example: 7}
          Ratio: {type: number}
          On: {type: boolean}
          Mode: {type: string, enum: ["", "a", "b"]}
          Old: {type: string}
          Parts: {type: array, items: {$ref: "#/definitions/Thing"}}
          Labels: {type: object, additionalProperties: {type: string}}
          Free: {type: object}
          Open: {type: object, properties: {Is: {type: boolean}}, additionalProperties: true}
"##;

/// The same of a later version: `Old` is gone, `New` has come, and so has another endpoint.
fn later(version: &str) -> String {
    OLD.replace("\"1.2\"", version)
        .replace("          Old: {type: string}\n", "          New: {type: string}\n")
        .replace(
            "  /things/json:",
            "  /more: {get: {responses: {200: {schema: {type: object}}}}}\n  /things/json:",
        )
}

fn parsed(texts: &[&str]) -> Documents {
    let named: Vec<_> =
        texts.iter().enumerate().map(|(nth, text)| (format!("{nth}.yaml"), (*text).to_owned())).collect();
    Documents::parse(&named).unwrap_or_else(|error| panic!("{}", error.brief()))
}

const THING: Asked<'_> = Asked { method: "GET", path: "/things/a", status: 200 };

fn told(documents: &Documents, version: &str, asked: Asked<'_>, speaks: &str, body: &str) -> Vec<String> {
    let read = Document::parse(body.as_bytes(), Rules::STRICT).expect("JSON");
    let found = documents.departures(version, asked, speaks, &[read.root()]);
    found.iter().map(|departure| format!("{}: {}", departure.path, departure.what)).collect()
}

#[test]
fn replies_are_held_to_types_and_required_keys() {
    #[track_caller]
    fn check(body: &str, expect: &[&str]) {
        assert_eq!(told(&parsed(&[OLD]), "1.2", THING, "1.2", body), expect, "{body}");
    }
    check(r#"{"Id": "a", "Name": "b"}"#, &[]);
    check(r#"{"Id": null, "Name": null, "Parts": null, "Labels": null, "Size": null}"#, &[]);
    check(r#"null"#, &[]);
    check(r#"[]"#, &[": is of type array, not object"]);
    check(r#"{"Id": 1}"#, &["Name: is required and not there", "Id: is of type integer, not string"]);
    let all = r#"{"Id": "a", "Name": "b", "Size": -3, "Ratio": 1.5, "On": true, "Mode": "a", "Free": {"x": [1]}, "Open": {"Is": true, "y": 1}}"#;
    check(all, &[]);
    check(r#"{"Id": "a", "Name": "b", "Ratio": 1}"#, &[]);
    check(r#"{"Id": "a", "Name": "b", "Size": 1.5}"#, &["Size: is of type number, not integer"]);
    check(r#"{"Id": "a", "Name": "b", "On": "true"}"#, &["On: is of type string, not boolean"]);
    check(r#"{"Id": "a", "Name": "b", "Mode": "c"}"#, &["Mode: is `c`, and not one of ``, `a`, `b`"]);
    check(
        r#"{"Id": "a", "Name": "b", "Labels": {"x": "y", "z": 1, "u": 2}}"#,
        &["Labels.*: is of type integer, not string"],
    );
    let parts = r#"{"Id": "a", "Name": "b", "Parts": [{"Id": "a"}, {"Name": [], "Id": "a"}, {"Id": "b"}]}"#;
    check(parts, &["Parts[].Name: is required and not there", "Parts[].Name: is of type array, not string"]);
}

#[test]
fn keys_are_told_by_the_versions_that_have_them() {
    let documents = parsed(&[&later("1.10"), OLD, &later("\"1.4\"").replace("New:", "Else:")]);
    assert_eq!(
        documents.iter().map(matrix::swagger::Document::version).collect::<Vec<_>>(),
        ["1.2", "1.4", "1.10"]
    );
    let body = r#"{"Id": "a", "Name": "b", "New": "c", "Odd": 1}"#;
    #[track_caller]
    fn check(documents: &Documents, version: &str, speaks: &str, body: &str, expect: &[&str]) {
        assert_eq!(told(documents, version, THING, speaks, body), expect);
    }
    check(&documents, "1.2", "1.2", body, &["New: came with 1.10", "Odd: is in no document"]);
    // What a later version has no more is told of who speaks that version.
    let gone = ["New: came with 1.10", "Odd: is in no document", "Old: is not there any more, as in 1.4"];
    check(&documents, "1.2", "1.4", body, &gone);
    check(&documents, "1.10", "1.10", r#"{"Id": "a", "Name": "b", "Old": "c"}"#, &["Old: went after 1.2"]);
    check(&documents, "1.3", "1.10", body, &[]);
    let asked = Asked { path: "/more", ..THING };
    assert_eq!(documents.operation_came_with("1.2", asked), Some("1.4"));
    assert_eq!(documents.operation_came_with("1.4", Asked { path: "/none", ..THING }), None);
}

#[test]
fn an_answer_is_found_by_method_path_and_status() {
    #[track_caller]
    fn check(method: &str, path: &str, status: u16, expect: &str) {
        let documents = parsed(&[OLD]);
        let says = match documents.of("1.2").expect("it is given").says(Asked { method, path, status }) {
            Says::NoOperation => "no operation",
            Says::Nothing => "nothing",
            Says::Text => "text",
            Says::Json(_) => "json",
        };
        assert_eq!(says, expect, "{method} {path} {status}");
    }
    check("GET", "/things/a", 200, "json");
    check("GET", "/things/json", 200, "json");
    check("GET", "/things/a", 500, "json");
    check("GET", "/things/json", 500, "nothing");
    check("HEAD", "/things/a", 200, "nothing");
    check("GET", "/things/a/text", 200, "text");
    check("GET", "/things/a/b/text", 200, "text");
    check("GET", "/things/a/b", 200, "json");
    check("GET", "/things", 200, "no operation");
    check("POST", "/things/a", 200, "no operation");
    check("GET", "", 200, "no operation");
    assert!(parsed(&[OLD]).of("1.02").is_some() && parsed(&[OLD]).of("1.2.0").is_none());
}

#[test]
fn what_is_no_document_is_refused_at_its_place() {
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let error = Documents::parse(&[("a.yaml".to_owned(), text.to_owned())]).expect_err(text).brief();
        assert!(error.contains(expect), "{error}");
    }
    let head = "swagger: \"2.0\"\ninfo: {version: \"1.2\"}\n";
    check("", "`a.yaml` is no Swagger document");
    check("a: b", "`a.yaml` is no Swagger document");
    check("openapi: 3.0.0", "a.yaml:1:10: OpenAPI 3 is another language");
    check("swagger: 1.2\n", "a.yaml:1:10: `1.2` is no version of Swagger");
    check("swagger: \"2.0\"\n", "`a.yaml` does not say of which version of the API it is");
    check("swagger: \"2.0\"\ninfo:\n  version: latest\n", "a.yaml:3:12: `latest` is no version of an API");
    check("swagger: [", "a.yaml:1:");
    check("swagger: \"2.0\"\ninfo: {version: [1]}\n", "a.yaml:2:");
    check(&format!("{head}paths: 7\n"), "a.yaml:3:");
    check(
        &format!("{head}definitions:\n  A: {{$ref: \"#/definitions/B\"}}\n"),
        "a.yaml:4:13: `#/definitions/B` leads nowhere",
    );
    check(&format!("{head}definitions:\n  A: {{$ref: other.yaml}}\n"), "`other.yaml` leads nowhere");
    check(&format!("{head}definitions:\n  A: {{type: text}}\n"), "a.yaml:4:13: `text` is no type of Swagger");
    check(&format!("{head}definitions:\n  A: {{additionalProperties: 7}}\n"), "a.yaml:4:");
    let missing = "paths: {/a: {get: {responses: {200: {$ref: \"#/responses/A\"}}}}}\n";
    check(&format!("{head}{missing}"), "`#/responses/A` leads nowhere");
    let deep = format!("{head}definitions:\n  A: {}{}\n", "{items: ".repeat(200), "}".repeat(200));
    check(&deep, "a.yaml:4:");
    let chain: String =
        (0..100).map(|n| format!("  A{n}: {{$ref: \"#/definitions/A{}\"}}\n", n + 1)).collect();
    check(&format!("{head}definitions:\n{chain}  A100: {{}}\n"), "a schema of more than 64 parts");
    // Ten aliases of ten aliases of …
    let bomb: String =
        (1..12).map(|n| format!("x{n}: &x{n} [{}]\n", vec![format!("*x{}", n - 1); 10].join(", "))).collect();
    check(&format!("x0: &x0 [a]\n{bomb}{head}"), "a.yaml:");
    let twice = ["1.2", "1.02"]
        .map(|version| (version.to_owned(), OLD.replace("\"1.2\"", &format!("\"{version}\""))));
    let error = Documents::parse(&twice).expect_err("two of one version").brief();
    assert!(error.contains("`1.2` and `1.02` are both of version"), "{error}");
}

#[test]
fn folders_are_read_and_what_else_is_in_them_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    put("a.yaml", OLD);
    put("b.yml", &later("1.3"));
    put("c.json", r#"{"swagger": "2.0", "info": {"version": "1.4"}}"#);
    put("CHANGES.md", "swagger: none");
    put("config.yaml", "layout: [a]\n");
    let documents = Documents::load(&[folder.path().to_owned()]).expect("three documents");
    assert_eq!(
        documents.iter().map(matrix::swagger::Document::version).collect::<Vec<_>>(),
        ["1.2", "1.3", "1.4"]
    );
    let error = Documents::load(&[folder.path().join("config.yaml")]).expect_err("it was meant").brief();
    assert!(error.contains("config.yaml` is no Swagger document"), "{error}");
    put("a.yaml", "a: b");
    put("b.yml", "");
    put("c.json", "{}");
    let error = Documents::load(&[folder.path().to_owned()]).expect_err("nothing is left").brief();
    assert!(error.contains("there is no Swagger document in"), "{error}");
    let error = Documents::load(&[folder.path().join("none.yaml")]).expect_err("not there").brief();
    assert!(error.contains("cannot read"), "{error}");
}

#[test]
fn circles_lead_nowhere_and_end() {
    let text = "swagger: '2.0'\ninfo: {version: 1.2}\npaths: {/a: {get: {responses: {200: {schema: {$ref: '#/definitions/A'}}}}}}\n\
                definitions: {A: {allOf: [{$ref: '#/definitions/B'}]}, B: {$ref: '#/definitions/A'}, \
                C: {properties: {c: {$ref: '#/definitions/C'}}}}\n";
    let asked = Asked { path: "/a", ..THING };
    assert_eq!(told(&parsed(&[text]), "1.2", asked, "1.2", r#"{"a": {"b": 1}}"#), [""; 0]);
    let nested = format!("{}1{}", "{\"c\": ".repeat(1000), "}".repeat(1000));
    let text = text.replace("schema: {$ref: '#/definitions/A'}", "schema: {$ref: '#/definitions/C'}");
    assert_eq!(told(&parsed(&[&text]), "1.2", asked, "1.2", &nested), [""; 0]);
}

#[test]
fn what_is_told_has_a_bound_and_long_replies_an_end() {
    let members: Vec<_> = (0..100_000).map(|n| format!("\"k{n}\": {n}")).collect();
    let body = format!("{{\"Id\": \"a\", \"Name\": \"b\", {}}}", members.join(", "));
    let found = told(&parsed(&[OLD, &later("1.3")]), "1.2", THING, "1.3", &body);
    assert_eq!(found.len(), DEPARTURES_MAX + 1);
    assert_eq!(
        found.last().map(String::as_str),
        Some(format!(": and {} more", 100_000 - DEPARTURES_MAX).as_str())
    );
    let long = format!("{{\"Id\": \"a\", \"Name\": \"b\", \"{}\": 1}}", "ä".repeat(10_000));
    let found = told(&parsed(&[OLD]), "1.2", THING, "1.2", &long);
    assert!(found.iter().all(|text| text.len() < 100), "{found:?}");
}

/// A document whose schemas refer to each other in any way, as text.
fn any_document() -> impl Strategy<Value = String> {
    let names = || prop::sample::select(vec!["A", "B", "C"]);
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "{}",
            "{type: string}",
            "{type: integer}",
            "{type: object}",
            "{type: [string, number]}",
            "{enum: [x, 1]}"
        ])
        .prop_map(str::to_owned),
        names().prop_map(|name| format!("{{$ref: '#/definitions/{name}'}}")),
    ];
    let schema = leaf.prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| format!("{{type: array, items: {items}}}")),
            inner.clone().prop_map(|others| format!("{{additionalProperties: {others}}}")),
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|parts| format!("{{allOf: [{}]}}", parts.join(", "))),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..3).prop_map(
                |properties| {
                    let properties: Vec<_> =
                        properties.iter().map(|(name, schema)| format!("{name}: {schema}")).collect();
                    format!("{{required: [a], properties: {{{}}}}}", properties.join(", "))
                }
            ),
        ]
    });
    (schema.clone(), schema.clone(), schema).prop_map(|(a, b, c)| {
        format!(
            "swagger: '2.0'\ninfo: {{version: 1.2}}\npaths: {{/a: {{get: {{responses: {{200: {{schema: {{$ref: '#/definitions/A'}}}}}}}}}}}}\n\
             definitions:\n  A: {a}\n  B: {b}\n  C: {c}\n"
        )
    })
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["null", "true", "1", "1.5", "\"x\"", "\"\"", "{}", "[]"])
        .prop_map(str::to_owned);
    leaf.prop_recursive(6, 48, 4, |inner| {
        let names = prop::sample::select(vec!["a", "b", "c", "d"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((names, inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_reply_is_held_to_any_document(one in any_document(), other in any_document(), body in any_json()) {
        let documents = parsed(&[&one, &other.replace("1.2", "1.3")]);
        let asked = Asked { path: "/a", ..THING };
        let found = told(&documents, "1.2", asked, "1.3", &body);
        let mut once = found.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), found.len());
        // What is nothing is never wrong.
        prop_assert_eq!(told(&documents, "1.2", asked, "1.3", "null").len(), 0);
    }

    #[test]
    fn any_text_is_a_document_or_none(text in "(swagger: '2.0'\ninfo: \\{version: 1.2\\}\n)?[ -~\n&*{}\\[\\]:,-]{0,200}") {
        let _ = Documents::parse(&[("a.yaml".to_owned(), text)]);
    }
}
