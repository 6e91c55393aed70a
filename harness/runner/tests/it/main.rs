//! Plans, runs and journals of small projects with the reference peers of a real protocol, and the runner on
//! the project itself.

mod conformance;
mod journal;
mod planning;
mod recordings;
mod running;
mod support;
