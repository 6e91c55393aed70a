//! From the results of a run to something that people or other tools read: the terminal's grid,
//! `results.json` with its schema, JUnit, Markdown.
//!
//! ```text
//! RunResults ──┬─ terminal ── grid (clients x servers), failures, known bugs, summary
//!              ├─ json ────── results.json  <── read()
//!              ├─ junit       markdown
//! CellResult ──┴─ progress ── a bar on a terminal, lines elsewhere
//! ```
//!
//! Nothing here runs a cell, judges one or decides what was expected of it; nothing here prints by
//! itself: everything renders to a `String` or to a writer that the caller gives. What came from a
//! peer may hold anything, so it enters a rendering through [`Text`], which escapes.

pub mod diff;
pub mod github;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod terminal;

mod failure;
mod grid;
mod hexdump;
mod mark;
mod progress;
mod table;
mod text;
mod verify;

pub use grid::{Known, Operations, known, missing_builds, operations, overview, probes};
pub use mark::{Accounts, Mark};
pub use progress::Progress;
pub use table::Table;
pub use text::{Paint, Span, Style, Text, escape};
pub use verify::{Inconsistency, verify};
