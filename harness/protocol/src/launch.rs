//! How real builds are started: what launchers of all protocols share.
//!
//! ```text
//! place.rs           a slot of the sandbox with the root of an installed build in it
//! ready.rs           waiting until something that was started is ready, and questions that nobody records
//! ```

mod place;
mod ready;

pub use place::{NOBODY, Place, make_own};
pub use ready::{QUESTION_DEADLINE, ask, ready, within};
