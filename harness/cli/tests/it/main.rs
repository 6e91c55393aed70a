//! The `wireskew` command from outside: what it prints, writes and ends with, in projects of a few cells and
//! in the real checkout.
#![expect(clippy::disallowed_methods, reason = "the command runs on real time")]

mod checkout;
mod exit_codes;
mod fixtures;
mod interrupt;
mod mistakes;
mod reports;
mod shards;
mod support;
mod talk;
mod versions;
