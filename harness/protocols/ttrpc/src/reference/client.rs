//! Calls over one connection: one after the other, or several at once.

use std::time::Duration;

use bytes::Bytes;
use protocol::reference::call::{Caller, End, Trace};
use session::Address;
use wire::ttrpc::{Header, MessageDecoder, MessageType};

use crate::envelope::{self, Answer, code, data};

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// It was carried out; the result.
    Done(Bytes),
    /// It failed.
    Failed {
        /// With that code.
        code: i64,
        /// In these words.
        says: String,
    },
}

impl Called {
    /// Whether the method is not known there.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Failed { code: code::UNIMPLEMENTED, .. })
    }

    /// Whether the method is not known to one that has no code for that: of INVALID_ARGUMENT, the words tell.
    #[must_use]
    pub fn is_unknown_in_words(&self) -> bool {
        matches!(self, Self::Failed { code: code::INVALID_ARGUMENT, says } if says.ends_with("does not exist"))
    }
}

/// Why a call has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended or could not be made, or what came was no message.
    Loudly,
    /// Nothing came.
    Silence,
}

/// A client on one connection.
pub struct Calls {
    caller: Caller,
    decoder: MessageDecoder,
    patience: Duration,
    next: u32,
    /// What came that was not waited for yet.
    early: Vec<(u32, Called)>,
}

impl Calls {
    /// Connects.
    ///
    /// # Errors
    /// [`Lost::Loudly`] where nobody listens.
    pub async fn connect(address: &Address, trace: Trace, patience: Duration) -> Result<Self, Lost> {
        let caller = Caller::connect(address, trace, patience).await.map_err(|_| Lost::Loudly)?;
        Ok(Self { caller, decoder: MessageDecoder::new(), patience, next: 1, early: Vec::new() })
    }

    /// Begins a call; the number of its stream.
    ///
    /// # Errors
    /// The server takes nothing.
    pub async fn begin(&mut self, service: &str, method: &str, payload: &[u8]) -> Result<u32, Lost> {
        let stream = self.next;
        self.next = self.next.wrapping_add(2);
        let request = envelope::request(stream, service, method, payload);
        self.caller.send(request, None, self.patience).await.map_err(|_| Lost::Loudly)?;
        Ok(stream)
    }

    /// Waits for the end of a call. What others come to meanwhile is kept for them; what answers nothing is passed over.
    ///
    /// # Errors
    /// There is none.
    pub async fn end(&mut self, stream: u32) -> Result<Called, Lost> {
        loop {
            if let Some(at) = self.early.iter().position(|(of, _)| *of == stream) {
                return Ok(self.early.remove(at).1);
            }
            let frame = self.caller.frame(&mut self.decoder, self.patience).await;
            let frame = frame.map_err(|end| match end {
                End::Timeout => Lost::Silence,
                End::Eof | End::Reset | End::Unreadable(_) => Lost::Loudly,
            })?;
            let header = Header::of_frame(&frame).filter(|header| header.kind == MessageType::RESPONSE);
            let Some(header) = header else { continue };
            let answer = Answer::read(data(&frame.bytes)).ok_or(Lost::Loudly)?;
            let called = match answer.code {
                code::OK => Called::Done(Bytes::copy_from_slice(answer.payload)),
                code => Called::Failed { code, says: String::from_utf8_lossy(answer.message).into_owned() },
            };
            let is_open = header.stream < self.next && !header.stream.is_multiple_of(2);
            if is_open && !self.early.iter().any(|(of, _)| *of == header.stream) {
                self.early.push((header.stream, called));
            }
        }
    }

    /// Numbers streams from the first one again, which no client should do.
    pub fn number_anew(&mut self) {
        self.next = 1;
    }

    /// Calls, and waits for the end of it.
    ///
    /// # Errors
    /// There is none.
    pub async fn call(&mut self, service: &str, method: &str, payload: &[u8]) -> Result<Called, Lost> {
        let stream = self.begin(service, method, payload).await?;
        self.end(stream).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_not_there_is_told_from_an_argument_that_is_not_valid() {
        #[track_caller]
        fn check(code: i64, says: &str, by_code: bool, in_words: bool) {
            let called = Called::Failed { code, says: says.to_owned() };
            assert_eq!(
                (called.is_unknown(), called.is_unknown_in_words()),
                (by_code, in_words),
                "{code} {says}"
            );
        }
        check(code::UNIMPLEMENTED, "method X", true, false);
        check(code::INVALID_ARGUMENT, "/grpc.AgentService/X does not exist", false, true);
        check(code::INVALID_ARGUMENT, "empty add arp neighbours request", false, false);
        check(code::NOT_FOUND, "container c1 does not exist", false, false);
    }
}
