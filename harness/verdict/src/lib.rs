//! From a transcript to a verdict: pure functions. Nothing here can reach a live peer, so a recorded
//! and a live run are judged by the same code.

mod finding;
mod grammar;
mod results;

pub use finding::{Blame, Finding, FrameRef, Judgement, Rule, Weight};
pub use grammar::{Grammar, Meaning, ReplyDue};
pub use matrix::Verdict;
pub use results::{BuildRecord, CellResult, Outcome, Reproduction, RunResults, Tally};
