//! `schema-diff`: what a newer schema breaks of older ones.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use matrix::{ReadSchema, compare_history};
use serde_json::json;

use crate::args::{SchemaDiff, TextOrJson};
use crate::bump::{Policy, breaks_as_json, breaks_as_text, count};
use crate::exit::Exit;
use crate::{Done, Failure, terminal};

pub(crate) fn schema_diff(args: &SchemaDiff) -> Done {
    let policy = Policy::of(args.measure.policy.as_deref())?;
    let schemas = args.schemas.iter().map(|paths| read(paths)).collect::<Result<Vec<_>, _>>()?;
    let mut before: Vec<&ReadSchema> = schemas.iter().collect();
    let found = before.pop().map(|new| compare_history(&before, new)).unwrap_or_default();
    let bump = policy.bumps.of(&found);
    let text = match args.format {
        TextOrJson::Text => {
            let (breaks, additions) =
                (count(found.breaks.len(), "break"), count(found.additions.len(), "addition"));
            let lines = breaks_as_text(&policy.bumps, &found, "");
            format!(
                "{lines}{breaks}, {additions}: a {bump} version is called for (policy: {})\n",
                policy.name
            )
        }
        TextOrJson::Json => {
            let value = json!({
                "policy": policy.name,
                "bump": bump.word(),
                "breaks": breaks_as_json(&policy.bumps, &found),
                "additions": found.additions,
            });
            format!("{value:#}\n")
        }
    };
    terminal::print(&text);
    Ok(if found.breaks.is_empty() { Exit::AsExpected } else { Exit::Unexpected }.into())
}

/// Reads a file or folder, or several with commas between them.
fn read(paths: &OsStr) -> Result<ReadSchema, Failure> {
    let is_one = Path::new(paths).exists();
    let paths: Vec<PathBuf> = match paths.to_str() {
        Some(several) if !is_one => several.split(',').map(PathBuf::from).collect(),
        _ => vec![PathBuf::from(paths)],
    };
    ReadSchema::load(&paths).map_err(|error| Failure::new(Exit::Setup, error))
}
