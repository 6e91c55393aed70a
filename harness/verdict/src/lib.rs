//! From a transcript to a verdict: pure functions. Nothing here can reach a live peer, so a recorded
//! and a live run are judged by the same code.

mod check;
pub mod checks;
mod compare;
pub mod exchange;
mod finding;
mod grammar;
mod reading;
pub mod render;
mod results;
mod summary;

pub use check::{Check, Evidence, FAULTS, Recorded, judge};
pub use compare::{Comparison, Difference, Message, compare};
pub use exchange::{ExchangeId, Exchanges, InOrder, Pairing, Place, Turns};
pub use finding::{Blame, Cited, Finding, FrameRef, Judgement, Rule, Weight};
pub use grammar::{ConnContext, Due, Grammar, Meaning, Quotable, quoted};
pub use matrix::Verdict;
pub use reading::{Closed, ConnReading, Exchange, FrameAt, ObservedAt, Reading, ReplyAt, Step};
pub use results::{
    Attempt, BuildRecord, CellResult, DocumentRecord, Outcome, Reproduction, RunResults, Tally,
};
pub use transcript::evidence;
