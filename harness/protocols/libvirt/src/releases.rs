//! The release table, oldest first; one entry for each change, each with its source.
//!
//! Sources are tags of `libvirt/libvirt` and files, or the release on which it was measured. Where a
//! release between two of the table brought a change, its source names it.

use protocol::dialect::{Change, IDEAL, Release, change};
use transcript::evidence::Shape;

use super::dialect::{
    ClientFacts, Dialect, FreePages, MachineDriver, NoDetail, UnknownUri, UpdateOrder, XmlFaults, XmlPlace,
};
use super::names::{feature, node_device_list_flag, procedures};

/// Every release that was measured, and `ideal`.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release { name: "7.0.0", after: None, changes: FIRST },
    Release { name: "9.0.0", after: Some("7.0.0"), changes: SINCE_7_0_0 },
    Release { name: "11.3.0", after: Some("9.0.0"), changes: SINCE_9_0_0 },
    Release { name: "12.8.0", after: Some("11.3.0"), changes: SINCE_11_3_0 },
    Release {
        name: IDEAL,
        after: Some("12.8.0"),
        changes: &[change(
            "has none of the faults that were measured",
            "libvirt/libvirt@v11.3.0:docs/kbase/internals/rpc.rst; libvirt/libvirt@v11.3.0:docs/support.rst; LV-04 to LV-07, LV-10, LV-11, LV-13",
            Dialect::make_ideal,
        )],
    },
];

/// Every bit by itself was sent to every release, behind arguments that are good; what is refused with 8/12
/// `unsupported flags` is not known.
const FLAGS_MEASURED: &str = "measured on 7.0.0, 9.0.0, 11.3.0 and 12.8.0: each of the 32 bits";

const FLAGS_OF_7_0_0: [(i32, u32); 27] = [
    (procedures::DOMAIN_CREATE_XML, 0x10),
    (procedures::DOMAIN_GET_XML_DESC, 0xb),
    (procedures::NETWORK_GET_XML_DESC, 0),
    (procedures::STORAGE_POOL_GET_XML_DESC, 0),
    (procedures::NODE_NUM_OF_DEVICES, 0),
    (procedures::NODE_LIST_DEVICES, 0),
    (procedures::NODE_DEVICE_GET_XML_DESC, 0),
    (procedures::INTERFACE_GET_XML_DESC, 0),
    (procedures::INTERFACE_DEFINE_XML, 0),
    (procedures::INTERFACE_CREATE, 0),
    (procedures::INTERFACE_DESTROY, 0),
    (procedures::DOMAIN_HAS_MANAGED_SAVE_IMAGE, 0),
    (procedures::DOMAIN_SNAPSHOT_NUM, 0x7ff),
    (procedures::CONNECT_GET_SYSINFO, 0),
    (procedures::DOMAIN_SCREENSHOT, 0),
    (procedures::DOMAIN_GET_STATE, 0),
    (procedures::INTERFACE_CHANGE_BEGIN, 0),
    (procedures::INTERFACE_CHANGE_COMMIT, 0),
    (procedures::INTERFACE_CHANGE_ROLLBACK, 0),
    (procedures::DOMAIN_UNDEFINE_FLAGS, 0x3),
    (procedures::CONNECT_LIST_ALL_DOMAINS, 0xffff),
    (procedures::CONNECT_LIST_ALL_STORAGE_POOLS, 0x000f_ffff),
    (procedures::CONNECT_LIST_ALL_NETWORKS, 0x3f),
    (procedures::CONNECT_LIST_ALL_INTERFACES, 0x3),
    (procedures::CONNECT_LIST_ALL_NODE_DEVICES, 0x001f_ffff),
    (procedures::NETWORK_UPDATE, 0x3),
    (procedures::NODE_GET_FREE_PAGES, 0),
];

