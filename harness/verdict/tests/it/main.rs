//! Checks over transcripts that are written by hand, in a framing of five lines; and exchanges of real builds.

mod client;
mod evidence;
mod exchanges;
mod http;
mod probe;
mod reading;
mod replay;
mod scenario;
mod shapes;
mod toy;
mod ttrpc;
