//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    ABOVE_AGREED = "above-agreed";
    WRONG_LEVEL = "wrong-level";
    LOST_MESSAGE = "lost-message";
    ANNOUNCED_NEEDLESSLY = "announced-needlessly";
    STUCK_AT_ZERO = "stuck-at-zero";
    STALE_VERSION = "stale-version";
    WRONG_COMPLETION = "wrong-completion";
    NO_COMPLETION = "no-completion";
    NO_ANSWER_AFTER_CHANGE = "no-answer-after-change";
    DATA_MISSING = "data-missing";
    NOT_ANNOUNCED = "not-announced";
    IN_FLIGHT = "in-flight";
    BAD_FRAMING = "bad-framing";
    ANSWERED_ERROR = "answered-error";
    WRONG_MAXIMUM = "wrong-maximum";
    SILENCED = "silenced";
    HOST_ABOVE_MIN = "host-above-min";
    HOST_SILENCED = "host-silenced";
}
