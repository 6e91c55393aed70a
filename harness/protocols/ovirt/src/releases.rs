//! The release table, oldest first; one entry for each change, each with its source.

use protocol::dialect::{self, Change, Facts as _, IDEAL, Release};

use super::dialect::{
    AgentFacts, Announces, Dialect, FirstHeartbeat, HostFacts, PATCHED_MAX_2, RefreshValue, RestOfChunk,
    Stores,
};
use super::names as n;

/// How many bytes of an unfinished line a host keeps.
pub(super) const LINE_MAX: usize = 1 << 20;
/// The port up to 1.0.12.3.
const OLD_PORT: &str = "com.redhat.rhevm.vdsm";
/// The port from 1.0.13 on.
const NEW_PORT: &str = "ovirt-guest-agent.0";
/// How deep what is sent back may be nested: 900 lists are too many (measured on 1.0.9 to 1.0.16).
const ECHO_DEPTH_MAX: usize = 890;
/// Digits of a number that Python 3.11 and later still read.
const DIGITS_MAX: usize = 4300;

/// As the kit's [`dialect::change`], of this protocol.
const fn change(what: &'static str, source: &'static str, apply: fn(&mut Dialect)) -> Change<Dialect> {
    dialect::change(what, source, apply)
}

/// Every release that changed something: agents, hosts, and `ideal`.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release {
        name: "1.0.5",
        after: None,
        changes: &[change(
            "level 0 only, no `apiVersion` anywhere",
            "oVirt/ovirt-guest-agent@1.0.5:ovirt-guest-agent/OVirtAgentLogic.py; measured on 1.0.7",
            |d| d.agent = Some(first_agent()),
        )],
    },
    Release {
        name: "1.0.8",
        after: Some("1.0.5"),
        changes: &[
            change("sends fqdn at start and in refresh answers", "oVirt/ovirt-guest-agent@1.0.8; measured on 1.0.9", |d| {
                d.agent().sends.insert(n::FQDN, 0);
            }),
            change("filters characters on sending", "oVirt/ovirt-guest-agent@1.0.8; measured on 1.0.9", |d| {
                d.agent().filters = true;
            }),
            change("understands `reboot` of shutdown", "oVirt/ovirt-guest-agent@1.0.8", |d| d.agent().reboot = true),
        ],
    },
    Release {
        name: "1.0.9",
        after: Some("1.0.8"),
        changes: &[change("memory-stat tells of swap space", "oVirt/ovirt-guest-agent@1.0.9; measured on 1.0.9", |d| {
            d.agent().swap_space = true;
        })],
    },
    Release {
        name: "1.0.9.1",
        after: Some("1.0.9"),
        changes: &[
            change("has versions, maximum 1", "oVirt/ovirt-guest-agent@906949e; https://bugzilla.redhat.com/show_bug.cgi?id=1063281; measured on 1.0.9.1", |d| {
                let a = d.agent();
                a.max = Some(1);
                a.understands.insert(n::API_VERSION_MESSAGE);
            })
            .declares(&[("max", "none -> 1"), ("guest-to-host/heartbeat", "says the maximum")]),
            change("learns number-of-cpus", "oVirt/ovirt-guest-agent@1.0.9.1; measured on 1.0.9.1", |d| {
                let a = d.agent();
                a.sends.insert(n::NUMBER_OF_CPUS, 1);
                a.understands.insert(n::SET_NUMBER_OF_CPUS);
            })
            .declares(&[("min.number-of-cpus", "a new message")]),
            change("memory-stat tells of buffers", "measured on 1.0.9.1", |d| d.agent().buffers = true),
        ],
    },
    Release {
        name: "1.0.10",
        after: Some("1.0.9.1"),
        changes: &[change(
            "sends fqdn in the periodic pass",
            "oVirt/ovirt-guest-agent@1.0.10; measured on 1.0.11.2, not on 1.0.9.1",
            |d| d.agent().fqdn_periodic = true,
        )],
    },
    Release {
        name: "1.0.10.2",
        after: Some("1.0.10"),
        changes: &[change("disks-usage has the mapping", "oVirt/ovirt-guest-agent@1.0.10.2", |d| d.agent().mapping = true)],
    },
    Release {
        name: "1.0.11",
        after: Some("1.0.10.2"),
        changes: &[
            change("maximum 2: os-info, timezone", "oVirt/ovirt-guest-agent@1.0.11; measured on 1.0.11.2", |d| {
                let a = d.agent();
                a.max = Some(2);
                a.sends.extend([(n::OS_INFO, 2), (n::TIMEZONE, 2)]);
            })
            .declares(&[
                ("max", "1 -> 2"),
                ("min.os-info", "a new message"),
                ("min.timezone", "a new message"),
            ]),
            change("a refresh answer follows a change", "oVirt/ovirt-guest-agent@deeaf0f; measured on 1.0.11.2", |d| {
                d.agent().answers_after_change = true;
            }),
        ],
    },
    Release {
        name: "1.0.11.3",
        after: Some("1.0.11"),
        changes: &[change(
            "the first heartbeat of a process says 0",
            "oVirt/ovirt-guest-agent@55b63a2; https://bugzilla.redhat.com/show_bug.cgi?id=1285851; measured on 1.0.11.3",
            |d| d.agent().first_heartbeat = FirstHeartbeat::Zero,
        )
        .declares(&[("first-heartbeat", "the maximum -> 0")])],
    },
    Release {
        name: "1.0.12",
        after: Some("1.0.11.3"),
        changes: &[change(
            "maximum 3: containers, lifecycle events and their completion",
            "oVirt/ovirt-guest-agent@1.0.12; measured on 1.0.12.3",
            |d| {
                let a = d.agent();
                a.max = Some(3);
                a.sends.extend([(n::CONTAINERS, 3), (n::COMPLETION, 3)]);
                a.understands.insert(n::LIFECYCLE_EVENT);
            },
        )
        .declares(&[
            ("max", "2 -> 3"),
            ("min.completion", "a new message"),
            ("min.containers", "a new message"),
        ])],
    },
    Release {
        name: "1.0.12.3",
        after: Some("1.0.12"),
        changes: &[change(
            "session-startup at start and in every refresh answer, session-shutdown at the end",
            "oVirt/ovirt-guest-agent@baa1be1; oVirt/ovirt-guest-agent@d89d961; https://bugzilla.redhat.com/show_bug.cgi?id=1341106; measured on 1.0.12.3",
            |d| d.agent().session_startup = true,
        )],
    },
    Release {
        name: "1.0.13",
        after: Some("1.0.12.3"),
        changes: &[change("another name of the port", "oVirt/ovirt-guest-agent@7d97f4693; https://bugzilla.redhat.com/show_bug.cgi?id=1350334", |d| {
            d.agent().port = NEW_PORT;
        })],
    },
    Release {
        name: "4.11.0",
        after: None,
        changes: &[change(
            "no versions; a limit of 1 MiB for a line; the filter of characters",
            "oVirt/vdsm@v4.11.0:vdsm/guestIF.py; measured on 4.13.4",
            |d| d.host = Some(first_host()),
        )],
    },
    Release {
        name: "4.12.0",
        after: Some("4.11.0"),
        changes: &[change("understands fqdn", "oVirt/vdsm@v4.12.0; measured on 4.13.4", |d| {
            d.host().understands.insert(n::FQDN);
        })],
    },
    Release {
        name: "4.14.8",
        after: Some("4.12.0"),
        changes: &[change(
            "has versions, maximum 1, an empty lookup table, and keeps the raw value",
            "oVirt/vdsm@9a00df7a7; oVirt/vdsm@e8eaf0089; https://bugzilla.redhat.com/show_bug.cgi?id=1063281; measured on 4.14.17",
            |d| {
                let h = d.host();
                h.max = Some(1);
                h.tells_version = true;
                h.sends.insert(n::API_VERSION_MESSAGE, 0);
                h.understands.insert(n::NUMBER_OF_CPUS);
            },
        )
        .declares(&[("max", "none -> 1"), ("host-to-guest/refresh", "says the maximum")])],
    },
    Release {
        name: "4.15.0",
        after: Some("4.14.8"),
        changes: &[change("sends set-number-of-cpus from 1 on", "oVirt/vdsm@v4.15.0; measured on 4.16.38", |d| {
            d.host().sends.insert(n::SET_NUMBER_OF_CPUS, 1);
        })
        .declares(&[("min.set-number-of-cpus", "a new entry of the lookup table")])],
    },
    Release {
        name: "4.17.1",
        after: Some("4.15.0"),
        changes: &[
            change("maximum 2: os-info, timezone", "oVirt/vdsm@v4.17.1; measured on 4.17.24", |d| {
                let h = d.host();
                h.max = Some(2);
                h.understands.extend([n::OS_INFO, n::TIMEZONE]);
            })
            .declares(&[("max", "1 -> 2")]),
            change("the filter takes all above U+10FFF", "oVirt/vdsm@v4.17.1; measured on 4.17.24", |d| {
                d.host().loses_astral = true;
            }),
        ],
    },
    Release {
        name: "4.17.25",
        after: Some("4.17.1"),
        changes: &[change(
            "keeps the lower one of both",
            "oVirt/vdsm@b79f8ae73; https://bugzilla.redhat.com/show_bug.cgi?id=1318657; measured on 4.17.44",
            |d| d.host().stores = Stores::Min,
        )
        .declares(&[("keeps", "the value as it came -> the lower one of both maxima")])],
    },
    Release {
        name: "4.18.0",
        after: Some("4.17.25"),
        changes: &[
            change("maximum 3: containers, lifecycle events", "oVirt/vdsm@v4.18.0; measured on 4.18.25", |d| {
                let h = d.host();
                h.max = Some(3);
                h.sends.insert(n::LIFECYCLE_EVENT, 3);
                h.understands.extend([n::CONTAINERS, n::COMPLETION]);
            })
            .declares(&[("max", "2 -> 3"), ("min.lifecycle-event", "a new message")]),
            change("hands the version over", "oVirt/vdsm@f44643546; https://bugzilla.redhat.com/show_bug.cgi?id=1298120; measured on 4.18.25", |d| {
                d.host().hand_over = true;
            }),
            change("the filter keeps what is above U+10FFF", "measured on 4.18.25", |d| {
                d.host().loses_astral = false;
            }),
            change("stumbles over null for applications", "measured on 4.18.25, not on 4.17.44", |d| {
                d.host().stumbles_over_null_applications = true;
            }),
            change("takes 900 nested lists", "measured on 4.18.25, not before", |d| {
                d.host().depth_max = 990;
            }),
        ],
    },
    Release {
        name: PATCHED_MAX_2,
        after: Some("4.18.0"),
        changes: &[change(
            "a build of our own with the maximum 2, in which hand-over meets a lower maximum",
            "measured on 4.18.25 with its maximum changed to 2",
            |d| d.host().max = Some(2),
        )],
    },
    Release {
        name: "4.50.7",
        after: Some("4.18.0"),
        changes: &[
            change("Python 3: numbers have at most 4300 digits", "measured on 4.50.7, not on 4.18.25", |d| {
                d.host().digits_max = Some(DIGITS_MAX);
            }),
            change("takes a list for memory-stat", "measured on 4.50.7, not on 4.18.25", |d| {
                d.host().stumbles_over_memory_list = false;
            }),
            change("stumbles over 900 nested lists", "measured on 4.50.7, not on 4.18.25", |d| {
                d.host().depth_max = DEPTH_MAX;
            }),
            change("writes arguments before the name", "measured on 4.50.7, not on 4.30.53", |d| {
                d.host().arguments_first = true;
            }),
        ],
    },
    Release {
        name: IDEAL,
        after: Some("4.50.7"),
        changes: &[
            change("is an agent as well", "oVirt/ovirt-guest-agent@1.0.16:ovirt-guest-agent/OVirtAgentLogic.py", |d| d.agent = Some(newest_agent())).declares(&[
                ("first-heartbeat", "is an agent as well"),
                ("min.completion", "is an agent as well"),
                ("min.containers", "is an agent as well"),
                ("min.number-of-cpus", "is an agent as well"),
                ("min.os-info", "is an agent as well"),
                ("min.timezone", "is an agent as well"),
            ]),
            change(
                "does what the protocol's designers asked for, with every hole of the merged scheme mended",
                "oVirt/vdsm@9a00df7a7; oVirt/ovirt-guest-agent@906949e",
                make_ideal,
            ),
        ],
    },
];

