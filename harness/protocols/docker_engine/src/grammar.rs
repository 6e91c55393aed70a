//! How a dialect is read: HTTP/1.1, and what its statuses mean.
//!
//! | answer | meaning |
//! |---|---|
//! | 2xx, 101 | carried out |
//! | 404 without `Api-Version`, and no object is named in it | the endpoint is not known |
//! | 400 `requires minimum API version` | the same, from 29.0 on |
//! | any other 3xx, 4xx, 5xx | refused, with the status |
//!
//! The status alone says nothing: an object that is not there is 404 too, and then a handler says so, under its version.

use verdict::{ConnContext, Due, Grammar, Meaning, Pairing, Quotable, Turns};
use wire::http1::{BODY, Body, CHUNKED, MessageDecoder, PIECE, RAW, Request, Response, SWITCH};
use wire::json::Document;
use wire::{Decoder, Direction, Dissection, Frame};

use crate::dialect::Dialect;
use crate::message::{self, JSON, error_text};
use crate::version::ApiVersion;

/// What a daemon says of an endpoint that it does not know.
const PAGE_NOT_FOUND: &str = "page not found";
/// What it says of one that is newer than the prefix.
const REQUIRES_NEWER: &str = "requires minimum API version";

/// How many digits of an id are enough for people.
const SHORT_ID: usize = 12;

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineGrammar {
    dialect: &'static Dialect,
}

impl EngineGrammar {
    /// The reading of that dialect.
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }
}

impl Grammar for EngineGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(MessageDecoder::new(dir))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(Turns::new(*self))
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        message::dissect(dir, frame, request)
    }

    fn due(&self, request: &Frame) -> Due {
        match request.kind {
            BODY | CHUNKED | PIECE | RAW => Due::None,
            _ => match Request::of(request) {
                Some(request) if request.upgrade() => Due::Stream,
                Some(_) => Due::One,
                None => Due::None,
            },
        }
    }

    /// Ids of containers and execs. People and scripts write the first twelve digits of them.
    fn quotable(&self, reply: &Frame, _request: Option<&Frame>) -> Vec<Quotable> {
        let is_success = Response::of(reply).is_some_and(|response| matches!(response.status, 200 | 201));
        let id = Quotable { field: "body.Id".into(), short: Some(SHORT_ID) };
        if is_success && reply.kind != SWITCH { vec![id] } else { Vec::new() }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        let Some(response) = Response::of(reply).filter(|_| reply.kind != SWITCH) else {
            return Meaning::Success;
        };
        if response.status < 300 {
            return Meaning::Success;
        }
        let body = Body::of(reply).map(|body| body.data.into_owned()).unwrap_or_default();
        let text = error_text(&response, &body).unwrap_or_default();
        let is_handled = response.headers.get("api-version").is_some();
        match response.status {
            404 if !is_handled && (text.is_empty() || text == PAGE_NOT_FOUND) => Meaning::NotSupported,
            400 if text.contains(REQUIRES_NEWER) => Meaning::NotSupported,
            status => Meaning::Refused(status.into()),
        }
    }
}

/// The version in an answer to `/version`.
pub(crate) fn said_version(frame: &Frame) -> Option<ApiVersion> {
    let body = Body::of(frame)?;
    let document = Document::parse(&body.data, JSON).ok()?;
    document.root().get("ApiVersion")?.text()?.parse().ok()
}
