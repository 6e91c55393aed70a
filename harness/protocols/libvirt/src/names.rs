//! Numbers of the protocol and their names, from two tables of text. Nothing here is behaviour: which release
//! knows what is in [`super::dialect`].
//!
//! ```text
//! names/numbers.txt      programs, features, errors, flags, states
//! names/procedures.txt   program `remote`: number, name, the release that brought it
//! ```

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

/// A number with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    table: &'static str,
    /// The number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Of a procedure: the release that brought it, or `event` or `auth`.
    about: &'static str,
}

static NUMBERS: [Number; 134] = read(include_str!("names/numbers.txt"));
static PROCEDURES: [Number; 456] = read(include_str!("names/procedures.txt"));

/// Reads tables when this is compiled. They have as many numbers as there is room for, or it does not compile: then
/// the error is the line that cannot be read.
const fn read<const COUNT: usize>(text: &'static str) -> [Number; COUNT] {
    let mut all = [Number { table: "", number: 0, name: "", about: "" }; COUNT];
    let (mut rest, mut table, mut count) = (text, "", 0);
    while !rest.is_empty() {
        let (line, below) = cut(rest, b'\n');
        rest = below;
        match line.as_bytes() {
            [] | [b'#', ..] => {}
            [b'[', .., b']'] => table = line.split_at(line.len() - 1).0.split_at(1).1,
            _ => {
                let (number, words) = cut(line, b' ');
                let (name, about) = cut(words, b' ');
                let fits = if same(table, "procedures") { is_release(about) } else { about.is_empty() };
                if table.is_empty() || name.is_empty() || !fits {
                    panic!("{}", line);
                }
                all[count] = Number { table, number: value(number), name, about };
                count += 1;
            }
        }
    }
    assert!(count == COUNT, "numbers are missing");
    all
}

/// What stands before the first of these bytes, and what behind it.
const fn cut(text: &str, byte: u8) -> (&str, &str) {
    let mut len = 0;
    while len < text.len() && text.as_bytes()[len] != byte {
        len += 1;
    }
    let (before, rest) = text.split_at(len);
    (before, if rest.is_empty() { rest } else { rest.split_at(1).1 })
}

const fn value(number: &str) -> u32 {
    let (digits, radix) = match number.as_bytes() {
        [b'0', b'x', ..] => (number.split_at(2).1, 16),
        _ => (number, 10),
    };
    match u32::from_str_radix(digits, radix) {
        Ok(value) => value,
        Err(_) => panic!("{}", number),
    }
}

/// Whether it is what stands behind a procedure.
const fn is_release(about: &str) -> bool {
    let mut at = 0;
    while at < about.len() && matches!(about.as_bytes()[at], b'0'..=b'9' | b'.') {
        at += 1;
    }
    at == about.len() && at > 0 || same(about, "event") || same(about, "auth")
}

/// The number of a name. A name that no table has does not compile.
pub(crate) const fn number(table: &str, name: &str) -> u32 {
    let (all, mut at) = (tables(table), 0);
    while !(same(all[at].table, table) && same(all[at].name, name)) {
        at += 1;
    }
    all[at].number
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

const fn tables(table: &str) -> &'static [Number] {
    if same(table, "procedures") { &PROCEDURES } else { &NUMBERS }
}

