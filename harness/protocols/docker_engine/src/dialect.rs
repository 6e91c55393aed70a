//! What each release of the daemon and of its CLI does, as data.
//!
//! ```text
//! client                                   daemon
//!   HEAD /_ping                     ─▶
//!                                   ◀─     Api-Version: 1.51            the highest that it knows
//!   GET /v1.45/containers/json      ─▶                                  the lower one of both maxima
//!
//! 20.10.5 - 20.10.24 - 23.0 - 24.0 - 25.0 - 26.0 - 27.0 - 27.2 - 28.0 - 28.1 - 28.2 - 28.3 - 29.0 - 29.2 - 29.3 - 29.6 - ideal
//! ```
//!
//! Measured on the packages of four Debian suites: 20.10.5, 20.10.24, 26.1.5 and 28.5.2; what stands between them and after
//! them was read in the source.

use protocol::dialect::{Facts, Table};

use super::releases::RELEASES;
use super::version::{ApiVersion, api};

/// One release's reading of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release that began it, or `ideal`.
    pub name: &'static str,
    /// The highest version of the API that it knows, as a daemon and as a client.
    pub api_max: ApiVersion,
    /// The lowest version that its daemon takes unless it is told otherwise.
    pub api_min: ApiVersion,
    /// The lowest version that its daemon can be told to take; nothing where it cannot be told.
    pub api_min_settable: Option<ApiVersion>,
    /// The lowest version of a daemon that its CLI talks to, where there is one.
    pub client_min: Option<ApiVersion>,
    /// What the CLI sends when it has found a daemon that is too old for it.
    pub refusal_swallowed: bool,
    /// How errors are written for whom.
    pub errors: Errors,
    /// What its HTTP parser does: that of the Go release that it was built with.
    pub http: Http,
    /// What is said of a body that is no JSON of the request.
    pub bodies: Bodies,
    /// Whether a number in the query that is none is the server's fault.
    pub numbers_are_faults: bool,
    /// Whether an error of attaching is said to be a stream.
    pub attach_errors_are_streams: bool,
    /// Whether a build context that is no archive is the server's fault.
    pub archives_are_faults: bool,
    /// Whether filters that are no JSON are the server's fault.
    pub filters_are_faults: bool,
    /// What becomes of an endpoint that the daemon knows and the prefix does not.
    pub newer_than_prefix: NewerThanPrefix,
    /// What ping answers beside the version: builder and swarm.
    pub ping_says_more: bool,
    /// Whether the type of a multiplexed stream says that it is one, for clients of 1.42 and later.
    pub stream_types: bool,
    /// Whether one-shot statistics say whose they are.
    pub one_shot_has_identity: bool,
    /// Whether events for old versions pass through a map of floats, which rounds their times.
    pub rounds_event_times: bool,
    /// What becomes of a field of version 1.40 alone that nobody carries out any more.
    pub capabilities: Capabilities,
    /// What a container's runtime with arguments is.
    pub wrappers: Wrappers,
    /// Whether its configuration may name a runtime without a path.
    pub takes_pathless_runtime: bool,
    /// Whether an empty file is a configuration.
    pub takes_empty_configuration: bool,
    /// Whether its configuration may name a runtime whose script lies outside the directory of scripts.
    pub takes_runtime_names_that_lead_away: bool,
    /// Whether its configuration may say which versions of the API are too old.
    pub takes_min_api_version: bool,
    /// Whether it says that it has reloaded also where it could not apply what it had read.
    pub says_reloaded_after_refusal: bool,
    /// Whether a container that it cannot reach at the second start in a row has exited, as it says, though it lives.
    pub forgets_unreachable: bool,
    /// Whether it counts the containers anew when it has found out at its start which of them live.
    pub recounts_at_start: bool,
    /// Whether it takes away at its start what is left of containers that it does not have, or no longer as living.
    pub reaps_at_start: bool,
    /// The exit status of an exec that cannot start because its program is not there.
    pub exec_missing_status: i32,
    /// How long a stop takes whose container cannot be reached, and what it says: see [`Unreachable`].
    pub unreachable: Unreachable,
    /// The release line of its containerd: from 2 to 1 there is no way back.
    pub containerd: u32,
    /// What its CLI sends.
    pub cli: Cli,
}

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    /// As text for every prefix below 1.24, as JSON for others.
    TextBelow124,
    /// As JSON for everybody.
    Json,
}

