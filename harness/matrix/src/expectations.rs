//! `matrices/<protocol>/expectations.toml`: what is known to be wrong, and until when.
//!
//! ```toml
//! protocol = "lxc-command"
//!
//! [[expect]]
//! cells = "lxc-command/probe..*/probe/unknown-*"   # or a list; patterns behind `!` take cells out
//! client = ">=5.0.2, <7"          # optional: versions of the client
//! server = "<=4.0.6"              # optional: versions of the server
//! verdict = "broken"              # or `refused`, `degraded`
//! shapes = ["no-reply"]           # exactly the shapes that were found; needed for `broken`
//! reason = "unknown commands are closed without an answer"
//! bug = "LXC-05"                  # a link, or an id of known-bugs.toml
//! until = "2027-06-30"            # optional: from the day after it, the rule fails the run
//! ```
//!
//! # Which rule counts
//!
//! Order means nothing and no rule goes before another. Two rules may share a cell only if they say
//! the same of it; otherwise the run is refused before it starts ([`Expectations::contradictions`]).
//! An exception is written as such: with `!`, or with a version range.
//!
//! # Versions
//!
//! A range applies to the version of the build, not its id. A reference peer has the version of
//! the release that it stands for, so `server = "<=4.0.6"` has `4.0.6` and `ref-4.0.6` in it: that both
//! behave alike is the point of the reference peer. What has no numeric version is only in a range that
//! has its word: `server = ">=5.0.2 or =ideal"`.
//!
//! # Accounting
//!
//! A rule that can match no cell of any group is *unmatched*; one whose cells all ran and are all
//! better than it says is *stale*; one of which only some are is *too wide*; one past its day is
//! *expired*. Each is a complaint that fails the run ([`Expectations::account`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::DeValue;

use crate::builds::Name;
use crate::cell_set::CellSet;
use crate::error::{ConfigError, Location, did_you_mean, read_text};
use crate::groups::read_protocol;
use crate::known_bugs::KnownBugs;
use crate::section::{BadText, Context, FromText, FromValue, Section, read_document};
use crate::version::{Called, VersionRange};
use crate::{CellId, Verdict};

/// One rule: what is expected of a set of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The cells.
    pub cells: CellSet,
    /// Versions of the client; `None` for any, numeric or not.
    pub client: Option<VersionRange>,
    /// Versions of the server; `None` for any, numeric or not.
    pub server: Option<VersionRange>,
    /// What is expected.
    pub verdict: Verdict,
    /// The shapes that are found, sorted. Empty: any, but only of a verdict that is not `broken`.
    pub shapes: Vec<String>,
    /// Why.
    pub reason: String,
    /// A link, or the id of a known bug.
    pub bug: String,
    /// The last day on which the rule holds.
    pub until: Option<Date>,
    /// Where it is written; `None` for a proposal.
    pub location: Option<Location>,
}

/// How a result stands to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Verdict and shapes are those of the rule.
    AsExpected,
    /// The verdict is better than the rule says.
    Better,
    /// Worse, or of another shape.
    Otherwise,
}

impl Expectation {
    /// Whether the rule is about this cell.
    #[must_use]
    pub fn matches(&self, cell: &CellId, client_version: &str, server_version: &str) -> bool {
        self.is_about(&cell.to_string(), &Called::read(client_version), &Called::read(server_version))
    }

    /// The same, for a name and versions that are already at hand.
    fn is_about(&self, cell: &str, client: &Called<'_>, server: &Called<'_>) -> bool {
        let within = |range: &Option<VersionRange>, version: &Called<'_>| {
            range.as_ref().is_none_or(|range| range.has(version))
        };
        within(&self.client, client) && within(&self.server, server) && self.cells.matches_name(cell)
    }

    /// Compares a result with the rule. `shapes` may be in any order.
    #[must_use]
    pub fn fit(&self, verdict: Verdict, shapes: &[String]) -> Fit {
        if verdict < self.verdict {
            return Fit::Better;
        }
        let mut shapes = shapes.to_vec();
        shapes.sort();
        shapes.dedup();
        if verdict == self.verdict && (self.shapes == shapes || self.shapes.is_empty()) {
            return Fit::AsExpected;
        }
        Fit::Otherwise
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.verdict == other.verdict && self.shapes == other.shapes
    }

    /// The claim in words, e.g. `broken (no-reply)`.
    #[must_use]
    pub fn claim(&self) -> String {
        match self.shapes.as_slice() {
            [] => self.verdict.to_string(),
            shapes => format!("{} ({})", self.verdict, shapes.join(", ")),
        }
    }
}

