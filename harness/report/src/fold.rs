//! What is much alike is told once: red cells of one kind, reasons that differ in a name or a version only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use verdict::{CellResult, Outcome, RunResults};

use crate::Mark;

/// Cells that need to be looked at, the worst first.
pub(crate) fn failures(results: &RunResults) -> Vec<&CellResult> {
    let wanted = |c: &&CellResult| !c.outcome.is_expected() && c.outcome != Outcome::MissingBuild;
    let mut failures: Vec<_> = results.cells.iter().filter(wanted).collect();
    failures.sort_by_key(|c| Mark::of(c));
    failures
}

/// Red cells with the same mark and the same shapes in one protocol. Never empty.
pub(crate) struct Kind<'a> {
    pub(crate) first: &'a CellResult,
    pub(crate) others: Vec<&'a CellResult>,
}

impl Kind<'_> {
    pub(crate) fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// Red cells by kind: the worst kind first, of equally bad ones that with the most cells.
pub(crate) fn kinds(results: &RunResults) -> Vec<Kind<'_>> {
    let mut kinds: BTreeMap<(Mark, &str, &[String]), Kind<'_>> = BTreeMap::new();
    for cell in failures(results) {
        kinds
            .entry((Mark::of(cell), &cell.protocol, &cell.shapes))
            .and_modify(|kind| kind.others.push(cell))
            .or_insert_with(|| Kind { first: cell, others: Vec::new() });
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|((mark, ..), kind)| (mark.clone(), Reverse(kind.len())));
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

/// A reason, the cells that give it, and how many other reasons are like it.
pub(crate) struct Reason<'a> {
    pub(crate) text: &'a str,
    pub(crate) cells: Vec<&'a CellResult>,
    pub(crate) like_it: usize,
}

/// The reasons of all cells with an outcome, as they are: the most frequent first.
pub(crate) fn reasons(results: &RunResults, outcome: Outcome) -> Vec<Reason<'_>> {
    let mut reasons: BTreeMap<&str, Vec<&CellResult>> = BTreeMap::new();
    for cell in results.cells.iter().filter(|c| c.outcome == outcome) {
        reasons.entry(cell.reason.as_deref().unwrap_or("no reason is given")).or_default().push(cell);
    }
    let mut reasons: Vec<_> =
        reasons.into_iter().map(|(text, cells)| Reason { text, cells, like_it: 0 }).collect();
    reasons.sort_by_key(|reason| Reverse(reason.cells.len()));
    reasons
}

/// The same with reasons put together that differ in names and numbers only, under the most frequent one.
pub(crate) fn alike(reasons: Vec<Reason<'_>>) -> Vec<Reason<'_>> {
    let mut alike: Vec<(String, Reason<'_>)> = Vec::new();
    for reason in reasons {
        let pattern = pattern(reason.text);
        match alike.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, first)) => {
                first.cells.extend(reason.cells);
                first.like_it += 1;
            }
            None => alike.push((pattern, reason)),
        }
    }
    let mut alike: Vec<_> = alike.into_iter().map(|(_, reason)| reason).collect();
    alike.sort_by_key(|reason| Reverse(reason.cells.len()));
    alike
}

/// A reason without what stands in backticks, and without words that have a digit.
fn pattern(reason: &str) -> String {
    let mut pattern = String::new();
    for (n, part) in reason.split('`').enumerate() {
        if n % 2 == 1 {
            pattern.push('`');
            continue;
        }
        for word in part.split(' ') {
            let word = if word.contains(|c: char| c.is_ascii_digit()) { "0" } else { word };
            pattern.push_str(word);
            pattern.push(' ');
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, alike: bool) {
        assert_eq!(pattern(a) == pattern(b), alike, "{} | {}", pattern(a), pattern(b));
    }

    #[test]
    fn reasons_are_alike_that_differ_in_names_and_versions() {
        let reason = "virsh 7.0.0 has no such `net-desc`; it came with 9.7.0";
        check(reason, "virsh 9.0.0 has no such `domifannounce`; it came with 12.5.0", true);
        check(reason, "virsh 7.0.0 has no such `net desc`; it came with 9.7.0", true);
        check(reason, "virsh has no such `net-desc`; it came with 9.7.0", false);
        check(reason, "virsh 7.0.0 has no such net-desc; it came with 9.7.0", false);
        check("left out", "left out by hand", false);
    }
}