/// What an HTTP parser of Go does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Http {
    /// Whether a version that it does not know is 400, and not 505.
    pub unknown_version_is_400: bool,
    /// Whether two Host headers are told as such.
    pub tells_many_hosts: bool,
    /// Whether a value with a control character is told as such.
    pub tells_bad_value: bool,
    /// The most header lines that it takes.
    pub headers_max: Option<usize>,
    /// Whether it speaks HTTP/2 to who begins with its preface, and waits for all of that.
    pub prior_knowledge: bool,
    /// Whether a body that ends too early is status 499 without a word.
    pub cut_body_is_499: bool,
}

/// What is said of a body that is no JSON of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// 500, with the words of the decoder. What stands behind the first value is passed over.
    Fault,
    /// 400, with `invalid JSON: ` in front. What stands behind the first value is refused, but where it was cut off.
    Refused,
    /// The same, also where it was cut off.
    RefusedToTheEnd,
}

/// What becomes of an endpoint that the daemon knows and the prefix does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewerThanPrefix {
    /// It is served.
    Served,
    /// 400, with the version that it needs.
    Refused,
}

/// What becomes of `HostConfig.Capabilities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capabilities {
    /// They are dropped without a word.
    Dropped,
    /// 400.
    Refused,
}

/// What the scripts are by which a runtime with arguments is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrappers {
    /// A file named after the runtime. Each reload and each start writes all of them anew.
    Name,
    /// A file named after its runtime and its content. A reload adds to them, a start writes all of them anew.
    Content,
    /// The same, and a start removes only those to which no living container refers.
    ContentWhileReferenced,
}

/// What a daemon does that cannot reach a container of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// 500 once the time is up, and the process lives.
    Fails,
    /// Ten seconds later it kills the process itself and says that all went well; the shim stays.
    KillsItself,
}

/// What a CLI sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cli {
    /// The Host header of plain requests.
    pub host: &'static str,
    /// That of requests that leave HTTP.
    pub hijack_host: &'static str,
    /// Whether it refuses by itself what needs a newer daemon.
    pub checks_options: bool,
    /// Whether it reads an error that is JSON where it has been told an old version.
    pub reads_old_json_errors: bool,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What 20.10.5 does.
    fn first() -> Self {
        Self {
            name: "",
            api_max: api(41),
            api_min: api(12),
            api_min_settable: None,
            client_min: None,
            refusal_swallowed: false,
            errors: Errors::TextBelow124,
            http: Http {
                unknown_version_is_400: true,
                tells_many_hosts: true,
                tells_bad_value: true,
                headers_max: None,
                prior_knowledge: false,
                cut_body_is_499: false,
            },
            bodies: Bodies::Fault,
            numbers_are_faults: true,
            attach_errors_are_streams: true,
            archives_are_faults: true,
            filters_are_faults: true,
            newer_than_prefix: NewerThanPrefix::Served,
            ping_says_more: false,
            stream_types: false,
            one_shot_has_identity: true,
            rounds_event_times: false,
            capabilities: Capabilities::Dropped,
            wrappers: Wrappers::Name,
            takes_pathless_runtime: true,
            takes_empty_configuration: false,
            takes_runtime_names_that_lead_away: true,
            takes_min_api_version: false,
            says_reloaded_after_refusal: false,
            forgets_unreachable: false,
            recounts_at_start: false,
            reaps_at_start: false,
            exec_missing_status: 126,
            unreachable: Unreachable::Fails,
            containerd: 1,
            cli: Cli { host: "docker", hijack_host: "", checks_options: false, reads_old_json_errors: false },
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

impl Dialect {
    /// Whether its daemon has what came with a version of the API.
    pub(crate) fn knows(&self, since: ApiVersion) -> bool {
        self.api_max >= since
    }

    /// What both settle on when this client meets that daemon: the lower one of the two maxima.
    pub(crate) fn settles_on(&self, daemon: ApiVersion) -> ApiVersion {
        self.api_max.min(daemon)
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
    fn builds_have_the_versions_that_they_announce() {
        #[track_caller]
        fn check(build: &str, max: u64, min: u64) {
            let dialect = DIALECTS.for_version(build).expect("a release of the table");
            assert_eq!((dialect.api_max, dialect.api_min), (api(max), api(min)), "{build}");
        }
        check("20.10.5+dfsg1-1+deb11u2", 41, 12);
        check("20.10.24+dfsg1-1+deb12u1+b6", 41, 12);
        check("26.1.5+dfsg1-9+deb13u1", 45, 24);
        check("28.5.2+dfsg4-5", 51, 24);
        check("29.0.0", 52, 44);
        check("29.7.2", 55, 40);
    }

    #[test]
    fn no_release_knows_less_than_the_one_before() {
        for pair in DIALECTS.all().windows(2) {
            let [before, after] = pair else { continue };
            assert!(before.api_max <= after.api_max, "{} and {}", before.name, after.name);
        }
    }
}
