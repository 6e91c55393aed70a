//! Faults that can be switched on in the reference clients, and what must find each.

use std::collections::BTreeSet;

use matrix::Role;

use protocol::Defect;

macro_rules! defects {
    ($($constant:ident, $name:literal, $peer:literal, $case:literal, $shape:literal, $about:literal;)*) => {
        $(
            #[doc = $about]
            pub(super) const $constant: &str = $name;
        )*
        /// Every defect of a client, the case that finds it and the shape that must be found there.
        pub(crate) const CLIENT_DEFECTS: &[Defect] = &[$(
            Defect {
                name: $name,
                side: Role::Client,
                about: $about,
                peer: $peer,
                case: $case,
                shape: $shape,
            },
        )*];
    };
}

defects! {
    IGNORES_UNKNOWN, "ignores-unknown-procedure", "7.0.0", "client/net-desc", "loud-fail",
        "The client has no fallback: a procedure that is not known ends the command.";
    TAKES_REFUSAL_FOR_SUCCESS, "takes-refusal-for-success", "7.0.0", "client/net-desc-write", "silent-wrong",
        "The client goes on after `unknown procedure` as if the call had been carried out.";
    SWAPS_UPDATE, "swaps-update", "ideal", "client/net-update", "loud-fail",
        "The client writes section and command of NETWORK_UPDATE in the order of 7.1.0, whoever the server is.";
    FORGETS_FEATURE, "forgets-feature-16", "7.0.0", "client/net-update", "loud-fail",
        "The client writes command and section of NETWORK_UPDATE in the order of 7.2.0 and asks nobody.";
    PRINTS_ERROR_AS_VALUE, "prints-error-as-value", "7.0.0", "client/nodedev-info", "silent-wrong",
        "The client prints a failure as if it were the value that it asked for.";
    INSISTS_ON_FLAGS, "insists-on-flags", "7.0.0", "client/nodedev-list", "loud-fail",
        "The client does not ask again without a flag that the server does not know.";
    MISTAKES_SERIALS, "mistakes-serials", "ideal", "client/connect", "loud-fail",
        "The client looks for the serial of its next call in the answer to this one.";
    WAITS_FOR_EVER, "waits-for-ever", "ideal", "client/begin-twice", "client-hang",
        "The client does not see that an error is an answer, and waits for another.";
    LEAVES_STREAM_OPEN, "leaves-stream-open", "ideal", "client/screenshot", "stream-left-open",
        "The client takes the last part of a stream and does not confirm its end.";
    CUTS_STREAM, "cuts-stream", "ideal", "client/screenshot", "silent-wrong",
        "The client keeps the first part of a stream and throws the others away.";
}

/// The defects of a client that are switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Switches(BTreeSet<&'static str>);

impl Switches {
    /// Switches defects on by name; the error is the first name that no defect of a client has.
    pub(super) fn on<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let find = |name: &str| {
            let found = CLIENT_DEFECTS.iter().find(|defect| defect.name == name);
            found.map(|defect| defect.name).ok_or_else(|| name.to_owned())
        };
        names.into_iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.0.contains(name)
    }

    /// Names of all that are on.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use crate::operations::operation;

    #[test]
    fn every_defect_names_an_operation_and_a_peer() {
        for defect in CLIENT_DEFECTS {
            let name = defect.case.strip_prefix("client/").expect("the case of a client");
            assert!(operation(name).is_some(), "{}", defect.case);
            assert!(Dialect::named(defect.peer).is_some(), "{}", defect.peer);
            assert_eq!(Switches::on([defect.name]).map(|on| on.has(defect.name)), Ok(true));
        }
        assert_eq!(Switches::on(["waits-for-ever", "no-such"]), Err("no-such".to_owned()));
    }
}
