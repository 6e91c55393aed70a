//! Bodies of fuzz targets.
//!
//! Input of [`lxc_dissect`] and [`libvirt_dissect`]; any bytes are an input:
//!
//! ```text
//! 0         1        3                      3 + cut
//! +---------+--------+----------------------+------------------+
//! | dialect | u16 LE | what the client sent | what the server  |
//! |         | cut    |                      | sent             |
//! +---------+--------+----------------------+------------------+
//! ```

use bytes::{Bytes, BytesMut};
use verdict::{Grammar, ReplyDue};
use wire::{Decoder, Direction, Dissection, Frame, FrameKind};

use crate::libvirt::{self, LibvirtGrammar};
use crate::lxc::{self, LxcGrammar};

/// The input of [`lxc_dissect`] that holds this conversation, for the newest dialect. Of requests
/// longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn lxc_dissect_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    input(lxc::Dialect::all().len(), requests, replies)
}

/// The same for [`libvirt_dissect`].
#[must_use]
pub fn libvirt_dissect_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    input(libvirt::Dialect::all().len(), requests, replies)
}

fn input(dialects: usize, requests: &[u8], replies: &[u8]) -> Vec<u8> {
    let newest = u8::try_from(dialects - 1).unwrap_or(0);
    let cut = u16::try_from(requests.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[newest], &cut[..], requests, replies].concat()
}

/// Both directions of a connection as any bytes, in any dialect: every frame that can be framed is
/// dissected, with every byte in exactly one field, whatever request it is held against; and so is a
/// frame that no decoder would make.
///
/// # Panics
/// One of these does not hold.
pub fn lxc_dissect(data: &[u8]) {
    let dialects = lxc::Dialect::all();
    dissect(data, |dialect| LxcGrammar::new(&dialects[dialect % dialects.len()]));
}

/// The same for libvirt's messages; there the odd frame may be a whole message whose length word lies.
///
/// # Panics
/// One of these does not hold.
pub fn libvirt_dissect(data: &[u8]) {
    let dialects = libvirt::Dialect::all();
    dissect(data, |dialect| LibvirtGrammar::new(&dialects[dialect % dialects.len()]));
}

fn dissect<G: Grammar>(data: &[u8], grammar_of: impl Fn(usize) -> G) {
    let Some((control, streams)) = data.split_first_chunk::<3>() else { return };
    let [dialect, low, high] = *control;
    let grammar = grammar_of(dialect.into());
    let (requests, replies) =
        streams.split_at(usize::from(u16::from_le_bytes([low, high])).min(streams.len()));

    let mut client = grammar.decoder(Direction::ToServer);
    let mut server = grammar.decoder(Direction::ToClient);
    let mut asked = Vec::new();
    for frame in frames(&mut *client, requests) {
        check(&grammar, Direction::ToServer, &frame, None);
        server.note_sent(&frame);
        asked.push(frame);
    }
    let mut due: Vec<&Frame> =
        asked.iter().filter(|frame| grammar.reply_due(frame) != ReplyDue::None).collect();
    for frame in frames(&mut *server, replies) {
        let open = due.iter().position(|request| grammar.answers(request, &frame));
        check(&grammar, Direction::ToClient, &frame, open.map(|at| due.remove(at)));
        check(&grammar, Direction::ToClient, &frame, None);
    }
    let odd =
        Frame { kind: FrameKind(low % 8), head_len: high.into(), bytes: Bytes::copy_from_slice(streams) };
    for direction in [Direction::ToServer, Direction::ToClient] {
        check(&grammar, direction, &odd, asked.first());
        check(&grammar, direction, &odd, Some(&odd));
    }
}

/// All complete frames at the front of a stream.
fn frames(decoder: &mut dyn Decoder, stream: &[u8]) -> Vec<Frame> {
    let mut buffer = BytesMut::from(stream);
    std::iter::from_fn(|| decoder.decode(&mut buffer).ok().flatten()).collect()
}

fn check(grammar: &dyn Grammar, direction: Direction, frame: &Frame, request: Option<&Frame>) {
    let len = frame.bytes.len();
    let dissection = grammar.dissect(direction, frame, request);
    assert!(dissection.covers(len), "{dissection:?} leaves bytes out of {len}");
    assert!(!dissection.title.is_empty(), "every frame has a title");
    let Dissection { fields, problems, .. } = &dissection;
    for problem in problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= len, "{problem:?} of {len}");
        assert!(!problem.what.is_empty(), "every problem says what it is");
    }
    assert!(fields.iter().all(|field| !field.name.is_empty()), "every field has a name");
    assert_eq!(grammar.dissect(direction, frame, request), dissection, "a frame has one reading");
    // What it means may be anything, but is always something.
    let _ = grammar.meaning(request, frame);
}

#[cfg(test)]
mod tests {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/replay.rs"));

    #[test]
    fn regressions_of_lxc_dissect_stay_fixed() {
        replay("lxc_dissect", super::lxc_dissect);
    }

    #[test]
    fn regressions_of_libvirt_dissect_stay_fixed() {
        replay("libvirt_dissect", super::libvirt_dissect);
    }

    proptest::proptest! {
        #[test]
        fn the_bodies_hold_on_random_bytes(data: Vec<u8>) {
            super::lxc_dissect(&data);
            super::libvirt_dissect(&data);
        }
    }
}
