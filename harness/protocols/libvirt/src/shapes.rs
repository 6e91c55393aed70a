//! What the checks of this protocol can find beside the generic ones, in the words that expectations match.

protocol::shapes! {
    TRANSLATED_TEXT = "translated-text";
    FEATURE_WITHOUT_PROCEDURE = "feature-without-procedure";
    PROCEDURE_WITHOUT_FEATURE = "procedure-without-feature";
    FIRST_DRIVER_LOST = "first-driver-lost";
    DRIVER_LEFT_BEHIND = "driver-left-behind";
    LOST_EVENT = "lost-event";
    EVENT_TWICE = "event-twice";
    STREAM_CUT = "stream-cut";
    STREAM_GOES_ON = "stream-goes-on";
    SERIAL_NOT_ECHOED = "serial-not-echoed";
    CALL_NOT_ECHOED = "call-not-echoed";
    SERVED_BEFORE_AUTHENTICATION = "served-before-authentication";
    ORDER_NOT_AS_ANNOUNCED = "order-not-as-announced";
    NO_SUCH_DRIVER = "no-such-driver";
    NOT_SUPPORTED_BY_DRIVER = "not-supported-by-driver";
    BEGIN_FAILS = "begin-fails";
    CHANGES_KEPT = "changes-kept";
    ROLLBACK_TOUCHES_OTHERS = "rollback-touches-others";
    ROLLBACK_LEAVES_INACTIVE = "rollback-leaves-inactive";
    CHANGES_LOST = "changes-lost";
    STATE_OF_DRIVER = "state-of-driver";
    SECOND_BEGIN_ACCEPTED = "second-begin-accepted";
    STATE_OF_CLIENT = "state-of-client";
    TRANSACTION_LOST_WITH_CLIENT = "transaction-lost-with-client";
    NO_AUTOMATIC_ROLLBACK = "no-automatic-rollback";
    HALF_DONE = "half-done";
    DISCARDED_AT_LAST_CLOSE = "discarded-at-last-close";
    DISCARDED_AT_RESTART = "discarded-at-restart";
    TRANSACTION_LOST_AT_RESTART = "transaction-lost-at-restart";
    REFUSED_BUT_CHANGED = "refused-but-changed";
    STREAM_LEFT_OPEN = "stream-left-open";
    NOT_ASKED = "not-asked";
}
