//! What is in a message: a call, or the answer to one.
//!
//! ```text
//! Request   { string service=1; string method=2; bytes payload=3; int64 timeout_nano=4; repeated KeyValue metadata=5; }
//! Response  { Status status=1; bytes payload=2; }
//! Status    { int32 code=1; string message=2; repeated google.protobuf.Any details=3; }
//! ```
//!
//! Specified by `containerd/ttrpc@v1.2.7:request.proto`. A success has three spellings, measured on the shims of containerd 1.4.13
//! to 2.1.9 and on agents of Kata Containers 2.0.0 to 4.0.0: no status; an empty status, which comes first; and, where the result
//! is empty as well, no data at all.

use std::ops::Range;
use std::str;

use bytes::Bytes;
use wire::protobuf::{FieldValue, Walk, Writer};
use wire::ttrpc::{Flags, HEAD_LEN, Header, MessageType};

/// The status codes of gRPC that are met here.
pub mod code {
    /// Success.
    pub const OK: i64 = 0;
    /// An error of which no more is known.
    pub const UNKNOWN: i64 = 2;
    /// The call makes no sense.
    pub const INVALID_ARGUMENT: i64 = 3;
    /// What it is about is not there.
    pub const NOT_FOUND: i64 = 5;
    /// A limit was reached.
    pub const RESOURCE_EXHAUSTED: i64 = 8;
    /// What it is about is not in a state for that.
    pub const FAILED_PRECONDITION: i64 = 9;
    /// The method is not known.
    pub const UNIMPLEMENTED: i64 = 12;
    /// It failed.
    pub const INTERNAL: i64 = 13;
    /// It cannot be done now.
    pub const UNAVAILABLE: i64 = 14;

    /// The names of all codes, by number: that of the specification, which Rust has, and that of Go.
    const WORDS: [[&str; 2]; 17] = [
        ["OK", "OK"],
        ["CANCELLED", "Canceled"],
        ["UNKNOWN", "Unknown"],
        ["INVALID_ARGUMENT", "InvalidArgument"],
        ["DEADLINE_EXCEEDED", "DeadlineExceeded"],
        ["NOT_FOUND", "NotFound"],
        ["ALREADY_EXISTS", "AlreadyExists"],
        ["PERMISSION_DENIED", "PermissionDenied"],
        ["RESOURCE_EXHAUSTED", "ResourceExhausted"],
        ["FAILED_PRECONDITION", "FailedPrecondition"],
        ["ABORTED", "Aborted"],
        ["OUT_OF_RANGE", "OutOfRange"],
        ["UNIMPLEMENTED", "Unimplemented"],
        ["INTERNAL", "Internal"],
        ["UNAVAILABLE", "Unavailable"],
        ["DATA_LOSS", "DataLoss"],
        ["UNAUTHENTICATED", "Unauthenticated"],
    ];

    /// The code of that name.
    #[must_use]
    pub fn of_word(word: &str) -> Option<i64> {
        let at = WORDS.iter().position(|names| names.contains(&word))?;
        i64::try_from(at).ok()
    }
}

/// What a request calls, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call<'a> {
    /// The service, with its package.
    pub service: &'a str,
    /// The method.
    pub method: &'a str,
    /// Its argument.
    pub payload: &'a [u8],
    /// Where that lies in the data of the message.
    pub payload_at: Range<usize>,
    /// Whether a field has another wire type than it should, and was passed over.
    pub is_odd: bool,
}

/// Why data is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCall;

impl<'a> Call<'a> {
    /// Reads the data of a request; of a field that is there twice the last counts.
    ///
    /// # Errors
    /// It is not protobuf, or a name is not UTF-8.
    pub fn read(data: &'a [u8]) -> Result<Self, NoCall> {
        let mut call = Self::default();
        for field in Walk::new(data) {
            let field = field.map_err(|_| NoCall)?;
            let bytes = match &field.value {
                FieldValue::Len(at) => Some((at.clone(), data.get(at.clone()).unwrap_or_default())),
                _ => None,
            };
            match (field.number, bytes) {
                (1, Some((_, name))) => call.service = str::from_utf8(name).map_err(|_| NoCall)?,
                (2, Some((_, name))) => call.method = str::from_utf8(name).map_err(|_| NoCall)?,
                (3, Some((at, payload))) => (call.payload_at, call.payload) = (at, payload),
                (1..=3, None) => call.is_odd = true,
                _ => {}
            }
        }
        Ok(call)
    }

    /// `service/method`, as messages for people have it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.service, self.method)
    }
}

/// What a response says, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer<'a> {
    /// The code of its status; [`code::OK`] where there is none.
    pub code: i64,
    /// The text of its status.
    pub message: &'a [u8],
    /// The result.
    pub payload: &'a [u8],
    /// Where that lies in the data of the message.
    pub payload_at: Range<usize>,
}

impl<'a> Answer<'a> {
    /// Reads the data of a response; `None` where it is not protobuf.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let mut answer = Self::default();
        for field in Walk::new(data) {
            let field = field.ok()?;
            match (field.number, &field.value) {
                (1, FieldValue::Len(at)) => answer.read_status(data, at.clone())?,
                (2, FieldValue::Len(at)) => {
                    answer.payload = data.get(at.clone())?;
                    answer.payload_at = at.clone();
                }
                _ => {}
            }
        }
        Some(answer)
    }

    fn read_status(&mut self, data: &'a [u8], at: Range<usize>) -> Option<()> {
        for field in Walk::within(data, at) {
            let field = field.ok()?;
            match (field.number, &field.value) {
                (1, FieldValue::Varint(code)) => self.code = code.cast_signed(),
                (2, FieldValue::Len(at)) => self.message = data.get(at.clone())?,
                _ => {}
            }
        }
        Some(())
    }
}

