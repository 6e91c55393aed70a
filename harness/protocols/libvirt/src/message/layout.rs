//! The layout language: what follows what in a payload, as data.
//!
//! A layout is a list of parts. The dissection reads a payload by it, and the lock file is written from
//! it, so neither can say what the other does not. All parts are XDR (RFC 4506); what a release changes
//! under a number is another layout for that release, see [`super::layouts`].

use crate::dialect::Limits;
use crate::names;

/// The name of a value.
pub(crate) type Label = fn(i64) -> Option<&'static str>;

/// One part of a payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its values, where they have some.
    pub label: Option<Label>,
    /// The mask under which comparison passes over it.
    pub mask: Option<&'static str>,
}

/// What a part is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A signed integer of four bytes.
    Int,
    /// An unsigned integer of four bytes; also what the protocol calls a char or a short.
    Uint,
    /// Four bytes of flags.
    Flags,
    /// A signed integer of eight bytes.
    Hyper,
    /// An unsigned integer of eight bytes.
    UnsignedHyper,
    /// Text with its length and padding.
    Text,
    /// The same, or nothing.
    OptionalText,
    /// Sixteen bytes.
    Uuid,
    /// A fixed number of characters, each in four bytes.
    Chars(u32),
    /// Characters, each in four bytes, behind their number.
    CharList(Bound),
    /// Bytes behind their number, with padding.
    Opaque(Bound),
    /// Parts one behind the other.
    Group(&'static [Part]),
    /// The same, or nothing.
    Optional(&'static [Part]),
    /// Elements behind their number.
    List(Bound, Order, &'static [Part]),
    /// A list of typed parameters: name, type, and a value of that type.
    Parameters(Bound),
    /// The rest, of which no layout is known.
    Rest,
}

/// What the order of a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is part of the meaning.
    Kept,
    /// None: it is the order of the server's hash table.
    Any,
}

/// The largest number of elements or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// That of lists.
    List,
    /// That of lists of node devices.
    NodeDevices,
    /// That of memory cells.
    Cells,
    /// That of parameters of an identity.
    Identity,
    /// That of ways to authenticate.
    AuthTypes,
    /// That of one step of SASL.
    SaslData,
    /// One of this list alone.
    Of(u32),
}

impl Bound {
    /// The number, in a dialect with these limits.
    #[must_use]
    pub(crate) fn of(self, limits: &Limits) -> u32 {
        match self {
            Self::List => limits.list,
            Self::NodeDevices => limits.node_devices,
            Self::Cells => limits.cells,
            Self::Identity => limits.identity,
            Self::AuthTypes => limits.auth_types,
            Self::SaslData => limits.sasl_data,
            Self::Of(number) => number,
        }
    }
}

/// What one procedure carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Its program.
    pub program: u32,
    /// Its number.
    pub procedure: i32,
    /// Arguments of the call; empty for an event.
    pub arguments: &'static [Part],
    /// Result of the call, or what the event carries.
    pub result: &'static [Part],
}

/// A procedure of program `remote`.
pub(super) const fn call(procedure: i32, arguments: &'static [Part], result: &'static [Part]) -> Layout {
    Layout { program: names::program::REMOTE, procedure, arguments, result }
}

/// An event of program `remote`.
pub(super) const fn event(procedure: i32, carried: &'static [Part]) -> Layout {
    Layout { program: names::program::REMOTE, procedure, arguments: &[], result: carried }
}

/// A procedure of program `qemu`.
pub(super) const fn qemu(procedure: i32, arguments: &'static [Part], result: &'static [Part]) -> Layout {
    Layout { program: names::program::QEMU, procedure, arguments, result }
}

impl Part {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, label: None, mask: None }
    }

    /// The same with names for its values.
    #[must_use]
    pub(crate) const fn labelled(self, label: Label) -> Self {
        Self { label: Some(label), ..self }
    }

    /// The same under a mask.
    #[must_use]
    pub(crate) const fn masked(self, mask: &'static str) -> Self {
        Self { mask: Some(mask), ..self }
    }
}

macro_rules! parts {
    ($($(#[$about:meta])* $name:ident: $kind:ident;)*) => {
        $(
            $(#[$about])*
            pub(super) const fn $name(name: &'static str) -> Part {
                Part::new(name, Kind::$kind)
            }
        )*
    };
}

parts! {
    int: Int;
    uint: Uint;
    flags: Flags;
    hyper: Hyper;
    unsigned_hyper: UnsignedHyper;
    text: Text;
    optional_text: OptionalText;
    uuid: Uuid;
    rest: Rest;
}

pub(super) const fn chars(name: &'static str, count: u32) -> Part {
    Part::new(name, Kind::Chars(count))
}

pub(super) const fn char_list(name: &'static str, bound: Bound) -> Part {
    Part::new(name, Kind::CharList(bound))
}

pub(super) const fn opaque(name: &'static str, bound: Bound) -> Part {
    Part::new(name, Kind::Opaque(bound))
}

pub(super) const fn group(name: &'static str, parts: &'static [Part]) -> Part {
    Part::new(name, Kind::Group(parts))
}

pub(super) const fn optional(name: &'static str, parts: &'static [Part]) -> Part {
    Part::new(name, Kind::Optional(parts))
}

/// A list whose order says nothing.
pub(super) const fn set(name: &'static str, bound: Bound, item: &'static [Part]) -> Part {
    Part::new(name, Kind::List(bound, Order::Any, item))
}

/// A list whose order is part of the meaning.
pub(super) const fn list(name: &'static str, bound: Bound, item: &'static [Part]) -> Part {
    Part::new(name, Kind::List(bound, Order::Kept, item))
}

pub(super) const fn parameters(name: &'static str, bound: Bound) -> Part {
    Part::new(name, Kind::Parameters(bound))
}