/// A cell that some group of the matrix has, and what became of it in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The cell.
    pub cell: CellId,
    /// Version of the client build; anything that is no number for the script.
    pub client_version: String,
    /// Version of the server build.
    pub server_version: String,
    /// The verdict; `None` when the cell did not run: not selected, another shard, a missing build.
    pub verdict: Option<Verdict>,
    /// Shapes of what is wrong.
    pub shapes: Vec<String>,
}

impl Observed {
    /// The verdict, if it says something about the peers.
    pub(crate) fn decided(&self) -> Option<Verdict> {
        self.verdict.filter(|verdict| *verdict != Verdict::Inconclusive)
    }
}

/// The kinds of [`Complaint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComplaintKind {
    /// The rule can match no cell.
    Unmatched,
    /// Every cell of the rule is better than it says.
    Stale,
    /// Some cells of the rule are better than it says.
    TooWide,
    /// The rule's day is past.
    Expired,
    /// Two rules say different things of a cell.
    Contradiction,
}

impl ComplaintKind {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unmatched => "unmatched",
            Self::Stale => "stale",
            Self::TooWide => "too-wide",
            Self::Expired => "expired",
            Self::Contradiction => "contradiction",
        }
    }
}

/// Something wrong with a rule, seen from a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What kind.
    pub kind: ComplaintKind,
    /// The rule.
    pub location: Option<Location>,
    /// A sentence.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{} expectation: {}", self.kind.word(), self.message)
    }
}

/// The rules of one protocol.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// Name of the protocol.
    pub protocol: String,
    rules: Vec<Expectation>,
}

impl Expectations {
    /// No rules.
    #[must_use]
    pub fn none(protocol: &str) -> Self {
        Self { protocol: protocol.to_owned(), rules: Vec::new() }
    }

