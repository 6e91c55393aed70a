//! `containerd-task`: the task API between containerd and its shims.

pub mod schema;
