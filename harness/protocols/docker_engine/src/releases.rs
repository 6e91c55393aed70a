//! The release table of the daemon and its CLI, one entry for each change.

use protocol::dialect::{self, Change, IDEAL, Release};
use transcript::evidence::Shape;

use super::dialect::{Bodies, Capabilities, Dialect, Errors, NewerThanPrefix, Unreachable, Wrappers};
use super::version::api;

const BOOKWORM: &str = "measured on docker.io 20.10.24+dfsg1-1+deb12u1+b6 of Debian";
const TRIXIE: &str = "measured on docker.io 26.1.5+dfsg1-9+deb13u1 of Debian";
const FORKY: &str = "measured on docker.io 28.5.2+dfsg4-5 of Debian";
const LATEST: &str = "measured on 29.7.2 as docker.com has it";
const CLI_29: &str = "measured on docker-cli 29.0.0, the build of docker.com";

/// As the kit's [`dialect::change`], of this protocol.
const fn change(what: &'static str, source: &'static str, apply: fn(&mut Dialect)) -> Change<Dialect> {
    dialect::change(what, source, apply)
}

/// Oldest first, each the continuation of the one before.
pub(super) const RELEASES: &[Release<Dialect>] = &[
    Release { name: "20.10.5", after: None, changes: &[] },
    Release {
        name: "20.10.24",
        after: Some("20.10.5"),
        changes: &[
            change("a version of HTTP that it does not know is 505", BOOKWORM, |d| {
                d.http.unknown_version_is_400 = false;
            }),
            change("two Host headers are refused without a reason", BOOKWORM, |d| d.http.tells_many_hosts = false),
            change("what it cannot reach it kills itself, ten seconds after it was told to", BOOKWORM, |d| {
                d.unreachable = Unreachable::KillsItself;
            }),
        ],
    },
    Release {
        name: "23.0",
        after: Some("20.10.24"),
        changes: &[
            change("API 1.42", "moby/moby@v23.0.0:api/common.go", |d| d.api_max = api(42)),
            change(
                "a body that is no JSON is the client's fault",
                "moby/moby@v23.0.0:api/server/httputils/httputils.go",
                |d| d.bodies = Bodies::Refused,
            )
            .declares(&[("bad-json", "500 -> 400")]),
            change("filters that are no JSON are the client's fault", TRIXIE, |d| d.filters_are_faults = false)
                .declares(&[("bad-filters", "500 -> 400")]),
            change("the type of a stream says that it is multiplexed, from 1.42 on", TRIXIE, |d| {
                d.stream_types = true;
            }),
        ],
    },
    Release {
        name: "24.0",
        after: Some("23.0"),
        changes: &[change("API 1.43", "moby/moby@v24.0.0:api/common.go", |d| d.api_max = api(43))],
    },
    Release {
        name: "25.0",
        after: Some("24.0"),
        changes: &[
            change("API 1.44", "moby/moby@v25.0.0:api/common.go", |d| d.api_max = api(44)),
            change(
                "API 1.12 to 1.23 are refused, unless the daemon is told otherwise",
                "moby/moby@v25.0.0:daemon/config/config.go",
                |d| {
                    d.api_min = api(24);
                    d.api_min_settable = Some(api(12));
                },
            )
            .declares(&[("api-min", "1.12 -> 1.24")]),
            change(
                "scripts of runtimes are named after their content",
                "moby/moby@d222bf097c:daemon/runtime_unix.go",
                |d| d.wrappers = Wrappers::Content,
            ),
            change(
                "one-shot statistics do not say whose they are",
                "moby/moby@95aea39348:daemon/stats.go",
                |d| d.one_shot_has_identity = false,
            ),
        ],
    },
    Release {
        name: "26.0",
        after: Some("25.0"),
        changes: &[
            change("API 1.45", "moby/moby@v26.0.0:api/common.go", |d| d.api_max = api(45)),
            change(
                "API below 1.24 is gone, and with it errors as text",
                "moby/moby@ffd877f948:api/server/httputils/httputils.go",
                |d| {
                    d.api_min_settable = Some(api(24));
                    d.errors = Errors::Json;
                },
            )
            .declares(&[("errors-below-1.24", "text -> json")]),
            change("ping tells the builder and the swarm", TRIXIE, |d| d.ping_says_more = true),
            change("a value with a control character is refused without a reason", TRIXIE, |d| {
                d.http.tells_bad_value = false;
            }),
            change("a runtime needs a path", TRIXIE, |d| d.takes_pathless_runtime = false),
            change("an empty file is a configuration", TRIXIE, |d| d.takes_empty_configuration = true),
            change("what it cannot reach at two starts in a row has exited, it says, and lives", TRIXIE, |d| {
                d.forgets_unreachable = true;
            }),
            change("the CLI names another host, also where it leaves HTTP", TRIXIE, |d| {
                d.cli.host = "api.moby.localhost";
                d.cli.hijack_host = "api.moby.localhost";
            }),
            change("the CLI refuses by itself what needs a newer daemon", TRIXIE, |d| d.cli.checks_options = true),
        ],
    },
    Release {
        name: "27.0",
        after: Some("26.0"),
        changes: &[change("API 1.46", "moby/moby@v27.0.1:api/common.go", |d| d.api_max = api(46))],
    },
    Release {
        name: "27.2",
        after: Some("27.0"),
        changes: &[change("API 1.47", "moby/moby@v27.2.0:api/common.go", |d| d.api_max = api(47))],
    },
    Release {
        name: "28.0",
        after: Some("27.2"),
        changes: &[
            change("API 1.48", "moby/moby@v28.0.0:api/common.go", |d| d.api_max = api(48)),
            change("a program that is not there is status 127 of exec", FORKY, |d| d.exec_missing_status = 127),
            change("containers are kept by containerd 2", FORKY, |d| d.containerd = 2),
            change("it says that it has reloaded also where it could not apply what it had read", FORKY, |d| {
                d.says_reloaded_after_refusal = true;
            }),
            change("what stands behind a value is refused also where it was cut off", FORKY, |d| {
                d.bodies = Bodies::RefusedToTheEnd;
            }),
        ],
    },
    Release {
        name: "28.1",
        after: Some("28.0"),
        changes: &[
            change("API 1.49", "moby/moby@v28.1.0:api/common.go", |d| d.api_max = api(49)),
            change(
                "errors are text again for prefixes below 1.24",
                "moby/moby@230f178f8b:daemon/server/httputils/httputils.go",
                |d| {
                    d.errors = Errors::TextBelow124;
                    d.cli.reads_old_json_errors = true;
                },
            )
            .declares(&[("errors-below-1.24", "json -> text")]),
        ],
    },
    Release {
        name: "28.2",
        after: Some("28.1"),
        changes: &[change("API 1.50", "moby/moby@v28.2.0:api/common.go", |d| d.api_max = api(50))],
    },
    Release {
        name: "28.3",
        after: Some("28.2"),
        changes: &[
            change("API 1.51", "moby/moby@v28.3.0:api/common.go", |d| d.api_max = api(51)),
            change("more than some thousand header lines are refused", FORKY, |d| d.http.headers_max = Some(10_000)),
        ],
    },
    Release {
        name: "29.0",
        after: Some("28.3"),
        changes: &[
            change("API 1.52", "moby/moby@v29.0.0:daemon/config/config.go", |d| d.api_max = api(52)),
            change(
                "API below 1.44 is refused, unless the daemon is told otherwise",
                "moby/moby@2c59be7011:daemon/config/config.go",
                |d| d.api_min = api(44),
            )
            .declares(&[("api-min", "1.24 -> 1.44")])
            .breaks(&[("client/*", Shape::LOUD_FAIL)]),
            change("the CLI refuses daemons below 1.44, and most of its commands ask them all the same", CLI_29, |d| {
                d.client_min = Some(api(44));
                d.refusal_swallowed = true;
            }),
            change(
                "an endpoint that is newer than the prefix is refused",
                "moby/moby@20d8342a4b:daemon/server/router/local.go",
                |d| d.newer_than_prefix = NewerThanPrefix::Refused,
            ),
            change("one-shot statistics say whose they are", "moby/moby@7439f09cd2:daemon/stats.go", |d| {
                d.one_shot_has_identity = true;
            }),
            change(
                "fields of events for old versions pass through a map of floats",
                "moby/moby@33a05ac344:daemon/internal/compat/compat.go",
                |d| d.rounds_event_times = true,
            ),
            change("a number in the query that is none is the client's fault", LATEST, |d| {
                d.numbers_are_faults = false;
            })
            .declares(&[("bad-numbers", "500 -> 400")]),
            change("its configuration may say which versions of the API are too old", LATEST, |d| {
                d.takes_min_api_version = true;
            }),
            change("HTTP/2 is spoken to whoever begins with its preface", LATEST, |d| d.http.prior_knowledge = true),
            change("a body that ends too early is status 499", LATEST, |d| d.http.cut_body_is_499 = true),
        ],
    },
    Release {
        name: "29.2",
        after: Some("29.0"),
        changes: &[change("API 1.53", "moby/moby@v29.2.0:daemon/config/config.go", |d| d.api_max = api(53))],
    },
    Release {
        name: "29.3",
        after: Some("29.2"),
        changes: &[
            change("API 1.54", "moby/moby@v29.3.0:daemon/config/config.go", |d| d.api_max = api(54)),
            change("API 1.40 to 1.43 are taken again", "moby/moby@e2fad779f7:daemon/config/config.go", |d| {
                d.api_min = api(40);
                d.client_min = Some(api(40));
            })
            .declares(&[("api-min", "1.44 -> 1.40")]),
            change(
                "a field of 1.40 that nobody carries out is refused",
                "moby/moby@f96921e5e5:daemon/server/router/container/container_routes.go",
                |d| d.capabilities = Capabilities::Refused,
            ),
        ],
    },
    Release {
        name: "29.6",
        after: Some("29.3"),
        changes: &[change("API 1.55", "moby/moby@v29.6.0:daemon/config/config.go", |d| d.api_max = api(55))],
    },
    Release {
        name: IDEAL,
        after: Some("29.6"),
        changes: &[
            change(
                "a raised minimum locks nobody out who could be served",
                "harness/ARCHITECTURE.md#recordings-keep-their-meaning: what a release has served, later ones serve",
                |d| {
                    d.api_min = api(12);
                    d.client_min = None;
                    d.refusal_swallowed = false;
                },
            )
            .declares(&[("api-min", "1.40 -> 1.12")]),
            change(
                "a script goes only when no living container refers to it",
                "moby/moby@d222bf097c: what its message promises for reloads, for starts too",
                |d| d.wrappers = Wrappers::ContentWhileReferenced,
            ),
            change(
                "a runtime's name does not lead out of the directory of scripts",
                "harness/ARCHITECTURE.md#bad-input-harms-nobody-else",
                |d| d.takes_runtime_names_that_lead_away = false,
            ),
            change(
                "it says that it has reloaded when it has",
                "harness/ARCHITECTURE.md#claims-are-effects",
                |d| d.says_reloaded_after_refusal = false,
            ),
            change(
                "what lives is said to live, and counted so",
                "harness/ARCHITECTURE.md#claims-are-effects",
                |d| {
                    d.forgets_unreachable = false;
                    d.recounts_at_start = true;
                },
            ),
            change(
                "an error of attaching is told as any other",
                "harness/ARCHITECTURE.md#claims-are-effects",
                |d| d.attach_errors_are_streams = false,
            ),
            change(
                "a build context that is no archive is the client's fault",
                "harness/ARCHITECTURE.md#claims-are-effects",
                |d| d.archives_are_faults = false,
            ),
            change(
                "nothing is left of containers that are gone",
                "harness/ARCHITECTURE.md#what-is-taken-is-given-back",
                |d| d.reaps_at_start = true,
            ),
            change(
                "numbers are passed on as they are",
                "harness/ARCHITECTURE.md#recordings-keep-their-meaning",
                |d| d.rounds_event_times = false,
            ),
            change("a body that ends too early is refused in words", "RFC 9110, section 15.5", |d| {
                d.http.cut_body_is_499 = false;
            }),
        ],
    },
];
