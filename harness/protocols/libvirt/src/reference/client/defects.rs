//! Faults that can be switched on in the reference clients, and what must find each.

protocol::defects! { pub(crate) CLIENT_DEFECTS;
    IGNORES_UNKNOWN, "ignores-unknown-procedure", Client, "7.0.0", "client/net-desc", "loud-fail",
        "The client has no fallback: a procedure that is not known ends the command.";
    TAKES_REFUSAL_FOR_SUCCESS, "takes-refusal-for-success", Client, "7.0.0", "client/net-desc-write", "silent-wrong",
        "The client goes on after `unknown procedure` as if the call had been carried out.";
    SWAPS_UPDATE, "swaps-update", Client, "ideal", "client/net-update", "loud-fail",
        "The client writes section and command of NETWORK_UPDATE in the order of 7.1.0, whoever the server is.";
    FORGETS_FEATURE, "forgets-feature-16", Client, "7.0.0", "client/net-update", "loud-fail",
        "The client writes command and section of NETWORK_UPDATE in the order of 7.2.0 and asks nobody.";
    PRINTS_ERROR_AS_VALUE, "prints-error-as-value", Client, "7.0.0", "client/nodedev-info", "silent-wrong",
        "The client prints a failure as if it were the value that it asked for.";
    INSISTS_ON_FLAGS, "insists-on-flags", Client, "7.0.0", "client/nodedev-list", "loud-fail",
        "The client does not ask again without a flag that the server does not know.";
    MISTAKES_SERIALS, "mistakes-serials", Client, "ideal", "client/connect", "loud-fail",
        "The client looks for the serial of its next call in the answer to this one.";
    WAITS_FOR_EVER, "waits-for-ever", Client, "ideal", "client/begin-twice", "client-hang",
        "The client does not see that an error is an answer, and waits for another.";
    LEAVES_STREAM_OPEN, "leaves-stream-open", Client, "ideal", "client/screenshot", "stream-left-open",
        "The client takes the last part of a stream and does not confirm its end.";
    CUTS_STREAM, "cuts-stream", Client, "ideal", "client/screenshot", "silent-wrong",
        "The client keeps the first part of a stream and throws the others away.";
}
