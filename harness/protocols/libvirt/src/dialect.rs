//! What each release does, as data.
//!
//! A dialect is the release before it with changes applied; the table is in [`super::releases`]. Four
//! releases were measured: Debian's `7.0.0-3+deb11u3`, `9.0.0-4+deb12u2`, `11.3.0-3+deb13u3` and
//! `12.8.0-1` on x86-64, the test driver behind them. `ideal` knows what the newest of them knows and has
//! none of their faults.
//!
//! ```text
//! 7.0.0 - 9.0.0 - 11.3.0 - 12.8.0 - ideal
//! ```
//!
//! Releases older than 7.0.0 are not here: a peer that stands for one is a newer one that knows only the
//! numbers that came until then (`names/procedures.txt`) and the features of that time.

use std::collections::{BTreeMap, BTreeSet};

use protocol::dialect::{Facts, Table};
use wire::libvirt_rpc::{FDS_MAX, LENGTH_MAX, PAYLOAD_MAX, STRING_MAX};

use super::names::{self, feature, program};
use super::releases::RELEASES;

/// One release's reading of the protocol, for servers and clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release that began it, or `ideal`.
    pub name: &'static str,
    /// The answer to CONNECT_GET_LIB_VERSION: `major * 1_000_000 + minor * 1_000 + release`.
    pub lib_version: u64,
    /// The highest number of program `remote` that a client can call.
    pub highest_procedure: i32,
    /// The highest number of program `remote` that is an event.
    pub highest_event: i32,
    /// The numbers of program `qemu` that a client can call.
    pub qemu: BTreeSet<i32>,
    /// The features that CONNECT_SUPPORTS_FEATURE answers with 1 for `test:///default`.
    pub features: BTreeSet<i32>,
    /// The flags that a procedure knows, where that was measured; it refuses others with code 8.
    pub flags: BTreeMap<i32, u32>,
    /// The order of the two integers of NETWORK_UPDATE behind the network.
    pub update_order: UpdateOrder,
    /// Sizes and counts.
    pub limits: Limits,
    /// What its servers do.
    pub server: ServerFacts,
    /// What its clients do.
    pub client: ClientFacts,
}

/// The order of the first two integers of NETWORK_UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateOrder {
    /// As the library swapped them from 0.10.2 to 7.1.0 on both sides: the section, then the command.
    SectionFirst,
    /// As `src/remote/remote_protocol.x` has them.
    CommandFirst,
}

/// Sizes in bytes and counts of elements, the largest that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A whole message with its length word.
    pub message: u32,
    /// The payload of a message.
    pub payload: u32,
    /// A string.
    pub string: u32,
    /// Descriptors with one message.
    pub fds: u32,
    /// Elements of lists of domains, networks, interfaces, pools, volumes, secrets and snapshots.
    pub list: u32,
    /// Elements of lists of node devices and of their capabilities.
    pub node_devices: u32,
    /// Memory cells, and page counts, in one answer.
    pub cells: u32,
    /// Parameters of an identity.
    pub identity: u32,
    /// Ways to authenticate.
    pub auth_types: u32,
    /// One step of SASL.
    pub sasl_data: u32,
}

impl Limits {
    /// The same in every release that was measured. `src/rpc/virnetprotocol.x` and
    /// `src/remote/remote_protocol.x` of v7.0.0, v9.0.0 and v11.3.0; the edges measured on all four.
    pub(crate) const CURRENT: Self = Self {
        message: LENGTH_MAX,
        payload: PAYLOAD_MAX as u32,
        string: STRING_MAX,
        fds: FDS_MAX,
        list: 16_384,
        node_devices: 65_536,
        cells: 1024,
        identity: 20,
        auth_types: 20,
        sasl_data: 65_536,
    };

    /// The limit of that name.
    pub(crate) fn named(&self, name: &str) -> Option<u32> {
        self.entries().into_iter().find(|(known, _)| *known == name).map(|(_, limit)| limit)
    }

