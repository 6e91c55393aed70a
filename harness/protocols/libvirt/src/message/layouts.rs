//! What the procedures carry that virsh uses in the recorded scripts, and the probes.
//!
//! Sources: `libvirt/libvirt@v11.3.0:src/remote/remote_protocol.x` and `src/remote/qemu_protocol.x`, in the
//! order of their numbers; read back from recordings where a fixture holds them. The others are opaque.

use super::layout::{
    Bound, Layout, Part, call, char_list, chars, event, flags, group, hyper, int, list, opaque, optional,
    optional_text, parameters, qemu, rest, set, text, uint, unsigned_hyper, uuid,
};
use super::masks::{CLOCK, DOCUMENT, HOSTNAME, STR1, STR2, TEXT, UUID, VERSION};
use crate::dialect::{Dialect, UpdateOrder};
use crate::names::{self, procedures as p, program};

type Parts = &'static [Part];

const VOID: Parts = &[];
const FLAGS: Part = flags("flags");
const NUMBER: Parts = &[int("num")];
const MAX_NAMES: Parts = &[int("maxnames")];
const NAME: Parts = &[text("name")];
const XML: Parts = &[text("xml")];
const XML_FLAGS: Parts = &[text("xml"), FLAGS];
/// Descriptions other than those of interfaces: releases add elements.
const DOCUMENT_XML: Parts = &[text("xml").masked(DOCUMENT)];
const TEXTS: Parts = &[text("")];
const CALLBACK: Part = int("callback_id");
const NEED_RESULTS: Parts = &[int("need_results"), FLAGS];
const RETURNED: Part = uint("ret");

const DOMAIN: Parts = &[text("name"), uuid("uuid"), int("id")];
const NETWORK: Parts = &[text("name"), uuid("uuid")];
const INTERFACE: Parts = &[text("name"), text("mac")];
const POOL: Parts = &[text("name"), uuid("uuid")];

/// The uuid is the server's invention where the XML names none.
const NEW_DOMAIN: Parts = &[group("dom", &[text("name"), uuid("uuid").masked(UUID), int("id")])];
const NEW_NETWORK: Parts = &[group("net", &[text("name"), uuid("uuid").masked(UUID)])];

const DOM: Part = group("dom", DOMAIN);
const NET: Part = group("net", NETWORK);
const IFACE: Part = group("iface", INTERFACE);
const OF_DOM: Parts = &[DOM];
const OF_DOM_FLAGS: Parts = &[DOM, FLAGS];
const OF_NET: Parts = &[NET];
const OF_NET_FLAGS: Parts = &[NET, FLAGS];
const OF_IFACE: Parts = &[IFACE];
const OF_IFACE_FLAGS: Parts = &[IFACE, FLAGS];
const OF_POOL: Parts = &[group("pool", POOL)];
const ACTIVE: Parts = &[int("active")];
const PERSISTENT: Parts = &[int("persistent")];
const AUTOSTART: Parts = &[int("autostart")];
const NAMES: Parts = &[set("names", Bound::List, TEXTS)];
const SASL_DATA: Part = char_list("data", Bound::SaslData);
const SASL_RESULT: Parts = &[int("complete"), int("nil"), SASL_DATA];

/// An error, in replies and at the end of streams. `src/rpc/virnetprotocol.x`.
pub(crate) const ERROR: Parts = &[
    int("code").labelled(error_name),
    int("domain").labelled(error_domain_name),
    optional_text("message").masked(TEXT),
    int("level").labelled(error_level_name),
    optional("dom", DOMAIN),
    optional_text("str1").masked(STR1),
    optional_text("str2").masked(STR2),
    optional_text("str3"),
    int("int1"),
    int("int2"),
    optional("net", NETWORK),
];

/// A hole in a stream. `src/rpc/virnetprotocol.x`.
pub(crate) const STREAM_HOLE: Parts = &[hyper("hole_length"), FLAGS];

const UPDATE_SECTION_FIRST: Layout = call(
    p::NETWORK_UPDATE,
    &[
        NET,
        uint("section").labelled(section_name),
        uint("command").labelled(command_name),
        int("parent_index"),
        text("xml"),
        FLAGS,
    ],
    VOID,
);

