//! How a dialect is read: the decoder, which call a message answers, and what answers mean.

use verdict::{ConnContext, Due, Grammar, Meaning, Pairing};
use wire::libvirt_rpc::{Header, MessageDecoder, MessageType, Status};
use wire::xdr::{Reader, XdrError};
use wire::{Decoder, Direction, Dissection, Frame};

use self::calls::Calls;
use super::dialect::Dialect;
use super::names::{self, error, error_domain, keepalive, program};

mod calls;

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LibvirtGrammar {
    dialect: &'static Dialect,
}

impl LibvirtGrammar {
    /// The reading of that dialect.
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

impl Grammar for LibvirtGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(MessageDecoder::towards(dir))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Calls::new(*self))
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        super::message::dissect(self.dialect, dir, frame, request)
    }

    /// Servers drop other types without a word: the types 1, 2, 3, 5, 6 and those above were measured on
    /// 7.0.0 to 12.8.0. The end of a stream is confirmed, that of one which was never there is dropped.
    fn due(&self, request: &Frame) -> Due {
        match Header::of_frame(request) {
            Some(header) if header.kind.is_call() || is_ping(&header) => Due::One,
            Some(header) if ends_stream(&header) => Due::OnFailure,
            _ => Due::None,
        }
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        let Some(header) = Header::of_frame(reply) else {
            return Meaning::Notification;
        };
        let request = request.and_then(Header::of_frame);
        let answer = header.kind.is_reply()
            || (is_pong(&header) && request.as_ref().is_some_and(is_ping))
            || (ends_stream(&header) && request.as_ref().is_some_and(ends_stream));
        match header.status {
            _ if !answer => Meaning::Notification,
            Status::ERROR => refusal(reply),
            _ => Meaning::Success,
        }
    }
}

fn is_ping(header: &Header) -> bool {
    is_keepalive(header, keepalive::PING)
}

fn is_pong(header: &Header) -> bool {
    is_keepalive(header, keepalive::PONG)
}

fn is_keepalive(header: &Header, procedure: i32) -> bool {
    header.program == program::KEEPALIVE
        && header.version == names::VERSION
        && header.procedure == procedure
        && header.kind == MessageType::MESSAGE
}

/// Whether it is the last message of one side of a stream.
pub(crate) fn ends_stream(header: &Header) -> bool {
    header.kind == MessageType::STREAM && matches!(header.status, Status::OK | Status::ERROR)
}

/// What a failure means. That a procedure is not known is a contract on text: clients look for its first
/// two words, so a translated one is a plain failure to them, and it is one here.
///
/// A driver that has no function for what the server knows (code 3) refuses: the procedure is known, and
/// the same server may carry it out for another driver.
fn refusal(reply: &Frame) -> Meaning {
    let Ok((code, domain, text)) = code_domain_text(reply) else {
        return Meaning::Refused(0);
    };
    let unknown = [names::UNKNOWN_PROCEDURE_TEXT, names::UNKNOWN_PROGRAM_TEXT];
    let starts = |words: &&str| text.starts_with(words.as_bytes());
    let ours = matches!(domain, error_domain::RPC | error_domain::REMOTE);
    if code == error::RPC && ours && unknown.iter().any(starts) {
        Meaning::NotSupported
    } else {
        Meaning::Refused(code.into())
    }
}

/// The first three fields of an error.
fn code_domain_text(reply: &Frame) -> Result<(i32, i32, &[u8]), XdrError> {
    let mut reader = Reader::new(reply.payload());
    let fds = Header::of_frame(reply).is_some_and(|header| header.kind.has_fds());
    if fds {
        reader.u32()?;
    }
    let (_, code) = reader.i32()?;
    let (_, domain) = reader.i32()?;
    let (_, present) = reader.flag()?;
    let text = if present { reader.opaque(wire::libvirt_rpc::STRING_MAX)?.bytes } else { &[] };
    Ok((code, domain, text))
}

#[cfg(test)]
mod tests;
