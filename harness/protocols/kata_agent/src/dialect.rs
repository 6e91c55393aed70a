//! What each release of the agent does, as data.
//!
//! Nothing is negotiated: `grpc_version` is "0.0.1" in every release, `agent_version` the release, which nobody compares. What a
//! release can be told by is the family of its server ([`ttrpc::family`]) and the list of its storage handlers.
//!
//! ```text
//! 2.0 - 2.1 - 2.5 - 3.0 - 3.2 - 3.3 - 4.0 - ideal
//! ```
//!
//! 2.0, 2.1, 2.5, 3.0, 3.2 and 4.0 were measured; 3.3 is what its sources changed.

use matrix::Version;
use protocol::dialect::{Facts, Table};
use protocol::launch::Bound;
use ttrpc::envelope::code;
use ttrpc::family::{self, Family};
use ttrpc::schema::Schemas;
use ttrpc::{Api, Side};
use wire::protobuf::Schema;
use wire::protobuf::schema::Method;

use super::address::Grammar;
use super::message;
use super::releases::RELEASES;
use super::schema::SOURCES;

/// One release's reading of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release, or `ideal`.
    pub name: &'static str,
    /// The release whose messages it has; the newest ones without.
    pub messages: Option<&'static str>,
    /// How its server frames and refuses.
    pub family: Family,
    /// The version that it says it has.
    pub version: &'static str,
    /// Where it listens that is told of `unix://` and a path.
    pub bound: Bound,
    /// The kinds of storage that it knows.
    pub storage_handlers: &'static [&'static str],
    /// Methods that it declares and has not, each with the code for it.
    pub not_there: &'static [(&'static str, i64)],
    /// The code for a size of a terminal of a container that is not there.
    pub no_terminal: i64,
    /// Whether entropy may be missing from what brings it.
    pub takes_no_entropy: bool,
    /// Whether the families of addresses are the other ones.
    pub families_swapped: bool,
    /// Whether names of interfaces end in NUL.
    pub name_ends_in_nul: bool,
    /// Whether SIGTERM kills a process that has a handler for it.
    pub sigterm_kills: bool,
    /// The status of a process that was killed.
    pub killed_status: i32,
    /// Whether a word of a specification that it does not know leaves the call unanswered.
    pub unknown_word_hangs: bool,
    /// Whether a capability that it does not know is passed over, and the container is made without it.
    pub passes_over_capabilities: bool,
    /// Whether the code of a failure of its own parts is lost in what it answers.
    pub loses_code: bool,
    /// Whether flags of seccomp that it does not know are wrong, and not passed over.
    pub knows_flags: bool,
    /// Where the rules of seccomp are: 2.0 has them in field 3.
    pub seccomp_of_2_0: bool,
    /// How it calls the device of an interface.
    pub addresses: Grammar,
    /// Whether its runtime asks for the version of its agent, and writes as that release reads.
    pub writes_for_agent: bool,
    /// Whether its runtime tells by the words of a refusal that a method is not there, where the code does not say so.
    pub reads_refusals: bool,
    /// Whether its runtime passes on capabilities that it does not know.
    pub passes_words_on: bool,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What 2.0 does.
    fn first() -> Self {
        Self {
            name: "",
            messages: Some("2.0"),
            family: family::RS_SYNC_0_3,
            version: "2.0.0",
            bound: Bound::Abstract { tail: b"\0" },
            storage_handlers: &["9p", "blk", "ephemeral", "local", "mmioblk", "scsi", "virtio-fs"],
            not_there: &[],
            no_terminal: code::UNAVAILABLE,
            takes_no_entropy: true,
            families_swapped: false,
            name_ends_in_nul: true,
            sigterm_kills: true,
            killed_status: 9,
            unknown_word_hangs: false,
            passes_over_capabilities: false,
            loses_code: false,
            knows_flags: false,
            seccomp_of_2_0: true,
            addresses: Grammar::Bridge,
            writes_for_agent: false,
            reads_refusals: false,
            passes_words_on: true,
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

/// The schemas that were asked for.
static SCHEMAS: Schemas = Schemas::new();

impl Dialect {
    /// Its release; none for the ideal one.
    pub(crate) fn release(&self) -> Option<Version> {
        self.name.parse().ok().filter(|version: &Version| version.to_string() == self.name)
    }

    /// The services of the release.
    pub(crate) fn schema(&self) -> &'static Schema {
        SCHEMAS.of(self.name, || ttrpc::schema::of_release(&SOURCES, self.messages))
    }
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

    fn unordered(&self, method: &Method) -> &'static [&'static str] {
        message::unordered(method)
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
    fn every_release_has_a_schema() {
        for dialect in DIALECTS.all() {
            assert!(dialect.schema().method("grpc.Health", "Check").is_some(), "{}", dialect.name);
        }
    }
}