/// How deep lists may be nested: 900 are too many (measured on 4.13.4 to 4.17.44 and 4.50.7).
const DEPTH_MAX: usize = 890;

/// Agents of 1.0.5, and everything that no later line of the table changes.
pub(super) fn first_agent() -> AgentFacts {
    let sends = n::of_any_version(n::GUEST, &[n::FQDN, "uninstalled"]);
    AgentFacts {
        sends: sends.map(|name| (name, n::NO_VERSION)).collect(),
        understands: n::of_any_version(n::HOST, &[n::API_VERSION_MESSAGE]).collect(),
        keeps_half_line: true,
        gate_before_wait: true,
        trusts_old_level: true,
        naps: true,
        echo_depth_max: ECHO_DEPTH_MAX,
        port: OLD_PORT,
        ..AgentFacts::default()
    }
}

/// Hosts of 4.11.0, and everything that no later line of the table changes.
pub(super) fn first_host() -> HostFacts {
    let sends = n::of_any_version(n::HOST, &[n::API_VERSION_MESSAGE, n::ECHO]);
    HostFacts {
        sends: sends.map(|name| (name, n::NO_VERSION)).collect(),
        understands: n::of_any_version(n::GUEST, &[n::FQDN, n::ECHO, "memory-stats"]).collect(),
        stumbles_over_memory_list: true,
        depth_max: DEPTH_MAX,
        line_max: LINE_MAX,
        hang_up_loses: true,
        ..HostFacts::default()
    }
}

