//! What became of the documents that a user gave: which replies were held to them, and which were not.

use std::collections::BTreeMap;

use verdict::checks::DOCUMENTED;
use verdict::{RunResults, Weight};

/// What shapes begin with of what no document has: of that there may be much.
const UNDOCUMENTED: &str = "undocumented-";

/// A line for each document that replies were held to, and one each for those that nothing was held to and for replies without one.
pub(crate) fn lines(results: &RunResults) -> Vec<String> {
    if results.documents.is_empty() {
        return Vec::new();
    }
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for (version, replies) in results.cells.iter().flat_map(|cell| &cell.validated) {
        *held.entry(version).or_default() += replies;
    }
    let (mut lines, mut unused) = (Vec::new(), Vec::new());
    for document in &results.documents {
        match held.remove(document.version.as_str()) {
            Some(replies) if replies > 0 => {
                lines.push(format!("{} to {} ({})", count_replies(replies), document.version, document.file));
            }
            _ => unused.push(format!("{} ({})", document.version, document.file)),
        }
    }
    if !unused.is_empty() {
        lines.push(format!("no reply to {}: nothing in this run is of such a version", unused.join(", ")));
    }
    if !held.is_empty() {
        let without: Vec<_> =
            held.iter().map(|(version, replies)| format!("{version} ({replies})")).collect();
        let replies = count_replies(held.values().sum());
        lines.push(format!("not validated, for want of a document: {replies} of {}", without.join(", ")));
    }
    lines
}

fn count_replies(replies: usize) -> String {
    if replies == 1 { "1 reply".to_owned() } else { format!("{replies} replies") }
}

/// What documents make of replies that is no fault, and in how many cells: first what they know a version of, and the most frequent
/// first.
pub(crate) fn notes(results: &RunResults) -> Vec<(&str, usize)> {
    let mut cells: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    let findings = results.cells.iter().flat_map(|cell| &cell.findings);
    for note in findings.filter(|finding| finding.check == DOCUMENTED && finding.weight == Weight::Note) {
        *cells.entry((note.shape.starts_with(UNDOCUMENTED), &note.message)).or_default() += 1;
    }
    let mut notes: Vec<_> = cells.into_iter().collect();
    notes.sort_by(|(one, a), (other, b)| one.0.cmp(&other.0).then(b.cmp(a)).then(one.cmp(other)));
    notes.into_iter().map(|((_, message), cells)| (message, cells)).collect()
}
