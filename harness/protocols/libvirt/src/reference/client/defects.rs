//! Faults that can be switched on in the reference clients, and what must find each.

use transcript::evidence::Shape;

use crate::shapes;

protocol::defects! { pub(crate) CLIENT_DEFECTS;
    IGNORES_UNKNOWN, "ignores-unknown-procedure", Client, "7.0.0", "client/net-desc", Shape::LOUD_FAIL,
        "The client has no fallback: a procedure that is not known ends the command.";
    TAKES_REFUSAL_FOR_SUCCESS, "takes-refusal-for-success", Client, "7.0.0", "client/net-desc-write", Shape::SILENT_WRONG,
        "The client goes on after `unknown procedure` as if the call had been carried out.";
    SWAPS_UPDATE, "swaps-update", Client, "ideal", "client/net-update", Shape::LOUD_FAIL,
        "The client writes section and command of NETWORK_UPDATE in the order of 7.1.0, whoever the server is.";
    FORGETS_FEATURE, "forgets-feature-16", Client, "7.0.0", "client/net-update", Shape::LOUD_FAIL,
        "The client writes command and section of NETWORK_UPDATE in the order of 7.2.0 and asks nobody.";
    PRINTS_ERROR_AS_VALUE, "prints-error-as-value", Client, "7.0.0", "client/nodedev-info", Shape::SILENT_WRONG,
        "The client prints a failure as if it were the value that it asked for.";
    INSISTS_ON_FLAGS, "insists-on-flags", Client, "7.0.0", "client/nodedev-list", Shape::LOUD_FAIL,
        "The client does not ask again without a flag that the server does not know.";
    MISTAKES_SERIALS, "mistakes-serials", Client, "ideal", "client/connect", Shape::LOUD_FAIL,
        "The client looks for the serial of its next call in the answer to this one.";
    WAITS_FOR_EVER, "waits-for-ever", Client, "ideal", "client/begin-twice", Shape::CLIENT_HANG,
        "The client does not see that an error is an answer, and waits for another.";
    LEAVES_STREAM_OPEN, "leaves-stream-open", Client, "ideal", "client/screenshot", shapes::STREAM_LEFT_OPEN,
        "The client takes the last part of a stream and does not confirm its end.";
    CUTS_STREAM, "cuts-stream", Client, "ideal", "client/screenshot", Shape::SILENT_WRONG,
        "The client keeps the first part of a stream and throws the others away.";
}