    /// Reads the file at `path`. With `known_bugs`, bugs that are no links must be there.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path, protocol: &str, known_bugs: Option<&KnownBugs>) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?, protocol, known_bugs)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(
        name: &str,
        text: &str,
        protocol: &str,
        known_bugs: Option<&KnownBugs>,
    ) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let read = read_protocol(root, protocol);
            let rules = root.tables("expect", |section| read_rule(section, protocol, known_bugs));
            Some(Self { protocol: read?, rules })
        })
    }

    /// All rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Expectation] {
        &self.rules
    }

    /// The rule about a cell: the first in the file, and as rules that share a cell say the same, any
    /// other would do as well.
    #[must_use]
    pub fn lookup(&self, cell: &CellId, client_version: &str, server_version: &str) -> Option<&Expectation> {
        let (client, server) = (Called::read(client_version), Called::read(server_version));
        let name = cell.to_string();
        self.rules.iter().find(|rule| rule.is_about(&name, &client, &server))
    }

    /// For each rule the numbers of the cells that it is about, in order. Each name is written and each version read once:
    /// there are as many pairs of a rule and a cell as of both together.
    fn cells_of_rules(&self, universe: &[Observed]) -> Vec<Vec<usize>> {
        let texts = universe.iter().flat_map(|cell| [cell.client_version.as_str(), &cell.server_version]);
        let versions: BTreeMap<&str, Called<'_>> = texts.map(|text| (text, Called::read(text))).collect();
        let version = |text: &str| versions.get(text);
        let mut cells = vec![Vec::new(); self.rules.len()];
        for (number, cell) in universe.iter().enumerate() {
            let name = cell.cell.to_string();
            let sides = (version(&cell.client_version), version(&cell.server_version));
            let (Some(client), Some(server)) = sides else { continue };
            for (cells, rule) in cells.iter_mut().zip(&self.rules) {
                if rule.is_about(&name, client, server) {
                    cells.push(number);
                }
            }
        }
        cells
    }

    /// Everything that is wrong with the rules after a run: what they say twice and differently, then what did not
    /// come of them.
    ///
    /// `universe` has every cell that *any* group of the matrix file can have, whether this run
    /// planned it or not, with what became of it. That makes the answers honest when a run is only a
    /// part: a rule for the live builds is not unmatched because the default run has none of them, a
    /// shard does not call stale what another shard ran, and a rule is called expired only by a run
    /// that used it. `narrowed` says that the user selected cells; then rules that match nothing at
    /// all are not spoken of, as they have nothing to do with what was asked for.
    #[must_use]
    pub fn complaints(&self, universe: &[Observed], narrowed: bool, today: Date) -> Vec<Complaint> {
        let cells = self.cells_of_rules(universe);
        let mut complaints = self.contradictions(universe, &cells);
        complaints.extend(self.account(universe, &cells, narrowed, today));
        complaints
    }

    /// Rules that say different things of one cell.
    fn contradictions(&self, universe: &[Observed], cells: &[Vec<usize>]) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            for (next, other) in self.rules.iter().enumerate().skip(at + 1) {
                if rule.says_the_same(other) {
                    continue;
                }
                let both = cells[at].iter().find(|cell| cells[next].binary_search(cell).is_ok());
                let Some(shared) = both.and_then(|cell| universe.get(*cell)) else { continue };
                let place = rule.location.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
                complaints.push(Complaint {
                    kind: ComplaintKind::Contradiction,
                    location: other.location.clone(),
                    message: format!(
                        "says {} of `{}`, but the rule{place} says {}",
                        other.claim(),
                        shared.cell,
                        rule.claim()
                    ),
                });
            }
        }
        complaints
    }

    /// What did not come of the rules.
    fn account(
        &self,
        universe: &[Observed],
        cells: &[Vec<usize>],
        narrowed: bool,
        today: Date,
    ) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for (rule, cells) in self.rules.iter().zip(cells) {
            let cells: Vec<&Observed> = cells.iter().filter_map(|number| universe.get(*number)).collect();
            let mut complain = |kind, message| {
                complaints.push(Complaint { kind, location: rule.location.clone(), message });
            };
            if cells.is_empty() {
                if !narrowed {
                    complain(ComplaintKind::Unmatched, format!("no cell matches `{}`", rule.domain()));
                }
                continue;
            }
            let fits =
                |observed: &&Observed| observed.decided().map(|verdict| rule.fit(verdict, &observed.shapes));
            let ran = cells.iter().filter(|observed| observed.decided().is_some()).count();
            if let Some(until) = rule.until.filter(|until| *until < today && ran > 0) {
                complain(ComplaintKind::Expired, format!("held until {until}; bug {}", rule.bug));
            }
            let better: Vec<_> =
                cells.iter().copied().filter(|observed| fits(observed) == Some(Fit::Better)).collect();
            let Some(example) = better.first() else { continue };
            if better.len() == cells.len() {
                let what = format!("all {} cells are better than {}: remove the rule", ran, rule.claim());
                complain(ComplaintKind::Stale, what);
            } else {
                let what = format!(
                    "{} of {ran} cells that ran are better than {}, e.g. `{}`: narrow the rule",
                    better.len(),
                    rule.claim(),
                    example.cell
                );
                complain(ComplaintKind::TooWide, what);
            }
        }
        complaints
    }
}

impl Expectation {
    /// What the rule is about, in words.
    #[must_use]
    pub fn domain(&self) -> String {
        let side = |name: &str, range: &Option<VersionRange>| {
            range.as_ref().map_or_else(String::new, |range| format!(", {name} {range}"))
        };
        format!("{}{}{}", self.cells, side("client", &self.client), side("server", &self.server))
    }
}

