//! Large messages that are zeros behind their head.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// Smaller ones are made anew.
const LARGE: usize = 1 << 20;
/// That many are kept. The largest take no room: they are fresh memory, to which nobody writes.
const KEPT_MAX: usize = 64;

/// A message, and the length of what is not zeros at its front.
type Message = (usize, Bytes);

/// The last ones that were asked for, oldest first.
static KEPT: Mutex<Vec<Message>> = Mutex::new(Vec::new());

/// `head`, and `zeros` zeros behind it. Large ones are shared by all who ask for the same: to touch fresh memory costs
/// more than all that is done with such a message.
#[must_use]
pub fn zeros_behind(head: &[u8], zeros: usize) -> Bytes {
    let len = head.len().saturating_add(zeros);
    let head = head.iter().rposition(|byte| *byte != 0).and_then(|last| head.get(..=last)).unwrap_or(&[]);
    if len < LARGE {
        return make(head, len);
    }
    // A holder can leave it short by one at worst.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |(head_len, bytes): &Message| {
        (*head_len, bytes.len()) == (head.len(), len) && bytes.starts_with(head)
    };
    let found = kept.iter().position(same).map(|at| kept.remove(at));
    let (head_len, bytes) = found.unwrap_or_else(|| (head.len(), make(head, len)));
    if kept.len() >= KEPT_MAX {
        kept.remove(0);
    }
    kept.push((head_len, bytes.clone()));
    bytes
}

fn make(head: &[u8], len: usize) -> Bytes {
    let mut bytes = BytesMut::zeroed(len);
    bytes.iter_mut().zip(head).for_each(|(to, byte)| *to = *byte);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_what_was_asked_for() {
        for len in [0, 1, 3, LARGE - 1, LARGE, LARGE + 1] {
            for head in [&b""[..], b"\0", b"a", b"a\0", b"ab", b"\0b", b"ab\0\0"] {
                let bytes = zeros_behind(head, len);
                assert_eq!(bytes.len(), head.len() + len);
                assert!(
                    bytes.starts_with(head) && bytes.iter().skip(head.len()).all(|byte| *byte == 0),
                    "{head:?}"
                );
            }
        }
    }

    #[test]
    fn large_ones_are_shared_and_few_are_kept() {
        let ask = |byte: u8| zeros_behind(&[byte], LARGE);
        let first = ask(1);
        assert_eq!(
            first.as_ptr(),
            zeros_behind(&[1, 0], LARGE - 1).as_ptr(),
            "where the head ends does not matter"
        );
        for byte in 2..=u8::MAX {
            assert_eq!(ask(byte).first(), Some(&byte));
        }
        assert!(KEPT.lock().expect("nobody panicked").len() <= KEPT_MAX);
        assert_ne!(first.as_ptr(), ask(1).as_ptr(), "it was forgotten");
    }
}