const UPDATE_COMMAND_FIRST: Layout = call(
    p::NETWORK_UPDATE,
    &[
        NET,
        uint("command").labelled(command_name),
        uint("section").labelled(section_name),
        int("parent_index"),
        text("xml"),
        FLAGS,
    ],
    VOID,
);

/// The layout of a procedure or event, where one is known, in a dialect that has it or not: numbers are
/// never reused.
#[must_use]
pub(crate) fn layout(dialect: &Dialect, program: u32, procedure: i32) -> Option<&'static Layout> {
    if (program, procedure) == (program::REMOTE, p::NETWORK_UPDATE) {
        return Some(match dialect.update_order {
            UpdateOrder::SectionFirst => &UPDATE_SECTION_FIRST,
            UpdateOrder::CommandFirst => &UPDATE_COMMAND_FIRST,
        });
    }
    let key = |layout: &Layout| (layout.program, layout.procedure);
    let at = LAYOUTS.binary_search_by_key(&(program, procedure), key).ok()?;
    LAYOUTS.get(at)
}

/// In the order of programs and numbers; 291 stands by itself.
#[rustfmt::skip]
pub(super) static LAYOUTS: &[Layout] = &[
    call(p::CONNECT_OPEN, &[optional_text("uri"), FLAGS], VOID),
    call(p::CONNECT_CLOSE, VOID, VOID),
    call(p::CONNECT_GET_TYPE, VOID, &[text("driver_type")]),
    call(p::CONNECT_GET_VERSION, VOID, &[unsigned_hyper("hv_ver")]),
    call(p::CONNECT_GET_MAX_VCPUS, &[optional_text("domain_type")], &[int("max_vcpus")]),
    call(p::NODE_GET_INFO, VOID, &[
        chars("model", 32), unsigned_hyper("memory"), int("cpus"), int("mhz"), int("nodes"), int("sockets"),
        int("cores"), int("threads"),
    ]),
    call(p::CONNECT_GET_CAPABILITIES, VOID, &[text("capabilities").masked(DOCUMENT)]),
    call(p::DOMAIN_CREATE, OF_DOM, VOID),
    call(p::DOMAIN_CREATE_XML, XML_FLAGS, NEW_DOMAIN),
    call(p::DOMAIN_DEFINE_XML, XML, NEW_DOMAIN),
    call(p::DOMAIN_DESTROY, OF_DOM, VOID),
    call(p::DOMAIN_GET_XML_DESC, OF_DOM_FLAGS, DOCUMENT_XML),
    call(p::DOMAIN_GET_AUTOSTART, OF_DOM, AUTOSTART),
    call(p::DOMAIN_GET_INFO, OF_DOM, &[
        uint("state").labelled(domain_state_name), unsigned_hyper("max_mem"), unsigned_hyper("memory"),
        uint("nr_virt_cpu"), unsigned_hyper("cpu_time").masked(CLOCK),
    ]),
    call(p::DOMAIN_GET_OS_TYPE, OF_DOM, &[text("os_type")]),
    call(p::DOMAIN_GET_VCPUS, &[DOM, int("maxinfo"), int("maplen")], &[
        list("info", Bound::Of(2048), &[
            uint("number"), int("state"), unsigned_hyper("cpu_time").masked(CLOCK), int("cpu"),
        ]),
        opaque("cpumaps", Bound::Of(16_384)),
    ]),
    call(p::CONNECT_LIST_DEFINED_DOMAINS, MAX_NAMES, NAMES),
    call(p::DOMAIN_LOOKUP_BY_ID, &[int("id")], OF_DOM),
    call(p::DOMAIN_LOOKUP_BY_NAME, NAME, OF_DOM),
    call(p::DOMAIN_LOOKUP_BY_UUID, &[uuid("uuid")], OF_DOM),
    call(p::CONNECT_NUM_OF_DEFINED_DOMAINS, VOID, NUMBER),
    call(p::DOMAIN_RESUME, OF_DOM, VOID),
    call(p::DOMAIN_SHUTDOWN, OF_DOM, VOID),
    call(p::DOMAIN_SUSPEND, OF_DOM, VOID),
    call(p::DOMAIN_UNDEFINE, OF_DOM, VOID),
    call(p::CONNECT_LIST_DEFINED_NETWORKS, MAX_NAMES, NAMES),
    call(p::CONNECT_LIST_DOMAINS, &[int("maxids")], &[set("ids", Bound::List, &[int("")])]),
    call(p::CONNECT_LIST_NETWORKS, MAX_NAMES, NAMES),
    call(p::NETWORK_CREATE, OF_NET, VOID),
    call(p::NETWORK_CREATE_XML, XML, NEW_NETWORK),
    call(p::NETWORK_DEFINE_XML, XML, NEW_NETWORK),
    call(p::NETWORK_DESTROY, OF_NET, VOID),
    call(p::NETWORK_GET_XML_DESC, OF_NET_FLAGS, DOCUMENT_XML),
    call(p::NETWORK_GET_AUTOSTART, OF_NET, AUTOSTART),
    call(p::NETWORK_GET_BRIDGE_NAME, OF_NET, NAME),
    call(p::NETWORK_LOOKUP_BY_NAME, NAME, OF_NET),
    call(p::NETWORK_LOOKUP_BY_UUID, &[uuid("uuid")], OF_NET),
    call(p::NETWORK_SET_AUTOSTART, &[NET, int("autostart")], VOID),
    call(p::NETWORK_UNDEFINE, OF_NET, VOID),
    call(p::CONNECT_NUM_OF_DEFINED_NETWORKS, VOID, NUMBER),
    call(p::CONNECT_NUM_OF_DOMAINS, VOID, NUMBER),
    call(p::CONNECT_NUM_OF_NETWORKS, VOID, NUMBER),
    call(p::CONNECT_GET_HOSTNAME, VOID, &[text("hostname").masked(HOSTNAME)]),
    call(p::CONNECT_SUPPORTS_FEATURE, &[int("feature").labelled(feature_name)], &[int("supported")]),
    call(p::AUTH_LIST, VOID, &[list("types", Bound::AuthTypes, &[int("").labelled(auth_name)])]),
    call(p::AUTH_SASL_INIT, VOID, &[text("mechlist")]),
    call(p::AUTH_SASL_START, &[text("mech"), int("nil"), SASL_DATA], SASL_RESULT),
    call(p::AUTH_SASL_STEP, &[int("nil"), SASL_DATA], SASL_RESULT),
    call(p::AUTH_POLKIT, VOID, &[int("complete")]),
    call(p::CONNECT_NUM_OF_STORAGE_POOLS, VOID, NUMBER),
    call(p::CONNECT_LIST_STORAGE_POOLS, MAX_NAMES, NAMES),
    call(p::CONNECT_NUM_OF_DEFINED_STORAGE_POOLS, VOID, NUMBER),
    call(p::CONNECT_LIST_DEFINED_STORAGE_POOLS, MAX_NAMES, NAMES),
    call(p::STORAGE_POOL_LOOKUP_BY_NAME, NAME, OF_POOL),
    call(p::STORAGE_POOL_LOOKUP_BY_UUID, &[uuid("uuid")], OF_POOL),
    call(p::STORAGE_POOL_GET_INFO, OF_POOL, &[
        uint("state"), unsigned_hyper("capacity"), unsigned_hyper("allocation"), unsigned_hyper("available"),
    ]),
    call(p::STORAGE_POOL_GET_XML_DESC, &[group("pool", POOL), FLAGS], DOCUMENT_XML),
    call(p::STORAGE_POOL_GET_AUTOSTART, OF_POOL, AUTOSTART),
    call(p::STORAGE_POOL_NUM_OF_VOLUMES, OF_POOL, NUMBER),
    call(p::NODE_GET_CELLS_FREE_MEMORY, &[int("start_cell"), int("maxcells")], &[
        list("cells", Bound::Cells, &[unsigned_hyper("")]),
    ]),
    call(p::NODE_GET_FREE_MEMORY, VOID, &[unsigned_hyper("free_mem")]),
    call(p::CONNECT_DOMAIN_EVENT_REGISTER, VOID, &[int("cb_registered")]),
    call(p::CONNECT_DOMAIN_EVENT_DEREGISTER, VOID, &[int("cb_registered")]),
    event(p::DOMAIN_EVENT_LIFECYCLE, &[DOM, int("event").labelled(lifecycle_name), int("detail")]),
    call(p::CONNECT_GET_URI, VOID, &[text("uri")]),
    call(p::NODE_NUM_OF_DEVICES, &[optional_text("cap"), FLAGS], NUMBER),
    call(p::NODE_LIST_DEVICES, &[optional_text("cap"), int("maxnames"), FLAGS], &[
        set("names", Bound::NodeDevices, TEXTS),
    ]),
    call(p::NODE_DEVICE_LOOKUP_BY_NAME, NAME, &[group("dev", NAME)]),
    call(p::NODE_DEVICE_GET_XML_DESC, &[text("name"), FLAGS], DOCUMENT_XML),
    call(p::NODE_DEVICE_GET_PARENT, NAME, &[optional_text("parent")]),
    call(p::NODE_DEVICE_NUM_OF_CAPS, NAME, NUMBER),
    call(p::NODE_DEVICE_LIST_CAPS, &[text("name"), int("maxnames")], &[
        set("names", Bound::NodeDevices, TEXTS),
    ]),
    call(p::DOMAIN_GET_SECURITY_LABEL, OF_DOM, &[char_list("label", Bound::Of(4097)), int("enforcing")]),
    call(p::NODE_GET_SECURITY_MODEL, VOID, &[
        char_list("model", Bound::Of(257)), char_list("doi", Bound::Of(257)),
    ]),
    call(p::CONNECT_NUM_OF_INTERFACES, VOID, NUMBER),
    call(p::CONNECT_LIST_INTERFACES, MAX_NAMES, NAMES),
    call(p::INTERFACE_LOOKUP_BY_NAME, NAME, OF_IFACE),
    call(p::INTERFACE_LOOKUP_BY_MAC_STRING, &[text("mac")], OF_IFACE),
    call(p::INTERFACE_GET_XML_DESC, OF_IFACE_FLAGS, XML),
    call(p::INTERFACE_DEFINE_XML, XML_FLAGS, OF_IFACE),
    call(p::INTERFACE_UNDEFINE, OF_IFACE, VOID),
    call(p::INTERFACE_CREATE, OF_IFACE_FLAGS, VOID),
    call(p::INTERFACE_DESTROY, OF_IFACE_FLAGS, VOID),
    call(p::CONNECT_NUM_OF_DEFINED_INTERFACES, VOID, NUMBER),
    call(p::CONNECT_LIST_DEFINED_INTERFACES, MAX_NAMES, NAMES),
    call(p::CONNECT_IS_SECURE, VOID, &[int("secure")]),
    call(p::DOMAIN_IS_ACTIVE, OF_DOM, ACTIVE),
    call(p::DOMAIN_IS_PERSISTENT, OF_DOM, PERSISTENT),
    call(p::NETWORK_IS_ACTIVE, OF_NET, ACTIVE),
    call(p::NETWORK_IS_PERSISTENT, OF_NET, PERSISTENT),
    call(p::STORAGE_POOL_IS_ACTIVE, OF_POOL, ACTIVE),
    call(p::STORAGE_POOL_IS_PERSISTENT, OF_POOL, PERSISTENT),
    call(p::INTERFACE_IS_ACTIVE, OF_IFACE, ACTIVE),
    call(p::CONNECT_GET_LIB_VERSION, VOID, &[unsigned_hyper("lib_ver").masked(VERSION)]),
    call(p::DOMAIN_ABORT_JOB, OF_DOM, VOID),
    call(p::CONNECT_DOMAIN_EVENT_REGISTER_ANY, &[int("event_id")], VOID),
    call(p::CONNECT_DOMAIN_EVENT_DEREGISTER_ANY, &[int("event_id")], VOID),
    call(p::DOMAIN_HAS_MANAGED_SAVE_IMAGE, OF_DOM_FLAGS, &[int("result")]),
    call(p::DOMAIN_SNAPSHOT_NUM, OF_DOM_FLAGS, NUMBER),
    call(p::CONNECT_GET_SYSINFO, &[FLAGS], &[text("sysinfo").masked(DOCUMENT)]),
    call(p::DOMAIN_SCREENSHOT, &[DOM, uint("screen"), FLAGS], &[optional_text("mime")]),
    call(p::DOMAIN_GET_STATE, OF_DOM_FLAGS, &[int("state").labelled(domain_state_name), int("reason")]),
    call(p::INTERFACE_CHANGE_BEGIN, &[FLAGS], VOID),
    call(p::INTERFACE_CHANGE_COMMIT, &[FLAGS], VOID),
    call(p::INTERFACE_CHANGE_ROLLBACK, &[FLAGS], VOID),
    call(p::DOMAIN_UNDEFINE_FLAGS, OF_DOM_FLAGS, VOID),
    call(p::CONNECT_LIST_ALL_DOMAINS, NEED_RESULTS, &[set("domains", Bound::List, DOMAIN), RETURNED]),
    call(p::CONNECT_LIST_ALL_STORAGE_POOLS, NEED_RESULTS, &[set("pools", Bound::List, POOL), RETURNED]),
    call(p::CONNECT_LIST_ALL_NETWORKS, NEED_RESULTS, &[set("nets", Bound::List, NETWORK), RETURNED]),
    call(p::CONNECT_LIST_ALL_INTERFACES, NEED_RESULTS, &[set("ifaces", Bound::List, INTERFACE), RETURNED]),
    call(p::CONNECT_LIST_ALL_NODE_DEVICES, NEED_RESULTS, &[
        set("devices", Bound::NodeDevices, NAME), RETURNED,
    ]),
    call(p::CONNECT_NETWORK_EVENT_REGISTER_ANY, &[int("event_id"), optional("net", NETWORK)], &[CALLBACK]),
    call(p::CONNECT_NETWORK_EVENT_DEREGISTER_ANY, &[CALLBACK], VOID),
    event(p::NETWORK_EVENT_LIFECYCLE, &[CALLBACK, NET, int("event"), int("detail")]),
    call(p::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, &[int("event_id"), optional("dom", DOMAIN)], &[
        CALLBACK,
    ]),
    call(p::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, &[CALLBACK], VOID),
    event(p::DOMAIN_EVENT_CALLBACK_LIFECYCLE, &[
        CALLBACK, DOM, int("event").labelled(lifecycle_name), int("detail"),
    ]),
    event(p::DOMAIN_EVENT_CALLBACK_REBOOT, &[CALLBACK, DOM]),
    call(p::NODE_GET_FREE_PAGES, &[
        list("pages", Bound::Cells, &[uint("")]), int("start_cell"), uint("cell_count"), FLAGS,
    ], &[list("counts", Bound::Cells, &[unsigned_hyper("")])]),
    call(p::CONNECT_REGISTER_CLOSE_CALLBACK, VOID, VOID),
    call(p::CONNECT_UNREGISTER_CLOSE_CALLBACK, VOID, VOID),
    event(p::CONNECT_EVENT_CONNECTION_CLOSED, &[int("reason")]),
    call(p::CONNECT_SET_IDENTITY, &[parameters("params", Bound::Identity), FLAGS], VOID),
    call(p::DOMAIN_GET_MESSAGES, OF_DOM_FLAGS, &[list("msgs", Bound::Of(2048), TEXTS)]),
    call(p::DOMAIN_START_DIRTY_RATE_CALC, &[DOM, int("seconds"), FLAGS], VOID),
    call(p::NODE_DEVICE_GET_AUTOSTART, NAME, AUTOSTART),
    call(p::NODE_DEVICE_IS_PERSISTENT, NAME, PERSISTENT),
    call(p::NODE_DEVICE_IS_ACTIVE, NAME, ACTIVE),
    call(p::DOMAIN_ABORT_JOB_FLAGS, OF_DOM_FLAGS, VOID),
    call(p::DOMAIN_FD_ASSOCIATE, &[DOM, text("name"), FLAGS], VOID),
    call(p::NETWORK_SET_METADATA, &[
        NET, int("metadata_type"), optional_text("metadata"), optional_text("key"), optional_text("uri"), FLAGS,
    ], VOID),
    call(p::NETWORK_GET_METADATA, &[NET, int("metadata_type"), optional_text("uri"), FLAGS], &[text("metadata")]),
    call(p::DOMAIN_GET_AUTOSTART_ONCE, OF_DOM, AUTOSTART),
    // In no source that was read; the domain was seen in a recording of virsh 12.8.0.
    call(p::DOMAIN_ANNOUNCE_INTERFACE, &[DOM, rest("unknown")], VOID),
    qemu(names::qemu::DOMAIN_MONITOR_COMMAND, &[DOM, text("cmd"), FLAGS], &[text("result")]),
    qemu(names::qemu::DOMAIN_ATTACH, &[uint("pid"), FLAGS], OF_DOM),
];

