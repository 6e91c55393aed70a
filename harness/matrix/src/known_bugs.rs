//! `matrices/<protocol>/known-bugs.toml`: bugs of real releases, and the cells that must find them again.
//!
//! ```toml
//! protocol = "lxc-command"
//!
//! [[bug]]
//! id = "LXC-05"
//! title = "an unknown command gets no answer"
//! affected = "<=4.0.6"                 # versions of the side that has it
//! fixed = "4.0.7"                      # optional: a version or a commit, in words
//! source = "https://…"                 # where it is written down
//! verdict = "broken"                   # or `refused`, `degraded`; if absent, `broken`
//! shapes = ["no-reply"]                # what every cell below must find, unless it says otherwise; not needed for `refused`
//! cells = ["lxc-command/probe..4.0.6/probe/unknown-payload-16"]
//! needs = "a build of 1.0.11 given by path"   # instead of cells: why no build at hand can show it
//!
//! [[bug.cell]]                         # a cell that finds it in another shape
//! cell = "lxc-command/4.0.6..5.0.2/client/attach"
//! shapes = ["wrong-effect"]
//! ```
//!
//! A bug with `needs` may name cells too, e.g. of a reference peer that behaves as the old release:
//! they must find it like any other.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use crate::builds::Name;
use crate::error::{ConfigError, Location, read_text};
use crate::expectations::Expected;
use crate::groups::read_protocol;
use crate::section::{BadText, FromText, Section, read_document};
use crate::version::VersionRange;
use crate::{CellId, Verdict};

/// A bug of real releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBug {
    /// Its id.
    pub id: String,
    /// What it is, in a line.
    pub title: String,
    /// Versions that have it.
    pub affected: VersionRange,
    /// Where it was fixed, in words.
    pub fixed: Option<String>,
    /// Where it is written down.
    pub source: String,
    /// The cells that must find it.
    pub cells: Vec<KnownBugCell>,
    /// Why no build at hand can show it.
    pub needs: Option<String>,
    /// Where it is written.
    pub location: Location,
}

/// A cell that must find a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBugCell {
    /// The cell.
    pub cell: CellId,
    /// The verdict that the bug leads to.
    pub verdict: Verdict,
    /// Shapes that the cell must show, sorted; it may show others as well. Empty only where the verdict
    /// is `refused`.
    pub shapes: Vec<String>,
}

impl KnownBugCell {
    /// Whether a result shows the bug: its verdict, with all of its shapes.
    #[must_use]
    pub fn is_found(&self, verdict: Verdict, shapes: &[String]) -> bool {
        verdict == self.verdict && self.shapes.iter().all(|shape| shapes.contains(shape))
    }
}

/// The bugs of one protocol.
#[derive(Debug, Clone)]
pub struct KnownBugs {
    /// Name of the protocol.
    pub protocol: String,
    bugs: Vec<KnownBug>,
}

impl KnownBugs {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path, protocol: &str) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?, protocol)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str, protocol: &str) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let read = read_protocol(root, protocol);
            let mut ids = BTreeMap::new();
            let bugs = root.tables("bug", |section| {
                let (id, bug) = read_bug(section, protocol)?;
                if let Some(first) = ids.insert(bug.id.clone(), id.clone()) {
                    let message = format!("bug `{}` is listed twice", bug.id);
                    let problem = section.problem(id, message, "again here").also(first, "first listed here");
                    section.context().report(problem);
                }
                Some(bug)
            });
            Some(Self { protocol: read?, bugs })
        })
    }

    /// All bugs, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &KnownBug> {
        self.bugs.iter()
    }

    /// The bug with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&KnownBug> {
        self.bugs.iter().find(|bug| bug.id == id)
    }
}

fn read_bug(section: &mut Section<'_>, protocol: &str) -> Option<(std::ops::Range<usize>, KnownBug)> {
    let location = section.context().source().locate(&section.span());
    let id = section.required::<Spanned<Name>>("id");
    let title = section.required("title");
    let affected = section.required("affected");
    let fixed = section.optional("fixed");
    let source = section.required("source");
    let needs = section.optional("needs");
    let shared = Sign {
        verdict: section.optional::<Expected>("verdict").map_or(Verdict::Broken, |verdict| verdict.0),
        shapes: section.optional::<Vec<Name>>("shapes").map(sorted).unwrap_or_default(),
    };
    let problems_before = section.context().problem_count();
    let mut cells = Vec::new();
    for cell in section.optional::<Vec<Spanned<CellId>>>("cells").unwrap_or_default() {
        cells.extend(bug_cell(section, cell, shared.clone(), protocol));
    }
    cells.extend(section.tables("cell", |section| {
        let cell = section.required::<Spanned<CellId>>("cell");
        let verdict = section.optional::<Expected>("verdict").map_or(shared.verdict, |verdict| verdict.0);
        let shapes = section.optional::<Vec<Name>>("shapes").map(sorted);
        let sign = Sign { verdict, shapes: shapes.unwrap_or_else(|| shared.shapes.clone()) };
        bug_cell(section, cell?, sign, protocol)
    }));
    if cells.is_empty() && needs.is_none() && section.context().problem_count() == problems_before {
        let problem = section.problem(section.span(), "no cell finds this bug", "in this table");
        let help = "name `cells` that must find it, or say with `needs` why no build at hand can show it";
        section.context().report(problem.help(help.to_owned()));
    }
    let id = id?;
    let span = id.span();
    let bug = KnownBug {
        id: id.into_inner().0,
        title: title?,
        affected: affected?,
        fixed,
        source: source?,
        cells,
        needs,
        location,
    };
    Some((span, bug))
}

/// By what a bug is known.
#[derive(Clone)]
struct Sign {
    verdict: Verdict,
    shapes: Vec<String>,
}

fn bug_cell(
    section: &Section<'_>,
    cell: Spanned<CellId>,
    sign: Sign,
    protocol: &str,
) -> Option<KnownBugCell> {
    if *cell.get_ref().protocol != *protocol {
        let message = format!("the cell is of `{}`, the file of `{protocol}`", cell.get_ref().protocol);
        section.context().report(section.problem(cell.span(), message, "another protocol"));
        return None;
    }
    if sign.verdict != Verdict::Refused && sign.shapes.is_empty() {
        let problem = section.problem(cell.span(), "the cell has no shapes to find", "this cell");
        let help = "add `shapes` to the bug, or to its `[[bug.cell]]`".to_owned();
        section.context().report(problem.help(help));
        return None;
    }
    Some(KnownBugCell { cell: cell.into_inner(), verdict: sign.verdict, shapes: sign.shapes })
}

fn sorted(shapes: Vec<Name>) -> Vec<String> {
    let mut shapes: Vec<_> = shapes.into_iter().map(|shape| shape.0).collect();
    shapes.sort();
    shapes.dedup();
    shapes
}

impl FromText for CellId {
    const WANTED: &'static str = "the path of one cell";

    fn from_text(text: &str) -> Result<Self, BadText> {
        if text.contains('*') {
            return Err(BadText::new(
                format!("`{text}` is a pattern"),
                "name each cell by itself".to_owned(),
            ));
        }
        text.parse().map_err(|error: crate::ParseCellError| BadText::new(error.to_string(), None))
    }
}
