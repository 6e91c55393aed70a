//! Checks over transcripts that are written by hand, in a framing of five lines.

mod client;
mod evidence;
mod probe;
mod reading;
mod replay;
mod scenario;
mod shapes;
mod toy;