    /// All of them with their names.
    pub(crate) fn entries(&self) -> [(&'static str, u32); 10] {
        [
            ("message", self.message),
            ("payload", self.payload),
            ("string", self.string),
            ("fds", self.fds),
            ("list", self.list),
            ("node-devices", self.node_devices),
            ("cells", self.cells),
            ("identity", self.identity),
            ("auth-types", self.auth_types),
            ("sasl-data", self.sasl_data),
        ]
    }
}

/// What a server does, the test driver behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    /// The features that are answered before CONNECT_OPEN; others are refused with 1/7.
    pub features_before_open: &'static [i32],
    /// Numbers that the server knows and the test driver has no function for: code 3.
    pub driver_lacks: BTreeSet<i32>,
    /// A second CONNECT_OPEN on a connection.
    pub second_open: SecondOpen,
    /// A driver that nobody knows in the address of CONNECT_OPEN.
    pub unknown_uri: UnknownUri,
    /// NODE_GET_FREE_PAGES whose number of answers does not fit 32 bits.
    pub free_pages: FreePages,
    /// INTERFACE_CHANGE_ROLLBACK.
    pub rollback: Rollback,
    /// The last connection that uses a driver goes.
    pub last_close: LastClose,
    /// Whether formats in errors number their places: `%1$s`, not `%s`.
    pub numbered_formats: bool,
    /// The detail (`str2`) of an error without one, seen with "Domain not found".
    pub no_detail: NoDetail,
    /// How an error of the XML parser says where it stopped.
    pub xml_place: XmlPlace,
    /// Who looks at the outermost element of XML and at its kind.
    pub xml_faults: XmlFaults,
    /// What the driver for the machine's own interfaces is made of.
    pub machine: MachineDriver,
    /// What a server under a German locale says. No release of a server keeps the words that clients look for.
    pub german: Translation,
    /// Serial of events.
    pub event_serial: u32,
    /// When feature 10 was asked for.
    pub keepalive: Keepalive,
}

/// The translated texts of errors of the RPC layer. Clients look for the first words of the untranslated ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translation {
    /// `unknown procedure: {}`, of the number.
    pub unknown_procedure: &'static str,
    /// `Cannot find program {} version {}`.
    pub unknown_program: &'static str,
    /// `Unable to decode message payload`.
    pub undecodable: &'static str,
}

impl Translation {
    /// The catalogues `de/LC_MESSAGES/libvirt.mo` of all four packages have the same texts; the first was
    /// also recorded on 7.0.0, 11.3.0 and 12.8.0.
    pub(crate) const GERMAN: Self = Self {
        unknown_procedure: "unbekannte Prozedur: {}",
        unknown_program: "Kann Program {} Version {} nicht finden",
        undecodable: "Kann Inhalt der Nachricht nicht entschlüsseln",
    };
}

/// The server's own pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Seconds from one to the next.
    pub interval_s: u32,
    /// So many without an answer, and an interval later the connection is closed.
    pub count: u32,
}

/// What becomes of a second CONNECT_OPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecondOpen {
    /// 1/7 `connection already open`, and the first one's driver is gone too; a third succeeds and leaks
    /// a driver connection until the server ends.
    DropsFirst,
    /// 1/7 `connection already open`; the first one goes on.
    Refused,
}

/// What becomes of CONNECT_OPEN with a driver that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownUri {
    /// 38/7: the server looks for the socket of a daemon of that name.
    NoSocket,
    /// 5/0 `no connection driver available for …`.
    NoDriver,
}

/// What becomes of NODE_GET_FREE_PAGES with a product of pages and cells above 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FreePages {
    /// The product wraps; if what is left is small enough, the process dies of `SIGSEGV`.
    Overflows,
    /// 1/7 `npages * cellcount > REMOTE_NODE_MAX_CELLS (1024)`.
    Refused,
}

/// What a rollback gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollback {
    /// The interfaces of the time of begin, all of them inactive.
    AllInactive,
    /// The interfaces of the time of begin, each active or not as it was.
    Faithful,
}

