//! Faults that can be switched on in models and reference peers of both sides, and what must find each.

use protocol::defect::Switches;

use crate::shapes;

/// A fault that is another release's way of doing it: its name, and what it changes of the facts.
pub(crate) type Fault<F> = (&'static str, fn(&mut F));

/// The facts of a release with the faults that are switched on, each made as a table says.
pub(crate) fn with_faults<F>(mut facts: F, switches: &Switches, table: &[Fault<F>]) -> F {
    for (_, apply) in table.iter().filter(|(name, _)| switches.has(name)) {
        apply(&mut facts);
    }
    facts
}

// Agents are servers, hosts are clients.
protocol::defects! { pub(crate) DEFECTS;
    NO_FORCED_ZERO, "no-forced-zero", Server, "4.50.7", "scenario/restart", shapes::STUCK_AT_ZERO,
        "The first heartbeat of a process says the maximum, so that a host that keeps its connection sees no change.";
    IGNORES_REFRESH_VALUE, "ignores-refresh-value", Server, "ideal", "scenario/migration-to-4.17.44", shapes::IN_FLIGHT,
        "Only that there is a value in a refresh counts, not which.";
    IGNORES_KEYLESS_REFRESH, "ignores-keyless-refresh", Server, "ideal", "scenario/migration-to-4.13.4", shapes::ABOVE_AGREED,
        "A refresh without a version changes nothing.";
    NO_LOWER_LIMIT, "no-lower-limit", Server, "ideal", "probe/api-version-negative", shapes::SILENCED,
        "A negative version is taken as it is, and nothing is above it.";
    KEEPS_HALF_LINE, "keeps-half-line", Server, "ideal", "scenario/host-reconnect-in-mid-line", shapes::LOST_MESSAGE,
        "Half a line of the host that has gone is put before the first line of the next one.";
    GATE_BEFORE_WAIT, "gate-before-wait", Server, "ideal", "scenario/migration-to-4.13.4", shapes::ABOVE_AGREED,
        "A message of the worker goes out at the level of five rounds before.";
    NO_ANSWER_AFTER_CHANGE, "no-answer-after-change", Server, "ideal", "scenario/restart", shapes::NO_ANSWER_AFTER_CHANGE,
        "Nothing is sent again when the version changes.";
    FORGETS_ON_DISCONNECT, "forgets-on-disconnect", Server, "ideal", "scenario/migration-api3-to-4.50.7", shapes::WRONG_LEVEL,
        "The version is 0 when the host goes, and a value in a refresh does not raise it.";
    TAKES_HIGHER, "takes-higher", Server, "4.17.44", "scenario/steady", shapes::ABOVE_AGREED,
        "The agent takes its own maximum, whatever is announced.";
    GATE_TOO_WIDE, "gate-too-wide", Server, "4.17.44", "scenario/steady", shapes::ABOVE_AGREED,
        "Messages of the next level pass as well.";
    GATE_TOO_NARROW, "gate-too-narrow", Server, "ideal", "scenario/steady", shapes::WRONG_LEVEL,
        "Messages of the agreed level do not pass.";
    WRONG_MINIMUM, "wrong-minimum", Server, "4.17.44", "scenario/steady", shapes::ABOVE_AGREED,
        "The lookup table has 2 for `containers`.";
    TOO_STRICT, "too-strict", Server, "ideal", "probe/api-version-text", shapes::NO_ANSWER_AFTER_CHANGE,
        "A version in quotes is not taken for a number.";
    FIRST_MEMBER_WINS, "first-member-wins", Server, "ideal", "probe/api-version-twice", shapes::NO_ANSWER_AFTER_CHANGE,
        "Of a member that stands twice the first one counts.";
    COMPLETES_AT_ANY_LEVEL, "completes-at-any-level", Server, "ideal", "probe/lifecycle-event-at-0", shapes::ABOVE_AGREED,
        "`completion` is sent below version 3.";
    COMPLETION_OTHER_ID, "completion-other-id", Server, "ideal", "scenario/lifecycle", shapes::WRONG_COMPLETION,
        "`completion` has a `reply_id` of its own.";
    COMPLETES_TWICE, "completes-twice", Server, "ideal", "scenario/lifecycle", shapes::WRONG_COMPLETION,
        "`completion` is sent two times.";
    INTERLEAVES, "interleaves", Server, "ideal", "scenario/steady", shapes::BAD_FRAMING,
        "Two threads write into each other's lines.";
    ANSWERS_UNKNOWN, "answers-unknown", Server, "ideal", "probe/unknown-name", shapes::ANSWERED_ERROR,
        "An unknown command is answered with an error.";

    LEAVES_OUT, "leaves-out", Server, "4.50.7", "scenario/host-reconnect", shapes::DATA_MISSING,
        "A refresh answer has everything but the name of the guest.";
    TELLS_NONE, "tells-none", Server, "ideal", "scenario/steady", shapes::WRONG_MAXIMUM,
        "Heartbeats have lost the version.";

    RAW_VALUE, "raw-value", Client, "ideal", "scenario/steady", shapes::HOST_ABOVE_MIN,
        "A host with the maximum 2 keeps what a heartbeat says as it is.";
    IGNORES_KEYLESS_HEARTBEAT, "ignores-keyless-heartbeat", Client, "ideal", "scenario/downgrade-to-1.0.9", shapes::ABOVE_AGREED,
        "A heartbeat without a version changes nothing.";
    HOST_NO_LOWER_LIMIT, "host-no-lower-limit", Client, "ideal", "scenario/guest-sends-negative-heartbeat", shapes::HOST_SILENCED,
        "A negative version is kept as it is, and then not even a refresh passes the gate.";
    REST_OF_CHUNK_LOST, "rest-of-chunk-lost", Client, "ideal", "scenario/guest-sends-no-name-and-good", shapes::LOST_MESSAGE,
        "What was read together with a bad line is thrown away.";
    NEVER_ANNOUNCES, "never-announces", Client, "1.0.16", "scenario/steady", shapes::NOT_ANNOUNCED,
        "A change of the version is kept and not announced.";
    ONLY_ON_CHANGE, "only-on-change", Client, "1.0.11.2", "scenario/restart", shapes::STUCK_AT_ZERO,
        "An agent that starts anew is told nothing unless the value changes.";
    ANNOUNCES_ZERO, "announces-zero", Client, "ideal", "scenario/restart", shapes::ANNOUNCED_NEEDLESSLY,
        "A change to 0 is announced.";
    ANNOUNCES_ALWAYS, "announces-always", Client, "ideal", "scenario/steady", shapes::ANNOUNCED_NEEDLESSLY,
        "Every heartbeat is followed by an announcement.";
    FORGETS_ON_RECONNECT, "forgets-on-reconnect", Client, "ideal", "scenario/host-reconnect", shapes::WRONG_LEVEL,
        "The version is 0 behind a reconnection until the agent's maximum changes.";
    HOST_TAKES_HIGHER, "host-takes-higher", Client, "1.0.11.3", "scenario/steady", shapes::ABOVE_AGREED,
        "The host takes the higher one of both maxima.";
    HOST_GATE_TOO_WIDE, "host-gate-too-wide", Client, "1.0.9", "scenario/steady", shapes::ABOVE_AGREED,
        "Calls of the next level pass as well.";
    HOST_GATE_TOO_NARROW, "host-gate-too-narrow", Client, "ideal", "scenario/steady", shapes::WRONG_LEVEL,
        "Calls of the agreed level do not pass.";
    HOST_WRONG_MINIMUM, "host-wrong-minimum", Client, "1.0.11.3", "scenario/steady", shapes::ABOVE_AGREED,
        "The lookup table has 1 for `lifecycle-event`.";
    HOST_TOO_STRICT, "host-too-strict", Client, "ideal", "scenario/guest-sends-text-heartbeat", shapes::NOT_ANNOUNCED,
        "A version in quotes is not taken for a number.";
    HOST_FIRST_MEMBER_WINS, "host-first-member-wins", Client, "ideal", "scenario/guest-sends-version-twice", shapes::NOT_ANNOUNCED,
        "Of a member that stands twice the first one counts.";
    HANG_UP_LOSES, "hang-up-loses", Client, "ideal", "scenario/guest-sends-heartbeat-and-closes", shapes::ABOVE_AGREED,
        "Data that comes together with the end of the connection is not read.";
    STAYS_TOO_BIG, "stays-too-big", Client, "ideal", "scenario/guest-sends-long-line", shapes::NOT_ANNOUNCED,
        "Behind a line that is too long everything is ignored.";
    HOST_ANSWERS_UNKNOWN, "host-answers-unknown", Client, "ideal", "scenario/guest-sends-unknown-name", shapes::ANSWERED_ERROR,
        "An unknown message is answered with an error.";
}
