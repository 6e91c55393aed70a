//! Faults that can be switched on in reference peers, and what must find each.

use std::collections::BTreeSet;

pub use matrix::Role;
use transcript::evidence::Shape;

/// A seeded fault of a reference peer, and what must find it.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// Its name, e.g. `does-not-drain`.
    pub name: &'static str,
    /// Which reference peer has it.
    pub side: Role,
    /// What is wrong, in one sentence.
    pub about: &'static str,
    /// The peer on the other side, where the case that finds it has one: a dialect, as `ideal`, that of a server that
    /// refuses something, or of a client that takes the bait; with a defect of its own, as `ideal with answers-twice`.
    pub peer: &'static str,
    /// The case that finds it, e.g. `probe/unknown-payload-16`.
    pub case: &'static str,
    /// The shape that must be found there.
    pub shape: Shape,
}

impl Defect {
    /// The dialect of the peer on the other side, and the defect that it has.
    #[must_use]
    pub fn beside(&self) -> (&'static str, Option<&'static str>) {
        match self.peer.split_once(" with ") {
            Some((dialect, defect)) => (dialect, Some(defect)),
            None => (self.peer, None),
        }
    }
}

/// Makes a table of defects, and of each a constant with its name, by which code asks [`Switches::has`].
///
/// ```
/// use transcript::evidence::Shape;
///
/// protocol::defects! { pub(crate) DEFECTS;
///     DOES_NOT_DRAIN, "does-not-drain", Server, "ideal", "probe/unknown-payload-16", Shape::NOT_DRAINED,
///         "The payload of a refused request is read as the next request.";
/// }
/// # fn main() { assert_eq!(DEFECTS[0].name, DOES_NOT_DRAIN); }
/// ```
#[macro_export]
macro_rules! defects {
    (
        $vis:vis $table:ident;
        $($constant:ident, $name:literal, $side:ident, $peer:literal, $case:literal, $shape:expr, $about:literal;)*
    ) => {
        $(
            #[doc = $about]
            $vis const $constant: &str = $name;
        )*
        /// Every defect, the case that finds it and the shape that must be found there.
        $vis const $table: &[$crate::Defect] = &[$(
            $crate::Defect {
                name: $name,
                side: $crate::defect::Role::$side,
                about: $about,
                peer: $peer,
                case: $case,
                shape: $shape,
            },
        )*];
    };
}

/// The defects of a peer that are switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switches(BTreeSet<&'static str>);

/// A name that no defect of a side has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no defect `{name}` of a {side}; there are {}", known.join(", "))]
pub struct UnknownDefect {
    name: String,
    side: Role,
    known: Vec<&'static str>,
}

impl Switches {
    /// Switches defects of one side on by name.
    ///
    /// # Errors
    /// No defect of that side has one of the names.
    pub fn on(table: &[Defect], side: Role, names: &[impl AsRef<str>]) -> Result<Self, UnknownDefect> {
        let known = || table.iter().filter(|defect| defect.side == side).map(|defect| defect.name);
        let find = |name: &str| {
            let unknown = || UnknownDefect { name: name.to_owned(), side, known: known().collect() };
            known().find(|known| *known == name).ok_or_else(unknown)
        };
        names.iter().map(|name| find(name.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a defect is on.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The hostile behaviour that is switched on, if one is.
    #[must_use]
    pub fn hostile(&self) -> Option<&'static str> {
        self.names().find(|name| name.starts_with("hostile-"))
    }

    /// Names of all that are on.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::defects! { TABLE;
        DEAF, "deaf", Server, "ideal", "probe/unknown", Shape::HANG, "It says nothing.";
        HOSTILE_EOF, "hostile-eof", Server, "ideal", "probe/unknown", Shape::NO_REPLY, "It closes.";
        BLIND, "blind", Client, "ideal", "client/list", Shape::CLIENT_HANG, "It sees nothing.";
    }

    #[test]
    fn switches_defects_of_one_side_on_by_name() {
        let on = Switches::on(TABLE, Role::Server, &[DEAF]).expect("a defect of a server");
        assert!(on.has(DEAF) && !on.has(HOSTILE_EOF));
        assert_eq!((on.hostile(), on.names().collect::<Vec<_>>()), (None, vec!["deaf"]));
        let on = Switches::on(TABLE, Role::Server, &[HOSTILE_EOF, DEAF]).expect("defects of a server");
        assert_eq!(on.hostile(), Some("hostile-eof"));
        let on = Switches::on(TABLE, Role::Client, &[BLIND]).expect("a defect of a client");
        assert_ne!(on, Switches::default());
    }

    #[test]
    fn a_peer_may_have_a_defect_of_its_own() {
        let [deaf, ..] = TABLE else { unreachable!("the table of this test") };
        assert_eq!(deaf.beside(), ("ideal", None));
        assert_eq!(Defect { peer: "4.0.6 with deaf", ..*deaf }.beside(), ("4.0.6", Some("deaf")));
    }

    #[test]
    fn refuses_unknown_names_with_the_known_ones() {
        #[track_caller]
        fn check(side: Role, names: &[&str], expect: &str) {
            let error = Switches::on(TABLE, side, names).expect_err("one of the names is unknown");
            assert_eq!(error.to_string(), expect);
        }
        check(Role::Server, &["deaf", "mute"], "no defect `mute` of a server; there are deaf, hostile-eof");
        check(Role::Server, &["blind"], "no defect `blind` of a server; there are deaf, hostile-eof");
        check(Role::Client, &["deaf"], "no defect `deaf` of a client; there are blind");
    }
}
