//! What each release of containerd and of its shim does, as data.
//!
//! Nothing is negotiated on the wire. A shim says in a file of its bundle how it is reached, and a daemon reads that file:
//!
//! ```text
//! 1.x   `address`          unix:///run/containerd/s/…                                            services task.v2
//! 2.x   `bootstrap.json`   {"version":3,"address":"unix:///run/containerd/s/…","protocol":"ttrpc"}    services task.v3
//!       a daemon of 2.x that finds no bootstrap.json reads `address`, as version 2, and writes one of version 2 next to it
//!
//! 1.4 - 1.6 - 1.7 - 2.1 - ideal
//! ```

use protocol::dialect::{Facts, Table};
use ttrpc::family::{self, Family};
use ttrpc::schema::Schemas;
use ttrpc::{Api, Side};
use wire::protobuf::schema::Method;
use wire::protobuf::{Schema, Source};

use super::message;
use super::releases::RELEASES;
use super::schema::SOURCES;

/// The task service of 1.x.
pub(crate) const TASK_V2: &str = "containerd.task.v2.Task";
/// The last release whose shim has it, and the only one whose shim has sandboxes.
const LAST_V2: &str = "1.7";
/// The task service of 2.x.
pub(crate) const TASK_V3: &str = "containerd.task.v3.Task";
/// The service to which shims report events.
pub(crate) const EVENTS: &str = "containerd.services.events.ttrpc.v1.Events";

/// One release's reading of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release, or `ideal`.
    pub name: &'static str,
    /// The release whose messages it has; the newest ones without.
    pub messages: Option<&'static str>,
    /// Whether its shims serve the task service of 1.x as well.
    pub keeps_v2: bool,
    /// How its shims frame and refuse.
    pub family: Family,
    /// The task service of its shims.
    pub task: &'static str,
    /// Whether its shims write `bootstrap.json`, and its daemons read it.
    pub bootstrap: bool,
    /// Whether its daemons write a `bootstrap.json` next to an `address` that they find alone.
    pub migrates: bool,
    /// The newest version of a shim that its daemons know.
    pub shim_version_max: u64,
    /// Whether its daemons say of what they cannot start that its version is not known, and do not take that for an address.
    pub names_version: bool,
    /// Whether its daemons ask a shim that they find for the processes of its container before they ask for the state.
    pub asks_pids: bool,
    /// What becomes of a container whose shim its daemon cannot reach.
    pub unreachable: Unreachable,
    /// Whether its daemons say to whoever asks that a shim cannot be reached, and not only that there is no such container.
    pub says_unreachable: bool,
    /// When its daemons ask a shim for another task service than that of its version.
    pub asks_on: AsksOn,
    /// Whether a shim waits for whoever does not answer where it reports events, before it ends.
    pub waits_to_report: bool,
    /// Whether a container may be made without a bundle.
    pub no_bundle: bool,
    /// Whether `runc exec` of the release works on the kernel on which it was measured.
    pub executes: bool,
}

/// What becomes of a container whose shim a daemon cannot reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// It is killed, and its bundle removed; the shim stays.
    Killed,
    /// It goes on.
    Kept,
}

/// What makes a daemon ask a shim for another task service than that of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsksOn {
    /// Nothing does.
    Nothing,
    /// The answer UNIMPLEMENTED of a shim of version 3; then it is one of version 2.
    Unimplemented,
    /// Any refusal, and any version that is not known.
    Anything,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What 1.4 does.
    fn first() -> Self {
        Self {
            name: "",
            messages: Some("1.4"),
            keeps_v2: false,
            family: family::GO_1_0,
            task: TASK_V2,
            bootstrap: false,
            migrates: false,
            shim_version_max: 2,
            names_version: false,
            asks_pids: false,
            unreachable: Unreachable::Killed,
            says_unreachable: false,
            asks_on: AsksOn::Nothing,
            waits_to_report: true,
            no_bundle: true,
            executes: false,
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

/// The schemas that were asked for.
static SCHEMAS: Schemas = Schemas::new();

impl Dialect {
    /// The services of the release.
    pub(crate) fn schema(&self) -> &'static Schema {
        let is_v2 = |source: &Source<'_>| source.name == "task_v2.proto" && self.keeps_v2;
        let release = |source: &Source<'static>| if is_v2(source) { Some(LAST_V2) } else { self.messages };
        SCHEMAS
            .of(self.name, || ttrpc::schema::of_releases(&SOURCES.map(|source| (source, release(&source)))))
    }
}

/// The text of what only shims of 2.x have.
const NEW_TEXT: &str = "task_v3.proto";

/// The services of all shims. What is in none of them no shim knows; who serves what is in one, says nothing by that.
pub(crate) fn of_all_shims() -> &'static Schema {
    let release = |source: &Source<'static>| (source.name != NEW_TEXT).then_some(LAST_V2);
    SCHEMAS.of("all", || ttrpc::schema::of_releases(&SOURCES.map(|source| (source, release(&source)))))
}

impl Api for &'static Dialect {
    fn dialect(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> &'static Schema {
        Dialect::schema(self)
    }

    fn mask(&self, method: &Method, side: Side, field: &str) -> Option<&'static str> {
        message::mask(method, side, field)
    }

    fn whole_mask(&self, method: &Method) -> Option<&'static str> {
        message::whole_mask(method)
    }

    fn unordered(&self, _method: &Method) -> &'static [&'static str] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use protocol::testing::check_table;

    use super::*;

    #[test]
    fn the_release_table_is_sound() {
        check_table(&DIALECTS);
    }

    #[test]
    fn every_release_has_its_task_service() {
        for dialect in DIALECTS.all() {
            assert!(dialect.schema().method(dialect.task, "Connect").is_some(), "{}", dialect.name);
        }
    }

    #[test]
    fn what_a_release_serves_is_known_of_all_shims() {
        let all = of_all_shims();
        for service in DIALECTS.all().iter().flat_map(|dialect| dialect.schema().services()) {
            for method in &service.methods {
                assert!(
                    all.method(&service.name, &method.name).is_some(),
                    "{}/{}",
                    service.name,
                    method.name
                );
            }
        }
    }
}
