//! The runner on the project itself.

mod conformance;
