//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    OTHER_FAMILY = "other-family";
    NAME_NOT_TEXT = "name-not-text";
    NO_INTERFACE = "no-interface";
    KILLED_BY_TERM = "killed-by-term";
    NOT_KILLED = "not-killed";
    NOT_AS_TOLD = "not-as-told";
    TAKES_REFUSED = "takes-refused";
    CONFUSES_AGENT = "confuses-agent";
}
