//! Numbers of the protocol and their names.
//!
//! Sources: `libvirt/libvirt@v11.3.0`, files named at each table; the same numbers in v7.0.0 and v9.0.0
//! as far as those have them. Nothing here is behaviour: which release knows what is in
//! [`super::dialect`].

pub(crate) mod procedures;

/// The only version of every program so far.
pub(crate) const VERSION: u32 = 1;
/// A number that stays unknown for long, for probes.
pub(crate) const UNKNOWN_PROCEDURE: i32 = 9999;
/// A program that nobody serves, for probes.
pub(crate) const UNKNOWN_PROGRAM: u32 = 0xdead_beef;

/// How a server says that it does not know a procedure, in the C locale. Clients take their fallbacks
/// only behind a text that begins so (`src/rpc/virnetclientprogram.c`).
pub(crate) const UNKNOWN_PROCEDURE_TEXT: &str = "unknown procedure";
/// How a server says that it does not serve a program, or not in that version.
pub(crate) const UNKNOWN_PROGRAM_TEXT: &str = "Cannot find program";

/// A table of numbers: a constant for each, and their names.
macro_rules! numbers {
    ($(#[$about:meta])* $table:ident: $type:ty { $($name:ident = $number:literal;)* }) => {
        $(#[$about])*
        #[allow(dead_code, unreachable_pub, reason = "not every table has all uses")]
        pub(crate) mod $table {
            $(
                #[doc = concat!("Number ", stringify!($number), ".")]
                pub const $name: $type = $number;
            )*

            /// All numbers with their names.
            pub const ALL: &[($type, &str)] = &[$(($name, stringify!($name)),)*];

            /// The name of a number, where it has one.
            #[must_use]
            pub fn name(number: $type) -> Option<&'static str> {
                ALL.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
            }
        }
    };
}

numbers! {
    /// Programs: sets of procedures. `src/remote/*_protocol.x`, `src/admin`, `src/locking`, `src/logging`,
    /// `src/rpc/virkeepaliveprotocol.x`.
    program: u32 {
        REMOTE = 0x2000_8086;
        QEMU = 0x2000_8087;
        LXC = 0x0006_8000;
        KEEPALIVE = 0x6b65_6570;
        ADMIN = 0x0690_0690;
        LOCK = 0x0ea7_beef;
        LOG = 0x8753_9319;
    }
}

numbers! {
    /// Procedures of program `keepalive`. `src/rpc/virkeepaliveprotocol.x`.
    keepalive: i32 {
        PING = 1;
        PONG = 2;
    }
}

numbers! {
    /// Procedures of program `qemu`; the sixth is an event. `src/remote/qemu_protocol.x`.
    qemu: i32 {
        DOMAIN_MONITOR_COMMAND = 1;
        DOMAIN_ATTACH = 2;
        DOMAIN_AGENT_COMMAND = 3;
        CONNECT_DOMAIN_MONITOR_EVENT_REGISTER = 4;
        CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER = 5;
        DOMAIN_MONITOR_EVENT = 6;
        DOMAIN_MONITOR_COMMAND_WITH_FILES = 7;
    }
}

numbers! {
    /// Procedures of program `lxc`. `src/remote/lxc_protocol.x`.
    lxc: i32 {
        DOMAIN_OPEN_NAMESPACE = 1;
    }
}

numbers! {
    /// What CONNECT_SUPPORTS_FEATURE can be asked for. `src/libvirt_internal.h`.
    feature: i32 {
        MIGRATION_V1 = 1;
        REMOTE = 2;
        MIGRATION_V2 = 3;
        MIGRATION_P2P = 4;
        MIGRATION_DIRECT = 5;
        MIGRATION_V3 = 6;
        MIGRATE_CHANGE_PROTECTION = 7;
        FD_PASSING = 8;
        TYPED_PARAM_STRING = 9;
        PROGRAM_KEEPALIVE = 10;
        XML_MIGRATABLE = 11;
        MIGRATION_OFFLINE = 12;
        MIGRATION_PARAMS = 13;
        REMOTE_EVENT_CALLBACK = 14;
        REMOTE_CLOSE_CALLBACK = 15;
        NETWORK_UPDATE_HAS_CORRECT_ORDER = 16;
    }
}

numbers! {
    /// Error codes, those that were seen. `include/libvirt/virterror.h`.
    error: i32 {
        OK = 0;
        INTERNAL_ERROR = 1;
        NO_SUPPORT = 3;
        NO_CONNECT = 5;
        INVALID_ARG = 8;
        XML_ERROR = 27;
        OPERATION_DENIED = 29;
        XML_DETAIL = 35;
        SYSTEM_ERROR = 38;
        RPC = 39;
        NO_DOMAIN = 42;
        AUTH_FAILED = 45;
        OPERATION_INVALID = 55;
        NO_INTERFACE = 57;
        CONFIG_UNSUPPORTED = 67;
        OPERATION_UNSUPPORTED = 84;
        NO_NETWORK_METADATA = 111;
    }
}

numbers! {
    /// Where an error comes from, those that were seen. `include/libvirt/virterror.h`.
    error_domain: i32 {
        NONE = 0;
        XML = 5;
        RPC = 7;
        TEST = 12;
        REMOTE = 13;
        NETWORK = 19;
        DOMAIN = 20;
        NODEDEV = 22;
        INTERFACE = 26;
        SECRET = 30;
        NWFILTER = 33;
    }
}

numbers! {
    /// How bad an error is. `include/libvirt/virterror.h`.
    error_level: i32 {
        NONE = 0;
        WARNING = 1;
        ERROR = 2;
    }
}

numbers! {
    /// Ways to authenticate. `src/remote/remote_protocol.x`.
    auth: i32 {
        NONE = 0;
        SASL = 1;
        POLKIT = 2;
    }
}

numbers! {
    /// Types of typed parameters. `include/libvirt/libvirt-common.h.in`.
    typed_parameter: i32 {
        INT = 1;
        UINT = 2;
        LLONG = 3;
        ULLONG = 4;
        DOUBLE = 5;
        BOOLEAN = 6;
        STRING = 7;
    }
}

numbers! {
    /// Flags of CONNECT_OPEN. `include/libvirt/libvirt-host.h`.
    open_flag: u32 {
        RO = 1;
    }
}

numbers! {
    /// Flags of CONNECT_LIST_ALL_INTERFACES. `include/libvirt/libvirt-interface.h`.
    interface_list_flag: u32 {
        INACTIVE = 1;
        ACTIVE = 2;
    }
}

numbers! {
    /// Flags of CONNECT_LIST_ALL_NODE_DEVICES: VPD since 7.9.0, the highest two since 7.3.0.
    /// `include/libvirt/libvirt-nodedev.h`.
    node_device_list_flag: u32 {
        CAP_SYSTEM = 0x1;
        CAP_PCI_DEV = 0x2;
        CAP_USB_DEV = 0x4;
        CAP_USB_INTERFACE = 0x8;
        CAP_NET = 0x10;
        CAP_SCSI_HOST = 0x20;
        CAP_SCSI_TARGET = 0x40;
        CAP_SCSI = 0x80;
        CAP_STORAGE = 0x100;
        CAP_FC_HOST = 0x200;
        CAP_VPORTS = 0x400;
        CAP_SCSI_GENERIC = 0x800;
        CAP_DRM = 0x1000;
        CAP_MDEV_TYPES = 0x2000;
        CAP_MDEV = 0x4000;
        CAP_CCW_DEV = 0x8000;
        CAP_CSS_DEV = 0x1_0000;
        CAP_VDPA = 0x2_0000;
        CAP_AP_CARD = 0x4_0000;
        CAP_AP_QUEUE = 0x8_0000;
        CAP_AP_MATRIX = 0x10_0000;
        CAP_VPD = 0x20_0000;
        INACTIVE = 0x4000_0000;
        ACTIVE = 0x8000_0000;
    }
}

numbers! {
    /// What NETWORK_UPDATE does. `include/libvirt/libvirt-network.h`.
    update_command: u32 {
        MODIFY = 1;
        DELETE = 2;
        ADD_LAST = 3;
        ADD_FIRST = 4;
    }
}

numbers! {
    /// What NETWORK_UPDATE does it to. `include/libvirt/libvirt-network.h`.
    update_section: u32 {
        BRIDGE = 1;
        DOMAIN = 2;
        IP = 3;
        IP_DHCP_HOST = 4;
        IP_DHCP_RANGE = 5;
        FORWARD = 6;
        FORWARD_INTERFACE = 7;
        FORWARD_PF = 8;
        PORTGROUP = 9;
        DNS_HOST = 10;
        DNS_TXT = 11;
        DNS_SRV = 12;
    }
}

numbers! {
    /// What happened to a domain. `include/libvirt/libvirt-domain.h`.
    lifecycle: i32 {
        DEFINED = 0;
        UNDEFINED = 1;
        STARTED = 2;
        SUSPENDED = 3;
        RESUMED = 4;
        STOPPED = 5;
        SHUTDOWN = 6;
        PMSUSPENDED = 7;
        CRASHED = 8;
    }
}

numbers! {
    /// States of a domain. `include/libvirt/libvirt-domain.h`.
    domain_state: i32 {
        NOSTATE = 0;
        RUNNING = 1;
        BLOCKED = 2;
        PAUSED = 3;
        SHUTDOWN = 4;
        SHUTOFF = 5;
        CRASHED = 6;
        PMSUSPENDED = 7;
    }
}

/// One procedure of program `remote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Procedure {
    /// Its number.
    pub number: i32,
    /// Its name without `REMOTE_PROC_`.
    pub name: &'static str,
    /// Who sends it.
    pub kind: ProcedureKind,
    /// The release that brought the interface behind it, where that is known.
    pub since: Option<&'static str>,
}

