//! What a release has promised, for the lock of its protocol: methods, messages, numbers of enums, and what its server says of what
//! it does not know.

use matrix::{LockedDialect, LockedField, LockedMessage};
use wire::protobuf::Schema;
use wire::protobuf::schema::{Enum, Label, Message, Service};
use wire::ttrpc::DATA_MAX;

use crate::family::Family;

/// The promises of a server of that family with those services.
#[must_use]
pub fn promised(family: &Family, schema: &Schema) -> LockedDialect {
    let flags = [
        ("unknown-method", family.unknown_method.to_string()),
        ("unknown-service", family.unknown_service.to_string()),
    ];
    let services = schema.services().iter().flat_map(methods);
    let messages = schema.messages().iter().map(|message| layout(schema, message));
    let enums = schema.enums().iter().map(numbers);
    LockedDialect {
        limits: [("data-max".to_owned(), DATA_MAX.into())].into(),
        flags: flags.map(|(name, value)| (name.to_owned(), value)).into(),
        messages: services.chain(messages).chain(enums).collect(),
        ..LockedDialect::default()
    }
}

fn methods(service: &Service) -> impl Iterator<Item = LockedMessage> {
    service.methods.iter().map(|method| {
        let stream = |streams: bool| if streams { "stream:" } else { "" };
        let argument = format!("{}{}", stream(method.request_stream), method.request);
        let result = format!("{}{}", stream(method.response_stream), method.response);
        LockedMessage {
            kind: "method".to_owned(),
            name: format!("{}/{}", service.name, method.name),
            request: vec![LockedField::open(0, &argument, "argument")],
            reply: vec![LockedField::open(0, &result, "result")],
            ..LockedMessage::default()
        }
    })
}

fn layout(schema: &Schema, message: &Message) -> LockedMessage {
    let field = |field: &wire::protobuf::schema::Field| {
        let kind = schema.type_name(field.kind).replace(' ', "");
        let kind = match field.label {
            Label::Repeated => format!("repeated:{kind}"),
            Label::Optional => format!("optional:{kind}"),
            Label::Singular => kind,
        };
        LockedField::open(field.number.into(), &kind, &field.name)
    };
    LockedMessage {
        kind: "message".to_owned(),
        name: message.name.clone(),
        request: message.fields.iter().map(field).collect(),
        ..LockedMessage::default()
    }
}

fn numbers(names: &Enum) -> LockedMessage {
    // A number below zero keeps its bits.
    let value =
        |(number, name): &(i32, String)| LockedField::open(u64::from(number.cast_unsigned()), "value", name);
    LockedMessage {
        kind: "enum".to_owned(),
        name: names.name.clone(),
        request: names.values.iter().map(value).collect(),
        ..LockedMessage::default()
    }
}
