//! From the results of a run to something that people or other tools read.
//!
//! ```text
//!                ┌─ terminal   one screen: protocols, what is red, accounts; grids and known bugs where asked for
//!                ├─ markdown   the whole for a release or the summary of a CI step
//!                ├─ html       the same as one file with drawers
//! RunResults ────┼─ junit      a suite per pair, a test per case
//!                ├─ github     annotations
//!                ├─ sarif      crashes and complaints
//!                ├─ json       results.json and its schema  <── read()
//!                └─ verify     do the results contradict themselves?
//! 2 x RunResults ── diff       what got worse: the gate of a branch
//! CellResult ────── Progress   a bar on a terminal, lines elsewhere
//! ```
//!
//! Nothing here runs a cell, judges one or decides what was expected of it; nothing here prints by
//! itself: everything renders to a `String` or to a writer that the caller gives. What came from a
//! peer may hold anything, so it enters a rendering through [`Text`] or [`escape`].

pub mod diff;
mod documents;
pub mod github;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod sarif;
pub mod terminal;

mod failure;
mod fold;
mod grid;
mod hexdump;
mod mark;
mod progress;
mod protocols;
mod table;
mod text;
mod verify;

pub use grid::{Known, Operations, known, missing_builds, operations, overview, probes};
pub use mark::{Accounts, Mark};
pub use progress::Progress;
pub use table::Table;
pub use text::{Paint, Span, Style, Text, escape};
pub use verify::{Inconsistency, verify};
