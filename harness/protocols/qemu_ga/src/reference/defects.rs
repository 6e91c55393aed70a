//! Faults that can be switched on in the reference peers, and what must find each.

use transcript::evidence::Shape;

use crate::shapes;

protocol::defects! { pub(crate) DEFECTS;
    READS_LINES, "reads-lines", Server, "ideal", "probe/no-line-feed", Shape::HANG,
        "A request is complete with its line feed, not with its brace.";
    FF_DOES_NOT_RESET, "ff-does-not-reset", Server, "ideal", "probe/half-then-resync", Shape::LOST_PIPELINED,
        "The byte ff is passed over: half a request stays half a request.";
    FF_MISSING, "ff-missing", Server, "ideal", "probe/sync-delimited", shapes::DELIMITER_MISSING,
        "No ff stands before the answer to guest-sync-delimited.";
    FF_EVERYWHERE, "ff-everywhere", Server, "ideal", "probe/sync-plain", shapes::DELIMITER_MISPLACED,
        "A ff stands before every answer.";
    ID_LOST, "id-lost", Server, "ideal", "probe/id-text", shapes::ID_LOST,
        "The id of a request is not repeated.";
    ID_IN_SYNTAX_ERRORS, "id-in-syntax-errors", Server, "ideal", "probe/trailing-comma", shapes::ID_INVENTED,
        "Errors in the syntax carry an id.";
    WRONG_CLASS, "wrong-class", Server, "ideal", "probe/unknown-payload-0", Shape::WRONG_REFUSAL,
        "An unknown command is answered with a GenericError.";
    EXECUTES_BLOCKED, "executes-blocked", Server, "ideal", "probe/capabilities", shapes::CAPABILITY_LIES,
        "A command is carried out that guest-info lists as not enabled.";
    ENABLED_WRONG, "enabled-wrong", Server, "ideal", "probe/capabilities", shapes::CAPABILITY_LIES,
        "guest-info lists every command as enabled.";
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", Shape::ANSWERED_TWICE,
        "Every answer is sent two times.";
    KEEPS_PAYLOADS, "keeps-every-payload", Server, "ideal", "probe/unknown-payload-4096", Shape::LEAK_MEMORY,
        "Whatever a client said is kept for ever.";
    KEEPS_PARSER, "keeps-parser", Server, "ideal", "probe/half-then-next-client", Shape::HANG,
        "What a client left half said is read in front of what the next one says.";
    NO_DEPTH_LIMIT, "no-depth-limit", Server, "ideal", "probe/depth-1025", Shape::WRONG_SUCCESS,
        "1025 arrays and objects inside each other are taken.";
    NO_TOKEN_LIMIT, "no-token-limit", Server, "ideal", "probe/token-65-mib", Shape::WRONG_SUCCESS,
        "A text of 65 MiB is taken.";
    ANSWERS_SILENT, "answers-silent", Server, "ideal", "probe/silent-success", shapes::ANSWERS_SILENT,
        "A command that tells its success by no reply is answered.";
    LATE_REPLY, "late-reply", Server, "ideal", "probe/reply-nobody-read", shapes::OTHER_ID,
        "A reply that a client did not read is sent to the next one.";
    NO_RANGE, "no-range", Server, "ideal", "probe/sync-number-2-63", Shape::WRONG_SUCCESS,
        "guest-sync takes numbers of more than 64 bits.";
    TAKES_DUPLICATES, "takes-duplicates", Server, "ideal", "probe/duplicate-member", Shape::WRONG_SUCCESS,
        "A member may come twice.";
    TAKES_OVERLONG, "takes-overlong", Server, "ideal", "probe/overlong-nul", Shape::WRONG_SUCCESS,
        "The bytes c0 80 are taken for NUL.";
    PRINTS_INF, "prints-inf", Server, "ideal", "probe/id-1e999", Shape::UNREADABLE_REPLY,
        "A number that is too large is answered as `inf`.";
    NUMBERS_CUT, "numbers-cut", Server, "ideal", "probe/id-1e-7", shapes::ID_CHANGED,
        "Numbers are cut after six places.";
    SPINS, "spins", Server, "ideal", "probe/does-not-read", shapes::SPINS,
        "A client that does not read keeps the processor busy.";
    ERROR_STORM, "error-storm", Server, "ideal", "probe/depth-1025", shapes::ERROR_STORM,
        "An error in the syntax is told a hundred times.";
    SWALLOWS_HALF, "swallows-half", Server, "ideal", "probe/half-then-sync", shapes::SWALLOWED,
        "Behind half a request, nothing is answered.";
    DIES_OF_JUNK, "dies-of-junk", Server, "ideal", "probe/not-json", Shape::CRASH,
        "What is no JSON kills the agent.";
    CLOSES_ON_JUNK, "closes-on-junk", Server, "ideal", "probe/not-json", Shape::CLOSED_AFTER_REFUSAL,
        "The connection is closed behind an error in the syntax.";
    SECOND_CLIENT, "forgets-second-client", Server, "ideal", "probe/second-client-waits", Shape::NO_REPLY,
        "A client that waited for its turn is closed when it has come.";
    COUNTS_LINES, "counts-lines", Server, "ideal", "probe/same-error-twice", shapes::HISTORY_IN_TEXT,
        "Errors in the syntax tell how many lines came before.";
    BLOCKED_NOT_FOUND, "blocked-not-found", Server, "ideal", "probe/blocked-and-unknown", shapes::ONE_CLASS,
        "A blocked command is said to be not found.";
    FORGETS_DEVICES, "forgets-devices", Server, "ideal", "probe/devices-or-disks", Shape::FELL_BACK,
        "A command that was listed once is not known any more.";
    LOSES_MEMBER, "loses-member", Server, "ideal", "probe/members-get-host-name", shapes::MEMBER_LOST,
        "guest-get-host-name returns its name under another name.";
    TRUSTS_VERSION, "trusts-version", Client, "10.0", "client/devices", Shape::LOUD_FAIL,
        "The host takes guest-get-devices for known because of the version text.";
    LISTED_IS_ENABLED, "listed-is-enabled", Client, "5.2", "client/devices", Shape::LOUD_FAIL,
        "The host takes every command that is listed for enabled.";
    PLAIN_SYNC, "plain-sync", Client, "10.0", "client/sync", Shape::CLIENT_HANG,
        "The host sends guest-sync alone, which half a request swallows.";
    REFUSED_IS_DONE, "refused-is-done", Client, "10.0", "client/devices", Shape::SILENT_WRONG,
        "The host takes a refusal for an answer.";
}
