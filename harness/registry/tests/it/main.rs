//! What holds for every protocol that is registered, and for this checkout as a whole.

mod conformance;
mod recordings;
