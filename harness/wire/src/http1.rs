//! The framing of HTTP/1.1 and 1.0: heads and bodies, and what takes their place behind an upgrade.
//!
//! ```text
//! c2s  POST /a HTTP/1.1 CRLF        HEAD      answers may come before the body
//!      Content-Length: 5 CRLF CRLF
//!      hello                        BODY      as long as the head says; PIECE, PIECE, BODY above BODY_PIECE_MAX
//!      5 CRLF hello CRLF            CHUNKED   all chunks, the last one and trailers; with PIECEs in front of it as above
//!      0 CRLF Sum: 1 CRLF CRLF
//!      GET /b HTTP/1.1 CRLF CRLF    WHOLE     no body
//!
//! s2c  HTTP/1.1 100 Continue …      INTERIM   1xx but 101
//!      HTTP/1.1 200 OK … hello      RESPONSE  head and body: by length, by chunks, or up to the end of the stream
//!      HTTP/1.1 101 UPGRADED …      SWITCH    what follows is no HTTP, in both directions
//!      01 00 00 00 …                RAW       up to the end of the stream, cut at RAW_LEN_MAX
//! ```
//!
//! How long an answer is depends on its request (HEAD has no body), on its status (1xx, 204, 304), and may depend on where the
//! stream ends. What lies behind a request with `Upgrade` is for its answer to say: behind 101 it is raw, behind any other
//! answer there is the next request. Both are told by [`crate::Decoder::note_other`]. An answer to nothing is framed too. A 101 to a
//! request without `Upgrade` makes only the direction of the server raw. CONNECT is a request like any other.
//!
//! Pieces are put together again by joining them: of a body by length each but the last has [`BODY_PIECE_MAX`] bytes. A body in
//! chunks is cut in the data of a chunk at that many bytes, or before a chunk's line, its CRLF or the trailers, if
//! those might reach further.
//!
//! Specified by RFC 9112, sections 2 to 7. Where two readers of the world disagree on what a message is, it is none here: a bare
//! LF, a folded line, a space before a colon, lengths that differ or are no digits, a coding behind `chunked`, a chunk size
//! that is more than digits are [`crate::DecodeErrorKind::Syntax`] with the name of the field. Section 6.3 leaves one exception, and all daemons
//! do the same: chunks count where a length stands beside them. [`Headers::problems`] tells that.
//! Before a request CRLFs are passed over, as section 2.2 asks for.

mod chunked;
mod dissect;
mod encode;
mod head;
mod scan;
mod view;

pub use chunked::Chunked;
pub use dissect::{dissect, dissect_head};
pub use encode::{EncodeError, chunk, last_chunk, request_head, response_head};
pub use scan::{MessageDecoder, MessageScan};
pub use view::{Body, Header, Headers, Request, Response, Version};

use crate::FrameKind;

/// The head of a request with a body.
pub const HEAD: FrameKind = FrameKind(1);
/// A request without a body.
pub const WHOLE: FrameKind = FrameKind(2);
/// The body of a request, as long as its head says, or the last piece of it. Its frame has no head.
pub const BODY: FrameKind = FrameKind(3);
/// The body of a request in chunks as they travelled, with trailers, or the last piece of it. Its frame has no head.
pub const CHUNKED: FrameKind = FrameKind(4);
/// A piece of such a body; more follows.
pub const PIECE: FrameKind = FrameKind(5);
/// A final answer: head and body.
pub const RESPONSE: FrameKind = FrameKind(6);
/// An answer before the final one: the head of a 1xx but 101.
pub const INTERIM: FrameKind = FrameKind(7);
/// The head of a 101.
pub const SWITCH: FrameKind = FrameKind(8);
/// What is no HTTP, behind a 101.
pub const RAW: FrameKind = FrameKind(9);

/// The longest head in bytes. Measured on dockerd 20.10.5 to 29: a header of 900 KB and a target of 1 MB are taken, a header
/// of 2 MB is 431. It is 1 MiB and 4 KiB in Go: `golang/go@go1.24.0:src/net/http/server.go`, `initialReadLimitSize`.
pub const HEAD_LEN_MAX: usize = (1 << 20) + (4 << 10);
/// The most lines of a head. dockerd 20.10.5 to 26.1.5 take 20000 headers, 28.5.2 refuses them.
pub const LINES_MAX: usize = 32 << 10;
/// The longest piece of a request's body, and so the most that a decoder waits for there.
pub const BODY_PIECE_MAX: usize = 1 << 20;
/// The longest body of an answer. Chunk lines are counted on their own, up to the same limit.
pub const BODY_LEN_MAX: u64 = 64 << 20;
/// The longest piece of what is no HTTP.
pub const RAW_LEN_MAX: usize = 1 << 20;
/// The longest line of a chunk: size, extensions and CRLF. It is the same in Go:
/// `golang/go@go1.24.0:src/net/http/internal/chunked.go`, `maxLineLength`.
pub const CHUNK_LINE_MAX: usize = 4096;
/// The most trailers in bytes, the empty line behind them included.
pub const TRAILERS_LEN_MAX: usize = 64 << 10;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
