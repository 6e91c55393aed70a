//! How requests are written: JSON on a line, as clients of qemu-ga end requests with a line feed.

use bytes::Bytes;

use super::names::{DELIMITER, SYNC, SYNC_DELIMITED};

/// A request without arguments.
pub(crate) fn plain(command: &str) -> Bytes {
    line(&format!("{{\"execute\":\"{command}\"}}"))
}

/// A request whose `id` is that JSON text, whatever it is.
pub(crate) fn with_id(command: &str, id: &str) -> Bytes {
    line(&format!("{{\"execute\":\"{command}\",\"id\":{id}}}"))
}

/// A request whose `arguments` are that JSON text.
pub(crate) fn with_arguments(command: &str, arguments: &str) -> Bytes {
    line(&format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}"))
}

/// A request whose `id` is a string of those bytes, whether they are text or not.
pub(crate) fn with_id_bytes(command: &str, id: &[u8]) -> Bytes {
    let head = format!("{{\"execute\":\"{command}\",\"id\":\"");
    Bytes::from([head.as_bytes(), id, b"\"}\n"].concat())
}

/// guest-sync with that number.
pub(crate) fn sync(number: i64) -> Bytes {
    with_arguments(SYNC, &format!("{{\"id\":{number}}}"))
}

/// guest-sync-delimited with that number, without the byte in front.
pub(crate) fn sync_delimited(number: i64) -> Bytes {
    with_arguments(SYNC_DELIMITED, &format!("{{\"id\":{number}}}"))
}

/// What brings a parser of which nobody knows the state into step: ff, then guest-sync-delimited.
pub(crate) fn resync(number: i64) -> Bytes {
    Bytes::from([&[DELIMITER][..], &sync_delimited(number)].concat())
}

/// A request of an unknown command with that many bytes of arguments.
pub(crate) fn unknown(command: &str, len: usize) -> Bytes {
    let payload = "a".repeat(len);
    let arguments = format!(",\"arguments\":{{\"payload\":\"{payload}\"}}");
    let arguments = if len > 0 { arguments.as_str() } else { "" };
    line(&format!("{{\"execute\":\"{command}\"{arguments},\"id\":\"unknown\"}}"))
}

fn line(text: &str) -> Bytes {
    Bytes::from([text.as_bytes(), b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they are in the recordings of real builds.
    #[test]
    fn writes_the_bytes_of_the_recorded_client() {
        let check = |request: Bytes, expect: &[u8]| {
            assert_eq!(request.escape_ascii().to_string(), expect.escape_ascii().to_string())
        };
        check(plain("guest-ping"), b"{\"execute\":\"guest-ping\"}\n");
        check(with_id("guest-ping", "\"abc\""), b"{\"execute\":\"guest-ping\",\"id\":\"abc\"}\n");
        check(with_id_bytes("guest-ping", b"\x80"), b"{\"execute\":\"guest-ping\",\"id\":\"\x80\"}\n");
        check(sync(2), b"{\"execute\":\"guest-sync\",\"arguments\":{\"id\":2}}\n");
        check(resync(1), b"\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n");
        let unknown = unknown("zz", 3);
        check(unknown, b"{\"execute\":\"zz\",\"arguments\":{\"payload\":\"aaa\"},\"id\":\"unknown\"}\n");
    }
}
