//! The release table of qemu-ga, one entry for each change.

use super::dialect::{Change, IDEAL, Numbers, Parsing, Release};
use super::names::{GENERIC_ERROR, GET_CPUSTATS, GET_DEVICES, GET_LOAD};

const MEASURED_7_2: &str = "measured on qemu-guest-agent 1:7.2+dfsg-7+deb12u18+b3 of Debian";
const MEASURED_10_0: &str = "measured on qemu-guest-agent 1:10.0.13+ds-0+deb13u1 of Debian";
const MEASURED_11_1: &str = "measured on qemu-guest-agent 1:11.1.2+ds-3 of Debian";
const QMP: &str = "docs/interop/qmp-spec.rst of QEMU";

/// Oldest first, each the continuation of the one before.
pub(super) const RELEASES: &[Release] = &[
    Release { name: "5.2", changes: &[] },
    Release {
        name: "7.2",
        changes: &[
            Change {
                what: "guest-get-diskstats and guest-get-cpustats",
                source: MEASURED_7_2,
                apply: |dialect| dialect.learn(&["guest-get-diskstats", GET_CPUSTATS]),
            },
            Change {
                what: "another text for blocked commands",
                source: MEASURED_7_2,
                apply: |dialect| dialect.blocked_text = "Command {} has been disabled",
            },
            Change {
                what: "numbers with 17 digits; 5.2 cut them after the sixth place behind the point",
                source: MEASURED_7_2,
                apply: |dialect| dialect.numbers = Numbers::SeventeenDigits,
            },
        ],
    },
    Release {
        name: "10.0",
        changes: &[
            Change {
                what: "guest-get-load and guest-network-get-route",
                source: MEASURED_10_0,
                apply: |dialect| dialect.learn(&[GET_LOAD, "guest-network-get-route"]),
            },
            Change {
                what: "guest-get-devices is gone where there is no Windows",
                source: MEASURED_10_0,
                apply: |dialect| dialect.forget(GET_DEVICES),
            },
            Change {
                what: "another text for blocked commands",
                source: MEASURED_10_0,
                apply: |dialect| {
                    dialect.blocked_text = "Command {} has been disabled: the command is not allowed";
                },
            },
            Change {
                what: "guest-get-fsinfo tells total-bytes-privileged",
                source: MEASURED_10_0,
                apply: |dialect| dialect.privileged_bytes = true,
            },
        ],
    },
    Release {
        name: "11.1",
        changes: &[Change {
            what: "errors of syntax are told at once, once, and with their place",
            source: MEASURED_11_1,
            apply: |dialect| {
                dialect.parsing = Parsing::AtOnce;
                dialect.places = true;
            },
        }],
    },
    Release {
        name: IDEAL,
        changes: &[
            Change {
                what: "what a client left half said is no part of what the next one says",
                source: QMP,
                apply: |dialect| dialect.fresh_parser = true,
            },
            Change {
                what: "numbers that no JSON number can say are refused, not answered as `inf`",
                source: "RFC 8259, section 6",
                apply: |dialect| dialect.infinite = false,
            },
            Change {
                what: "overlong UTF-8 is refused",
                source: "RFC 3629, section 3",
                apply: |dialect| dialect.overlong_nul = false,
            },
            Change {
                what: "numbers come back as they were sent",
                source: "docs/interop/qmp-spec.rst of QEMU: the id is the one of the request",
                apply: |dialect| dialect.numbers = Numbers::AsSent,
            },
            Change {
                what: "a client that does not read costs no time",
                source: "ours",
                apply: |dialect| dialect.spins = false,
            },
            Change {
                what: "a blocked command is an error like another: it has been found",
                source: "qapi/error.json of QEMU: CommandNotFound is for what has not been found",
                apply: |dialect| dialect.blocked_class = GENERIC_ERROR,
            },
            Change {
                what: "guest-get-devices stays in the list, not enabled",
                source: "ours: what a release has listed, later ones list",
                apply: |dialect| dialect.learn(&[GET_DEVICES]),
            },
            Change {
                what: "no place in the text of errors",
                source: "ours: it depends on what other clients sent",
                apply: |dialect| dialect.places = false,
            },
        ],
    },
];
