//! How messages are written, honest ones and others: calls, and the answers of a server.

use bytes::Bytes;
use wire::libvirt_rpc::{Header, MessageType, Status};
use wire::xdr::Writer;

use super::names::{VERSION, procedures, program};

/// The header of a call of the remote program.
pub(crate) const fn header(procedure: i32, serial: u32) -> Header {
    Header {
        program: program::REMOTE,
        version: VERSION,
        procedure,
        kind: MessageType::CALL,
        serial,
        status: Status::OK,
    }
}

/// A call of the remote program.
pub(crate) fn call(procedure: i32, serial: u32, arguments: &[u8]) -> Bytes {
    header(procedure, serial).message(arguments)
}

/// A call whose arguments are written by a [`Writer`].
pub(crate) fn call_with(procedure: i32, serial: u32, arguments: Writer) -> Bytes {
    call(procedure, serial, &arguments.finish())
}

/// Opens a connection to a driver; `flags` 1 asks for read-only.
pub(crate) fn open(serial: u32, uri: Option<&str>, flags: u32) -> Bytes {
    call_with(procedures::CONNECT_OPEN, serial, Writer::new().optional(uri.map(str::as_bytes)).u32(flags))
}

/// An interface as it is named in calls.
pub(crate) fn interface(name: &str, mac: &str) -> Writer {
    Writer::new().opaque(name.as_bytes()).opaque(mac.as_bytes())
}

/// The header of the answer to a call.
pub(crate) fn reply_header(call: &Header, status: Status) -> Header {
    let kind = if call.kind == MessageType::STREAM { MessageType::STREAM } else { MessageType::REPLY };
    Header { kind, status, ..*call }
}

/// The good answer to a call.
pub(crate) fn reply(call: &Header, result: Writer) -> Bytes {
    reply_header(call, Status::OK).message(&result.finish())
}

/// What an answer says of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// The code, e.g. 39.
    pub code: i32,
    /// The part of the library that it comes from, e.g. 7.
    pub domain: i32,
    /// The text; it may be translated, and need not be UTF-8.
    pub message: Option<Vec<u8>>,
    /// 2 for an error.
    pub level: i32,
    /// The format that the text was made with, the detail in it, and one more.
    pub texts: [Option<Vec<u8>>; 3],
    /// Two numbers; -1 where they say nothing.
    pub ints: [i32; 2],
}

impl RpcError {
    /// The error as it travels. It names neither a domain nor a network.
    pub(crate) fn encode(&self) -> Bytes {
        let [first, second, third] = &self.texts;
        Writer::new()
            .i32(self.code)
            .i32(self.domain)
            .optional(self.message.as_deref())
            .i32(self.level)
            .u32(0)
            .optional(first.as_deref())
            .optional(second.as_deref())
            .optional(third.as_deref())
            .i32(self.ints[0])
            .i32(self.ints[1])
            .u32(0)
            .finish()
    }
}

/// The bad answer to a call.
pub(crate) fn failure(call: &Header, error: &RpcError) -> Bytes {
    reply_header(call, Status::ERROR).message(&error.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RpcError {
        /// An error as releases write it: the text, its format, and the detail in it.
        pub(crate) fn new(code: i32, domain: i32, message: &str, format: &str, detail: Option<&str>) -> Self {
            let bytes = |text: &str| text.as_bytes().to_vec();
            Self {
                code,
                domain,
                message: Some(bytes(message)),
                level: 2,
                texts: [Some(bytes(format)), detail.map(bytes), None],
                ints: [-1, -1],
            }
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As virsh and libvirtd 12.8.0 were recorded.
    #[test]
    fn writes_what_real_peers_write() {
        assert_eq!(
            hex(&open(2, Some("test:///default"), 0)),
            "00000038200080860000000100000001000000000000000200000000000000010000000f746573743a2f2f2f64656661756c740000000000"
        );
        let unknown = RpcError::new(39, 7, "unknown procedure: 9999", "%s", Some("unknown procedure: 9999"));
        assert_eq!(
            hex(&failure(&header(9999, 12), &unknown)),
            "0000008820008086000000010000270f000000010000000c0000000100000027000000070000000100000017756e6b6e6f776e2070726f6365647572653a20393939390000000002000000000000000100000002257300000000000100000017756e6b6e6f776e2070726f6365647572653a20393939390000000000ffffffffffffffff00000000"
        );
        assert_eq!(
            hex(&call_with(156, 7, interface("eth1", "aa:bb:cc:dd:ee:ff"))),
            "0000003c20008086000000010000009c00000000000000070000000000000004657468310000001161613a62623a63633a64643a65653a6666000000"
        );
    }
}
