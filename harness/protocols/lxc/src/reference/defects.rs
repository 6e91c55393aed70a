//! Faults that can be switched on in the reference peers, and what must find each.

use transcript::evidence::Shape;

protocol::defects! { pub(crate) DEFECTS;
    DOES_NOT_DRAIN, "does-not-drain", Server, "ideal", "probe/unknown-payload-16", Shape::NOT_DRAINED,
        "The payload of a refused request is read as the next request.";
    NEVER_ANSWERS, "drains-but-never-answers", Server, "ideal", "probe/unknown-payload-16", Shape::HANG,
        "The payload of an unknown request is consumed and nothing is said.";
    WRONG_ERRNO, "wrong-errno", Server, "ideal", "probe/unknown-payload-0", Shape::WRONG_REFUSAL,
        "An unknown request is answered with EINVAL.";
    CLOSES_AFTER_REFUSING, "closes-after-refusing", Server, "ideal", "probe/unknown-payload-0", Shape::CLOSED_AFTER_REFUSAL,
        "The connection is kept after good answers and closed after `not supported`.";
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", Shape::ANSWERED_TWICE,
        "Every answer is sent two times.";
    NUMBER_REUSED, "number-reused", Server, "ideal", "probe/name-and-path", Shape::CHANGED_MEANING,
        "The number of GET_NAME answers the lxcpath.";
    CRASHES_ON_NEGATIVE_LENGTH, "crashes-on-negative-length", Server, "ideal", "probe/length-negative", Shape::CRASH,
        "A negative length kills the server.";
    WAITS_FOR_EVER, "waits-for-ever-on-header-without-payload", Server, "ideal", "probe/stalled-payload", Shape::BLOCKS_OTHERS,
        "A head whose payload does not come keeps the server from everybody else.";
    LOSES_SECOND_PIPELINED, "loses-second-pipelined", Server, "ideal", "probe/two-in-one-write", Shape::LOST_PIPELINED,
        "Whatever was read behind the first request is thrown away.";
    LEAKS_DESCRIPTOR, "leaks-descriptor", Server, "ideal", "probe/connect-and-close-64", Shape::LEAK_FDS,
        "A descriptor stays open for each connection that is gone.";
    KEEPS_PAYLOADS, "keeps-every-payload", Server, "ideal", "probe/unknown-payload-4096", Shape::LEAK_MEMORY,
        "The payload of every request is kept for ever.";
    IGNORES_ENOSYS, "ignores-enosys", Client, "4.0.6", "client/attach", Shape::LOUD_FAIL,
        "The client has no fallback: what is not supported or closed ends the operation.";
    TAKES_REFUSAL_FOR_SUCCESS, "takes-refusal-for-success", Client, "4.0.6", "client/attach", Shape::SILENT_WRONG,
        "The client goes on after a refusal as if it had been carried out.";
    HOSTILE_LENGTH, "hostile-dlen-minus-1", Server, "5.0.2", "client/info", Shape::CLIENT_CRASH,
        "Every answer announces -1 bytes.";
    HOSTILE_FDS, "hostile-extra-fds", Server, "4.0.6", "client/info", Shape::CLIENT_CRASH,
        "Every answer carries three descriptors that nobody asked for.";
    HOSTILE_ONES, "hostile-all-ff", Server, "4.0.6", "client/console", Shape::CLIENT_CRASH,
        "Every answer is 16 bytes of ones.";
    HOSTILE_CUT, "hostile-cut-header", Server, "5.0.2", "client/info-state", Shape::SILENT_WRONG,
        "Every answer ends after 8 bytes.";
    HOSTILE_ENOSYS, "hostile-enosys-all", Server, "ideal", "probe/idle-then-request", Shape::NOT_SUPPORTED,
        "Every command is not supported.";
    HOSTILE_EOF, "hostile-eof-all", Server, "ideal", "probe/idle-then-request", Shape::NO_REPLY,
        "Every command is closed without an answer.";
    HOSTILE_SILENT, "hostile-silent", Server, "5.0.2", "client/info-state", Shape::CLIENT_HANG,
        "Nothing is ever answered and nothing closed.";
    HOSTILE_FLOOD, "hostile-flood", Server, "5.0.2", "probe/name-and-path", Shape::FLOOD,
        "Answers are sent without end.";
    HOSTILE_LONG, "hostile-dlen-8193", Server, "ideal", "probe/idle-then-request", Shape::UNREADABLE_REPLY,
        "Every answer announces one byte more than the limit.";
    HOSTILE_SHORT, "hostile-short-payload", Server, "ideal", "probe/idle-then-request", Shape::UNREADABLE_REPLY,
        "Every answer announces 64 bytes and sends 3.";
}
