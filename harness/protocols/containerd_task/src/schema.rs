//! The messages of every release, read from `.proto` text of our own.
//!
//! The facts are those of the `.proto` files of all minor releases of `containerd/containerd`, `api/runtime/task`,
//! `api/runtime/sandbox`, `api/services/ttrpc/events`, `api/events` and `api/runtime/bootstrap`; which service a shim
//! serves was measured on the shims of 1.4.13, 1.6.20, 1.7.24 and 2.1.9.

use ttrpc::schema::{Schemas, of_release};
use wire::protobuf::{Schema, Source};

/// The texts, each line with the releases in which it holds; see [`ttrpc::schema`].
pub(crate) const SOURCES: [Source<'static>; 8] = [
    Source { name: "bootstrap.proto", text: include_str!("proto/bootstrap.proto") },
    Source { name: "events.proto", text: include_str!("proto/events.proto") },
    Source { name: "events_service.proto", text: include_str!("proto/events_service.proto") },
    Source { name: "google.proto", text: include_str!("proto/google.proto") },
    Source { name: "sandbox.proto", text: include_str!("proto/sandbox.proto") },
    Source { name: "task_v2.proto", text: include_str!("proto/task_v2.proto") },
    Source { name: "task_v3.proto", text: include_str!("proto/task_v3.proto") },
    Source { name: "types.proto", text: include_str!("proto/types.proto") },
];

/// The releases that the texts know, oldest first: all minor ones.
pub(crate) const RELEASES: &[&str] = &["1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.0", "2.1", "2.2", "2.3"];

/// The schemas of releases that were asked for.
static SCHEMAS: Schemas = Schemas::new();

/// The messages of one of the releases.
pub(crate) fn schema_of(release: &str) -> Option<&'static Schema> {
    let release = RELEASES.iter().find(|known| **known == release)?;
    Some(SCHEMAS.of(release, || of_release(&SOURCES, Some(release))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn schema(release: Option<&str>) -> Schema {
        of_release(&SOURCES, release).unwrap_or_else(|error| panic!("{release:?}: {error}"))
    }

    #[test]
    fn every_release_has_the_services_that_it_had() {
        #[track_caller]
        fn check(releases: &[&str], expect: &[&str]) {
            for release in releases {
                let schema = schema(Some(release));
                let found: Vec<_> = schema.services().iter().map(|service| service.name.as_str()).collect();
                assert_eq!(found, expect, "{release}");
            }
        }
        let (events, sandbox) =
            ("containerd.services.events.ttrpc.v1.Events", "containerd.runtime.sandbox.v1.Sandbox");
        let (v2, v3) = ("containerd.task.v2.Task", "containerd.task.v3.Task");
        check(&["1.2", "1.3", "1.4.13", "1.5", "1.6.20"], &[events, v2]);
        check(&["1.7", "1.7.24"], &[sandbox, events, v2]);
        check(&["2.0", "2.0.5"], &[events, v2, v3]);
        check(&["2.1", "2.1.9", "2.2", "2.3"], &[events, v3]);
        assert_eq!(schema(None), schema(Some("2.3")));
    }

    #[test]
    fn no_release_is_left_out() {
        for release in RELEASES {
            let found = schema_of(release).expect("it is known");
            assert_eq!(*found, schema(Some(release)), "{release}");
        }
        assert_eq!(RELEASES.last().and_then(|newest| schema_of(newest)), Some(&schema(None)));
        assert_eq!(schema_of("1.1"), None);
    }

    #[test]
    fn fields_came_when_they_came() {
        #[track_caller]
        fn check(message: &str, number: u32, releases: &[&str], expect: bool) {
            for release in releases {
                let schema = schema(Some(release));
                let field = schema.message(message).and_then(|message| message.field(number));
                assert_eq!(field.is_some(), expect, "{message}#{number} in {release}");
            }
        }
        check("containerd.task.v2.StateResponse", 11, &["1.2"], false);
        check("containerd.task.v2.StateResponse", 11, &["1.3", "2.1"], true);
        check("containerd.task.v2.UpdateTaskRequest", 3, &["1.2", "1.4.13"], false);
        check("containerd.task.v2.UpdateTaskRequest", 3, &["1.5", "2.3"], true);
        check("containerd.task.v3.StateResponse", 11, &["1.6"], false);
        check("containerd.task.v3.StateResponse", 11, &["1.7", "2.3"], true);
        check("containerd.runtime.bootstrap.v1.BootstrapResult", 5, &["2.2"], false);
        check("containerd.runtime.bootstrap.v1.BootstrapResult", 5, &["2.3"], true);
    }

    #[test]
    fn both_versions_of_the_task_service_have_the_same_messages() {
        let schema = schema(Some("2.0"));
        let messages = |package: &str| {
            let found = schema.messages().iter().filter_map(|message| {
                let fields = message.fields.iter().map(|field| {
                    let kind = schema.type_name(field.kind).replace(package, "");
                    (field.number, field.name.clone(), kind)
                });
                Some((message.name.strip_prefix(package)?.to_owned(), fields.collect::<Vec<_>>()))
            });
            found.collect::<Vec<_>>()
        };
        assert_eq!(messages("containerd.task.v2."), messages("containerd.task.v3."));
        assert_eq!(messages("containerd.task.v2.").len(), 26);
    }
}
