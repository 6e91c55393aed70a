//! One connection to a daemon, as who asks has it: requests out, answers in.

use std::time::Duration;

use bytes::Bytes;
use protocol::reference::call::{Caller, End, Trace};
use session::Address;
use wire::http1::{HEAD, INTERIM, MessageDecoder, Response, Version, WHOLE, request_head};
use wire::{Decoder as _, Direction, Frame};

/// A connection.
pub(crate) struct Link {
    caller: Caller,
    decoder: MessageDecoder,
    /// How long anything may take.
    patience: Duration,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The connection ended or could not be made, or what came cannot be read.
    Ended,
    /// An answer did not come.
    Silent,
}

impl Link {
    /// Connects.
    pub(crate) async fn connect(address: &Address, trace: Trace, patience: Duration) -> Result<Self, Lost> {
        let caller = Caller::connect(address, trace, patience).await.map_err(|_| Lost::Ended)?;
        Ok(Self { caller, decoder: MessageDecoder::new(Direction::ToClient), patience })
    }

    /// Sends a request. The length of its body is said where a method usually has one.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<(), Lost> {
        let len = body.map_or(0, <[u8]>::len).to_string();
        // Host and User-Agent come first, as CLIs have it.
        let (first, others) = headers.split_at(headers.len().min(2));
        let length = (method == "POST").then_some(("Content-Length", len.as_str()));
        let headers: Vec<_> = first.iter().copied().chain(length).chain(others.iter().copied()).collect();
        let head = request_head(method, target, Version(1), &headers).map_err(|_| Lost::Ended)?;
        let kind = if body.is_some() { HEAD } else { WHOLE };
        self.decoder.note_other(&Frame { kind, head_len: head.len(), bytes: head.clone() });
        let bytes: Bytes = [&head[..], body.unwrap_or_default()].concat().into();
        self.caller.send(bytes, None, self.patience).await.map_err(|_| Lost::Ended)
    }

    /// The final answer, or that which leaves HTTP.
    pub(crate) async fn answer(&mut self) -> Result<Frame, Lost> {
        loop {
            let frame = self.frame().await?.ok_or(Lost::Ended)?;
            if frame.kind != INTERIM {
                return Ok(frame);
            }
        }
    }

    /// Everything that comes up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, Lost> {
        let mut bytes = Vec::new();
        while let Some(frame) = self.frame().await? {
            bytes.extend_from_slice(&frame.bytes);
        }
        bytes.extend_from_slice(self.caller.rest());
        Ok(bytes)
    }

    /// Says that nothing more will be said.
    pub(crate) fn half_close(&self) -> Result<(), Lost> {
        self.caller.half_close().map_err(|_| Lost::Ended)
    }

    async fn frame(&mut self) -> Result<Option<Frame>, Lost> {
        match self.caller.frame(&mut self.decoder, self.patience).await {
            Ok(frame) => Ok(Some(frame)),
            Err(End::Eof) => Ok(None),
            Err(End::Timeout) => Err(Lost::Silent),
            Err(End::Reset | End::Unreadable(_)) => Err(Lost::Ended),
        }
    }
}

/// The status of an answer.
pub(crate) fn status(answer: &Frame) -> u16 {
    Response::of(answer).map_or(0, |response| response.status)
}
