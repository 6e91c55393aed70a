//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    OTHER_ID = "other-id";
    NOT_REPAIRED = "not-repaired";
    ID_INVENTED = "id-invented";
    CAPABILITY_LIES = "capability-lies";
    MEMBER_LOST = "member-lost";
    ID_LOST = "id-lost";
    ID_CHANGED = "id-changed";
    HISTORY_IN_TEXT = "history-in-text";
    ONE_CLASS = "one-class";
    ERROR_STORM = "error-storm";
    DELIMITER_MISSING = "delimiter-missing";
    DELIMITER_MISPLACED = "delimiter-misplaced";
    ANSWERS_SILENT = "answers-silent";
    SWALLOWED = "swallowed";
    SPINS = "spins";
}
