//! The release table, oldest first; one entry for each change, each with its source.

use protocol::dialect::{IDEAL, Release, change};
use transcript::evidence::Shape;
use wire::lxc::NameRule;

use super::dialect::values::{BAD_SIZE, CLIENT_4_0_6, CLIENT_5_0_2, DENIED, EXEMPT, NO_SECOND, NO_TTY};
use super::dialect::{Dialect, Keys, Lifetime, Reaction, View};
use super::names::{EINVAL, EMSGSIZE, ENOSYS};

/// Every release that changed something, and `ideal`.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release {
        name: "1.0.0",
        after: None,
        changes: &[
            change("knows commands 0 to 7", "lxc/lxc@lxc-1.0.0:src/lxc/commands.h", |d| {
                d.learn(&[
                    (0, "CONSOLE"),
                    (1, "CONSOLE_WINCH"),
                    (2, "STOP"),
                    (3, "GET_STATE"),
                    (4, "GET_INIT_PID"),
                    (5, "GET_CLONE_FLAGS"),
                    (6, "GET_CGROUP"),
                    (7, "GET_CONFIG_ITEM"),
                ]);
            }),
            change("GET_CGROUP answers `/lxc/NAME`", "measured on 1.0.11, hybrid", |d| {
                d.server.cgroup_hybrid = "/lxc/{}";
            }),
        ],
    },
    Release {
        name: "1.0.6",
        after: Some("1.0.0"),
        changes: &[
            change("learns GET_NAME and GET_LXCPATH", "lxc/lxc@lxc-1.0.6:src/lxc/commands.h", |d| {
                d.learn(&[(8, "GET_NAME"), (9, "GET_LXCPATH")]);
            }),
            change(
                "hashes socket names from 107 bytes on",
                "lxc/lxc@lxc-1.0.6:src/lxc/commands.c, fill_sock_name",
                |d| d.name_rule = NameRule::HASHED_FROM_107,
            ),
        ],
    },
    Release {
        name: "1.0.8",
        after: Some("1.0.6"),
        changes: &[change(
            "hashes socket names from 106 bytes on",
            "lxc/lxc@lxc-1.0.8:src/lxc/commands.c, commit 29769eaf9 (2015-09-25)",
            |d| d.name_rule = NameRule::CURRENT,
        )],
    },
    Release { name: "1.1.0", after: Some("1.0.6"), changes: &[] },
    Release {
        name: "1.1.4",
        after: Some("1.1.0"),
        changes: &[change(
            "hashes socket names from 106 bytes on",
            "lxc/lxc@lxc-1.1.4:src/lxc/commands.c, commit 29769eaf9 (2015-09-25)",
            |d| d.name_rule = NameRule::CURRENT,
        )],
    },
    Release {
        name: "2.0.9",
        after: Some("1.1.4"),
        changes: &[
            change("learns ADD_STATE_CLIENT", "lxc/lxc@lxc-2.0.9:src/lxc/commands.h", |d| {
                d.learn(&[(10, "ADD_STATE_CLIENT")]);
            }),
            change(
                "a denied client is closed without a byte",
                "measured on 2.0.11, where 1.0.11 says -13, and none between is known",
                |d: &mut Dialect| d.server.denied = Reaction::Close,
            )
            .declares(&[("denied", "-13 -> closed without a byte")]),
            change(
                "GET_CGROUP answers `//lxc/NAME`",
                "measured on 2.0.11, hybrid, and on none before it",
                |d| d.server.cgroup_hybrid = "//lxc/{}",
            ),
            change("`name=systemd` has a cgroup", "measured on 2.0.11, not on 1.0.11", |d| {
                d.server.systemd_controller = true;
            }),
            change("one more namespace flag", "measured on 2.0.11, not on 1.0.11", |d| {
                d.server.clone_flags = 0x6e02_0000;
            }),
        ],
    },
    Release {
        name: "2.0.10",
        after: Some("2.0.9"),
        changes: &[
            change(
                "learns SERVE_STATE_CLIENTS; names CONSOLE_LOG",
                "lxc/lxc@lxc-2.0.10:src/lxc/commands.h",
                |d| d.learn(&[(11, "CONSOLE_LOG"), (12, "SERVE_STATE_CLIENTS")]),
            ),
            change("answers CONSOLE_LOG with -38 and closes", "measured on 2.0.11", |d| {
                d.server.console_log_named = Some(Reaction::RefuseAndClose(-ENOSYS));
            }),
        ],
    },
    Release {
        name: "2.1.0",
        after: Some("2.0.9"),
        changes: &[change(
            "new spelling of configuration keys",
            "lxc/lxc@lxc-2.1.0:src/lxc/confile.c; measured on 2.0.11 and 3.0.4",
            |d: &mut Dialect| d.server.keys = Keys::Current,
        )
        .declares(&[("keys", "new spelling, e.g. `lxc.uts.name`")])],
    },
    Release {
        name: "3.0.0",
        after: Some("2.0.10"),
        changes: &[
            change(
                "a denied client gets -1",
                "measured on 3.0.4, where 2.0.11 says nothing",
                |d: &mut Dialect| {
                    d.server.denied = DENIED;
                },
            )
            .declares(&[("denied", "closed without a byte -> -1")]),
            change(
                "carries out CONSOLE_LOG, without a payload limit",
                "lxc/lxc@lxc-3.0.0:src/lxc/commands.c; measured on 3.0.4",
                |d: &mut Dialect| {
                    d.server.console_log_named = None;
                    d.exempt = EXEMPT;
                },
            )
            .declares(&[("exempt", "CONSOLE_LOG is carried out, without the payload limit")]),
            change("new name of command 1", "lxc/lxc@lxc-3.0.0:src/lxc/commands.h", |d: &mut Dialect| {
                d.learn(&[(1, "TERMINAL_WINCH")]);
            })
            .renames(&[("1", "CONSOLE_WINCH", "TERMINAL_WINCH")]),
            change("new spelling of configuration keys", "measured on 3.0.4", |d: &mut Dialect| {
                d.server.keys = Keys::Current;
            })
            .declares(&[("keys", "new spelling, e.g. `lxc.uts.name`")]),
            change("GET_CGROUP answers `//lxc.payload/NAME`", "measured on 3.0.4, hybrid", |d| {
                d.server.cgroup_hybrid = "//lxc.payload/{}";
            }),
        ],
    },
    Release {
        name: "3.0.4",
        after: Some("3.0.0"),
        changes: &[
            change("learns SECCOMP_NOTIFY_ADD_LISTENER", "lxc/lxc@lxc-3.0.4:src/lxc/commands.h", |d| {
                d.learn(&[(13, "SECCOMP_NOTIFY_ADD_LISTENER")]);
            }),
            change(
                "TERMINAL_WINCH is closed without a byte",
                "measured on 3.0.4, where 2.0.11 says 0",
                |d: &mut Dialect| {
                    d.server.winch = Reaction::Close;
                },
            )
            .declares(&[("winch", "answered with 0 -> closed without a byte")]),
            change("a short state list is neither answered nor closed", "measured on 3.0.4", |d| {
                d.server.state_list_len = Reaction::Silent;
            }),
            change("without seccomp, command 13 answers -38", "measured on 3.0.4", |d| {
                d.server.seccomp_not_built = Some(Reaction::Refuse(-ENOSYS));
            }),
        ],
    },
    Release { name: "3.1.0", after: Some("3.0.0"), changes: &[] },
    Release { name: "3.2.0", after: Some("3.0.4"), changes: &[] },
    Release {
        name: "4.0.0",
        after: Some("3.0.4"),
        changes: &[
            change("learns commands 14 to 18", "lxc/lxc@lxc-4.0.0:src/lxc/commands.h", |d| {
                d.learn(&[
                    (14, "ADD_BPF_DEVICE_CGROUP"),
                    (15, "FREEZE"),
                    (16, "UNFREEZE"),
                    (17, "GET_CGROUP2_FD"),
                    (18, "GET_INIT_PIDFD"),
                ]);
            }),
            change(
                "a device item has 24 bytes",
                "lxc/lxc@lxc-4.0.0:src/lxc/conf.h; measured on 4.0.6",
                |d| {
                    d.device_item_len = Some(24);
                },
            ),
            change(
                "GET_CGROUP wants a text that ends in its only NUL",
                "lxc/lxc@lxc-4.0.0:src/lxc/commands.c; measured on 4.0.6",
                |d| d.server.cgroup_text = Reaction::RefuseAndClose(-EINVAL),
            ),
            change("GET_CGROUP answers `//lxc.payload.NAME`", "measured on 4.0.6, hybrid", |d| {
                d.server.cgroup_hybrid = "//lxc.payload.{}";
            }),
            change(
                "with cgroup2 alone GET_CGROUP answers only without a name",
                "measured on 4.0.6, pure cgroup2",
                |d| {
                    d.server.view = View::Unified;
                    d.server.cgroup_unified = "//lxc.payload.{}";
                    d.server.cgroup_unified_names = false;
                },
            ),
            change("a state list of another length is closed", "measured on 4.0.6", |d| {
                d.server.state_list_len = Reaction::Close;
            }),
            change("a seccomp listener without a proxy gets -22", "measured on 4.0.6", |d| {
                d.server.seccomp_not_built = None;
                d.server.seccomp_add = Reaction::Refuse(-EINVAL);
            }),
            change("and -90 when its second message does not come", "measured on 4.0.6", |d| {
                d.server.seccomp_add_ended = Reaction::RefuseAndClose(-EMSGSIZE);
            }),
        ],
    },
    Release {
        name: "4.0.3",
        after: Some("4.0.0"),
        changes: &[change(
            "learns commands 19 and 20",
            "lxc/lxc@lxc-4.0.3:src/lxc/commands.h, pull request 3353",
            |d| d.learn(&[(19, "GET_LIMITING_CGROUP"), (20, "GET_LIMITING_CGROUP2_FD")]),
        )],
    },
    Release {
        name: "4.0.5",
        after: Some("4.0.3"),
        changes: &[change("learns commands 21 and 22", "lxc/lxc@lxc-4.0.5:src/lxc/commands.h", |d| {
            d.learn(&[(21, "GET_DEVPTS_FD"), (22, "GET_SECCOMP_NOTIFY_FD")]);
        })],
    },
    Release {
        name: "4.0.6",
        after: Some("4.0.5"),
        changes: &[change("its tools were measured", "measured on 4.0.6", |d| {
            d.client = Some(CLIENT_4_0_6);
        })],
    },
    Release {
        name: "4.0.7",
        after: Some("4.0.6"),
        changes: &[
            change(
                "a device item has 20 bytes; another length is answered with -22",
                "lxc/lxc@lxc-4.0.7:src/lxc/cgroups/cgroup.h",
                |d: &mut Dialect| {
                    d.device_item_len = Some(20);
                    d.server.device_item_size = BAD_SIZE;
                },
            )
            .breaks(&[("client/cgroup", Shape::LOUD_FAIL)])
            .declares(&[("14", "device item 24 -> 20 bytes")]),
            change("learns commands 23 to 25", "lxc/lxc@lxc-4.0.7:src/lxc/commands.h", |d: &mut Dialect| {
                d.learn(&[(23, "GET_CGROUP_CTX"), (24, "GET_CGROUP_FD"), (25, "GET_LIMIT_CGROUP_FD")]);
            })
            .breaks(&[("client/attach*", Shape::SILENT_WRONG)]),
            change(
                "new names of commands 0, 19 and 20",
                "lxc/lxc@lxc-4.0.7:src/lxc/commands.h",
                |d: &mut Dialect| {
                    d.learn(&[(0, "GET_TTY_FD"), (19, "GET_LIMIT_CGROUP"), (20, "GET_LIMIT_CGROUP2_FD")]);
                },
            )
            .renames(&[
                ("0", "CONSOLE", "GET_TTY_FD"),
                ("19", "GET_LIMITING_CGROUP", "GET_LIMIT_CGROUP"),
                ("20", "GET_LIMITING_CGROUP2_FD", "GET_LIMIT_CGROUP2_FD"),
            ]),
            change(
                "one answer, then the connection is closed",
                "lxc/lxc@lxc-4.0.7:src/lxc/commands.c; measured on 5.0.2",
                |d: &mut Dialect| d.server.lifetime = Lifetime::One,
            )
            .declares(&[("lifetime", "many requests on a connection -> one")]),
            change(
                "an unknown command is drained and answered with -38",
                "lxc/lxc@ebc548a1e (2021-02-23); measured on 5.0.2",
                |d: &mut Dialect| d.server.unknown = Reaction::Refuse(-ENOSYS),
            )
            .declares(&[("unknown", "closed without a byte -> -38")]),
            change("no free tty is answered with -9", "measured on 5.0.2", |d| d.server.tty_busy = NO_TTY),
            change("a bad text of GET_CGROUP is answered with -22", "measured on 5.0.2", |d| {
                d.server.cgroup_text = BAD_SIZE;
            }),
            change("a state list of another length is answered with -22", "measured on 5.0.2", |d| {
                d.server.state_list_len = BAD_SIZE;
            }),
            change("a missing second message of command 13 gets -61", "measured on 5.0.2", |d| {
                d.server.seccomp_add_ended = NO_SECOND;
            }),
            change(
                "no limit directory: the container's own is answered",
                "measured on 5.0.2",
                |d: &mut Dialect| {
                    d.server.no_limit_cgroup = Reaction::Accept;
                },
            )
            .breaks(&[("client/freeze", Shape::LOUD_FAIL), ("client/unfreeze", Shape::LOUD_FAIL)]),
            change("no seccomp listener is answered with -9", "measured on 5.0.2", |d| {
                d.server.no_seccomp_fd = NO_TTY;
            }),
            change("GET_CGROUP answers `/lxc.payload.NAME`", "measured on 5.0.2, hybrid", |d| {
                d.server.cgroup_hybrid = "/lxc.payload.{}";
            }),
            change(
                "and `lxc.payload.NAME` with cgroup2 alone, also for the freezer",
                "measured on 5.0.2, 6.0.4 and 7.0.0, pure cgroup2",
                |d| {
                    d.server.cgroup_unified = "lxc.payload.{}";
                    d.server.cgroup_unified_names = true;
                },
            ),
            change("a short console log request finds no data", "measured on 5.0.2", |d| {
                d.server.console_log_short = NO_SECOND;
            }),
            change("its tools were not measured", "lxc/lxc@v5.0.0:src/lxc/tools: nobody ran them", |d| {
                d.client = None;
            }),
        ],
    },
    Release {
        name: "4.0.11",
        after: Some("4.0.7"),
        changes: &[change(
            "a device item has 40 bytes: two pointers of the client travel with it",
            "lxc/lxc@lxc-4.0.11:src/lxc/cgroups/cgroup.h; measured on 5.0.2",
            |d: &mut Dialect| d.device_item_len = Some(40),
        )
        .breaks(&[("client/cgroup", Shape::LOUD_FAIL)])
        .declares(&[("14", "device item 20 -> 40 bytes")])],
    },
    Release { name: "5.0.0", after: Some("4.0.11"), changes: &[] },
    Release {
        name: "5.0.1",
        after: Some("5.0.0"),
        changes: &[change("learns GET_SYSTEMD_SCOPE", "lxc/lxc@lxc-5.0.1:src/lxc/commands.h", |d| {
            d.learn(&[(26, "GET_SYSTEMD_SCOPE")]);
        })],
    },
    Release {
        name: "5.0.2",
        after: Some("5.0.1"),
        changes: &[change("its tools were measured", "measured on 5.0.2", |d| d.client = Some(CLIENT_5_0_2))],
    },
    Release { name: "6.0.4", after: Some("5.0.2"), changes: &[] },
    Release { name: "7.0.0", after: Some("6.0.4"), changes: &[] },
    Release {
        name: IDEAL,
        after: Some("7.0.0"),
        changes: &[change(
            "does what the protocol's designers asked for",
            "lxc/lxc@v7.0.0:src/lxc/commands.c, comments of 80bcb0535 and ebc548a1e",
            Dialect::make_ideal,
        )
        .declares(&[
            ("exempt", "the payload limit holds for CONSOLE_LOG too"),
            ("lifetime", "one request on a connection -> many"),
            ("winch", "closed without a byte -> -38"),
        ])],
    },
];