/// The agent of the newest line of agents.
fn newest_agent() -> AgentFacts {
    let mut dialect = Dialect::first();
    let agents = RELEASES.iter().filter(|release| release.name.starts_with("1."));
    for change in agents.flat_map(|release| release.changes) {
        (change.apply)(&mut dialect);
    }
    dialect.agent.unwrap_or_else(first_agent)
}

/// Mends every hole of the merged scheme.
///
/// - Down-migration to a versioned host: the agent takes the lower one of the value in `refresh` and its own maximum
///   at once, and answers at that level.
/// - Announcing only on change: the host announces with the first heartbeat behind each connection and behind the
///   start of an agent, whether the value changed or not. That also mends a hand-over that meets a lower maximum.
/// - Between two hosts: the agent sees the host go. Until the next one has said something it sends nothing above
///   level 0, looks at the gate again when a write had to wait, and forgets half a line. Its reader does not nap.
/// - No lower limit: both sides take a version below 0 as 0. The host keeps the lower one of both.
/// - Rest of the read lost: the host handles each line for itself, also when a hang-up comes with the data.
/// - A first heartbeat says 0 only while no host has told its version.
/// - A lifecycle event is completed, whether there are hooks or not.
fn make_ideal(d: &mut Dialect) {
    let a = d.agent();
    a.refresh_value = RefreshValue::Taken;
    a.first_heartbeat = FirstHeartbeat::ZeroUnlessTold;
    a.clamps_below = true;
    a.answers_after_change = true;
    a.keeps_half_line = false;
    a.gate_before_wait = false;
    a.trusts_old_level = false;
    a.naps = false;
    a.completes_whatever_happens = true;
    a.echo_depth_max = super::message::DEPTH_MAX;
    let h = d.host();
    h.stores = Stores::Min;
    h.announces = Announces::OnNegotiation;
    h.rest_of_chunk = RestOfChunk::Handled;
    h.hang_up_loses = false;
    h.digits_max = None;
    h.stumbles_over_memory_list = false;
    h.stumbles_over_null_applications = false;
}
