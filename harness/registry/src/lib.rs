//! Every protocol that wireskew knows: a new one is a crate of its own and a line in [`all`].

pub mod fuzz;

use std::sync::Arc;

use protocol::Protocol;

/// Every protocol that wireskew knows. New ones come last: inputs of fuzz targets name protocols by number.
#[must_use]
pub fn all() -> Vec<Arc<dyn Protocol>> {
    vec![
        libvirt::protocol(),
        lxc::protocol(),
        ovirt::protocol(),
        qemu_ga::protocol(),
        kata_agent::protocol(),
        containerd_task::protocol(),
        docker_engine::protocol(),
    ]
}

/// Finds a protocol by its name or its alias.
#[must_use]
pub fn find(name: &str) -> Option<Arc<dyn Protocol>> {
    all().into_iter().find(|p| p.name() == name || p.alias() == name)
}
