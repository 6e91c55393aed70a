//! Renderings of hand-made results: every outcome, hostile text, an incomplete run.

mod diff;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod progress;
mod sample;
mod sarif;
mod terminal;
mod verify;
