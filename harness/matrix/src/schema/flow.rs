//! Who writes a message: what requests hold, and what responses hold.

use std::collections::BTreeMap;

use wire::protobuf::Schema;
use wire::protobuf::schema::{Element, Type};

use crate::Hurts;

/// Which ways a message or enum goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flow {
    /// A request holds it.
    pub(super) to_server: bool,
    /// A response holds it.
    pub(super) to_client: bool,
}

impl Flow {
    /// Both of these. Of what nothing is known, anything may be.
    pub(super) const fn and(self, other: Self) -> Self {
        let (to_server, to_client) = (self.to_server || other.to_server, self.to_client || other.to_client);
        if to_server || to_client {
            Self { to_server, to_client }
        } else {
            Self { to_server: true, to_client: true }
        }
    }

    /// Who is hurt when something is lost from an old writer to a new reader, or from a new writer to an old reader.
    pub(super) const fn hurts(self, from_old: bool, from_new: bool) -> Option<Hurts> {
        Hurts::of(
            (from_old && self.to_server) || (from_new && self.to_client),
            (from_old && self.to_client) || (from_new && self.to_server),
        )
    }

    /// Who is hurt when a field is no longer there. A client that does not read an answer's field any more misses nothing.
    pub(super) const fn hurts_without(self) -> Hurts {
        if self.to_server { Hurts::Both } else { Hurts::OldClientNewServer }
    }

    const fn adds(self, other: Self) -> bool {
        (other.to_server && !self.to_server) || (other.to_client && !self.to_client)
    }
}

/// The ways of all messages and enums that calls hold, by full name.
pub(super) fn flows(schema: &Schema) -> BTreeMap<&str, Flow> {
    let mut flows: BTreeMap<&str, Flow> = BTreeMap::new();
    let methods = schema.services().iter().flat_map(|service| &service.methods);
    let mut found: Vec<(&str, Flow)> = methods
        .flat_map(|method| {
            [
                (method.request.as_str(), Flow { to_server: true, to_client: false }),
                (method.response.as_str(), Flow { to_server: false, to_client: true }),
            ]
        })
        .collect();
    while let Some((name, way)) = found.pop() {
        let known = flows.entry(name).or_default();
        if !known.adds(way) {
            continue;
        }
        *known = known.and(way);
        let fields = schema.message(name).into_iter().flat_map(|message| &message.fields);
        found.extend(fields.filter_map(|field| Some((type_held(schema, field.kind)?, way))));
    }
    flows
}

/// Full name of the message or enum that a field holds.
pub(super) fn type_held(schema: &Schema, kind: Type) -> Option<&str> {
    let (Type::One(element) | Type::Map(_, element)) = kind;
    match element {
        Element::Scalar(_) => None,
        Element::Message(id) => schema.message_of(id).map(|message| message.name.as_str()),
        Element::Enum(id) => schema.enum_of(id).map(|found| found.name.as_str()),
    }
}
