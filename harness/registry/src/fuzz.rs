//! The body of the fuzz target `dissect`, for every protocol that is registered: the first byte of an input is the number
//! of a protocol in [`crate::all`], the rest is what [`protocol::fuzz::dissect`] takes.

use protocol::Protocol;

/// Any bytes as a conversation in any dialect of any protocol.
///
/// # Panics
/// Something does not hold; see [`protocol::fuzz::dissect`].
pub fn dissect(data: &[u8]) {
    let Some((number, data)) = data.split_first() else { return };
    if let Some(protocol) = crate::all().get(usize::from(*number)) {
        protocol::fuzz::dissect(&**protocol, data);
    }
}

/// The input of [`dissect`] that holds this conversation.
#[must_use]
pub fn dissect_input(protocol: &dyn Protocol, requests: &[u8], replies: &[u8]) -> Vec<u8> {
    let number = crate::all().iter().position(|known| known.name() == protocol.name());
    let number = number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX);
    [vec![number], protocol::fuzz::dissect_input(protocol, requests, replies)].concat()
}

#[cfg(test)]
mod tests {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/replay.rs"));

    #[test]
    fn regressions_of_dissect_stay_fixed() {
        replay("dissect", super::dissect);
    }

    proptest::proptest! {
        #[test]
        fn the_body_holds_on_random_bytes(data: Vec<u8>) {
            for number in 0..crate::all().len() {
                super::dissect(&[&[u8::try_from(number).expect("there are few")], &data[..]].concat());
            }
        }
    }
}