fn error_name(number: i64) -> Option<&'static str> {
    names::error::name(i32::try_from(number).ok()?)
}

fn error_domain_name(number: i64) -> Option<&'static str> {
    names::error_domain::name(i32::try_from(number).ok()?)
}

fn error_level_name(number: i64) -> Option<&'static str> {
    names::error_level::name(i32::try_from(number).ok()?)
}

fn feature_name(number: i64) -> Option<&'static str> {
    names::feature::name(i32::try_from(number).ok()?)
}

fn auth_name(number: i64) -> Option<&'static str> {
    names::auth::name(i32::try_from(number).ok()?)
}

fn lifecycle_name(number: i64) -> Option<&'static str> {
    names::lifecycle::name(i32::try_from(number).ok()?)
}

fn domain_state_name(number: i64) -> Option<&'static str> {
    names::domain_state::name(i32::try_from(number).ok()?)
}

fn command_name(number: i64) -> Option<&'static str> {
    names::update_command::name(u32::try_from(number).ok()?)
}

fn section_name(number: i64) -> Option<&'static str> {
    names::update_section::name(u32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;

    #[test]
    fn layouts_are_in_order_and_have_names() {
        let keys: Vec<_> = LAYOUTS.iter().map(|layout| (layout.program, layout.procedure)).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
        for (program, procedure) in keys {
            assert!(names::procedure_name(program, procedure).is_some(), "{program:#x} {procedure}");
        }
    }

    /// A field is found by its name, so a payload may have none that the header has.
    #[test]
    fn no_part_is_called_like_a_field_of_the_header() {
        const HEAD: [&str; 8] =
            ["length", "program", "version", "procedure", "type", "serial", "status", "descriptors"];
        let of_updates = [&UPDATE_COMMAND_FIRST, &UPDATE_SECTION_FIRST];
        for layout in LAYOUTS.iter().chain(of_updates) {
            for part in layout.arguments.iter().chain(layout.result) {
                assert!(!HEAD.contains(&part.name), "{} of {}", part.name, layout.procedure);
            }
        }
        assert!(ERROR.iter().chain(STREAM_HOLE).all(|part| !HEAD.contains(&part.name)));
    }

    #[test]
    fn events_have_no_arguments() {
        for layout in LAYOUTS.iter().filter(|layout| layout.program == program::REMOTE) {
            let kind = names::procedure(layout.procedure).map(|procedure| procedure.kind);
            if kind == Some(names::ProcedureKind::Event) {
                assert!(layout.arguments.is_empty(), "{}", layout.procedure);
            }
        }
    }

    #[test]
    fn the_order_of_291_is_that_of_the_dialect() {
        for (name, first) in [("7.0.0", "section"), ("9.0.0", "command"), ("ideal", "command")] {
            let dialect = DIALECTS.named(name).expect("in the table");
            let layout = layout(dialect, program::REMOTE, p::NETWORK_UPDATE).expect("known");
            assert_eq!(layout.arguments.get(1).map(|part| part.name), Some(first), "{name}");
        }
    }
}
