//! How requests are written, honest ones and others.

use bytes::Bytes;
use wire::lxc::{Command, Layout, RequestHead};

use super::names;

/// The layout in which probes are written.
pub(crate) const LAYOUT: Layout = Layout::LP64_LE;

/// A request without a payload; `data` is its argument.
pub(crate) fn plain(command: Command, data: i64) -> Bytes {
    lying(command, 0, data, b"")
}

/// A request whose length tells the truth about its payload.
pub(crate) fn with_payload(command: Command, payload: &[u8]) -> Bytes {
    lying(command, i32::try_from(payload.len()).unwrap_or(i32::MAX), 0, payload)
}

/// A request whose length says whatever it says.
pub(crate) fn lying(command: Command, len: i32, data: i64, payload: &[u8]) -> Bytes {
    let head = RequestHead { cmd: command, len, data: data.cast_unsigned() };
    head.encode_with(LAYOUT, payload).into()
}

/// A request that carries text and its terminator.
pub(crate) fn text(command: Command, text: &str) -> Bytes {
    with_payload(command, &[text.as_bytes(), b"\0"].concat())
}

/// The list of wanted states that ADD_STATE_CLIENT carries.
pub(crate) fn state_list(wanted: &[i32]) -> Vec<u8> {
    (0..names::MAX_STATE).flat_map(|state| i32::from(wanted.contains(&state)).to_le_bytes()).collect()
}

/// Waits for the next of the wanted states.
pub(crate) fn wait_for(wanted: &[i32]) -> Bytes {
    with_payload(names::ADD_STATE_CLIENT, &state_list(wanted))
}

/// A device item of a certain length: allow `c 10:229 rwm`.
pub(crate) fn device_item(len: usize) -> Vec<u8> {
    let mut item = Vec::with_capacity(len.max(24));
    item.extend_from_slice(&i32::from(b'c').to_le_bytes());
    item.extend_from_slice(&10_i32.to_le_bytes());
    item.extend_from_slice(&229_i32.to_le_bytes());
    item.extend_from_slice(b"rwm\0");
    item.extend_from_slice(&1_i32.to_le_bytes());
    if len == 24 {
        item.extend_from_slice(&(-1_i32).to_le_bytes());
    }
    item.resize(len, 0);
    item
}

/// The structure that GET_CGROUP_FD carries, cut or prolonged to a length.
pub(crate) fn cgroup_fd(controller: &str, len: usize) -> Vec<u8> {
    let mut request = vec![0; 16];
    request.extend_from_slice(controller.as_bytes());
    request.resize(len, 0);
    request
}

/// Asks for the console's buffer, at most that many bytes; zero asks for all of it.
pub(crate) fn console_read(read_max: u64) -> Bytes {
    let mut request = vec![0, 1, 0, 0, 0, 0, 0, 0];
    request.extend_from_slice(&read_max.to_le_bytes());
    request.resize(names::CONSOLE_LOG_LEN, 0);
    with_payload(names::CONSOLE_LOG, &request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &Bytes, hex: &str) {
        let found: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hex.replace(' ', ""));
    }

    /// Measured requests of the real tools.
    #[test]
    fn writes_the_bytes_of_real_clients() {
        check(&plain(names::GET_TTY_FD, -1), "00000000 00000000 ffffffff ffffffff");
        check(&plain(names::SERVE_STATE_CLIENTS, 5), "0c000000 00000000 05000000 00000000");
        let freezer = "06000000 08000000 00000000 00000000 66726565 7a657200";
        check(&text(names::GET_CGROUP, "freezer"), freezer);
        let rule = "63000000 0a000000 e5000000 72776d00 01000000";
        let head = "0e000000 18000000 00000000 00000000";
        check(
            &with_payload(names::ADD_BPF_DEVICE_CGROUP, &device_item(24)),
            &format!("{head} {rule} ffffffff"),
        );
        let read =
            "0b000000 18000000 00000000 00000000 00010000 00000000 00000000 00000000 00000000 00000000";
        check(&console_read(0), read);
        check(&wait_for(&[0]), &format!("0a000000 20000000 00000000 00000000 01000000 {}", "00".repeat(28)));
        let devices = format!(
            "18000000 50000000 00000000 00000000 {} 64657669 636573 {}",
            "00".repeat(16),
            "00".repeat(57)
        );
        check(&with_payload(names::GET_CGROUP_FD, &cgroup_fd("devices", 80)), &devices);
    }
}
