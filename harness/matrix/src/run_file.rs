//! `matrices/default.toml`, `matrices/live.toml`: what a run is made of.
//!
//! ```toml
//! about = "reference peers and recorded builds"
//!
//! [settings]
//! deadline-scale = 1.0      # deadlines of real peers are multiplied by it
//! jobs = 4                  # cells at a time; if absent, the number of processors
//! retries = 0               # how often a cell that is not as expected is tried again
//!
//! [[run]]
//! protocol = "lxc-command"  # if absent, every protocol, with those of the groups that it has
//! groups = ["reference", "recorded"]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use crate::builds::Name;
use crate::error::{ConfigError, did_you_mean, read_text};
use crate::groups::Matrix;
use crate::section::{FromValue, Section, read_document};

/// What a run is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFile {
    /// What it is for.
    pub about: Option<String>,
    /// How it runs.
    pub settings: Settings,
    /// What it runs, in the order of the file.
    pub runs: Vec<ProtocolRun>,
}

/// How a run runs. Flags of the command line go before them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Every deadline is multiplied by it.
    pub deadline_scale: f64,
    /// Cells at a time; `None` for the number of processors.
    pub jobs: Option<usize>,
    /// How often a cell that is not as expected is tried again.
    pub retries: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadline_scale: 1.0, jobs: None, retries: 0 }
    }
}

/// The groups that run of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolRun {
    /// Name of the protocol.
    pub protocol: String,
    /// Names of groups of its `matrix.toml`.
    pub groups: Vec<String>,
}

/// The deadline of a step is short enough to count in seconds; a scale outside of this is a slip.
const DEADLINE_SCALE_MAX: f64 = 1000.0;

/// More cells at a time than this is a slip.
const JOBS_MAX: u64 = 1024;

/// More tries than this is a slip.
const RETRIES_MAX: u64 = 100;

impl RunFile {
    /// Reads the file at `path`; protocols and groups are looked up in `matrices`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path, matrices: &BTreeMap<String, Matrix>) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?, matrices)
    }

    /// Reads a text; `name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(name: &str, text: &str, matrices: &BTreeMap<String, Matrix>) -> Result<Self, ConfigError> {
        read_document(name, text, |root| {
            let about = root.optional("about");
            let settings = root.optional_table("settings", read_settings).unwrap_or_default();
            let runs: Vec<_> = root.tables("run", |section| read_run(section, matrices)).concat();
            if runs.is_empty() && root.context().problem_count() == 0 {
                let help = "add `[[run]]` with `protocol` and `groups`".to_owned();
                root.context().report(root.problem(0..0, "the file runs nothing", "no `[[run]]`").help(help));
            }
            Some(Self { about, settings, runs })
        })
    }
}

fn read_settings(section: &mut Section<'_>) -> Option<Settings> {
    let default = Settings::default();
    let scale = in_range(
        section,
        "deadline-scale",
        |scale: &f64| *scale > 0.0 && *scale <= DEADLINE_SCALE_MAX,
        &format!("more than 0, at most {DEADLINE_SCALE_MAX}"),
    );
    let jobs =
        in_range(section, "jobs", |jobs: &u64| (1..=JOBS_MAX).contains(jobs), &format!("1 to {JOBS_MAX}"));
    let retries =
        in_range(section, "retries", |retries: &u64| *retries <= RETRIES_MAX, &format!("0 to {RETRIES_MAX}"));
    Some(Settings {
        deadline_scale: scale.unwrap_or(default.deadline_scale),
        jobs: jobs.and_then(|jobs| usize::try_from(jobs).ok()),
        retries: retries.and_then(|retries| usize::try_from(retries).ok()).unwrap_or(default.retries),
    })
}

fn in_range<T: FromValue>(
    section: &mut Section<'_>,
    key: &'static str,
    fits: impl FnOnce(&T) -> bool,
    range: &str,
) -> Option<T> {
    let value = section.optional::<Spanned<T>>(key)?;
    if !fits(value.get_ref()) {
        let message = format!("`{key}` is out of range");
        section.context().report(section.problem(value.span(), message, range));
        return None;
    }
    Some(value.into_inner())
}

/// A run of one protocol; where it names none, of each, with those of the groups that it has.
fn read_run(section: &mut Section<'_>, matrices: &BTreeMap<String, Matrix>) -> Option<Vec<ProtocolRun>> {
    let named = section.optional::<Spanned<Name>>("protocol");
    let groups = section.required_list::<Spanned<Name>>("groups")?;
    let is_meant = |matrix: &&Matrix| named.as_ref().is_none_or(|named| named.get_ref().0 == matrix.protocol);
    let meant: Vec<&Matrix> = matrices.values().filter(is_meant).collect();
    if let (Some(named), []) = (&named, &meant[..]) {
        let message = format!("there is no matrix of protocol `{}`", named.get_ref().0);
        let help = did_you_mean(&named.get_ref().0, "protocols", matrices.keys().map(String::as_str));
        section.context().report(section.problem(named.span(), message, "named here").help(help));
        return None;
    }
    let has = |matrix: &&Matrix, group: &str| matrix.group(group).next().is_some();
    for group in &groups {
        let name = &group.get_ref().0;
        if !meant.iter().any(|matrix| has(matrix, name)) {
            let message = match &named {
                Some(named) => format!("`{}` has no group `{name}`", named.get_ref().0),
                None => format!("no protocol has a group `{name}`"),
            };
            let help = did_you_mean(name, "groups", meant.iter().flat_map(|matrix| matrix.group_names()));
            section.context().report(section.problem(group.span(), message, "named here").help(help));
        }
    }
    let groups: Vec<String> = groups.into_iter().map(|group| group.into_inner().0).collect();
    let run = |matrix: &&Matrix| ProtocolRun {
        protocol: matrix.protocol.clone(),
        groups: groups.iter().filter(|group| has(matrix, group)).cloned().collect(),
    };
    Some(meant.iter().map(run).filter(|run| !run.groups.is_empty()).collect())
}
