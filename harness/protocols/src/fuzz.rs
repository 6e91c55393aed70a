//! Bodies of fuzz targets.
//!
//! Input of [`lxc_dissect`]; any bytes are an input:
//!
//! ```text
//! 0         1        3                      3 + cut
//! +---------+--------+----------------------+------------------+
//! | dialect | u16 LE | what the client sent | what the server  |
//! |         | cut    |                      | sent             |
//! +---------+--------+----------------------+------------------+
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use verdict::{Grammar, ReplyDue};
use wire::{Decoder, Direction, Dissection, Frame, FrameKind};

use crate::lxc::{Dialect, LxcGrammar};

/// The input of [`lxc_dissect`] that holds this conversation, for the newest dialect. Of requests
/// longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn lxc_dissect_input(requests: &[u8], replies: &[u8]) -> Vec<u8> {
    let newest = u8::try_from(Dialect::all().len() - 1).unwrap_or(0);
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
    let Some((control, streams)) = data.split_first_chunk::<3>() else { return };
    let [dialect, low, high] = *control;
    let dialects = Dialect::all();
    let grammar = LxcGrammar::new(&dialects[usize::from(dialect) % dialects.len()]);
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
    let mut due: VecDeque<&Frame> =
        asked.iter().filter(|frame| grammar.reply_due(frame) != ReplyDue::None).collect();
    for frame in frames(&mut *server, replies) {
        check(&grammar, Direction::ToClient, &frame, due.pop_front());
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

fn check(grammar: &LxcGrammar, direction: Direction, frame: &Frame, request: Option<&Frame>) {
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
}