const FIRST: &[Change<Dialect>] = &[
    change("is 7.0.0", "measured on 7.0.0: CONNECT_GET_LIB_VERSION", |d| d.lib_version = 7_000_000),
    change("knows the procedures up to 425", "measured on 7.0.0: every number from 0 to 519", |d| {
        d.highest_procedure = 425;
        d.highest_event = 423;
    }),
    change("knows five procedures of program qemu", "measured on 7.0.0", |d| d.qemu.extend(1..=5)),
    change("supports features 8, 9, 10, 14, 15", "measured on 7.0.0: 0 to 24, 999 and -1", |d| {
        d.features.extend([
            feature::FD_PASSING,
            feature::TYPED_PARAM_STRING,
            feature::PROGRAM_KEEPALIVE,
            feature::REMOTE_EVENT_CALLBACK,
            feature::REMOTE_CLOSE_CALLBACK,
        ]);
    }),
    change("procedures know these flags", FLAGS_MEASURED, |d| d.flags.extend(FLAGS_OF_7_0_0)),
    change(
        "the test driver has no function for these",
        "measured on 7.0.0: code 3, where 20 is the domain for 122 and 344, 30 for secrets, 33 for filters",
        |d| {
            d.server.driver_lacks.extend([
                procedures::NODE_GET_SECURITY_MODEL,
                procedures::CONNECT_NUM_OF_SECRETS,
                procedures::CONNECT_NUM_OF_NWFILTERS,
                procedures::CONNECT_LIST_ALL_NWFILTERS,
                procedures::CONNECT_LIST_ALL_SECRETS,
                procedures::CONNECT_GET_ALL_DOMAIN_STATS,
            ]);
        },
    ),
];

const SINCE_7_0_0: &[Change<Dialect>] = &[
    change("is 9.0.0", "measured on 9.0.0: CONNECT_GET_LIB_VERSION", |d| d.lib_version = 9_000_000),
    change("learns procedures up to 443", "measured on 9.0.0: every number from 0 to 519", |d| {
        d.highest_procedure = 443;
        d.highest_event = 438;
    }),
    change("learns number 7 of program qemu", "measured on 9.0.0", |d| {
        d.qemu.insert(7);
    }),
    change(
        "orders the integers of 291 as the protocol has them, and says so with feature 16",
        "libvirt/libvirt@v7.2.0:src/libvirt-network.c and NEWS.rst; measured on 9.0.0",
        |d: &mut Dialect| {
            d.update_order = UpdateOrder::CommandFirst;
            d.features.insert(feature::NETWORK_UPDATE_HAS_CORRECT_ORDER);
        },
    )
    .breaks(&[("client/net-update", Shape::LOUD_FAIL)])
    .declares(&[(
        "remote/291",
        "section, command -> command, section; a server that does so says it with feature 16",
    )]),
    change("lists of node devices know one more capability", FLAGS_MEASURED, |d| {
        d.flags.insert(procedures::CONNECT_LIST_ALL_NODE_DEVICES, 0x003f_ffff);
    }),
    change("definitions of interfaces can be validated", FLAGS_MEASURED, |d| {
        d.flags.insert(procedures::INTERFACE_DEFINE_XML, 0x1);
    }),
    change("the test driver has statistics and a security model", "measured on 9.0.0: 122 and 344", |d| {
        d.server.driver_lacks.remove(&procedures::NODE_GET_SECURITY_MODEL);
        d.server.driver_lacks.remove(&procedures::CONNECT_GET_ALL_DOMAIN_STATS);
    }),
    change("finds no driver for an unknown address", "measured on 9.0.0: 5/0, where 7.0.0 has 38/7", |d| {
        d.server.unknown_uri = UnknownUri::NoDriver;
    }),
    change(
        "the driver for the machine's interfaces reads udev and changes nothing",
        "measured on 9.0.0: 3/26, where 7.0.0 has netcf",
        |d| d.server.machine = MachineDriver::Udev,
    ),
    change(
        "the reader of XML looks at the outermost element and its kind",
        "measured on 9.0.0: 27/5, where 7.0.0 has 27/26 and 67/26",
        |d| d.server.xml_faults = XmlFaults::Reader,
    ),
    change("sends no detail where there is none", "measured on 9.0.0: `Domain not found`", |d| {
        d.server.no_detail = NoDetail::Absent;
    }),
    change(
        "the test driver has no function for what was learned",
        "measured on 9.0.0: 3/20 for 427 and 442, 3/22 for 433, 435 and 436",
        |d| {
            d.server.driver_lacks.extend([
                procedures::DOMAIN_START_DIRTY_RATE_CALC,
                procedures::NODE_DEVICE_GET_AUTOSTART,
                procedures::NODE_DEVICE_IS_PERSISTENT,
                procedures::NODE_DEVICE_IS_ACTIVE,
                procedures::DOMAIN_ABORT_JOB_FLAGS,
            ]);
        },
    ),
    change("virsh uses what was learned", "measured on virsh 9.0.0", |d| {
        d.client = ClientFacts {
            asks_update_order: true,
            node_device_list_flags: node_device_list_flag::ACTIVE,
            node_device_state: true,
            job_flags: true,
            ..d.client
        };
    }),
    change(
        "virsh ends an iface-destroy that worked with exit code 1",
        "measured on virsh 9.0.0, 11.3.0 and 12.8.0, whatever the server, where 7.0.0 ends with 0",
        |d| d.client.destroy_ends_badly = true,
    ),
];

