//! Renderings of hand-made results: every outcome, hostile text, an incomplete run.

mod json;
mod sample;
mod terminal;
