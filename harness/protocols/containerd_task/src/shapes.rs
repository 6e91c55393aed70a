//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    NOT_AS_TOLD = "not-as-told";
    EVENTS_OUT_OF_ORDER = "events-out-of-order";
    OTHER_SERVICE = "other-service";
    OTHER_PID = "other-pid";
    UNCLEAR_ERROR = "unclear-error";
    WAY_BACK_LOST = "way-back-lost";
    LATE_EXIT = "late-exit";
    METADATA_LOST = "metadata-lost";
    WRONG_VERSION = "wrong-version";
}
