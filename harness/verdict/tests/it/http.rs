//! HTTP/1.1 without any protocol above it.

use verdict::{ConnContext, Due, Grammar, Meaning, Pairing, Turns};
use wire::http1::{MessageDecoder, Request, Response, dissect_head};
use wire::{Decoder, Direction, Dissection, Frame};

/// The grammar.
#[derive(Clone, Copy)]
pub(crate) struct Http;

impl Grammar for Http {
    fn dialect(&self) -> &str {
        "http"
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(MessageDecoder::new(dir))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Turns::new(*self))
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        dissect_head(frame, &|_| None)
    }

    fn due(&self, request: &Frame) -> Due {
        match Request::of(request) {
            Some(request) if request.upgrade() => Due::Stream,
            Some(_) => Due::One,
            None => Due::None,
        }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        match Response::of(reply).map(|response| response.status) {
            Some(501) => Meaning::NotSupported,
            Some(status @ 400..) => Meaning::Refused(status.into()),
            _ => Meaning::Success,
        }
    }
}
