//! Reference peers: daemons that behave as a release was measured to behave, and a CLI.

mod defects;
mod engine;
mod replies;
