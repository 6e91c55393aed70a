//! Faults that can be switched on in the reference peers, and what must find each.

use std::collections::BTreeSet;

use matrix::Role;

use protocol::Defect;

macro_rules! defects {
    ($($constant:ident, $name:literal, $side:ident, $peer:literal, $case:literal, $shape:literal, $about:literal;)*) => {
        $(
            #[doc = $about]
            pub(super) const $constant: &str = $name;
        )*
        /// Every defect, the case that finds it and the shape that must be found there.
        pub(crate) const DEFECTS: &[Defect] = &[$(
            Defect {
                name: $name,
                side: Role::$side,
                about: $about,
                peer: $peer,
                case: $case,
                shape: $shape,
            },
        )*];
    };
}

defects! {
    DOES_NOT_DRAIN, "does-not-drain", Server, "ideal", "probe/unknown-payload-16", "not-drained",
        "The payload of a refused request is read as the next request.";
    NEVER_ANSWERS, "drains-but-never-answers", Server, "ideal", "probe/unknown-payload-16", "hang",
        "The payload of an unknown request is consumed and nothing is said.";
    WRONG_ERRNO, "wrong-errno", Server, "ideal", "probe/unknown-payload-0", "wrong-refusal",
        "An unknown request is answered with EINVAL.";
    CLOSES_AFTER_REFUSING, "closes-after-refusing", Server, "ideal", "probe/unknown-payload-0", "closed-after-refusal",
        "The connection is kept after good answers and closed after `not supported`.";
    ANSWERS_TWICE, "answers-twice", Server, "ideal", "probe/unknown-payload-0", "answered-twice",
        "Every answer is sent two times.";
    NUMBER_REUSED, "number-reused", Server, "ideal", "probe/name-and-path", "changed-meaning",
        "The number of GET_NAME answers the lxcpath.";
    CRASHES_ON_NEGATIVE_LENGTH, "crashes-on-negative-length", Server, "ideal", "probe/length-negative", "crash",
        "A negative length kills the server.";
    WAITS_FOR_EVER, "waits-for-ever-on-header-without-payload", Server, "ideal", "probe/stalled-payload", "blocks-others",
        "A head whose payload does not come keeps the server from everybody else.";
    LOSES_SECOND_PIPELINED, "loses-second-pipelined", Server, "ideal", "probe/two-in-one-write", "lost-pipelined",
        "Whatever was read behind the first request is thrown away.";
    LEAKS_DESCRIPTOR, "leaks-descriptor", Server, "ideal", "probe/connect-and-close-64", "leak-fds",
        "A descriptor stays open for each connection that is gone.";
    IGNORES_ENOSYS, "ignores-enosys", Client, "4.0.6", "client/attach", "loud-fail",
        "The client has no fallback: what is not supported or closed ends the operation.";
    TAKES_REFUSAL_FOR_SUCCESS, "takes-refusal-for-success", Client, "4.0.6", "client/attach", "silent-wrong",
        "The client goes on after a refusal as if it had been carried out.";
    HOSTILE_LENGTH, "hostile-dlen-minus-1", Server, "5.0.2", "client/info", "client-crash",
        "Every answer announces -1 bytes.";
    HOSTILE_FDS, "hostile-extra-fds", Server, "4.0.6", "client/info", "client-crash",
        "Every answer carries three descriptors that nobody asked for.";
    HOSTILE_ONES, "hostile-all-ff", Server, "4.0.6", "client/console", "client-crash",
        "Every answer is 16 bytes of ones.";
    HOSTILE_CUT, "hostile-cut-header", Server, "5.0.2", "client/info-state", "silent-wrong",
        "Every answer ends after 8 bytes.";
    HOSTILE_ENOSYS, "hostile-enosys-all", Server, "ideal", "probe/idle-then-request", "not-supported",
        "Every command is not supported.";
    HOSTILE_EOF, "hostile-eof-all", Server, "ideal", "probe/idle-then-request", "no-reply",
        "Every command is closed without an answer.";
    HOSTILE_SILENT, "hostile-silent", Server, "5.0.2", "client/info-state", "client-hang",
        "Nothing is ever answered and nothing closed.";
    HOSTILE_FLOOD, "hostile-flood", Server, "5.0.2", "probe/name-and-path", "flood",
        "Answers are sent without end.";
    HOSTILE_LONG, "hostile-dlen-8193", Server, "ideal", "probe/idle-then-request", "unreadable-reply",
        "Every answer announces one byte more than the limit.";
    HOSTILE_SHORT, "hostile-short-payload", Server, "ideal", "probe/idle-then-request", "unreadable-reply",
        "Every answer announces 64 bytes and sends 3.";
}

/// The defects that are switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Switches(BTreeSet<&'static str>);

impl Switches {
    /// Switches defects on by name.
    ///
    /// # Errors
    /// The first name that no defect of that side has.
    pub(crate) fn on<'a>(names: impl IntoIterator<Item = &'a str>, side: Role) -> Result<Self, String> {
        let find = |name: &str| {
            let found = DEFECTS.iter().find(|defect| defect.name == name && defect.side == side);
            found.map(|defect| defect.name).ok_or_else(|| name.to_owned())
        };
        names.into_iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.0.contains(name)
    }

    /// The hostile behaviour that is switched on, if one is.
    pub(super) fn hostile(&self) -> Option<&'static str> {
        self.0.iter().find(|name| name.starts_with("hostile-")).copied()
    }

    /// Names of all that are on.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}
