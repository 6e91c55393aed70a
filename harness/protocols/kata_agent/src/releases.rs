//! The release table of the agent, one entry for each change. What the messages changed is in the texts of [`super::schema`].

use protocol::dialect::{self, Change, IDEAL, Release};
use protocol::launch::Bound;
use ttrpc::envelope::code;
use ttrpc::family;

use super::address::Grammar;
use super::dialect::Dialect;

const M21: &str = "measured on kata-agent 2.1.0";
const M25: &str = "measured on kata-agent 2.5.0";
const M30: &str = "measured on kata-agent 3.0.0";
const M32: &str = "measured on kata-agent 3.2.0";
const M40: &str = "measured on kata-agent 4.0.0";

/// As the kit's [`dialect::change`], of this protocol.
const fn change(what: &'static str, source: &'static str, apply: fn(&mut Dialect)) -> Change<Dialect> {
    dialect::change(what, source, apply)
}

/// Oldest first, each the continuation of the one before.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release { name: "2.0", after: None, changes: &[] },
    Release {
        name: "2.1",
        after: Some("2.0"),
        changes: &[
            change(
                "ListProcesses is gone; Interface has a path of PCI",
                "kata-containers/kata-containers@2.1.0:src/agent/protocols/protos/agent.proto",
                |d| d.messages = Some("2.1"),
            )
            .declares(&[
                ("grpc.AgentService/ListProcesses", "gone"),
                ("grpc.ListProcessesRequest", "gone"),
                ("grpc.ListProcessesResponse", "gone"),
                ("types.Interface", "6 pciAddr -> pciPath: another grammar of the text"),
            ]),
            change("ttrpc-rust 0.5.0: asynchronous", M21, |d| {
                d.family = family::RS_ASYNC_0_5_0;
                d.version = "2.1.0";
            }),
            change(
                "the rules of seccomp move from field 3 to field 4",
                "kata-containers/kata-containers@380b05d654:src/libs/protocols/protos/oci.proto",
                |d| d.seccomp_of_2_0 = false,
            )
            .declares(&[
                ("grpc.LinuxSeccomp", "3 Syscalls -> 3 Flags, 4 Syscalls"),
                ("grpc.LinuxSyscall", "3 Args -> 3 errnoret, 4 Args"),
            ]),
            change(
                "the device of an interface is called by a path of slots",
                "kata-containers/kata-containers@2.1.0:src/agent/src/pci.rs, Path",
                |d| d.addresses = Grammar::Path,
            ),
            change("IPv4 is called IPv6, and the other way round", M21, |d| d.families_swapped = true),
            change("names of interfaces end where they end", M21, |d| d.name_ends_in_nul = false),
        ],
    },
    Release {
        name: "2.5",
        after: Some("2.1"),
        changes: &[
            change(
                "more for volumes and the tables of the firewall; tracing is gone",
                "kata-containers/kata-containers@2.5.0:src/libs/protocols/protos/agent.proto",
                |d| d.messages = Some("2.5"),
            )
            .declares(&[
                ("grpc.AgentService/StartTracing", "gone"),
                ("grpc.AgentService/StopTracing", "gone"),
                ("grpc.StartTracingRequest", "gone"),
                ("grpc.StopTracingRequest", "gone"),
                ("grpc.Storage", "7 fs_group is new"),
                ("types.Route", "6 family is new"),
            ]),
            change("ttrpc-rust 0.5.3: what cannot be decoded is answered", M25, |d| {
                d.family = family::RS_ASYNC_0_5_3;
                d.version = "2.5.0";
            }),
            change("the abstract name of its socket ends where the path does, and not in a NUL", M25, |d| {
                d.bound = Bound::Abstract { tail: b"" };
            }),
            change("more kinds of storage", M25, |d| {
                d.storage_handlers = &[
                    "blk",
                    "9p",
                    "virtio-fs",
                    "ephemeral",
                    "overlayfs",
                    "mmioblk",
                    "local",
                    "scsi",
                    "nvdimm",
                    "watchable-bind",
                ];
            }),
            change("ResizeVolume is declared, and not there", M25, |d| {
                d.not_there = &[("ResizeVolume", code::NOT_FOUND)]
            }),
            change("entropy that is missing is an error", M25, |d| d.takes_no_entropy = false),
            change(
                "SIGTERM is for the handler of the process",
                "kata-containers/kata-containers@4b437d91f0:src/agent/src/rpc.rs",
                |d| d.sigterm_kills = false,
            ),
        ],
    },
    Release {
        name: "3.0",
        after: Some("2.5"),
        changes: &[
            change("another version", M30, |d| d.version = "3.0.0"),
            change("a socket is where its path is, and no abstract name", M30, |d| d.bound = Bound::Path),
        ],
    },
    Release {
        name: "3.2",
        after: Some("3.0"),
        changes: &[
            change(
                "mounts in memory get other sizes; hooks of the container",
                "kata-containers/kata-containers@3.2.0:src/libs/protocols/protos/agent.proto",
                |d| d.messages = Some("3.2"),
            )
            .declares(&[("grpc.Hooks", "4, 5 and 6 are new")]),
            change(
                "ttrpc-rust 0.7: unknown methods are UNIMPLEMENTED, streams of even numbers are refused",
                M32,
                |d| {
                    d.family = family::RS_ASYNC_0_7;
                    d.version = "3.2.0";
                },
            )
            .declares(&[("unknown-method", "INVALID_ARGUMENT -> UNIMPLEMENTED")]),
        ],
    },
    Release {
        name: "3.3",
        after: Some("3.2"),
        changes: &[
            change(
                "SetPolicy, shared mounts, ports of streams",
                "kata-containers/kata-containers@3.3.0:src/libs/protocols/protos/agent.proto",
                |d| d.messages = Some("3.3"),
            )
            .declares(&[
                ("grpc.AgentDetails", "6 extra_features is new"),
                ("grpc.CreateContainerRequest", "8 to 11 are new; 8 was a flag in 1.12"),
                ("grpc.ExecProcessRequest", "5 to 7 are new"),
            ]),
            change("another version", "kata-containers/kata-containers@3.3.0:versions.yaml", |d| {
                d.version = "3.3.0"
            }),
            change(
                "SetPolicy is declared, and there where the image has a policy",
                "kata-containers/kata-containers@3.3.0:src/agent/src/rpc.rs",
                |d| {
                    d.not_there = &[("ResizeVolume", code::NOT_FOUND), ("SetPolicy", code::NOT_FOUND)];
                },
            ),
        ],
    },
    Release {
        name: "4.0",
        after: Some("3.3"),
        changes: &[
            change("INVALID_ARGUMENT of a part of the agent is INTERNAL in its answer", M40, |d| {
                d.loses_code = true
            }),
            change(
                "the memory agent, AddSwapPath, GetDiagnosticData",
                "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/agent.proto",
                |d| d.messages = Some("4.0"),
            )
            .declares(&[
                ("grpc.Storage", "8 shared is new"),
                ("types.Interface", "6 pciPath -> devicePath: another grammar of the text"),
                ("types.Route", "7 and 8 are new"),
            ]),
            change(
                "the device of an interface may be on the channel bus",
                "kata-containers/kata-containers@3.15.0:src/libs/protocols/protos/types.proto, Interface",
                |d| d.addresses = Grammar::PathOrChannel,
            ),
            change("ttrpc-rust 0.9: messages above the limit are answered and read to their end", M40, |d| {
                d.family = family::RS_ASYNC_0_8;
                d.version = "4.0.0";
            }),
            change("ResizeVolume is UNIMPLEMENTED", M40, |d| {
                d.not_there = &[("ResizeVolume", code::UNIMPLEMENTED), ("SetPolicy", code::NOT_FOUND)];
            }),
            change("more kinds of storage", M40, |d| {
                d.storage_handlers = &[
                    "watchable-bind",
                    "blk",
                    "virtio-fs",
                    "erofs.multi-layer",
                    "local",
                    "image_guest_pull",
                    "nvdimm",
                    "overlayfs",
                    "mmioblk",
                    "ephemeral",
                    "scsi",
                ];
            }),
            change(
                "the status of a process that was killed is 128 and the signal, as shells have it",
                M40,
                |d| d.killed_status = 137,
            ),
            change("a size for a terminal of no container makes no sense", M40, |d| {
                d.no_terminal = code::INVALID_ARGUMENT
            }),
            change(
                "a word of a specification that is not known leaves the call without an answer",
                "kata-containers/kata-containers@8b5499204d, measured on kata-agent 4.0.0",
                |d| {
                    d.unknown_word_hangs = true;
                    d.knows_flags = true;
                },
            ),
        ],
    },
    Release {
        name: IDEAL,
        after: Some("4.0"),
        changes: &[
            change("a failure keeps its code", "grpc/grpc@v1.60.0:doc/statuscodes.md", |d| {
                d.loses_code = false
            }),
            change(
                "the newest messages",
                "kata-containers/kata-containers@4.1.0:src/libs/protocols/protos/agent.proto",
                |d| d.messages = None,
            ),
            change(
                "what is not known is UNIMPLEMENTED",
                "harness/ARCHITECTURE.md#unknown-requests-are-refused-as-unknown",
                |d| {
                    d.family = family::IDEAL;
                },
            )
            .declares(&[("unknown-service", "INVALID_ARGUMENT -> UNIMPLEMENTED")]),
            change(
                "a method that is not there is UNIMPLEMENTED",
                "harness/ARCHITECTURE.md#unknown-requests-are-refused-as-unknown",
                |d| {
                    d.not_there =
                        &[("ResizeVolume", code::UNIMPLEMENTED), ("SetPolicy", code::UNIMPLEMENTED)];
                },
            ),
            change(
                "a word that is not known is refused",
                "harness/ARCHITECTURE.md#requests-are-answered-once",
                |d| {
                    d.unknown_word_hangs = false;
                    d.knows_flags = false;
                },
            ),
            change(
                "a runtime writes as its agent reads, and tells by words what is not there",
                "harness/ARCHITECTURE.md#nothing-is-sent-that-its-reader-takes-for-something-else",
                |d| {
                    d.writes_for_agent = true;
                    d.reads_refusals = true;
                },
            ),
            change(
                "a runtime leaves out capabilities that it does not know",
                "opencontainers/runtime-spec@v1.2.0:config.md, Linux Process",
                |d| d.passes_words_on = false,
            ),
            change(
                "a capability that is not known is passed over",
                "opencontainers/runtime-spec@v1.2.0:config.md, Linux Process",
                |d| d.passes_over_capabilities = true,
            ),
            change(
                "IPv4 is IPv4",
                "kata-containers/kata-containers@4.0.0:src/libs/protocols/protos/types.proto, IPFamily",
                |d| {
                    d.families_swapped = false;
                },
            ),
        ],
    },
];