/// What becomes of a driver's state when its last connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastClose {
    /// It is as at the start again; an open transaction vanishes without a trace.
    Resets,
    /// It stays, and so does an open transaction.
    Keeps,
}

/// How a server sends that there is no detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDetail {
    /// An empty text.
    Empty,
    /// No text.
    Absent,
}

/// How a place in XML is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum XmlPlace {
    /// `(interface_definition):1: `
    Document,
    /// `at line 1: `
    Line,
}

/// What `interface:///session` is, where that driver is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineDriver {
    /// Reads and writes the files of the distribution.
    Netcf,
    /// Lists what the kernel has, and changes nothing: 3/26.
    Udev,
    /// Keeps the interfaces in a directory, with transactions; it is always installed.
    Directory,
}

/// Who refuses XML that is well formed and no description of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum XmlFaults {
    /// The interface driver: 27/26 for another root element, 67/26 for an unknown kind.
    Driver,
    /// The reader of XML: 27/5 for both.
    Reader,
}

/// What a client does: virsh and the library behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientFacts {
    /// Whether it asks for feature 16 and orders the integers of NETWORK_UPDATE by the answer.
    pub asks_update_order: bool,
    /// The flags that `nodedev-list` sends with CONNECT_LIST_ALL_NODE_DEVICES.
    pub node_device_list_flags: u32,
    /// Whether it asks again without flags that were refused.
    pub retries_without_flags: bool,
    /// Whether `nodedev-info` asks whether the device is active, persistent and started by itself.
    pub node_device_state: bool,
    /// Whether it takes a failure for yes when it asks whether something is active or persistent: of node
    /// devices, and in lists of interfaces, networks and pools.
    pub prints_failures_as_values: bool,
    /// What it prints where it could not be told whether a device is started by itself.
    pub unknown_autostart: &'static str,
    /// Whether `iface-destroy` ends as if it had failed, although it did not.
    pub destroy_ends_badly: bool,
    /// Whether `net-desc` asks for NETWORK_GET_METADATA before it reads the XML.
    pub network_metadata: bool,
    /// Whether it knows DOMAIN_ABORT_JOB_FLAGS and DOMAIN_START_DIRTY_RATE_CALC.
    pub job_flags: bool,
    /// Whether it knows DOMAIN_ANNOUNCE_INTERFACE.
    pub announces_interfaces: bool,
    /// What it makes of something else than a reply, without keepalive.
    pub no_reply: NoReply,
}

