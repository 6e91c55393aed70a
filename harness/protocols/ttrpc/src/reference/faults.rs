//! Faults of peers in what the family does for every protocol, the case that finds each, and what must be found there.

use transcript::evidence::Shape;

use crate::checks::shapes;

protocol::defects! { pub FAULTS;
    DOES_NOT_DRAIN, "does-not-drain", Server, "ideal", "probe/unknown-method", Shape::NOT_DRAINED,
        "The payload of a refused request is read as messages.";
    UNKNOWN_IS_INVALID, "unknown-is-invalid", Server, "ideal", "probe/unknown-method", Shape::WRONG_REFUSAL,
        "A method that is not known is an argument that is not valid.";
    UNKNOWN_SUCCEEDS, "unknown-succeeds", Server, "ideal", "probe/unknown-service", Shape::WRONG_SUCCESS,
        "A method that is not known succeeds.";
    UNKNOWN_IS_SILENT, "unknown-is-silent", Server, "ideal", "probe/unknown-payload-16", Shape::HANG,
        "What is not known is not answered.";
    STRAY_DATA_KILLS, "stray-data-kills", Server, "ideal", "probe/data-unknown-stream", Shape::CRASH,
        "Data on a stream that is not open kills the process.";
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", Shape::ANSWERED_TWICE,
        "Every answer is sent two times.";
    BAD_PAYLOAD_IS_SILENT, "bad-payload-is-silent", Server, "ideal", "probe/malformed-payload-garbage", Shape::HANG,
        "An argument that cannot be decoded is not answered.";
    BAD_PAYLOAD_CLOSES, "bad-payload-closes", Server, "ideal", "probe/malformed-payload-garbage", Shape::CLOSED,
        "An argument that cannot be decoded ends the connection.";
    BAD_PAYLOAD_SUCCEEDS, "bad-payload-succeeds", Server, "ideal", "probe/malformed-payload-truncated", Shape::WRONG_SUCCESS,
        "An argument that cannot be decoded is carried out.";
    LEAKS_DESCRIPTOR, "leaks-descriptor", Server, "ideal", "probe/connect-and-close-64", Shape::LEAK_FDS,
        "A descriptor stays open for each client that is gone.";
    SMUGGLES, "smuggles", Server, "ideal", "probe/oversize-smuggle", shapes::SMUGGLED,
        "The body of a message above the limit is read as messages.";
    CLOSES_OVERSIZE, "closes-oversize", Server, "ideal", "probe/oversize-header-4194305", Shape::CLOSED_AFTER_REFUSAL,
        "A message above the limit ends the connection.";
    CLOSES_AFTER_REFUSAL, "closes-after-refusal", Server, "ideal", "probe/unknown-method", Shape::CLOSED_AFTER_REFUSAL,
        "The connection is closed behind a refusal.";
    EVEN_STREAMS, "even-streams", Server, "ideal", "probe/stream-id-even", Shape::WRONG_SUCCESS,
        "Streams of even numbers are served.";
    OTHER_STREAM, "other-stream", Server, "ideal", "probe/pipelined-5", Shape::ANSWERED_TWICE,
        "The answer to one request names another stream.";
    LOSES_PIPELINED, "loses-pipelined", Server, "ideal", "probe/five-in-one-write", Shape::LOST_PIPELINED,
        "Of several requests in one write, only the first is answered.";
    KEEPS_PAYLOADS, "keeps-every-payload", Server, "ideal", "probe/unknown-method-64k", Shape::LEAK_MEMORY,
        "Whatever a client said is kept for ever.";
    LOSES_REPLY_ON_HALF_CLOSE, "loses-reply-on-half-close", Server, "ideal", "probe/half-close-after-request", Shape::NO_REPLY,
        "A request behind which the client ends its direction is not answered.";
    REFUSES_UNKNOWN_FIELDS, "refuses-unknown-fields", Server, "ideal", "probe/unknown-fields", Shape::REFUSED_VALID,
        "Fields that are not known are refused.";
    LOSES_CODE, "loses-code", Server, "ideal", "probe/malformed-payload-garbage", shapes::CODE_LOST,
        "A failure that came from elsewhere is passed on as INTERNAL.";
    STOPS_READING, "stops-reading", Server, "ideal", "probe/both-sides-write", shapes::STOPS_READING,
        "A server does not read while a client does not take its answers.";
    ANSWERS_ABOVE_LIMIT, "answers-above-limit", Server, "ideal", "probe/idle-then-request", shapes::ABOVE_LIMIT,
        "A result is longer than anybody takes, and begins with what looks like another one.";
    READS_REFUSED_BODIES, "reads-refused-bodies", Client, "ideal with answers-above-limit", "client/lifecycle", Shape::SILENT_WRONG,
        "The body of an answer above the limit is read as messages.";
}
