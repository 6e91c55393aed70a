//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    ABOVE_AGREED = "above-agreed";
    BELOW_AGREED = "below-agreed";
    PIN_CHANGED = "pin-changed";
    UNASKED = "unasked";
    NO_PREFIX = "no-prefix";
    SOURCES_DISAGREE = "sources-disagree";
    ERROR_FORM = "error-form";
    BLAMES_ITSELF = "blames-itself";
    MISSING_AS_UNKNOWN = "missing-as-unknown";
    CLOSES_UNSAID = "closes-unsaid";
    IDENTITY_LOST = "identity-lost";
    SILENTLY_DROPPED = "silently-dropped";
    SERVED_BEFORE_ITS_TIME = "served-before-its-time";
    ERROR_AS_STREAM = "error-as-stream";
    UNMANAGEABLE = "unmanageable";
    CONTAINER_LOST = "container-lost";
    LIST_LIES = "list-lies";
    COUNTS_WRONG = "counts-wrong";
    CONFIGURATION_CHANGED = "configuration-changed";
    OTHER_TYPE = "other-type";
    KEY_LOST = "key-lost";
    KEY_OF_LATER_VERSION = "key-of-later-version";
    KEY_OF_EARLIER_VERSION = "key-of-earlier-version";
    KEY_GONE = "key-gone";
    UNDOCUMENTED_KEY = "undocumented-key";
    UNDOCUMENTED_VALUE = "undocumented-value";
    UNDOCUMENTED_ENDPOINT = "undocumented-endpoint";
}
