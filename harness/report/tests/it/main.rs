//! Renderings of hand-made results: every outcome, hostile text, an incomplete run.

mod json;
mod junit;
mod markdown;
mod progress;
mod sample;
mod terminal;
mod verify;
