//! What a protocol is, and the kit that protocols are made with.
//!
//! ```text
//! contract.rs    what everybody else knows of a protocol
//! dialect.rs     what each release does, as data
//! defect.rs      faults of reference peers, and which of them are switched on
//! probe.rs       the probes that every protocol gets, from a small description
//! replay.rs      recorded conversations as scripts
//! captures.rs    what recorded requests quote of replies
//! effects.rs     the words for what clients did
//! reference/     what reference servers and clients are made with
//! installed/     builds that are installed, and their processes
//! launch/        how real builds are started
//! fuzz.rs        bodies of fuzz targets
//! testing.rs     what tests of protocols share
//! ```

pub mod captures;
mod contract;
pub mod defect;
pub mod dialect;
pub mod effects;
pub mod fuzz;
pub mod installed;
pub mod launch;
pub mod probe;
pub mod reference;
pub mod replay;
pub mod testing;

/// A constant for each shape that a protocol's own checks can find.
#[macro_export]
macro_rules! shapes {
    ($($name:ident = $word:literal;)*) => {
        $(pub(crate) const $name: transcript::evidence::Shape = transcript::evidence::Shape::new($word);)*
    };
}

pub use contract::{
    Action, Bench, Case, Deadlines, Hazard, Made, MakesClient, MakesReal, MakesServers, Peers, Protocol,
    Scripted,
};
pub use defect::Defect;
