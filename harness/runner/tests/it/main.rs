//! Plans, runs and journals of small projects with the reference peers of real protocols.

mod journal;
mod planning;
mod running;
mod support;
