//! State messages: what a monitor tells its clients without being asked again.

use crate::{Cursor, Endian};

/// Length of a state message in bytes.
pub const STATE_MESSAGE_LEN: usize = 264;
/// Length of its name field in bytes.
pub const STATE_NAME_LEN: usize = 256;

/// A state message: `i32 kind`, `char name[256]`, `i32 value`.
///
/// `lxc/lxc@v7.0.0:src/lxc/monitor.h`, `struct lxc_msg`; the layout has no pointer and no padding,
/// so that only the byte order differs between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateMessage {
    /// What `value` is; the numbers belong to the protocol.
    pub kind: i32,
    /// Name of the container with its padding, kept byte for byte.
    pub name: [u8; STATE_NAME_LEN],
    /// The state, or what else `kind` says.
    pub value: i32,
}

/// A name that leaves no room for its terminating NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateNameTooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl std::fmt::Display for StateNameTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "name of {} bytes, limit is {}", self.len, STATE_NAME_LEN - 1)
    }
}

impl std::error::Error for StateNameTooLong {}

impl StateMessage {
    /// A message with the name padded.
    ///
    /// # Errors
    /// The name is longer than 255 bytes.
    pub fn new(kind: i32, name: &[u8], value: i32) -> Result<Self, StateNameTooLong> {
        let too_long = StateNameTooLong { len: name.len() };
        if name.len() >= STATE_NAME_LEN {
            return Err(too_long);
        }
        let mut padded = [0; STATE_NAME_LEN];
        padded.get_mut(..name.len()).ok_or(too_long)?.copy_from_slice(name);
        Ok(Self { kind, name: padded, value })
    }

    /// Reads a message from the front of `bytes`; `None` if they are too few.
    #[must_use]
    pub fn decode(endian: Endian, bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let (_, kind) = cursor.i32(endian)?;
        let (_, name) = cursor.array()?;
        let (_, value) = cursor.i32(endian)?;
        Some(Self { kind, name, value })
    }

    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self, endian: Endian) -> Vec<u8> {
        let integer = |value: i32| match endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        };
        [&integer(self.kind)[..], &self.name, &integer(self.value)].concat()
    }

    /// The name without its padding: everything before the first NUL.
    #[must_use]
    pub fn name_text(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or(&[])
    }
}
