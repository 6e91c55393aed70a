//! Reference peers of the Docker Engine API.

mod defects;
mod engine;
