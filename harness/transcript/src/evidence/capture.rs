//! What later requests quote of a reply, and the mark behind that reply which says so.
//!
//! ```text
//! connect c2s 1
//! data    c2s 1  POST /containers/create …
//! data    s2c 1  {"Id":"5c1e…"}
//! mark    c2s 1  capture field=body.Id short=12 var=id-1
//! data    c2s 1  POST /containers/5c1e…/start …
//! ```

use crate::Mark;

/// A value that is taken from a reply, to be sent later on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capture {
    /// The field of the reply, as its grammar calls it.
    pub field: String,
    /// What the value is called from then on.
    pub var: String,
    /// How many of its first bytes stand for all of it, where so many do.
    pub short: Option<usize>,
}

impl Capture {
    /// The label of the mark. On connection 0 it is a remark like any other.
    pub const LABEL: &'static str = "capture";
    /// The arguments of the mark.
    const FIELD: &'static str = "field";
    const VAR: &'static str = "var";
    const SHORT: &'static str = "short";

    /// The mark that stands behind the reply.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let short = self.short.map(|short| (Self::SHORT, short.to_string()));
        let args = [(Self::FIELD, self.field.clone()), (Self::VAR, self.var.clone())];
        let args = args.into_iter().chain(short).map(|(key, value)| (key.to_owned(), value)).collect();
        Mark { label: Self::LABEL.to_owned(), args }
    }

    /// What a mark says that is captured; `None` where it is another mark, or does not say that in full.
    #[must_use]
    pub fn of_mark(mark: &Mark) -> Option<Self> {
        let text = |key| mark.args.get(key).filter(|text| !text.is_empty());
        let short = match mark.args.get(Self::SHORT) {
            Some(short) => Some(short.parse().ok().filter(|short| *short > 0)?),
            None => None,
        };
        let (field, var) = (text(Self::FIELD)?.clone(), text(Self::VAR)?.clone());
        let known = 2 + usize::from(short.is_some());
        let is_one = mark.label == Self::LABEL && mark.args.len() == known;
        is_one.then_some(Self { field, var, short })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn captures_are_read_as_they_are_written(
            field in ".{1,20}", var in ".{1,20}", short in proptest::option::of(1_usize..),
        ) {
            let capture = Capture { field, var, short };
            prop_assert_eq!(Capture::of_mark(&capture.mark()), Some(capture));
        }
    }

    #[test]
    fn what_says_no_capture_is_none() {
        let check = |label: &str, args: &[(&str, &str)], is_one: bool| {
            let args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let mark = Mark { label: label.to_owned(), args };
            assert_eq!(Capture::of_mark(&mark).is_some(), is_one, "{mark:?}");
        };
        check("capture", &[("field", "id"), ("var", "id-1")], true);
        check("subject", &[("field", "id"), ("var", "id-1")], false);
        check("capture", &[("field", "id")], false);
        check("capture", &[("var", "id-1")], false);
        check("capture", &[("field", ""), ("var", "id-1")], false);
        check("capture", &[("field", "id"), ("var", "id-1"), ("short", "0")], false);
        check("capture", &[("field", "id"), ("var", "id-1"), ("short", "a")], false);
        check("capture", &[("field", "id"), ("var", "id-1"), ("length", "12")], false);
    }
}
