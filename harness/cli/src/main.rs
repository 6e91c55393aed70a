//! The wireskew command.

fn main() {}
