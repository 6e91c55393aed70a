//! The messages of every release, read from `.proto` text of our own.
//!
//! The facts are those of the `.proto` files of all release tags of `kata-containers/agent` (1.0 to 1.12) and
//! `kata-containers/kata-containers` (2.0 and later), `protos/{agent,oci,types,health,csi}.proto`.

use ttrpc::schema::{Schemas, of_release};
use wire::protobuf::{Schema, Source};

/// The texts, each line with the releases in which it holds; see [`ttrpc::schema`].
pub(crate) const SOURCES: [Source<'static>; 6] = [
    Source { name: "agent.proto", text: include_str!("proto/agent.proto") },
    Source { name: "empty.proto", text: include_str!("proto/empty.proto") },
    Source { name: "health.proto", text: include_str!("proto/health.proto") },
    Source { name: "oci.proto", text: include_str!("proto/oci.proto") },
    Source { name: "statistics.proto", text: include_str!("proto/statistics.proto") },
    Source { name: "types.proto", text: include_str!("proto/types.proto") },
];

/// The releases that the texts know, oldest first: all minor ones.
pub(crate) const RELEASES: &[&str] = &[
    "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", "2.0",
    "2.1", "2.2", "2.3", "2.4", "2.5", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9",
    "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.16", "3.17", "3.18", "3.19", "3.20", "3.21", "3.22",
    "3.23", "3.24", "3.25", "3.26", "3.27", "3.28", "3.29", "3.30", "3.31", "3.32", "4.0", "4.1",
];

/// The schemas of releases that were asked for.
static SCHEMAS: Schemas = Schemas::new();

/// The messages of one of the releases.
pub(crate) fn schema_of(release: &str) -> Option<&'static Schema> {
    let release = RELEASES.iter().find(|known| **known == release)?;
    Some(SCHEMAS.of(release, || of_release(&SOURCES, Some(release))))
}

#[cfg(test)]
mod tests {
    use matrix::{ReadSchema, compare_history, compare_schemas};

    use super::*;

    /// All minor releases with the number of their methods, those of Health too.
    const METHODS: [(&str, usize); 54] = [
        ("1.0", 23),
        ("1.1", 25),
        ("1.2", 28),
        ("1.3", 29),
        ("1.4", 29),
        ("1.5", 31),
        ("1.6", 32),
        ("1.7", 32),
        ("1.8", 32),
        ("1.9", 32),
        ("1.10", 32),
        ("1.11", 32),
        ("1.12", 34),
        ("2.0", 35),
        ("2.1", 34),
        ("2.2", 35),
        ("2.3", 35),
        ("2.4", 35),
        ("2.5", 37),
        ("3.0", 37),
        ("3.1", 37),
        ("3.2", 39),
        ("3.3", 40),
        ("3.4", 40),
        ("3.5", 40),
        ("3.6", 40),
        ("3.7", 40),
        ("3.8", 40),
        ("3.9", 40),
        ("3.10", 40),
        ("3.11", 40),
        ("3.12", 40),
        ("3.13", 42),
        ("3.14", 42),
        ("3.15", 43),
        ("3.16", 43),
        ("3.17", 43),
        ("3.18", 43),
        ("3.19", 43),
        ("3.20", 43),
        ("3.21", 43),
        ("3.22", 43),
        ("3.23", 43),
        ("3.24", 43),
        ("3.25", 43),
        ("3.26", 43),
        ("3.27", 43),
        ("3.28", 43),
        ("3.29", 44),
        ("3.30", 44),
        ("3.31", 44),
        ("3.32", 44),
        ("4.0", 44),
        ("4.1", 44),
    ];

    #[track_caller]
    fn schema(release: Option<&str>) -> Schema {
        of_release(&SOURCES, release).unwrap_or_else(|error| panic!("{release:?}: {error}"))
    }

    #[test]
    fn every_release_has_the_methods_that_it_had() {
        let count =
            |schema: &Schema| schema.services().iter().map(|service| service.methods.len()).sum::<usize>();
        let found = METHODS.map(|(release, _)| (release, count(&schema(Some(release)))));
        assert_eq!(found, METHODS);
        assert_eq!(METHODS.map(|(release, _)| release), RELEASES);
        assert_eq!(count(&schema(None)), 44);
    }

    #[test]
    fn a_patch_release_and_the_newest_one_are_the_minor_release_that_they_are_of() {
        assert_eq!(schema(Some("2.0.4")), schema(Some("2.0")));
        assert_eq!(schema(Some("1.12.1")), schema(Some("1.12")));
        assert_eq!(schema(None), schema(Some("4.1")));
        assert_eq!(schema(Some("4.0")), schema(Some("3.32")));
    }

