//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    ABOVE_AGREED = "above-agreed";
    BELOW_AGREED = "below-agreed";
    PIN_CHANGED = "pin-changed";
    ASKS_REFUSED = "asks-refused";
    NO_PREFIX = "no-prefix";
    SOURCES_DISAGREE = "sources-disagree";
    ERROR_FORM = "error-form";
    BLAMES_ITSELF = "blames-itself";
    MISSING_AS_UNKNOWN = "missing-as-unknown";
    UNKNOWN_AS_MISSING = "unknown-as-missing";
    CLOSES_UNSAID = "closes-unsaid";
    UNMANAGEABLE = "unmanageable";
    CONTAINER_LOST = "container-lost";
    LIST_LIES = "list-lies";
    COUNTS_WRONG = "counts-wrong";
    CONFIGURATION_CHANGED = "configuration-changed";
}