/// Who sends a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcedureKind {
    /// The client calls it.
    Call,
    /// The server sends it by itself; a call of it is answered as if the number were not known.
    Event,
}

/// Every procedure of program `remote`, 1 to 456, in the order of numbers.
#[must_use]
pub(crate) fn all_procedures() -> &'static [Procedure] {
    procedures::ALL
}

/// The procedure of program `remote` with that number.
#[must_use]
pub(crate) fn procedure(number: i32) -> Option<&'static Procedure> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    procedures::ALL.get(index)
}

/// The procedure of program `remote` with that name.
#[must_use]
#[cfg(test)]
pub(crate) fn procedure_named(name: &str) -> Option<&'static Procedure> {
    procedures::ALL.iter().find(|procedure| procedure.name == name)
}

/// The name of a procedure of any program.
#[must_use]
pub(crate) fn procedure_name(program: u32, number: i32) -> Option<&'static str> {
    match program {
        program::REMOTE => procedure(number).map(|procedure| procedure.name),
        program::QEMU => qemu::name(number),
        program::LXC => lxc::name(number),
        program::KEEPALIVE => keepalive::name(number),
        _ => None,
    }
}

/// The highest number that a release as old as `version` answers: every call up to it carries an
/// interface that the release has. For peers that stand for releases older than any that was measured.
#[must_use]
#[cfg(test)]
pub(crate) fn highest_procedure(version: &str) -> Option<i32> {
    let wanted = matrix::Version::of_package(version)?;
    let calls = || procedures::ALL.iter().filter(|procedure| procedure.kind == ProcedureKind::Call);
    let newer = |procedure: &&Procedure| {
        procedure.since.and_then(matrix::Version::of_package).as_ref() > Some(&wanted)
    };
    let end = calls().find(newer).map_or(i32::MAX, |procedure| procedure.number);
    calls().take_while(|procedure| procedure.number < end).last().map(|procedure| procedure.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once_and_every_name_too() {
        let numbers: Vec<i32> = all_procedures().iter().map(|procedure| procedure.number).collect();
        assert_eq!(numbers, (1..=456).collect::<Vec<i32>>());
        for known in all_procedures() {
            assert_eq!(procedure(known.number), Some(known));
            assert_eq!(procedure_named(known.name), Some(known), "{} is there twice", known.name);
        }
        for number in [0, -1, i32::MIN, i32::MAX, 457] {
            assert_eq!(procedure(number), None, "{number}");
        }
    }

    /// The numbers that all four real servers answer as unknown although they are named, section 2.1 of
    /// the fact sheet.
    #[test]
    fn events_are_those_that_real_servers_answer_as_unknown() {
        let single = [107, 195, 224, 241, 248, 276, 292, 311, 315, 339, 346, 348, 354, 359, 362, 363, 367];
        let later = [370, 373, 376, 377, 379, 382, 383, 385, 423, 438, 446, 453, 454, 455];
        let ranges = (169..=173).chain(268..=270).chain(318..=333);
        let mut expect: Vec<i32> = single.into_iter().chain(later).chain(ranges).collect();
        expect.sort_unstable();
        let events = all_procedures().iter().filter(|procedure| procedure.kind == ProcedureKind::Event);
        assert_eq!(events.map(|procedure| procedure.number).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn knows_the_highest_number_of_a_release() {
        #[track_caller]
        fn check(version: &str, expect: Option<i32>) {
            assert_eq!(highest_procedure(version), expect, "{version}");
        }
        for (version, highest) in [
            ("0.3.2", 70),
            ("0.9.0", 209),
            ("0.9.2", 223),
            ("0.10.2", 291),
            ("1.1.3", 312),
            ("2.0.0", 372),
            ("3.0.0", 381),
            ("4.5.0", 401),
            ("6.0.0", 422),
            ("6.10.0", 425),
            ("7.0.0", 425),
            ("8.0.0", 439),
            ("9.0.0", 443),
            ("10.2.0", 448),
            ("11.2.0", 452),
            ("11.3.0-3+deb13u3", 452),
            ("12.8.0", 456),
            ("99", 456),
        ] {
            check(version, Some(highest));
        }
        check("0.2", None);
        check("", None);
        check("ideal", None);
    }

    #[test]
    fn names_are_found_by_program() {
        #[track_caller]
        fn check(program: u32, number: i32, expect: Option<&str>) {
            assert_eq!(procedure_name(program, number), expect);
        }
        check(program::REMOTE, procedures::INTERFACE_CHANGE_BEGIN, Some("INTERFACE_CHANGE_BEGIN"));
        check(program::QEMU, 7, Some("DOMAIN_MONITOR_COMMAND_WITH_FILES"));
        check(program::KEEPALIVE, keepalive::PONG, Some("PONG"));
        check(program::KEEPALIVE, 3, None);
        check(UNKNOWN_PROGRAM, 1, None);
        assert_eq!(program::name(0x6b65_6570), Some("KEEPALIVE"));
    }

    #[test]
    fn no_table_has_a_number_or_a_name_twice() {
        #[track_caller]
        fn check<T: PartialEq + std::fmt::Debug>(table: &[(T, &str)]) {
            for (at, (number, name)) in table.iter().enumerate() {
                let same = |(other, other_name): &(T, &str)| other == number || other_name == name;
                assert!(!table[..at].iter().any(same), "{number:?} {name}");
            }
        }
        check(program::ALL);
        check(qemu::ALL);
        check(feature::ALL);
        check(error::ALL);
        check(error_domain::ALL);
        check(node_device_list_flag::ALL);
        check(update_command::ALL);
        check(update_section::ALL);
        check(lifecycle::ALL);
        check(domain_state::ALL);
    }
}
