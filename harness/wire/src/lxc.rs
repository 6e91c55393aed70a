//! The framing of the LXC command socket, in both directions.
//!
//! ```text
//! request, 16 bytes                          response, 16 bytes
//! 0       4         8                16      0       4         8                16
//! +-------+---------+-----------------+      +-------+---------+-----------------+
//! | u32   | i32     | u64 data        |      | i32   | i32     | u64 data        |
//! | cmd   | len     | (a pointer)     |      | ret   | len     | (a pointer)     |
//! +-------+---------+-----------------+      +-------+---------+-----------------+
//! then `len` bytes of payload if len > 0; len <= 0 means no payload
//! ```
//!
//! The bytes are the C structures of the build that sends them: byte order and width of a pointer
//! are those of the machine and are said by a [`Layout`]. A 32-bit build has heads of 12 bytes.
//!
//! Some commands bend this framing. Which ones do is given as data, in [`Rules`]:
//!
//! ```text
//! exempt      the payload limit does not hold, neither for the request nor for its reply
//! two_part    the request is followed by one byte that carries a descriptor
//! notifies    after a reply with a certain `ret`, one state message may follow it
//! silent_on_success   no reply at all, unless the request failed
//!
//! state message, 264 bytes
//! 0       4                                         260     264
//! +-------+-----------------------------------------+-------+
//! | i32   | char name[256], padded with NUL         | i32   |
//! | kind  |                                         | value |
//! +-------+-----------------------------------------+-------+
//! ```
//!
//! Specified by the source alone: `lxc/lxc`, `src/lxc/commands.h` (`struct lxc_cmd_req`, `struct
//! lxc_cmd_rsp`, `LXC_CMD_DATA_MAX`) and `src/lxc/monitor.h` (`struct lxc_msg`), tag `v7.0.0`. The
//! layout is the same from 1.0.0 on.
//!
//! Real servers are stricter than this framing: they read a head with one `recvmsg` and a payload
//! with one `recv`, and refuse what comes in other pieces. That is behaviour of a peer, not framing;
//! the decoders here take any split.

mod decode;
mod head;
mod name;
mod state;

pub use decode::{
    PENDING_MAX, RequestDecoder, RequestScan, ResponseDecoder, ResponseScan, StateDecoder, StateScan,
};
pub use head::{Layout, RequestHead, ResponseHead};
pub use name::{MONITORD_NAME_MAX, NameRule, NameTooLong, fnv1a_64, monitord_socket_name, socket_name};
pub use state::{STATE_MESSAGE_LEN, STATE_NAME_LEN, StateMessage, StateNameTooLong};

use std::fmt;

use crate::FrameKind;

/// A request: head and payload.
pub const REQUEST: FrameKind = FrameKind(1);
/// A reply: head and payload.
pub const RESPONSE: FrameKind = FrameKind(2);
/// The second message of a two-part request: one byte without meaning, with which a descriptor
/// travels. Its frame has no head.
pub const DESCRIPTOR_BYTE: FrameKind = FrameKind(3);
/// A message that the monitor sends by itself when the container changes its state.
pub const STATE_MESSAGE: FrameKind = FrameKind(4);

/// The payload limit of every release, `LXC_CMD_DATA_MAX` = 2 x `PATH_MAX`.
///
/// Measured on 1.0.11 to 7.0.0: 8192 bytes are accepted, 8193 are closed without a reply.
pub const DATA_MAX: u32 = 8192;

/// Number of a command. What the numbers mean is the protocol's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command(pub u32);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A command whose reply may be followed by one state message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notifies {
    /// The command.
    pub command: Command,
    /// The `ret` of a reply that says "wait for the message". After any other reply none follows.
    pub waiting: i32,
}

/// Which commands bend the framing, as one dialect has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The largest payload in bytes, in both directions.
    pub payload_max: u32,
    /// Commands for which `payload_max` does not hold: request and reply may announce up to
    /// `i32::MAX` bytes. The decoders wait for such a payload, they reserve nothing for it.
    pub exempt: &'static [Command],
    /// Commands whose request is followed by a second message of one byte, which carries a
    /// descriptor. The server takes it whatever length the head announced.
    pub two_part: &'static [Command],
    /// Commands after whose reply one state message may follow.
    pub notifies: &'static [Notifies],
    /// Commands that are answered only when they fail.
    pub silent_on_success: &'static [Command],
}

impl Rules {
    /// The framing without any special command.
    pub const PLAIN: Self =
        Self { payload_max: DATA_MAX, exempt: &[], two_part: &[], notifies: &[], silent_on_success: &[] };

    fn is_exempt(&self, command: Command) -> bool {
        self.exempt.contains(&command)
    }

    fn is_two_part(&self, command: Command) -> bool {
        self.two_part.contains(&command)
    }

    fn is_silent_on_success(&self, command: Command) -> bool {
        self.silent_on_success.contains(&command)
    }

    /// Whether a state message may follow the reply `ret` to `command`.
    fn announces_message(&self, command: Command, ret: i32) -> bool {
        self.notifies.contains(&Notifies { command, waiting: ret })
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a wrong index fails the test, which is what it is for")]
mod tests;
