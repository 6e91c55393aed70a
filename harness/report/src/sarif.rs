//! SARIF 2.1.0 for code scanning: crashes of peers, and complaints about the configuration such as stale
//! expectations. Nothing else of a run is a finding in somebody's code.
//!
//! Specified in [SARIF 2.1.0], sections 3.27 (result) and 3.33 (logical location).
//!
//! [SARIF 2.1.0]: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html

use serde_json::{Value, json};
use verdict::evidence::Shape;
use verdict::{CellResult, RunResults};

use crate::{escape, failure};

/// The rule of complaints.
const COMPLAINT: &str = "configuration-complaint";

/// The document.
///
/// # Errors
///
/// When a value cannot be written as JSON, for lack of memory.
pub fn render(results: &RunResults) -> Result<String, serde_json::Error> {
    let crashes = results.cells.iter().filter(|c| c.shapes.iter().any(|shape| *shape == Shape::CRASH));
    let complaints = results.complaints.iter().map(|text| complaint(text));
    let found: Vec<_> = crashes.map(|cell| crash(results, cell)).chain(complaints).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "wireskew", "fullName": escape(&results.producer), "rules": rules() } },
            "invocations": [{ "executionSuccessful": results.complete }],
            "columnKind": "unicodeCodePoints",
            "results": found,
        }],
    });
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn rules() -> Value {
    json!([
        { "id": Shape::CRASH.word(), "shortDescription": { "text": "A peer died of what the other side sent." } },
        {
            "id": COMPLAINT,
            "shortDescription": { "text": "A rule matches nothing, is out of date, or a fixture is not read." }
        },
    ])
}

/// A crash that an expectation knows is a note: code scanning must not open it again with each run.
fn crash(results: &RunResults, cell: &CellResult) -> Value {
    let finding = cell.findings.iter().find(|f| f.shape == Shape::CRASH);
    let message = finding.map_or(cell.summary.as_str(), |f| f.message.as_str());
    let blame = finding.map(|f| failure::blame(f.blame));
    let build = match blame {
        Some("client") => crate::grid::build(results, &cell.protocol, &cell.client),
        _ => crate::grid::build(results, &cell.protocol, &cell.server),
    };
    json!({
        "ruleId": Shape::CRASH.word(),
        "level": if cell.outcome.is_expected() { "note" } else { "error" },
        "message": { "text": escape(&format!("{message} ({})", cell.cell)) },
        "locations": [{
            "logicalLocations": [{ "fullyQualifiedName": escape(&cell.cell), "kind": "member" }],
        }],
        "partialFingerprints": { "cell/v1": escape(&cell.cell) },
        "properties": {
            "outcome": cell.outcome.word(),
            "blame": blame,
            "build": build.map(|b| escape(&format!("{} {}", b.id, b.detail))),
            "digest": build.and_then(|b| b.digest.as_deref()).map(escape),
            "bug": cell.bug.as_deref().map(escape),
            "reproduce": cell.reproduction.as_ref().map(|again| escape(&again.command)),
        },
    })
}

/// A complaint names the place first, `path:line: …` or `path:line:column: …`, where it has one.
fn complaint(text: &str) -> Value {
    let mut result = json!({
        "ruleId": COMPLAINT,
        "level": "error",
        "message": { "text": escape(text) },
        "partialFingerprints": { "complaint/v1": escape(text) },
    });
    if let Some((path, line)) = place(text) {
        let location = json!([{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(path), "uriBaseId": "%SRCROOT%" },
                "region": { "startLine": line },
            },
        }]);
        if let Value::Object(fields) = &mut result {
            fields.insert("locations".into(), location);
        }
    }
    result
}

fn place(text: &str) -> Option<(&str, u32)> {
    let (path, rest) = text.split_once(':')?;
    let line = rest.split(':').next()?.parse().ok().filter(|line| *line > 0)?;
    (!path.is_empty() && !path.contains(char::is_whitespace)).then_some((path, line))
}

/// A relative path as a URI reference: what is not unreserved is percent-encoded (RFC 3986, section 2.1).
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