    #[test]
    fn numbers_that_changed_their_meaning_have_that_of_the_release() {
        #[track_caller]
        fn check(message: &str, number: u32, releases: &[&str], expect: Option<&str>) {
            for release in releases {
                let schema = schema(Some(release));
                let field = schema.message(message).and_then(|message| message.field(number));
                let found = field.map(|field| {
                    format!("{} {:?} {}", schema.type_name(field.kind), field.label, field.name)
                });
                assert_eq!(found.as_deref(), expect, "{message}#{number} in {release}");
            }
        }
        let create = "grpc.CreateContainerRequest";
        check(create, 8, &["1.0", "1.11", "2.0", "2.5", "3.2"], None);
        check(create, 8, &["1.12"], Some("bool Singular agent_pidns"));
        check(create, 8, &["3.3", "3.32", "4.1"], Some("grpc.SharedMount Repeated shared_mounts"));
        check(create, 7, &["1.0"], None);
        check(create, 7, &["1.1", "4.1"], Some("bool Singular sandbox_pidns"));
        let interface = "types.Interface";
        check(interface, 6, &["1.2"], None);
        check(interface, 6, &["1.3", "1.11", "2.0"], Some("string Singular pciAddr"));
        check(interface, 6, &["1.12", "2.1", "3.14"], Some("string Singular pciPath"));
        check(interface, 6, &["3.15", "4.1"], Some("string Singular devicePath"));
        check("grpc.LinuxSeccomp", 3, &["1.0", "2.0"], Some("grpc.LinuxSyscall Repeated Syscalls"));
        check("grpc.LinuxSeccomp", 3, &["2.1", "4.1"], Some("string Repeated Flags"));
        check("grpc.LinuxSeccomp", 4, &["2.0"], None);
        check("grpc.LinuxSyscall", 3, &["2.0"], Some("grpc.LinuxSeccompArg Repeated Args"));
        check("grpc.LinuxSyscall", 3, &["2.1"], Some("uint32 Singular errnoret"));
        check("grpc.LinuxSyscall", 4, &["2.1"], Some("grpc.LinuxSeccompArg Repeated Args"));
    }

    #[test]
    fn every_message_is_used_in_every_release_that_has_it() {
        for (release, _) in METHODS {
            let schema = schema(Some(release));
            let fields = schema.messages().iter().flat_map(|message| &message.fields);
            let mut used: Vec<_> = fields.map(|field| schema.type_name(field.kind)).collect();
            let methods = schema.services().iter().flat_map(|service| &service.methods);
            used.extend(methods.flat_map(|method| [method.request.clone(), method.response.clone()]));
            let is_used =
                |name: &String| used.iter().any(|used| used == name || used.ends_with(&format!(" {name}>")));
            let names = schema.messages().iter().map(|message| &message.name);
            let names = names.chain(schema.enums().iter().map(|found| &found.name));
            let unused: Vec<_> = names.filter(|name| !is_used(name)).collect();
            assert!(unused.is_empty(), "{release}: {unused:?}");
        }
    }

    /// All that releases broke, over the whole history: from which release to which, what, and whom that hurts. The last
    /// one but one is no difference of neighbours: 1.12 had the number, and it was free from 2.0 to 3.2.
    const BREAKS: [&str; 13] = [
        "1.5 -> 1.6: method-removed grpc.AgentService/AddInterface hurts old-client-new-server",
        "1.5 -> 1.6: method-removed grpc.AgentService/RemoveInterface hurts old-client-new-server",
        "1.11 -> 1.12: renamed types.Interface#6 hurts both if anybody",
        "1.12 -> 2.0: field-removed grpc.CreateContainerRequest#8 hurts both",
        "1.12 -> 2.0: renamed types.Interface#6 hurts both if anybody",
        "2.0 -> 2.1: method-removed grpc.AgentService/ListProcesses hurts old-client-new-server",
        "2.0 -> 2.1: number-reused grpc.LinuxSeccomp#3 hurts both",
        "2.0 -> 2.1: number-reused grpc.LinuxSyscall#3 hurts both",
        "2.0 -> 2.1: renamed types.Interface#6 hurts both if anybody",
        "2.3 -> 2.4: method-removed grpc.AgentService/StartTracing hurts old-client-new-server",
        "2.3 -> 2.4: method-removed grpc.AgentService/StopTracing hurts old-client-new-server",
        "3.2 -> 3.3: number-reused grpc.CreateContainerRequest#8 hurts both",
        "3.14 -> 3.15: renamed types.Interface#6 hurts both if anybody",
    ];

    #[test]
    fn the_history_breaks_what_it_broke_and_nothing_else() {
        let schemas = METHODS.map(|(release, _)| ReadSchema::from(schema(Some(release))));
        let mut found = Vec::new();
        for at in 1..METHODS.len() {
            let before: Vec<_> = schemas[..at].iter().collect();
            let (from, to) = (METHODS[at - 1].0, METHODS[at].0);
            found.extend(compare_history(&before, &schemas[at]).breaks.into_iter().map(|found| {
                let certain = if found.certain { "" } else { " if anybody" };
                let (kind, hurts) = (found.kind.word(), found.hurts.word());
                format!("{from} -> {to}: {kind} {} hurts {hurts}{certain}", found.subject)
            }));
        }
        assert_eq!(found, BREAKS);
    }

    #[test]
    fn a_break_says_what_it_was_and_what_it_is() {
        let between = |old, new| {
            let (old, new) = (ReadSchema::from(schema(Some(old))), ReadSchema::from(schema(Some(new))));
            compare_schemas(&old, &new).breaks.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            between("2.0", "2.1"),
            [
                "method-removed: `grpc.AgentService/ListProcesses` is gone; hurts an old client with a new \
                 server",
                "number-reused: `grpc.LinuxSeccomp#3` was `repeated grpc.LinuxSyscall Syscalls` and is \
                 `repeated string Flags`; both are a length with bytes on the wire; `Syscalls` has number 4 \
                 now; hurts both: an old client with a new server, and a new client with an old one",
                "number-reused: `grpc.LinuxSyscall#3` was `repeated grpc.LinuxSeccompArg Args` and is `uint32 \
                 errnoret`; a length with bytes is a varint on the wire now; `Args` has number 4 now; hurts \
                 both: an old client with a new server, and a new client with an old one",
                "renamed: `types.Interface#6` was `pciAddr` and is `pciPath`; same bytes; if it means \
                 something else, it hurts both: an old client with a new server, and a new client with an old \
                 one",
            ]
        );
        assert_eq!(between("2.1", "2.2"), [""; 0], "only additions");
    }
}
