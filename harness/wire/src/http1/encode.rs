//! What peers send: heads, chunks, trailers. Nothing can be put into a head that would end it or a line of it.

use std::fmt::{self, Write as _};

use bytes::{Bytes, BytesMut};

use super::Version;
use super::head::is_token;

/// What cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A method that is no token.
    Method,
    /// A target that is empty, or has white space or control characters.
    Target,
    /// A status that has not three digits.
    Status,
    /// A reason with control characters.
    Reason,
    /// A name of a header that is no token.
    Name,
    /// A value of a header with control characters, or white space around it.
    Value,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method is no token",
            Self::Target => "target is empty or has white space or control characters",
            Self::Status => "status has not three digits",
            Self::Reason => "reason has control characters",
            Self::Name => "name of a header is no token",
            Self::Value => "value of a header has control characters, or white space around it",
        })
    }
}

impl std::error::Error for EncodeError {}

/// The head of a request, with these headers and no other.
///
/// # Errors
/// Something cannot be written.
pub fn request_head(
    method: &str,
    target: &str,
    version: Version,
    headers: &[(&str, &str)],
) -> Result<Bytes, EncodeError> {
    check(is_name(method), EncodeError::Method)?;
    check(!target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic()), EncodeError::Target)?;
    head(format_args!("{method} {target} {version}"), headers)
}

/// The head of an answer, with these headers and no other.
///
/// # Errors
/// Something cannot be written.
pub fn response_head(
    status: u16,
    reason: &str,
    version: Version,
    headers: &[(&str, &str)],
) -> Result<Bytes, EncodeError> {
    check((100..=999).contains(&status), EncodeError::Status)?;
    check(is_text(reason), EncodeError::Reason)?;
    head(format_args!("{version} {status} {reason}"), headers)
}

/// A chunk; nothing for no data, since that would be the last one.
#[must_use]
pub fn chunk(data: &[u8]) -> Bytes {
    if data.is_empty() {
        return Bytes::new();
    }
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat().into()
}

/// The last chunk and trailers.
///
/// # Errors
/// A trailer cannot be written.
pub fn last_chunk(trailers: &[(&str, &str)]) -> Result<Bytes, EncodeError> {
    head(format_args!("0"), trailers)
}

fn head(first: fmt::Arguments<'_>, headers: &[(&str, &str)]) -> Result<Bytes, EncodeError> {
    let mut bytes = BytesMut::new();
    // Writing to a buffer that grows does not fail.
    let _ = write!(bytes, "{first}\r\n");
    for (name, value) in headers {
        check(is_name(name), EncodeError::Name)?;
        check(is_text(value) && value.trim_matches([' ', '\t']) == *value, EncodeError::Value)?;
        let _ = write!(bytes, "{name}: {value}\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes.freeze())
}

fn check(can_be: bool, error: EncodeError) -> Result<(), EncodeError> {
    if can_be { Ok(()) } else { Err(error) }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token)
}

fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| !byte.is_ascii_control() || byte == b'\t')
}
