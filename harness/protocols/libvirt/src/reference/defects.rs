//! Faults that can be switched on in reference servers, and what must find each.

use transcript::evidence::Shape;

use crate::shapes;

protocol::defects! { pub(crate) SERVER_DEFECTS;
    DOES_NOT_DRAIN, "does-not-drain", Server, "ideal", "probe/unknown-payload-16", Shape::NOT_DRAINED,
        "The payload of an unknown procedure is read as the next message.";
    DRAINS_TOO_MUCH, "drains-too-much", Server, "ideal", "probe/unknown-payload-4096", Shape::NOT_DRAINED,
        "As many bytes as an unknown procedure had payload are thrown away behind it.";
    NEVER_ANSWERS, "drains-but-never-answers", Server, "ideal", "probe/unknown-payload-16", Shape::HANG,
        "An unknown procedure is consumed and nothing is said.";
    GERMAN, "translates-unknown-procedure", Server, "ideal", "probe/unknown-payload-0", shapes::TRANSLATED_TEXT,
        "An unknown procedure is refused in German.";
    NOT_UTF8, "refuses-in-latin-1", Server, "ideal", "probe/unknown-payload-0", shapes::TRANSLATED_TEXT,
        "An unknown procedure is refused in French, in bytes that are not UTF-8.";
    WRONG_CODE, "unknown-is-no-support", Server, "ideal", "probe/unknown-payload-0", Shape::WRONG_REFUSAL,
        "An unknown procedure is refused with code 3 of the driver.";
    WRONG_TEXT, "unknown-without-prefix", Server, "ideal", "probe/unknown-payload-0", shapes::TRANSLATED_TEXT,
        "An unknown procedure is refused with the right code and another text.";
    CLOSES_AFTER_REFUSING, "closes-after-refusing", Server, "ideal", "probe/unknown-payload-0", Shape::CLOSED_AFTER_REFUSAL,
        "The connection is closed after an unknown procedure was refused.";
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", Shape::ANSWERED_TWICE,
        "Every answer is sent two times.";
    WRONG_SERIAL, "wrong-serial", Server, "ideal", "probe/unknown-payload-0", shapes::SERIAL_NOT_ECHOED,
        "Every answer has the serial of the call plus one.";
    NUMBER_REUSED, "number-reused", Server, "ideal", "probe/type-and-address", Shape::CHANGED_MEANING,
        "The number of CONNECT_GET_TYPE answers the address of the driver.";
    SUCCESS_FOR_UNKNOWN, "success-for-unknown", Server, "ideal", "probe/unknown-payload-0", Shape::WRONG_SUCCESS,
        "An unknown procedure is answered as if it had been carried out.";
    CRASHES_ON_OVERFLOW, "crashes-on-free-pages-overflow", Server, "ideal", "probe/free-pages-overflow", Shape::CRASH,
        "Pages times cells is counted in 32 bits, and the process dies of it.";
    WAITS_FOR_EVER, "waits-for-ever-on-half-message", Server, "ideal", "probe/message-cut-34-of-1000", Shape::BLOCKS_OTHERS,
        "A message that does not come whole keeps the server from everybody else.";
    LOSES_SECOND_PIPELINED, "loses-second-pipelined", Server, "ideal", "probe/two-in-one-write", Shape::LOST_PIPELINED,
        "Whatever was read behind the first call is thrown away.";
    LOSES_REPLY_ON_HALF_CLOSE, "loses-reply-on-half-close", Server, "ideal", "probe/half-close-after-request", Shape::NO_REPLY,
        "A call is dropped when the client has ended its direction behind it.";
    LEAKS_DESCRIPTOR, "leaks-descriptor", Server, "ideal", "probe/connect-and-close-64", Shape::LEAK_FDS,
        "A descriptor stays open for each connection that is gone.";
    KEEPS_PAYLOADS, "keeps-every-payload", Server, "ideal", "probe/unknown-payload-4096", Shape::LEAK_MEMORY,
        "The payload of every call is kept for ever.";
    ROLLBACK_LEAVES_INACTIVE, "rollback-leaves-inactive", Server, "ideal", "scenario/rollback-of-nothing", shapes::ROLLBACK_LEAVES_INACTIVE,
        "A rollback takes every interface down.";
    ROLLBACK_FORGETS_ADDED, "rollback-forgets-added", Server, "ideal", "scenario/rollback-restores", shapes::CHANGES_KEPT,
        "A rollback leaves the interfaces that were added.";
    COMMIT_DISCARDS, "commit-discards", Server, "ideal", "scenario/commit-keeps", shapes::CHANGES_LOST,
        "A commit brings back what was before.";
    BEGIN_TWICE_ACCEPTED, "begin-twice-accepted", Server, "ideal", "scenario/begin-twice", Shape::WRONG_SUCCESS,
        "A second transaction begins while one is open.";
    BOOT_KEEPS, "boot-does-not-roll-back", Server, "ideal", "scenario/reboot-in-transaction", shapes::CHANGES_KEPT,
        "What was open when the machine lost power is still there when it is back.";
    GONE_CLIENT_KEEPS, "gone-client-keeps-transaction", Server, "ideal", "scenario/connectivity-client-gone", shapes::NO_AUTOMATIC_ROLLBACK,
        "The changes of a client that is gone stay, where they were to be rolled back.";
    LATE_CLIENT_KEEPS, "late-client-keeps-transaction", Server, "ideal", "scenario/connectivity-not-reached", shapes::NO_AUTOMATIC_ROLLBACK,
        "The changes of a client that is not heard in time stay, where they were to be rolled back.";
    LACKS_MACHINE, "lacks-machine-driver", Server, "ideal", "scenario/machine-rollback", shapes::NO_SUCH_DRIVER,
        "The driver for the machine's own interfaces cannot be opened.";
    CRASH_LOSES, "crash-loses-transaction", Server, "ideal", "scenario/machine-crash", shapes::TRANSACTION_LOST_AT_RESTART,
        "A transaction that is open when the process dies is over when it is back, and its changes stay.";
    SECOND_OPEN_DROPS_FIRST, "second-open-drops-first", Server, "ideal", "probe/second-open", shapes::FIRST_DRIVER_LOST,
        "A second CONNECT_OPEN is refused, and the first one's driver is gone.";
    FEATURES_NOT_DOWNGRADED, "features-not-downgraded", Server, "ideal", "probe/features-and-procedures", shapes::FEATURE_WITHOUT_PROCEDURE,
        "The server knows no procedure above 222 and announces the features of those that it does not know.";
    UPDATE_SWAPPED, "network-update-swapped", Server, "ideal", "probe/network-update-order", shapes::ORDER_NOT_AS_ANNOUNCED,
        "NETWORK_UPDATE takes the section for the command, although feature 16 is announced.";
    HOSTILE_SERIAL, "hostile-wrong-serial", Server, "ideal", "probe/idle-then-request", shapes::SERIAL_NOT_ECHOED,
        "What is asked of the driver is answered with another serial.";
    HOSTILE_PROGRAM, "hostile-wrong-program", Server, "ideal", "probe/type-and-address", Shape::CHANGED_MEANING,
        "What is asked of the driver is answered in the name of another program.";
    HOSTILE_PROCEDURE, "hostile-wrong-procedure", Server, "ideal", "probe/type-and-address", Shape::CHANGED_MEANING,
        "What is asked of the driver is answered in the name of another procedure.";
    HOSTILE_TYPE, "hostile-wrong-type", Server, "ideal", "probe/idle-then-request", Shape::NOT_USABLE_AFTER,
        "What is asked of the driver is answered with a message of type 9.";
    HOSTILE_STATUS, "hostile-status-7", Server, "ideal", "probe/type-and-address", Shape::CHANGED_MEANING,
        "What is asked of the driver is answered with status 7.";
    HOSTILE_CUT, "hostile-cut-error", Server, "ideal", "probe/idle-then-request", Shape::REFUSED_VALID,
        "What is asked of the driver is refused with an error of which half is missing.";
    HOSTILE_LONG, "hostile-length-7fffffff", Server, "ideal", "probe/idle-then-request", Shape::UNREADABLE_REPLY,
        "What is asked of the driver is answered with a length of two gigabytes.";
    HOSTILE_SHORT, "hostile-length-3", Server, "ideal", "probe/idle-then-request", Shape::UNREADABLE_REPLY,
        "What is asked of the driver is answered with a length of three bytes.";
    HOSTILE_EVENT, "hostile-event-instead", Server, "12.8.0", "client/list", Shape::CLIENT_HANG,
        "What is asked of the driver is answered with an event that nobody knows.";
    HOSTILE_EMPTY, "hostile-empty-payload", Server, "ideal", "probe/type-and-address", Shape::CHANGED_MEANING,
        "What is asked of the driver is answered with success and no result.";
    HOSTILE_EOF, "hostile-eof-all", Server, "ideal", "probe/idle-then-request", Shape::NO_REPLY,
        "What is asked of the driver closes the connection.";
    HOSTILE_SILENT, "hostile-silent", Server, "12.8.0", "client/list", Shape::CLIENT_HANG,
        "What is asked of the driver is never answered.";
}
