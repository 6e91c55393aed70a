//! The release table of qemu-ga, one entry for each change.

use protocol::dialect::{self, Change, IDEAL, Release};
use transcript::evidence::Shape;

use super::dialect::{Dialect, Numbers, Parsing};
use super::names::{GENERIC_ERROR, GET_DEVICES, commands};

const BOOKWORM: &str = "measured on qemu-guest-agent 1:7.2+dfsg-7+deb12u18+b3 of Debian";
const TRIXIE: &str = "measured on qemu-guest-agent 1:10.0.13+ds-0+deb13u1 of Debian";
const FORKY: &str = "measured on qemu-guest-agent 1:11.1.2+ds-3 of Debian";
const QMP: &str = "qemu/qemu@v10.0.0:docs/interop/qmp-spec.rst";

/// As the kit's [`dialect::change`], of this protocol.
const fn change(what: &'static str, source: &'static str, apply: fn(&mut Dialect)) -> Change<Dialect> {
    dialect::change(what, source, apply)
}

/// Oldest first, each the continuation of the one before.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release { name: "5.2", after: None, changes: &[] },
    Release {
        name: "7.2",
        after: Some("5.2"),
        changes: &[
            change("guest-get-diskstats and guest-get-cpustats", BOOKWORM, |d| d.learn(&commands("7.2"))),
            change("another text for blocked commands", BOOKWORM, |d| {
                d.blocked_text = "Command {} has been disabled"
            }),
            change(
                "numbers with 17 digits; 5.2 cut them after the sixth place behind the point",
                BOOKWORM,
                |d| d.numbers = Numbers::SeventeenDigits,
            )
            .declares(&[("numbers", "cut after six places -> 17 digits")]),
        ],
    },
    Release {
        name: "10.0",
        after: Some("7.2"),
        changes: &[
            change("guest-get-load and guest-network-get-route", TRIXIE, |d| d.learn(&commands("10.0"))),
            change("guest-get-devices is gone where there is no Windows", TRIXIE, |d| d.forget(GET_DEVICES))
                .breaks(&[("client/devices", Shape::LOUD_FAIL)])
                .declares(&[("guest-get-devices", "gone where there is no Windows")]),
            change("another text for blocked commands", TRIXIE, |d| {
                d.blocked_text = "Command {} has been disabled: the command is not allowed"
            }),
            change("guest-get-fsinfo tells total-bytes-privileged", TRIXIE, |d| d.privileged_bytes = true),
        ],
    },
    Release {
        name: "11.1",
        after: Some("10.0"),
        changes: &[change("errors of syntax are told at once, once, and with their place", FORKY, |d| {
            d.parsing = Parsing::AtOnce;
            d.places = true;
        })
        .declares(&[("syntax-errors", "told when the braces close -> told at once")])],
    },
    Release {
        name: IDEAL,
        after: Some("11.1"),
        changes: &[
            change(
                "a blocked command is an error like another: it has been found",
                "qemu/qemu@v10.0.0:qapi/error.json: CommandNotFound is for what has not been found",
                |d| d.blocked_class = GENERIC_ERROR,
            )
            .declares(&[("blocked", "CommandNotFound -> GenericError")]),
            change(
                "numbers come back as they were sent",
                "qemu/qemu@v10.0.0:docs/interop/qmp-spec.rst: the id is the one of the request",
                |d| d.numbers = Numbers::AsSent,
            )
            .declares(&[("numbers", "17 digits -> as they were sent")]),
            change("what a client left half said is no part of what the next one says", QMP, |d| {
                d.fresh_parser = true
            })
            .declares(&[("parser", "kept from client to client -> fresh for each")]),
            change(
                "numbers that no JSON number can say are refused, not answered as `inf`",
                "RFC 8259, section 6",
                |d| d.infinite = false,
            ),
            change("overlong UTF-8 is refused", "RFC 3629, section 3", |d| d.overlong_nul = false),
            change(
                "a client that does not read costs no time",
                "harness/ARCHITECTURE.md#what-is-taken-is-given-back",
                |d| d.spins = false,
            ),
            change(
                "guest-get-devices stays in the list, not enabled",
                "harness/ARCHITECTURE.md#recordings-keep-their-meaning: what a release has listed, later ones list",
                |d| d.learn(&[GET_DEVICES]),
            ),
            change(
                "no place in the text of errors",
                "qemu/qemu@v10.0.0:docs/interop/qmp-spec.rst: texts are for people",
                |d| d.places = false,
            ),
        ],
    },
];