/// Constants for those numbers that code asks for.
macro_rules! constants {
    ($($(#[$about:meta])* $table:ident: $type:ty = $($name:ident),*;)*) => {$(
        $(#[$about])*
        pub(crate) mod $table {
            $(
                #[doc = concat!("The number of `", stringify!($name), "`.")]
                pub(crate) const $name: $type = super::number(stringify!($table), stringify!($name)) as $type;
            )*
        }
    )*};
}

constants! {
    /// Programs: sets of procedures.
    program: u32 = REMOTE, QEMU, LXC, KEEPALIVE;
    /// Procedures of program `keepalive`.
    keepalive: i32 = PING, PONG;
    /// Procedures of program `qemu`; the sixth is an event.
    qemu: i32 = CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER, DOMAIN_MONITOR_EVENT;
    /// Procedures of program `lxc`.
    lxc: i32 = DOMAIN_OPEN_NAMESPACE;
    /// What CONNECT_SUPPORTS_FEATURE can be asked for.
    feature: i32 = FD_PASSING, TYPED_PARAM_STRING, PROGRAM_KEEPALIVE, REMOTE_EVENT_CALLBACK,
        REMOTE_CLOSE_CALLBACK, NETWORK_UPDATE_HAS_CORRECT_ORDER;
    /// Error codes.
    error: i32 = INTERNAL_ERROR, NO_SUPPORT, NO_CONNECT, INVALID_ARG, XML_ERROR, OPERATION_DENIED, XML_DETAIL,
        SYSTEM_ERROR, RPC, NO_DOMAIN, AUTH_FAILED, OPERATION_INVALID, NO_INTERFACE, CONFIG_UNSUPPORTED,
        OPERATION_UNSUPPORTED, NO_NETWORK_METADATA;
    /// Where an error comes from.
    error_domain: i32 = NONE, XML, RPC, TEST, REMOTE, NETWORK, DOMAIN, NODEDEV, INTERFACE, SECRET, NWFILTER;
    /// How bad an error is.
    error_level: i32 = ERROR;
    /// Ways to authenticate.
    auth: i32 = NONE, SASL;
    /// Types of typed parameters.
    typed_parameter: i32 = INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING;
    /// Flags of CONNECT_OPEN.
    open_flag: u32 = RO;
    /// Flags of CONNECT_LIST_ALL_INTERFACES.
    interface_list_flag: u32 = INACTIVE, ACTIVE;
    /// Flags of CONNECT_LIST_ALL_NODE_DEVICES.
    node_device_list_flag: u32 = INACTIVE, ACTIVE;
    /// What NETWORK_UPDATE does.
    update_command: u32 = MODIFY, DELETE, ADD_LAST, ADD_FIRST;
    /// What NETWORK_UPDATE does it to.
    update_section: u32 = BRIDGE, DOMAIN, IP, IP_DHCP_HOST, IP_DHCP_RANGE, FORWARD, FORWARD_INTERFACE,
        FORWARD_PF, PORTGROUP, DNS_HOST, DNS_TXT, DNS_SRV;
    /// What happened to a domain.
    lifecycle: i32 = STARTED, SUSPENDED, RESUMED, STOPPED;
    /// States of a domain.
    domain_state: i32 = NOSTATE, RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED, PMSUSPENDED;
    /// Procedures of program `remote`.
    procedures: i32 = CONNECT_OPEN, CONNECT_CLOSE, CONNECT_GET_TYPE, CONNECT_GET_VERSION,
        CONNECT_GET_MAX_VCPUS, NODE_GET_INFO, DOMAIN_CREATE, DOMAIN_CREATE_XML, DOMAIN_DESTROY,
        DOMAIN_GET_XML_DESC, DOMAIN_GET_AUTOSTART, DOMAIN_GET_INFO, DOMAIN_GET_MAX_VCPUS, DOMAIN_GET_OS_TYPE,
        DOMAIN_GET_VCPUS, CONNECT_LIST_DEFINED_DOMAINS, DOMAIN_LOOKUP_BY_ID, DOMAIN_LOOKUP_BY_NAME,
        DOMAIN_LOOKUP_BY_UUID, CONNECT_NUM_OF_DEFINED_DOMAINS, DOMAIN_RESUME, DOMAIN_SUSPEND,
        CONNECT_LIST_DEFINED_NETWORKS, CONNECT_LIST_DOMAINS, CONNECT_LIST_NETWORKS, NETWORK_GET_XML_DESC,
        NETWORK_GET_AUTOSTART, NETWORK_GET_BRIDGE_NAME, NETWORK_LOOKUP_BY_NAME, NETWORK_LOOKUP_BY_UUID,
        CONNECT_NUM_OF_DEFINED_NETWORKS, CONNECT_NUM_OF_DOMAINS, CONNECT_NUM_OF_NETWORKS,
        CONNECT_GET_HOSTNAME, CONNECT_SUPPORTS_FEATURE, AUTH_LIST, AUTH_SASL_INIT, AUTH_SASL_START,
        AUTH_SASL_STEP, AUTH_POLKIT, CONNECT_NUM_OF_STORAGE_POOLS, CONNECT_LIST_STORAGE_POOLS,
        CONNECT_NUM_OF_DEFINED_STORAGE_POOLS, CONNECT_LIST_DEFINED_STORAGE_POOLS, STORAGE_POOL_LOOKUP_BY_NAME,
        STORAGE_POOL_GET_INFO, STORAGE_POOL_GET_XML_DESC, STORAGE_POOL_GET_AUTOSTART,
        STORAGE_POOL_NUM_OF_VOLUMES, NODE_GET_CELLS_FREE_MEMORY, NODE_GET_FREE_MEMORY,
        CONNECT_DOMAIN_EVENT_REGISTER, CONNECT_DOMAIN_EVENT_DEREGISTER, DOMAIN_EVENT_LIFECYCLE,
        CONNECT_GET_URI, NODE_NUM_OF_DEVICES, NODE_LIST_DEVICES, NODE_DEVICE_LOOKUP_BY_NAME,
        NODE_DEVICE_GET_XML_DESC, NODE_DEVICE_GET_PARENT, NODE_DEVICE_NUM_OF_CAPS, NODE_DEVICE_LIST_CAPS,
        NODE_GET_SECURITY_MODEL, CONNECT_NUM_OF_INTERFACES, CONNECT_LIST_INTERFACES, INTERFACE_LOOKUP_BY_NAME,
        INTERFACE_LOOKUP_BY_MAC_STRING, INTERFACE_GET_XML_DESC, INTERFACE_DEFINE_XML, INTERFACE_UNDEFINE,
        INTERFACE_CREATE, INTERFACE_DESTROY, CONNECT_NUM_OF_DEFINED_INTERFACES,
        CONNECT_LIST_DEFINED_INTERFACES, CONNECT_NUM_OF_SECRETS, CONNECT_IS_SECURE, DOMAIN_IS_ACTIVE,
        DOMAIN_IS_PERSISTENT, NETWORK_IS_ACTIVE, NETWORK_IS_PERSISTENT, STORAGE_POOL_IS_ACTIVE,
        STORAGE_POOL_IS_PERSISTENT, INTERFACE_IS_ACTIVE, CONNECT_GET_LIB_VERSION, DOMAIN_ABORT_JOB,
        CONNECT_DOMAIN_EVENT_REGISTER_ANY, CONNECT_DOMAIN_EVENT_DEREGISTER_ANY, CONNECT_NUM_OF_NWFILTERS,
        DOMAIN_HAS_MANAGED_SAVE_IMAGE, DOMAIN_SNAPSHOT_NUM, DOMAIN_CREATE_WITH_FLAGS, CONNECT_GET_SYSINFO,
        DOMAIN_SCREENSHOT, DOMAIN_GET_STATE, INTERFACE_CHANGE_BEGIN, INTERFACE_CHANGE_COMMIT,
        INTERFACE_CHANGE_ROLLBACK, DOMAIN_UNDEFINE_FLAGS, DOMAIN_DESTROY_FLAGS, NODE_SUSPEND_FOR_DURATION,
        DOMAIN_GET_BLOCK_IO_TUNE, CONNECT_LIST_ALL_DOMAINS, CONNECT_LIST_ALL_STORAGE_POOLS,
        CONNECT_LIST_ALL_NETWORKS, CONNECT_LIST_ALL_INTERFACES, CONNECT_LIST_ALL_NODE_DEVICES,
        CONNECT_LIST_ALL_NWFILTERS, CONNECT_LIST_ALL_SECRETS, NETWORK_UPDATE, DOMAIN_CREATE_WITH_FILES,
        CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY,
        DOMAIN_EVENT_CALLBACK_LIFECYCLE, NODE_GET_FREE_PAGES, CONNECT_GET_ALL_DOMAIN_STATS,
        CONNECT_REGISTER_CLOSE_CALLBACK, CONNECT_UNREGISTER_CLOSE_CALLBACK, CONNECT_SET_IDENTITY,
        DOMAIN_START_DIRTY_RATE_CALC, NODE_DEVICE_GET_AUTOSTART, NODE_DEVICE_IS_PERSISTENT,
        NODE_DEVICE_IS_ACTIVE, DOMAIN_ABORT_JOB_FLAGS, NETWORK_SET_METADATA, NETWORK_GET_METADATA,
        DOMAIN_GET_AUTOSTART_ONCE, DOMAIN_ANNOUNCE_INTERFACE;
}

/// The numbers of a table, in its order.
pub(crate) fn table(table: &str) -> impl Iterator<Item = &'static Number> {
    tables(table).iter().filter(move |known| known.table == table)
}

/// The name that a number has in a table.
pub(crate) fn name(table: &str, number: i64) -> Option<&'static str> {
    self::table(table).find(|known| i64::from(known.number) == number).map(|known| known.name)
}

