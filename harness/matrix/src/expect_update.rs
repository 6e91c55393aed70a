//! `wireskew expect update`: rules from results.
//!
//! Rules that hold stay as they are, with their comments. A rule of which some cell came out otherwise
//! is taken apart: the cells of which it is still true, and those that did not run, get new rules
//! with its reason, bug and day; the first of them takes its place in the file. A rule that is true of
//! no cell any more goes. Broken cells that no rule has get new rules, for which the person must
//! give a reason and a bug.

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::cover::{Domain, Part, cover};
use crate::expectations::{BugRef, Expectation, Expectations, Fit, Observed};
use crate::section::FromText;
use crate::{CellId, Verdict};

/// What a person says of new rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    reason: String,
    bug: String,
    until: Option<Date>,
}

/// Why a note is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The reason is blank.
    #[error("the reason is empty")]
    NoReason,
    /// The bug is no link and no id.
    #[error("{0}; write an `https://` link, or an id with a number, e.g. `LXC-05`")]
    NoBug(String),
}

impl Note {
    /// A reason, a link or id of a bug, and the last day on which the rules hold.
    ///
    /// # Errors
    /// When the reason is blank or the bug is neither a link nor an id.
    pub fn new(reason: &str, bug: &str, until: Option<Date>) -> Result<Self, NoteError> {
        if reason.trim().is_empty() {
            return Err(NoteError::NoReason);
        }
        let bug = BugRef::from_text(bug).map_err(|bad| NoteError::NoBug(bad.message))?.0;
        Ok(Self { reason: reason.trim().to_owned(), bug, until })
    }
}

/// Why rules cannot be updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// New rules are needed, and nobody said why the cells are broken.
    #[error("{} broken cells have no rule, e.g. `{}`; say why with `--reason` and `--bug`", .cells.len(), .cells[0])]
    NeedsNote {
        /// The cells; at least one.
        cells: Vec<CellId>,
    },
    /// A broken cell without a shape; a rule for it could not say how it breaks.
    #[error("`{cell}` is broken without a shape, so no rule can describe it")]
    NoShape {
        /// The cell.
        cell: Box<CellId>,
    },
    /// The text is no TOML.
    #[error("the expectations cannot be edited: {0}")]
    Toml(#[from] toml_edit::TomlError),
    /// `expect` is written as `expect = […]`.
    #[error("the expectations are not written as `[[expect]]` tables, so they cannot be edited in place")]
    NotTables,
    /// The text has other rules than those given with it.
    #[error("the text has {found} rules, not the {given} that were read")]
    OtherText {
        /// In the text.
        found: usize,
        /// Given.
        given: usize,
    },
}

/// What is to be done to one rule of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
    /// These take its place; at least one.
    Replace(Vec<Expectation>),
}

/// What is to be done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePlan {
    /// For each rule of the file, in order.
    pub changes: Vec<Change>,
    /// Rules to be added.
    pub added: Vec<Expectation>,
}

impl UpdatePlan {
    /// Whether the file stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changes.iter().all(|change| *change == Change::Keep)
    }
}

/// New rules for all broken cells, as if there were none yet.
#[must_use]
pub fn propose(observed: &[Observed], note: &Note) -> Vec<Expectation> {
    let mut claims = vec![None; observed.len()];
    let groups = broken_without_rule(observed, &claims);
    propose_for(observed, &mut claims, &groups, note)
}

