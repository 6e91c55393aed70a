//! Faults that can be switched on in the reference peers, and what must find each.

use transcript::evidence::Shape;

use crate::shapes;

protocol::defects! { pub(crate) DEFECTS;
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", Shape::ANSWERED_TWICE,
        "Every answer is sent two times.";
    UNKNOWN_SUCCEEDS, "unknown-succeeds", Server, "ideal", "probe/unknown-path", Shape::WRONG_SUCCESS,
        "An endpoint that is not known is answered with success.";
    UNKNOWN_AS_MISSING, "unknown-as-missing", Server, "ideal", "probe/unknown-path", Shape::WRONG_REFUSAL,
        "An endpoint that is not known is told as an object that is not there.";
    MISSING_AS_UNKNOWN, "missing-as-unknown", Server, "ideal", "probe/missing-container", shapes::MISSING_AS_UNKNOWN,
        "An object that is not there is told as an endpoint that is not known.";
    TAKES_NEWER, "takes-newer", Server, "ideal", "probe/prefix-too-new", Shape::WRONG_SUCCESS,
        "A version above the highest one is taken.";
    TEXT_ERRORS, "text-errors", Server, "ideal", "probe/missing-container", shapes::ERROR_FORM,
        "Errors are text for everybody.";
    BLAMES_ITSELF, "blames-itself", Server, "ideal", "probe/json-invalid", shapes::BLAMES_ITSELF,
        "What a client did wrong is 500.";
    SOURCES_DISAGREE, "sources-disagree", Server, "ideal", "client/version", shapes::SOURCES_DISAGREE,
        "Ping and /version announce different versions.";
    ANNOUNCES_MORE, "announces-more", Server, "ideal", "client/version", shapes::SOURCES_DISAGREE,
        "Ping announces more than the daemon knows.";
    HIDES_VERSION, "hides-version", Server, "ideal", "client/version", shapes::SOURCES_DISAGREE,
        "No answer announces a version.";
    TAKES_OWN, "takes-own", Client, "20.10.24", "client/ps", shapes::ABOVE_AGREED,
        "A client takes its own highest version for that of both.";
    NEVER_SETTLES, "never-settles", Client, "ideal", "client/ps", shapes::BELOW_AGREED,
        "A client asks for 1.24 whatever the daemon announces.";
    FAILED_IS_MAXIMUM, "failed-is-maximum", Client, "ideal with hides-version", "client/ps", shapes::ABOVE_AGREED,
        "A client that finds no version takes its own highest one.";
    NEVER_ASKS, "never-asks", Client, "ideal", "client/ps", shapes::UNASKED,
        "A client takes its own highest version without asking its daemon.";
    NO_PREFIX, "no-prefix", Client, "ideal", "client/ps", shapes::NO_PREFIX,
        "A client asks for no version.";
    REFUSED_IS_DONE, "refused-is-done", Client, "ideal", "client/missing-container", Shape::SILENT_WRONG,
        "A client takes a refusal for an answer.";
    TRUSTS_101, "trusts-101", Client, "20.10.5", "client/reloaded-exec", Shape::SILENT_WRONG,
        "A client takes the beginning of a stream for the success of its command.";
    RELOAD_DELETES_WRAPPERS, "reload-deletes-wrappers", Server, "ideal", "client/reloaded-exec", shapes::UNMANAGEABLE,
        "A reload empties the directory of scripts and writes only those of the new configuration.";
    STOP_SAYS_SUCCESS, "stop-says-success", Server, "ideal", "client/reloaded-stop", Shape::SILENT_WRONG,
        "A container with a script is not stopped, and the daemon says that it was.";
    START_REMOVES_REFERENCED, "start-removes-referenced", Server, "ideal", "scenario/restart-no-arguments", shapes::UNMANAGEABLE,
        "A start empties the directory of scripts, also of those to which living containers refer.";
    REFUSED_RELOAD_APPLIES, "refused-reload-applies", Server, "ideal", "scenario/reload-refused-default", shapes::CONFIGURATION_CHANGED,
        "A configuration that is refused is applied in part.";
    FORGETS_LIVE, "forgets-live", Server, "ideal", "scenario/restart-twice", shapes::LIST_LIES,
        "At the second start in a row a living container is said to have exited.";
    ANONYMOUS_STATISTICS, "anonymous-statistics", Server, "ideal", "scenario/statistics", shapes::IDENTITY_LOST,
        "Statistics that are taken once do not name their container.";
    DROPS_CAPABILITIES, "drops-capabilities", Server, "ideal", "scenario/capabilities", shapes::SILENTLY_DROPPED,
        "Capabilities of API 1.40 are dropped, and nobody is told.";
    SERVES_NEWER, "serves-newer", Server, "ideal", "probe/newer-endpoint-put", shapes::SERVED_BEFORE_ITS_TIME,
        "An endpoint is served under versions that do not have it.";
    ERRORS_AS_STREAMS, "errors-as-streams", Server, "ideal", "probe/missing-attach-plain", shapes::ERROR_AS_STREAM,
        "An error of attaching is said to be a stream.";
    CLOSES_UNSAID, "closes-unsaid", Server, "ideal", "probe/missing-container", shapes::CLOSES_UNSAID,
        "The connection is closed behind every answer, and no answer says so.";
    LOSES_LIVE, "loses-live", Server, "ideal", "scenario/restart-crash", shapes::CONTAINER_LOST,
        "A start ends the containers that should live on.";
    COUNTS_WRONG, "counts-wrong", Server, "ideal", "scenario/reload-same", shapes::COUNTS_WRONG,
        "A container that has ended still counts as a running one.";
}

/// While it is reloaded, requests see the new configuration with the scripts of the old one. Nobody meets that over the wire but by
/// chance; the property of the engine finds it.
pub(crate) const TABLE_BEFORE_PATHS: &str = "table-before-paths";
