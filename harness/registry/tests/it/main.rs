//! What holds for every protocol that is registered, and for this checkout as a whole.

mod citations;
mod conformance;
mod recordings;
mod reports;
mod scripts;
