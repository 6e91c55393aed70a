//! The `wireskew` command from outside: what it prints, writes and ends with, in projects of a few cells and
//! in the real checkout.

mod checkout;
mod exit_codes;
mod fixtures;
mod interrupt;
mod mistakes;
mod reports;
mod shards;
mod support;
mod talk;