/// What is to be done so that the rules say what the run saw, and nothing else.
///
/// # Errors
/// When broken cells need a new rule and there is no note.
pub fn plan(
    current: &Expectations,
    observed: &[Observed],
    note: Option<&Note>,
) -> Result<UpdatePlan, UpdateError> {
    let rules = current.rules();
    let mut changes = Vec::with_capacity(rules.len());
    // The claim that each cell is left with, by rules that stay or by what is left of others.
    let mut claims: Vec<Option<Claim>> = vec![None; observed.len()];
    let about = |rule: &Expectation, cell: &Observed| {
        rule.matches(&cell.cell, &cell.client_version, &cell.server_version)
    };
    let still_true = |rule: &Expectation, cell: &Observed| {
        cell.decided().is_none_or(|verdict| rule.fit(verdict, &cell.shapes) == Fit::AsExpected)
    };
    for rule in rules {
        for (cell, claim) in observed.iter().zip(&mut claims) {
            if about(rule, cell) && still_true(rule, cell) {
                *claim = Some(Claim::of(rule));
            }
        }
    }
    for rule in rules {
        let has = |at: usize| about(rule, &observed[at]);
        let holds = |at: usize| has(at) && still_true(rule, &observed[at]);
        let cells = 0..observed.len();
        changes.push(if cells.clone().all(|at| !has(at) || holds(at)) {
            Change::Keep
        } else if !cells.clone().any(holds) {
            Change::Remove
        } else {
            let note = Note { reason: rule.reason.clone(), bug: rule.bug.clone(), until: rule.until };
            let domains = cover(observed, |at| match holds(at) {
                true => Part::Wanted,
                false => part_of_other(&observed[at], &claims[at], &Claim::of(rule)),
            });
            let rules = expectations(domains, &Claim::of(rule), &note);
            claim_cells(observed, &mut claims, &rules, &Claim::of(rule));
            Change::Replace(rules)
        });
    }
    let new = broken_without_rule(observed, &claims);
    if let Some(shapeless) =
        new.iter().find(|(claim, _)| claim.shapes.is_empty()).and_then(|(_, at)| at.first())
    {
        return Err(UpdateError::NoShape { cell: Box::new(observed[*shapeless].cell.clone()) });
    }
    let added = match (new.is_empty(), note) {
        (true, _) => Vec::new(),
        (false, Some(note)) => propose_for(observed, &mut claims, &new, note),
        (false, None) => {
            let cells = new.values().flatten().map(|at| observed[*at].cell.clone()).collect();
            return Err(UpdateError::NeedsNote { cells });
        }
    };
    Ok(UpdatePlan { changes, added })
}

/// What a rule says of its cells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    verdict: Verdict,
    shapes: Vec<String>,
}

impl Claim {
    fn of(rule: &Expectation) -> Self {
        Self { verdict: rule.verdict, shapes: rule.shapes.clone() }
    }
}

/// Indexes of broken cells that no rule has, by what is to be said of them.
fn broken_without_rule(observed: &[Observed], claims: &[Option<Claim>]) -> BTreeMap<Claim, Vec<usize>> {
    let mut groups: BTreeMap<Claim, Vec<usize>> = BTreeMap::new();
    for (at, cell) in observed.iter().enumerate() {
        if cell.verdict == Some(Verdict::Broken) && claims[at].is_none() {
            let mut shapes = cell.shapes.clone();
            shapes.sort();
            shapes.dedup();
            groups.entry(Claim { verdict: Verdict::Broken, shapes }).or_default().push(at);
        }
    }
    groups
}

/// What a cell that a rule need not have is to it.
fn part_of_other(cell: &Observed, claim: &Option<Claim>, of_rule: &Claim) -> Part {
    match claim {
        // Another rule says the same of it: both may have it.
        Some(claim) if claim == of_rule => Part::Open,
        Some(_) => Part::Forbidden,
        None if cell.decided().is_some() => Part::Forbidden,
        None => Part::Open,
    }
}

fn propose_for(
    observed: &[Observed],
    claims: &mut [Option<Claim>],
    groups: &BTreeMap<Claim, Vec<usize>>,
    note: &Note,
) -> Vec<Expectation> {
    let mut rules = Vec::new();
    for (claim, members) in groups {
        let domains = cover(observed, |at| match members.binary_search(&at) {
            Ok(_) => Part::Wanted,
            Err(_) => part_of_other(&observed[at], &claims[at], claim),
        });
        let new = expectations(domains, claim, note);
        claim_cells(observed, claims, &new, claim);
        rules.extend(new);
    }
    rules
}

