//! What a server that means harm answers, as it was tried on real clients (7.0.0 and 12.8.0).

use bytes::{BufMut, Bytes, BytesMut};
use wire::libvirt_rpc::{HEAD_LEN, Header, MessageType, Status};
use wire::xdr::Writer;

use super::defects;
use super::failure::Failure;
use crate::dialect::Dialect;
use crate::names::{self, procedures as proc};
use crate::request;

/// A type that no message has.
const NO_TYPE: MessageType = MessageType(9);
/// A status that no message has.
const NO_STATUS: Status = Status(7);
/// Offset of the serial.
const SERIAL_AT: usize = 20;

/// What it does.
pub(super) enum Harm {
    /// It says this.
    Says(Bytes),
    /// It closes the connection.
    Closes,
    /// It says nothing.
    Ignores,
}

/// What a client asks before it gets to the driver, and when it leaves.
const SPARED: [i32; 8] = [
    proc::CONNECT_OPEN,
    proc::CONNECT_CLOSE,
    proc::CONNECT_SUPPORTS_FEATURE,
    proc::AUTH_LIST,
    proc::CONNECT_REGISTER_CLOSE_CALLBACK,
    proc::CONNECT_UNREGISTER_CLOSE_CALLBACK,
    proc::CONNECT_GET_URI,
    proc::CONNECT_SET_IDENTITY,
];

/// The harm that a defect does with a call; `None` where it spares it.
pub(super) fn answer(defect: &str, call: &Header, dialect: &Dialect) -> Option<Harm> {
    if SPARED.contains(&call.procedure) {
        return None;
    }
    let good = request::reply_header(call, Status::OK);
    // A result that most procedures could give.
    let result = Writer::new().u32(0).u32(0).finish();
    let says = |header: Header| Some(Harm::Says(header.message(&result)));
    match defect {
        defects::HOSTILE_SERIAL => says(Header { serial: call.serial.wrapping_add(1000), ..good }),
        defects::HOSTILE_PROGRAM => says(Header { program: names::UNKNOWN_PROGRAM, ..good }),
        defects::HOSTILE_PROCEDURE => says(Header { procedure: call.procedure.wrapping_add(1), ..good }),
        defects::HOSTILE_TYPE => says(Header { kind: NO_TYPE, ..good }),
        defects::HOSTILE_STATUS => says(Header { status: NO_STATUS, ..good }),
        defects::HOSTILE_EVENT => {
            let procedure = names::UNKNOWN_PROCEDURE;
            says(Header { kind: MessageType::MESSAGE, procedure, serial: 1, ..good })
        }
        defects::HOSTILE_EMPTY => Some(Harm::Says(good.message(&[]))),
        defects::HOSTILE_LONG => Some(Harm::Says(good.with_length(0x7fff_ffff, &result))),
        defects::HOSTILE_SHORT => Some(Harm::Says(good.with_length(3, &result))),
        defects::HOSTILE_CUT => {
            let error = Failure::internal("cut").error(dialect).encode();
            let half = error.get(..error.len() / 2).unwrap_or(&[]);
            Some(Harm::Says(request::reply_header(call, Status::ERROR).message(half)))
        }
        defects::HOSTILE_EOF => Some(Harm::Closes),
        defects::HOSTILE_SILENT => Some(Harm::Ignores),
        _ => None,
    }
}

/// A message with another serial.
pub(super) fn with_serial(message: &Bytes, serial: u32) -> Bytes {
    let (Some(before), Some(behind)) = (message.get(..SERIAL_AT), message.get(SERIAL_AT + 4..)) else {
        return message.clone();
    };
    let mut changed = BytesMut::with_capacity(message.len().max(HEAD_LEN));
    changed.put_slice(before);
    changed.put_u32(serial);
    changed.put_slice(behind);
    changed.freeze()
}
