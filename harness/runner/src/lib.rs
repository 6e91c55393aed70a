//! From a matrix to results: plan, schedule, run, judge, hold against expectations.
//!
//! The runner knows no protocol by name and prints nothing. Everything that a reader may want to see
//! goes out as an [`RunEvent`] or stands in the [`verdict::RunResults`] at the end.

mod execute;
mod fixtures;
mod genuine;
mod journal;
mod merge;
mod outcome;
mod peers;
mod plan;
mod pool;
mod project;
mod pulse;
mod roles;
mod schedule;
mod selftest;
mod simulate;
mod under_way;

pub use execute::{Executed, judge_transcript};
pub use fixtures::{Fixture, Fixtures, Unusable, fixture_path, placed, replay_case};
pub use journal::{Journal, JournalError};
pub use merge::{MergeError, merge};
pub use plan::{Plan, PlanCell, PlanError, Request, Work, plan};
pub use project::{Project, ProjectError, ProtocolFiles};
pub use roles::give_roles;
pub use schedule::{Clock, RunEvent, RunOptions, run, transcript_path};
pub use selftest::{Proof, selftest};