/// Notes what new rules say of cells that nobody spoke of before. Such cells did not run; if the next
/// rule said something else of them, the two would contradict each other.
fn claim_cells(observed: &[Observed], claims: &mut [Option<Claim>], rules: &[Expectation], claim: &Claim) {
    for (cell, slot) in observed.iter().zip(claims).filter(|(_, slot)| slot.is_none()) {
        if rules.iter().any(|rule| rule.matches(&cell.cell, &cell.client_version, &cell.server_version)) {
            *slot = Some(claim.clone());
        }
    }
}

fn expectations(domains: Vec<Domain>, claim: &Claim, note: &Note) -> Vec<Expectation> {
    let rule = |domain: Domain| Expectation {
        cells: domain.cells,
        client: domain.client,
        server: domain.server,
        verdict: claim.verdict,
        shapes: claim.shapes.clone(),
        reason: note.reason.clone(),
        bug: note.bug.clone(),
        until: note.until,
        location: None,
    };
    domains.into_iter().map(rule).collect()
}

/// Carries a plan out on the text of the file. Comments, order and everything that the plan keeps
/// stay as they are.
///
/// # Errors
/// When the text is not the one that the plan was made for.
pub fn apply(text: &str, plan: &UpdatePlan) -> Result<String, UpdateError> {
    let mut document: DocumentMut = text.parse()?;
    let item = document.entry("expect").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let tables = item.as_array_of_tables_mut().ok_or(UpdateError::NotTables)?;
    if tables.len() != plan.changes.len() {
        return Err(UpdateError::OtherText { found: tables.len(), given: plan.changes.len() });
    }
    let mut behind: Vec<&Expectation> = Vec::new();
    for (at, change) in plan.changes.iter().enumerate() {
        if let (Change::Replace(rules), Some(table)) = (change, tables.get_mut(at))
            && let Some((first, rest)) = rules.split_first()
        {
            write_rule(table, first);
            behind.extend(rest);
        }
    }
    for (at, change) in plan.changes.iter().enumerate().rev() {
        if *change == Change::Remove {
            tables.remove(at);
        }
    }
    behind.extend(&plan.added);
    for rule in behind {
        let mut table = Table::new();
        if !tables.is_empty() || !text.trim().is_empty() {
            table.decor_mut().set_prefix("\n");
        }
        write_rule(&mut table, rule);
        tables.push(table);
    }
    if tables.is_empty() {
        document.remove("expect");
    }
    Ok(document.to_string())
}

/// Writes the keys of a rule into its table; comments beside keys that stay are kept.
fn write_rule(table: &mut Table, rule: &Expectation) {
    let list = |texts: &[String]| value(texts.iter().collect::<Array>());
    let texts = rule.cells.texts();
    let cells = if let [one] = texts.as_slice() { value(one) } else { list(&texts) };
    let shapes = (!rule.shapes.is_empty()).then(|| list(&rule.shapes));
    let keys = [
        ("cells", Some(cells)),
        ("client", rule.client.as_ref().map(|range| value(range.to_string()))),
        ("server", rule.server.as_ref().map(|range| value(range.to_string()))),
        ("verdict", Some(value(rule.verdict.to_string()))),
        ("shapes", shapes),
        ("reason", Some(value(&rule.reason))),
        ("bug", Some(value(&rule.bug))),
        ("until", rule.until.map(|until| value(until.to_string()))),
    ];
    for (key, item) in keys {
        match item {
            None => {
                table.remove(key);
            }
            Some(mut item) => {
                if let (Some(old), Some(new)) = (table.get(key).and_then(Item::as_value), item.as_value_mut())
                {
                    *new.decor_mut() = old.decor().clone();
                }
                table.insert(key, item);
            }
        }
    }
}