/// A request on a stream of that number.
#[must_use]
pub fn request(stream: u32, service: &str, method: &str, payload: &[u8]) -> Bytes {
    request_data(stream, call(service, method, payload))
}

/// The same with any data.
#[must_use]
pub fn request_data(stream: u32, data: impl AsRef<[u8]>) -> Bytes {
    Header { stream, kind: MessageType::REQUEST, flags: Flags(0) }.message(data.as_ref())
}

/// The data of a request. Empty parts are left out, as protobuf has it.
#[must_use]
pub fn call(service: &str, method: &str, payload: &[u8]) -> Bytes {
    let mut data = Writer::new();
    if !service.is_empty() {
        data = data.text(1, service);
    }
    if !method.is_empty() {
        data = data.text(2, method);
    }
    if !payload.is_empty() {
        data = data.bytes(3, payload);
    }
    data.finish()
}

/// How servers write that a call was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// Without a status.
    Bare,
    /// With an empty one.
    EmptyStatus,
}

/// A response that brings a result.
#[must_use]
pub fn success(stream: u32, spelling: Success, payload: &[u8]) -> Bytes {
    let mut data = Writer::new();
    if spelling == Success::EmptyStatus {
        data = data.bytes(1, &[]);
    }
    if !payload.is_empty() {
        data = data.bytes(2, payload);
    }
    response(stream, &data.finish())
}

/// A response that brings a failure.
#[must_use]
pub fn failure(stream: u32, code: i64, message: &str) -> Bytes {
    let mut status = Writer::new().int(1, code);
    if !message.is_empty() {
        status = status.text(2, message);
    }
    response(stream, &Writer::new().message(1, status).finish())
}

fn response(stream: u32, data: &[u8]) -> Bytes {
    Header { stream, kind: MessageType::RESPONSE, flags: Flags(0) }.message(data)
}

/// The data of a message.
#[must_use]
pub fn data(message: &[u8]) -> &[u8] {
    message.get(HEAD_LEN..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
        digits.chunks(2).map(pair).collect()
    }

    /// Measured on the agent of Kata Containers 3.2.0 and on containerd-shim-runc-v2.
    #[test]
    fn reads_and_writes_what_was_measured() {
        let version = bytes("0000001b0000000101000a0b677270632e4865616c7468120756657273696f6e1a030a0161");
        assert_eq!(request(1, "grpc.Health", "Version", b"\x0a\x01a"), version);
        let call = Call::read(data(&version)).expect("a call");
        assert_eq!((call.service, call.method, call.payload), ("grpc.Health", "Version", &b"\x0a\x01a"[..]));
        assert_eq!((call.payload_at.clone(), call.is_odd), (24..27, false));
        assert_eq!(call.name(), "grpc.Health/Version");

        let answered = bytes("000000120000000102000a00120e0a05302e302e311205332e322e30");
        let result = Answer::read(data(&answered)).expect("an answer");
        assert_eq!((result.code, result.payload_at.clone()), (code::OK, 4..18));
        assert_eq!(success(1, Success::EmptyStatus, result.payload), answered);
        assert_eq!(success(1, Success::Bare, b"\x08\x93\x23"), bytes("00000005000000010200 1203089323"));
        assert_eq!(success(0x13, Success::Bare, &[]), bytes("00000000000000130200"));

        let refused = bytes("0000001700000001 0200 0a15 080c 1211 476574 56657273696f6e206d6574686f64");
        assert_eq!(failure(1, code::UNIMPLEMENTED, "GetVersion method"), refused);
        let refusal = Answer::read(data(&refused)).expect("an answer");
        assert_eq!((refusal.code, refusal.message), (code::UNIMPLEMENTED, &b"GetVersion method"[..]));
    }

    #[test]
    fn tells_what_is_no_call_from_one_that_is_odd() {
        #[track_caller]
        fn check(hex: &str, expect: Result<(&str, &str, bool), NoCall>) {
            let bytes = bytes(hex);
            let call = Call::read(&bytes);
            assert_eq!(call.map(|call| (call.service, call.method, call.is_odd)), expect, "{hex}");
        }
        check("", Ok(("", "", false)));
        check("ffffffffffffffff", Err(NoCall));
        check("0affffffff0f", Err(NoCall));
        check("0a02fffe", Err(NoCall));
        check("0805 120141", Ok(("", "A", true)));
        check("0a0161 0a0162 12014d", Ok(("b", "M", false)));
    }

    #[test]
    fn codes_have_the_names_of_both_languages() {
        #[track_caller]
        fn check(word: &str, expect: Option<i64>) {
            assert_eq!(code::of_word(word), expect, "{word}");
        }
        check("OK", Some(code::OK));
        check("NOT_FOUND", Some(code::NOT_FOUND));
        check("NotFound", Some(code::NOT_FOUND));
        check("CANCELLED", Some(1));
        check("Canceled", Some(1));
        check("UNAUTHENTICATED", Some(16));
        check("Unauthenticated", Some(16));
        check("notfound", None);
        check("", None);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        assert_eq!(Answer::read(b"\xff"), None);
        assert_eq!(Answer::read(b"\x0a\x02\x08"), None);
        assert_eq!(Answer::read(b""), Some(Answer::default()));
    }
}