const SINCE_9_0_0: &[Change<Dialect>] = &[
    change("is 11.3.0", "measured on 11.3.0: CONNECT_GET_LIB_VERSION", |d| d.lib_version = 11_003_000),
    change(
        "learns procedures up to 452",
        "measured on 11.3.0: every number from 0 to 519",
        |d: &mut Dialect| {
            d.highest_procedure = 452;
            d.highest_event = 453;
        },
    )
    .breaks(&[("client/net-desc*", Shape::LOUD_FAIL)]),
    change(
        "lists of node devices know two more capabilities, and whether a device is active and persistent",
        FLAGS_MEASURED,
        |d: &mut Dialect| {
            d.flags.insert(procedures::CONNECT_LIST_ALL_NODE_DEVICES, 0xf0ff_ffff);
        },
    )
    .breaks(&[("client/nodedev-list", Shape::LOUD_FAIL)]),
    change("descriptions of node devices can be those of inactive ones", FLAGS_MEASURED, |d| {
        d.flags.insert(procedures::NODE_DEVICE_GET_XML_DESC, 0x1);
    }),
    change("metadata of networks know two flags", FLAGS_MEASURED, |d| {
        d.flags.extend([(procedures::NETWORK_SET_METADATA, 0x3), (procedures::NETWORK_GET_METADATA, 0x3)]);
    }),
    change("the test driver has no function for 449", "measured on 11.3.0: 3/20", |d| {
        d.server.driver_lacks.insert(procedures::DOMAIN_GET_AUTOSTART_ONCE);
    }),
    change(
        "the test driver says whether a node device is active and persistent",
        "libvirt/libvirt@v10.3.0:src/test/test_driver.c; measured on 11.3.0: 433 alone is missing",
        |d| {
            d.server.driver_lacks.remove(&procedures::NODE_DEVICE_IS_PERSISTENT);
            d.server.driver_lacks.remove(&procedures::NODE_DEVICE_IS_ACTIVE);
        },
    ),
    change(
        "refuses a product of pages and cells that does not fit 32 bits",
        "measured on 11.3.0-3+deb13u3, which has the patch of CVE-2026-18917, as deb13u2 has not",
        |d| d.server.free_pages = FreePages::Refused,
    ),
    change("numbers the places in formats", "measured on 11.3.0: `internal error: %1$s`", |d| {
        d.server.numbered_formats = true;
    }),
    change("writes places in XML as lines", "measured on 11.3.0: `at line 1:`", |d| {
        d.server.xml_place = XmlPlace::Line;
    }),
    change("virsh reads and writes metadata of networks", "measured on virsh 11.3.0: 444, 445", |d| {
        d.client.network_metadata = true;
    }),
];

const SINCE_11_3_0: &[Change<Dialect>] = &[
    change("is 12.8.0", "measured on 12.8.0: CONNECT_GET_LIB_VERSION", |d| d.lib_version = 12_008_000),
    change(
        "learns 456 and two events",
        "measured on 12.8.0: every number from 0 to 519, of which 454 and 455 are taken for events",
        |d| {
            d.highest_procedure = 456;
            d.highest_event = 455;
        },
    ),
    change("the test driver has no function for 456", "measured on 12.8.0: 3/20", |d| {
        d.server.driver_lacks.insert(procedures::DOMAIN_ANNOUNCE_INTERFACE);
    }),
    change("virsh announces interfaces", "measured on virsh 12.8.0: 456", |d| {
        d.client.announces_interfaces = true;
    }),
    change(
        "virsh says that it does not know whether a device is started by itself",
        "measured on virsh 12.8.0: `unknown`, `no autostart` on 9.0.0 and 11.3.0",
        |d| d.client.unknown_autostart = "unknown",
    ),
];
