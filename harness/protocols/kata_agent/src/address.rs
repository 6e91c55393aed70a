//! How the device of an interface is called in field 6 of `types.Interface`: same number and type in every release, other grammars.
//!
//! ```text
//! pciAddr     ..2.0      05/06       the bridge on the root bus, and the device on the bridge
//! pciPath     2.1..3.14  02, 02/03   slots from the root bus on, as many as there are, each perhaps with a function: 02.1
//! devicePath  3.15..     0.0.0005    the same, or a device on the channel bus
//! ```
//!
//! `kata-containers/kata-containers@2.0.0:src/agent/src/device.rs`, `get_pci_device_address`;
//! `kata-containers/kata-containers@2.1.0:src/agent/src/pci.rs`, `Path`;
//! `kata-containers/kata-containers@3.15.0:src/libs/protocols/protos/types.proto`, `Interface`.

/// What a release reads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// A bridge and a device.
    Bridge,
    /// A path of slots.
    Path,
    /// A path of slots, or a device on the channel bus.
    PathOrChannel,
}

impl Grammar {
    /// Whether an address is read.
    pub(crate) fn reads(self, address: &str) -> bool {
        match self {
            Self::Bridge => address.split('/').count() == 2 && address.split('/').all(is_slot),
            Self::Path => is_path(address),
            Self::PathOrChannel => is_path(address) || is_channel(address),
        }
    }

    /// What an address is not that is not read.
    pub(crate) const fn is_none(self) -> &'static str {
        match self {
            Self::Bridge => "is no bridge and device",
            Self::Path => "is no path of PCI",
            Self::PathOrChannel => "is no path of a device",
        }
    }

    /// An address that no release before could read.
    pub(crate) const fn newest(self) -> &'static str {
        match self {
            Self::Bridge => "02/03",
            Self::Path => "02",
            Self::PathOrChannel => "0.0.0005",
        }
    }
}

fn is_path(text: &str) -> bool {
    let is_function = |text: &str| number(text).is_some_and(|function| function < 8);
    text.split('/').all(|part| match part.split_once('.') {
        Some((slot, function)) => is_slot(slot) && is_function(function),
        None => is_slot(part),
    })
}

fn is_slot(text: &str) -> bool {
    number(text).is_some_and(|slot| slot < 32)
}

fn is_channel(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| number(part).is_some())
}

fn number(text: &str) -> Option<u32> {
    // A sign is no digit.
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::Grammar::{Bridge, Path, PathOrChannel};

    /// Whether an address is read up to 2.0, from 2.1 on and from 3.15 on.
    #[track_caller]
    fn check(address: &str, expect: [bool; 3]) {
        let read = [Bridge, Path, PathOrChannel].map(|grammar| grammar.reads(address));
        assert_eq!(read, expect, "{address}");
    }

    #[test]
    fn every_release_reads_its_own_grammar() {
        check("02/03", [true, true, true]);
        check("1f/0a", [true, true, true]);
        check("02", [false, true, true]);
        check("02/03/04", [false, true, true]);
        check("02.0/03.7", [false, true, true]);
        check("0.0.0005", [false, false, true]);
        for address in
            ["0000:00:02.0", "20", "02/20", "02.8", "02/", "/02", "", "xy", "+2", "0..5", "0.0.0.5"]
        {
            check(address, [false; 3]);
        }
    }

    #[test]
    fn the_newest_address_of_a_release_is_read_by_none_before() {
        let grammars = [Bridge, Path, PathOrChannel];
        for (at, grammar) in grammars.iter().enumerate() {
            let reads = grammars.map(|other| other.reads(grammar.newest()));
            let is_read = |other: usize| other >= at;
            assert_eq!(reads, [is_read(0), is_read(1), is_read(2)], "{grammar:?}");
        }
    }
}