/// The procedure of program `remote` with that number.
pub(crate) fn procedure(number: i32) -> Option<&'static Number> {
    PROCEDURES.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// Whether the server sends that procedure of program `remote` by itself. A call of it is answered as if the number
/// were not known.
pub(crate) fn is_event(number: i32) -> bool {
    procedure(number).is_some_and(|known| known.about == "event")
}

/// The name of a procedure of any program.
pub(crate) fn procedure_name(program: u32, number: i32) -> Option<&'static str> {
    match program {
        program::REMOTE => procedure(number).map(|procedure| procedure.name),
        program::QEMU => name("qemu", number.into()),
        program::LXC => name("lxc", number.into()),
        program::KEEPALIVE => name("keepalive", number.into()),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The highest number that a release as old as `version` answers: every call up to it carries an
    /// interface that the release has. For peers that stand for releases older than any that was measured.
    pub(crate) fn highest_procedure(version: &str) -> Option<i32> {
        let wanted = matrix::Version::of_package(version)?;
        let calls = || (1..).map_while(procedure).filter(|procedure| procedure.about != "event");
        let newer = |call: &&Number| matrix::Version::of_package(call.about).as_ref() > Some(&wanted);
        let end = calls().find(newer).map_or(u32::MAX, |procedure| procedure.number);
        let last = calls().take_while(|procedure| procedure.number < end).last()?;
        i32::try_from(last.number).ok()
    }

    #[test]
    fn what_is_no_row_does_not_compile() {
        #[track_caller]
        fn check(table: &str, row: &'static str) {
            let text = format!("# a\n[{table}]\n{row}\n").leak();
            let error =
                std::panic::catch_unwind(|| read::<1>(text)).map_err(|error| error.downcast::<String>());
            assert!(matches!(&error, Err(Ok(line)) if row.starts_with(&**line)), "{row}: {error:?}");
        }
        for row in ["1", "1 ", "1 A b", "1 A 0.3.0", "1  A", "x A", "[auth", "[auth] 1", "0xg A"] {
            check("auth", row);
        }
        for row in ["1 A", "1 A 0.3.0 b", "1 A events", "1 A v0.3.0"] {
            check("procedures", row);
        }
        check("", "1 A");
        assert!(std::panic::catch_unwind(|| read::<2>("[auth]\n1 A\n")).is_err());
        assert_eq!(read::<1>("[auth]\n0x10 A\n").map(|known| (known.table, known.number)), [("auth", 16)]);
    }

    #[test]
    fn every_number_is_there_once_and_every_name_too() {
        let numbers: Vec<u32> = PROCEDURES.iter().map(|procedure| procedure.number).collect();
        assert_eq!(numbers, (1..=456).collect::<Vec<u32>>());
        for known in &PROCEDURES {
            assert_eq!(procedure(known.number.cast_signed()), Some(known));
            assert_eq!(number("procedures", known.name), known.number, "{} is there twice", known.name);
        }
        for number in [0, -1, i32::MIN, i32::MAX, 457] {
            assert_eq!(procedure(number), None, "{number}");
        }
    }

    /// The numbers that real servers answer as unknown although they are named: measured on 7.0.0, 9.0.0, 11.3.0 and
    /// 12.8.0.
    #[test]
    fn events_are_those_that_real_servers_answer_as_unknown() {
        let single = [107, 195, 224, 241, 248, 276, 292, 311, 315, 339, 346, 348, 354, 359, 362, 363, 367];
        let later = [370, 373, 376, 377, 379, 382, 383, 385, 423, 438, 446, 453, 454, 455];
        let ranges = (169..=173).chain(268..=270).chain(318..=333);
        let mut expect: Vec<i32> = single.into_iter().chain(later).chain(ranges).collect();
        expect.sort_unstable();
        assert_eq!((-1..520).filter(|number| is_event(*number)).collect::<Vec<_>>(), expect);
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
        assert_eq!(name("program", 0x6b65_6570), Some("KEEPALIVE"));
        assert_eq!(name("feature", -1), None);
    }

    #[test]
    fn no_table_has_a_number_or_a_name_twice() {
        for (at, known) in NUMBERS.iter().enumerate() {
            let same = |other: &&Number| {
                other.table == known.table && (other.number == known.number || other.name == known.name)
            };
            assert_eq!(NUMBERS[..at].iter().find(same), None, "{known:?}");
        }
    }
}
