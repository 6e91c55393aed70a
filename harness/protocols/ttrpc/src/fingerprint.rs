//! Which families a server can be of, by what it answered.

use verdict::{Meaning, Reading};
use wire::protobuf::Schema;
use wire::ttrpc::{Header, MessageType};

use crate::envelope::{Call, code, data};
use crate::family::{self, Family};

/// The families that were measured, oldest first.
const FAMILIES: [&Family; 8] = [
    &family::GO_1_0,
    &family::GO_1_1,
    &family::GO_1_2_0,
    &family::RS_SYNC_0_3,
    &family::RS_ASYNC_0_5_0,
    &family::RS_ASYNC_0_5_3,
    &family::RS_ASYNC_0_7,
    &family::RS_ASYNC_0_8,
];

/// The families that answer unknown services, unknown methods and streams of even numbers as a server did, oldest and newest;
/// `None` where it was asked nothing of the kind, or answered as none of them does. `schema` says what it knows.
#[must_use]
pub fn fingerprint(reading: &Reading, schema: &Schema) -> Option<String> {
    let mut told = false;
    let mut left = FAMILIES.to_vec();
    for conn in &reading.conns {
        for exchange in conn.exchanges() {
            let Some((Some(_), meaning)) = exchange.completed else { continue };
            let Some(header) = Header::of_frame(&exchange.request.frame) else { continue };
            let code = match meaning {
                Meaning::NotSupported => code::UNIMPLEMENTED,
                Meaning::Refused(code) => code,
                _ => code::OK,
            };
            if header.kind != MessageType::REQUEST {
                continue;
            }
            if header.stream.is_multiple_of(2) {
                told = true;
                left.retain(|family| family.even_streams == (code == code::OK));
                continue;
            }
            let Ok(call) = Call::read(data(&exchange.request.frame.bytes)) else { continue };
            let knows_service = schema.service(call.service).is_some();
            if call.service.is_empty() || schema.method(call.service, call.method).is_some() {
                continue;
            }
            told = true;
            left.retain(|family| {
                code == if knows_service { family.unknown_method } else { family.unknown_service }
            });
        }
    }
    let (first, last) = (left.first().filter(|_| told)?, left.last()?);
    Some(if first.name == last.name {
        first.name.to_owned()
    } else {
        format!("{} .. {}", first.name, last.name)
    })
}
