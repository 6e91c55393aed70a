//! What a server says when it refuses: code, domain, text, and the pieces that the text was made of.

use crate::dialect::{Dialect, NoDetail};
use crate::names::{error, error_domain, error_level};
use crate::request::RpcError;

/// A refusal, before a dialect gives it its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    code: i32,
    domain: i32,
    text: Text,
    /// What the operating system said; 0 if nothing.
    errno: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    /// The whole text is the detail: its format is `%s`.
    Plain(Vec<u8>),
    /// A format with one place, and what stands there.
    Made { format: &'static str, detail: String },
    /// A text of its own, without detail.
    Bare(&'static str),
    /// An argument of a function of the library is wrong.
    Argument { message: String, function: String, argument: &'static str },
    /// The library failed and did not say why.
    Unset,
}

impl Failure {
    /// A text that is its own detail.
    pub(super) fn plain(code: i32, domain: i32, text: impl Into<Vec<u8>>) -> Self {
        Self { code, domain, text: Text::Plain(text.into()), errno: 0 }
    }

    /// A text made of the format of its code.
    pub(super) fn made(code: i32, domain: i32, detail: impl Into<String>) -> Self {
        let format = FORMATS.iter().find(|(known, _)| *known == code).map_or("{}", |(_, format)| format);
        Self { code, domain, text: Text::Made { format, detail: detail.into() }, errno: 0 }
    }

    /// Nothing has that name.
    pub(super) fn unknown(code: i32, what: &str, name: &[u8]) -> Self {
        let detail = format!("no {what} with matching name '{}'", String::from_utf8_lossy(name));
        Self::made(code, error_domain::TEST, detail)
    }

    /// A text without detail.
    pub(super) fn bare(code: i32, domain: i32, text: &'static str) -> Self {
        Self { code, domain, text: Text::Bare(text), errno: 0 }
    }

    /// A failure of the operating system.
    pub(super) fn system(domain: i32, text: &str, errno: i32) -> Self {
        Self { errno, ..Self::plain(error::SYSTEM_ERROR, domain, text) }
    }

    /// A refusal of the remote procedure calls themselves.
    pub(super) fn rpc(text: impl Into<Vec<u8>>) -> Self {
        Self::plain(error::RPC, error_domain::RPC, text)
    }

    /// Arguments that cannot be read.
    pub(super) fn undecodable() -> Self {
        Self::rpc("Unable to decode message payload")
    }

    /// 1/7, the daemon's own way to be at a loss.
    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Self::made(error::INTERNAL_ERROR, error_domain::RPC, detail)
    }

    /// The state of things does not allow it.
    pub(super) fn invalid(domain: i32, detail: impl Into<String>) -> Self {
        Self::made(error::OPERATION_INVALID, domain, detail)
    }

    /// Something that is wrong with XML, found by its reader.
    pub(super) fn xml(domain: i32, detail: impl Into<String>) -> Self {
        Self::made(error::XML_ERROR, domain, detail)
    }

    /// The driver has no function for it.
    pub(super) fn no_support(domain: i32, function: impl Into<String>) -> Self {
        Self::made(error::NO_SUPPORT, domain, function)
    }

    /// Flags that the function does not know.
    pub(super) fn flags(refused: u32, function: &str) -> Self {
        let message = format!("unsupported flags (0x{refused:x}) in function {function}");
        Self::argument(error_domain::TEST, message, function, "flags")
    }

    /// An argument that is wrong.
    pub(super) fn argument(domain: i32, message: String, function: &str, argument: &'static str) -> Self {
        let text = Text::Argument { message, function: function.to_owned(), argument };
        Self { code: error::INVALID_ARG, domain, text, errno: 0 }
    }

    /// The library failed and did not say why.
    pub(super) fn unset() -> Self {
        Self { code: error::INTERNAL_ERROR, domain: error_domain::RPC, text: Text::Unset, errno: 0 }
    }

    /// The code, for who wants to go on another way.
    #[cfg(test)]
    pub(super) fn code(&self) -> (i32, i32) {
        (self.code, self.domain)
    }

    /// As it travels in a dialect.
    pub(super) fn error(&self, dialect: &Dialect) -> RpcError {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let none = (dialect.server.no_detail == NoDetail::Empty).then(Vec::new);
        let (message, texts, ints) = match &self.text {
            Text::Plain(text) => (text.clone(), [Some(bytes("%s")), Some(text.clone()), None], [-1, -1]),
            Text::Made { format, detail } => {
                let message = bytes(&format.replace("{}", detail));
                (message, [Some(bytes(&dialect.error_format(format))), Some(bytes(detail)), None], [-1, -1])
            }
            Text::Bare(text) => (bytes(text), [Some(bytes(text)), none, None], [-1, -1]),
            Text::Argument { message, function, argument } => {
                (bytes(message), [Some(bytes(function)), Some(bytes(argument)), None], [0, 0])
            }
            Text::Unset => {
                let text = "Library function returned error but did not set virError";
                (bytes(text), [None, None, None], [0, 0])
            }
        };
        let ints = if self.errno == 0 { ints } else { [self.errno, -1] };
        let (code, domain) = (self.code, self.domain);
        RpcError { code, domain, message: Some(message), level: error_level::ERROR, texts, ints }
    }
}

/// The formats of texts by code, in which `{}` stands for the detail.
/// `libvirt/libvirt@v11.3.0:src/util/virerror.c`, virErrorMsgStrings.
const FORMATS: [(i32, &str); 16] = [
    (error::INTERNAL_ERROR, "internal error: {}"),
    (error::NO_SUPPORT, "this function is not supported by the connection driver: {}"),
    (error::NO_CONNECT, "no connection driver available for {}"),
    (error::INVALID_ARG, "invalid argument: {}"),
    (error::XML_ERROR, "XML error: {}"),
    (error::OPERATION_DENIED, "operation forbidden: {}"),
    (NO_NETWORK, "Network not found: {}"),
    (error::AUTH_FAILED, "authentication failed: {}"),
    (NO_STORAGE_POOL, "Storage pool not found: {}"),
    (NO_NODE_DEVICE, "Node device not found: {}"),
    (error::OPERATION_INVALID, "Requested operation is not valid: {}"),
    (error::NO_INTERFACE, "Interface not found: {}"),
    (error::CONFIG_UNSUPPORTED, "unsupported configuration: {}"),
    (ARGUMENT_UNSUPPORTED, "argument unsupported: {}"),
    (error::OPERATION_UNSUPPORTED, "Operation not supported: {}"),
    (error::NO_NETWORK_METADATA, "metadata not found: {}"),
];

/// The code of an unknown network.
pub(super) const NO_NETWORK: i32 = 43;
/// The code of an unknown storage pool.
pub(super) const NO_STORAGE_POOL: i32 = 49;
/// The code of an unknown node device.
pub(super) const NO_NODE_DEVICE: i32 = 53;
/// The code of an address that more than one interface has.
pub(super) const MULTIPLE_INTERFACES: i32 = 59;
/// The code of an argument that is known and not supported.
pub(super) const ARGUMENT_UNSUPPORTED: i32 = 74;
/// The domain of storage.
pub(super) const STORAGE_DOMAIN: i32 = 18;
/// The domain of streams.
pub(super) const STREAMS_DOMAIN: i32 = 38;