fn read_rule(
    section: &mut Section<'_>,
    protocol: &str,
    known_bugs: Option<&KnownBugs>,
) -> Option<Expectation> {
    let location = section.context().source().locate(&section.span());
    let cells = section.required::<Spanned<CellSet>>("cells");
    let client = section.optional("client");
    let server = section.optional("server");
    let verdict = section.required::<Expected>("verdict").map(|expected| expected.0);
    let shapes = section.optional::<Vec<Name>>("shapes");
    let reason = section.required("reason");
    let bug = section.required::<Spanned<BugRef>>("bug");
    let until = section.optional::<Day>("until").map(|day| day.0);
    if let Some(cells) = &cells {
        check_protocol(section, cells, protocol);
    }
    if verdict == Some(Verdict::Broken) && shapes.as_ref().is_none_or(Vec::is_empty) && !section.has("shapes")
    {
        let problem = section.problem(section.span(), "`shapes` is missing", "in this rule");
        section.context().report(
            problem.help(
                "say how it breaks, as the report prints it, e.g. `shapes = [\"no-reply\"]`".to_owned(),
            ),
        );
    } else if shapes.as_ref().is_some_and(Vec::is_empty) {
        section.context().report(section.problem(section.span(), "`shapes` is empty", "in this rule"));
    }
    if let (Some(bug), Some(known)) = (&bug, known_bugs) {
        check_bug(section, bug, known);
    }
    let mut shapes: Vec<_> = shapes.unwrap_or_default().into_iter().map(|shape| shape.0).collect();
    shapes.sort();
    shapes.dedup();
    Some(Expectation {
        cells: cells?.into_inner(),
        client,
        server,
        verdict: verdict?,
        shapes,
        reason: reason?,
        bug: bug?.into_inner().0,
        until,
        location: Some(location),
    })
}

/// Every pattern must be able to have a cell of the file's protocol.
pub(crate) fn check_protocol(section: &Section<'_>, cells: &Spanned<CellSet>, protocol: &str) {
    let set = cells.get_ref();
    for pattern in set.included().iter().chain(set.excluded()) {
        if !pattern.reaches_protocol(protocol) {
            let message = format!("`{pattern}` has no cell of `{protocol}`");
            let help = format!("the first component of a cell is its protocol: `{protocol}/...`");
            section.context().report(section.problem(cells.span(), message, "another protocol").help(help));
        }
    }
}

fn check_bug(section: &Section<'_>, bug: &Spanned<BugRef>, known: &KnownBugs) {
    let id = &bug.get_ref().0;
    if !is_link(id) && known.get(id).is_none() {
        let help = did_you_mean(id, "bugs", known.iter().map(|bug| bug.id.as_str()));
        let message = format!("there is no bug `{id}` in known-bugs.toml");
        section.context().report(section.problem(bug.span(), message, "named here").help(help));
    }
}

/// A verdict that can be expected.
pub(crate) struct Expected(pub(crate) Verdict);

impl FromText for Expected {
    const WANTED: &'static str = "`broken`, `refused` or `degraded`";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let help = |text: &str| text.to_owned();
        match text {
            "broken" => Ok(Self(Verdict::Broken)),
            "refused" => Ok(Self(Verdict::Refused)),
            "degraded" => Ok(Self(Verdict::Degraded)),
            "compatible" => Err(BadText::new(
                "`compatible` needs no rule",
                help("cells without a rule are expected not to be broken; leave the rule out"),
            )),
            "inconclusive" => Err(BadText::new(
                "`inconclusive` cannot be expected",
                help("it says that the harness failed, and that is never as expected"),
            )),
            _ => Err(BadText::unknown_word(text, "verdict", &["broken", "refused", "degraded"])),
        }
    }
}

pub(crate) fn is_link(text: &str) -> bool {
    text.strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .is_some_and(|rest| rest.contains('.'))
}

/// A link, or an id.
#[derive(Debug)]
pub(crate) struct BugRef(pub(crate) String);

impl FromText for BugRef {
    const WANTED: &'static str = "a link or the id of a bug";

    fn from_text(text: &str) -> Result<Self, BadText> {
        let is_id = text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains(char::is_whitespace);
        if is_link(text) || (is_id && !text.contains("://")) {
            return Ok(Self(text.to_owned()));
        }
        let help = "write an `https://` link, or an id with a number, e.g. `LXC-05` or `#4702`";
        Err(BadText::new(format!("`{text}` names no bug"), help.to_owned()))
    }
}

/// A day, in quotes or as TOML's own date.
struct Day(Date);

impl FromValue for Day {
    fn from_value(value: &Spanned<DeValue<'_>>, context: Context<'_>) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => String::new(),
        };
        let date = (text.len() == "2027-06-30".len()).then(|| text.parse::<Date>().ok()).flatten();
        if date.is_none() {
            let problem = context.source().problem(
                value.span(),
                "this is no day",
                "expected a day, e.g. `\"2027-06-30\"`",
            );
            context.report(problem);
        }
        date.map(Self)
    }
}