/// What a client makes of a call that is never answered, without keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// It waits for ever.
    Waits,
    /// It gives up after a time.
    GivesUp,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What all measured releases have in common, before the table's first line.
    fn first() -> Self {
        Self {
            name: "",
            lib_version: 0,
            highest_procedure: 0,
            highest_event: 0,
            qemu: BTreeSet::new(),
            features: BTreeSet::new(),
            flags: BTreeMap::new(),
            update_order: UpdateOrder::SectionFirst,
            limits: Limits::CURRENT,
            server: ServerFacts::first(),
            client: ClientFacts::FIRST,
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

impl Dialect {
    /// Whether a client can call that procedure. What it cannot call is answered as unknown: higher
    /// numbers, zero and below, and events.
    pub(crate) fn knows(&self, program: u32, procedure: i32) -> bool {
        match program {
            program::REMOTE => {
                let known = names::procedure(procedure).is_some() && !names::is_event(procedure);
                known && procedure <= self.highest_procedure
            }
            program::QEMU => self.qemu.contains(&procedure),
            // Measured on 7.0.0, 9.0.0, 11.3.0 and 12.8.0: numbers 0 to 7.
            program::LXC => procedure == names::lxc::DOMAIN_OPEN_NAMESPACE,
            _ => false,
        }
    }

    /// Whether a server sends that event of program `remote`.
    pub(crate) fn sends(&self, event: i32) -> bool {
        event <= self.highest_event && names::is_event(event)
    }

    /// Whether a program is served in that version. `keepalive` is no program of calls, and `admin`, `lock`
    /// and `log` have sockets of their own; measured on all four releases.
    pub(crate) fn serves(&self, program: u32, version: u32) -> bool {
        matches!(program, program::REMOTE | program::QEMU | program::LXC) && version == names::VERSION
    }

    /// What CONNECT_SUPPORTS_FEATURE answers once a driver is open; unknown features are no error.
    pub(crate) fn has_feature(&self, feature: i32) -> bool {
        self.features.contains(&feature)
    }

    /// The format of an error as it is sent in `str1`; `{}` stands for the detail.
    pub(crate) fn error_format(&self, format: &str) -> String {
        format.replace("{}", if self.server.numbered_formats { "%1$s" } else { "%s" })
    }

    /// What the protocol's designers asked for.
    pub(super) fn make_ideal(&mut self) {
        self.server = ServerFacts {
            second_open: SecondOpen::Refused,
            free_pages: FreePages::Refused,
            rollback: Rollback::Faithful,
            last_close: LastClose::Keeps,
            machine: MachineDriver::Directory,
            event_serial: 0,
            ..self.server.clone()
        };
        self.client = ClientFacts {
            retries_without_flags: true,
            prints_failures_as_values: false,
            destroy_ends_badly: false,
            no_reply: NoReply::GivesUp,
            ..self.client
        };
    }
}

impl ServerFacts {
    /// What no later line of the table changes, and servers of 7.0.0.
    fn first() -> Self {
        Self {
            features_before_open: &[feature::PROGRAM_KEEPALIVE],
            driver_lacks: BTreeSet::new(),
            second_open: SecondOpen::DropsFirst,
            unknown_uri: UnknownUri::NoSocket,
            free_pages: FreePages::Overflows,
            rollback: Rollback::AllInactive,
            last_close: LastClose::Resets,
            numbered_formats: false,
            no_detail: NoDetail::Empty,
            xml_place: XmlPlace::Document,
            xml_faults: XmlFaults::Driver,
            machine: MachineDriver::Netcf,
            german: Translation::GERMAN,
            event_serial: 1,
            keepalive: Keepalive { interval_s: 5, count: 5 },
        }
    }
}

impl ClientFacts {
    /// virsh 7.0.0, and everything that no later line of the table changes.
    const FIRST: Self = Self {
        asks_update_order: false,
        node_device_list_flags: 0,
        retries_without_flags: false,
        node_device_state: false,
        prints_failures_as_values: true,
        unknown_autostart: "no autostart",
        destroy_ends_badly: false,
        network_metadata: false,
        job_flags: false,
        announces_interfaces: false,
        no_reply: NoReply::Waits,
    };
}

/// Whether a refused NODE_GET_FREE_PAGES would have passed a check that counts in 32 bits: the product is
/// above the limit and what is left of it in 32 bits is not.
pub(crate) fn free_pages_wrap(pages: u32, cells: u32, limit: u32) -> bool {
    u64::from(pages) * u64::from(cells) > u64::from(limit) && pages.wrapping_mul(cells) <= limit
}

#[cfg(test)]
mod tests {
    use protocol::dialect::IDEAL;
    use protocol::testing::check_table;

    use super::*;
    use crate::names::procedures;

    /// The procedures of an interface transaction: begin, commit, rollback. They know no flags.
    const TRANSACTION: [i32; 3] = [
        procedures::INTERFACE_CHANGE_BEGIN,
        procedures::INTERFACE_CHANGE_COMMIT,
        procedures::INTERFACE_CHANGE_ROLLBACK,
    ];

    impl Dialect {
        /// The flags among `flags` that the procedure refuses, where it was measured what it knows.
        fn unknown_flags(&self, procedure: i32, flags: u32) -> u32 {
            self.flags.get(&procedure).map_or(0, |known| flags & !known)
        }
    }

    fn dialect(name: &str) -> &'static Dialect {
        DIALECTS.for_version(name).expect("in the table")
    }

    /// Every number from 0 to 519 was sent to the real servers, on two occasions.
    #[test]
    fn knows_what_each_release_was_measured_to_know() {
        #[track_caller]
        fn check(name: &str, highest: i32, callable: usize, numbers: usize) {
            let dialect = dialect(name);
            let known: Vec<i32> = (-1..520).filter(|at| dialect.knows(program::REMOTE, *at)).collect();
            assert_eq!((known.last(), known.len()), (Some(&highest), callable), "{name}");
            let events = (-1..520).filter(|at| dialect.sends(*at)).count();
            assert_eq!(known.len() + events, numbers, "{name} has neither calls nor events twice");
            assert_eq!(names::tests::highest_procedure(name), Some(highest), "{name}");
        }
        // 18 numbers were added, then 10; the last three are 454 to 456.
        check("7.0.0", 425, 375, 425);
        check("9.0.0", 443, 392, 425 + 18);
        check("11.3.0", 452, 400, 443 + 10);
        check("12.8.0", 456, 401, 456);
        let ideal = DIALECTS.named(IDEAL).expect("in the table");
        assert_eq!(ideal.highest_procedure, 456);
    }

    #[test]
    fn the_release_table_is_sound() {
        check_table(&DIALECTS);
    }

    #[test]
    fn events_zero_and_other_programs_cannot_be_called() {
        for dialect in DIALECTS.all() {
            for (program, procedure, expect) in [
                (program::REMOTE, procedures::CONNECT_OPEN, true),
                (program::REMOTE, procedures::DOMAIN_EVENT_LIFECYCLE, false),
                (program::REMOTE, 0, false),
                (program::REMOTE, -1, false),
                (program::REMOTE, i32::MAX, false),
                (program::QEMU, 1, true),
                (program::QEMU, 6, false),
                (program::QEMU, 7, dialect.name != "7.0.0"),
                (program::LXC, 1, true),
                (program::LXC, 2, false),
                (program::KEEPALIVE, names::keepalive::PING, false),
                (names::UNKNOWN_PROGRAM, 1, false),
            ] {
                assert_eq!(dialect.knows(program, procedure), expect, "{} {procedure}", dialect.name);
            }
            assert!(dialect.sends(procedures::DOMAIN_EVENT_CALLBACK_LIFECYCLE));
            assert!(!dialect.sends(procedures::CONNECT_OPEN));
        }
    }

    #[test]
    fn refuses_flags_that_a_release_does_not_know() {
        let active = names::node_device_list_flag::ACTIVE;
        for (name, expect) in [("7.0.0", active), ("9.0.0", active), ("11.3.0", 0), ("12.8.0", 0)] {
            let refused = dialect(name).unknown_flags(procedures::CONNECT_LIST_ALL_NODE_DEVICES, active);
            assert_eq!(refused, expect, "{name}");
            for procedure in TRANSACTION {
                assert_eq!(dialect(name).unknown_flags(procedure, 1), 1);
            }
            assert_eq!(dialect(name).unknown_flags(procedures::CONNECT_OPEN, 0xffff), 0);
        }
    }

    /// That a procedure is not known is a contract on text, and a translated one breaks it (LV-04).
    #[test]
    fn a_translated_text_does_not_begin_as_clients_expect() {
        for dialect in DIALECTS.all() {
            let german = dialect.server.german;
            assert!(!german.unknown_procedure.starts_with(names::UNKNOWN_PROCEDURE_TEXT), "{}", dialect.name);
            assert!(!german.unknown_program.starts_with(names::UNKNOWN_PROGRAM_TEXT), "{}", dialect.name);
        }
    }

    #[test]
    fn tells_products_that_wrap_from_those_that_are_too_large() {
        for (pages, cells, expect) in
            [(1023, 4_198_405, true), (1, 1, false), (1023, 1023, false), (1024, 1, false), (1025, 1, false)]
        {
            assert_eq!(free_pages_wrap(pages, cells, 1024), expect, "{pages} x {cells}");
        }
    }
}
