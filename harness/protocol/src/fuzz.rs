//! Bodies of fuzz targets.
//!
//! Input of [`dissect`]; any bytes are an input:
//!
//! ```text
//! 0         1        3                      3 + cut
//! +---------+--------+----------------------+------------------+
//! | dialect | u16 LE | what the client sent | what the server  |
//! |         | cut    |                      | sent             |
//! +---------+--------+----------------------+------------------+
//! ```

use bytes::Bytes;
use transcript::ConnId;
use verdict::exchange::Placed;
use verdict::{ConnContext, Exchanges, Grammar};
use wire::{Direction, Dissection, Frame, FrameKind};

use crate::Protocol;

/// The input of [`dissect`] that holds this conversation, for the newest dialect. Of requests
/// longer than 64 KiB the rest is taken for replies.
#[must_use]
pub fn dissect_input(protocol: &dyn Protocol, requests: &[u8], replies: &[u8]) -> Vec<u8> {
    let newest = u8::try_from(protocol.dialects().len().saturating_sub(1)).unwrap_or(0);
    let cut = u16::try_from(requests.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[newest], &cut[..], requests, replies].concat()
}

/// Both directions of a connection as any bytes, in any dialect: every frame that can be framed is
/// dissected, with every byte in exactly one field, whatever request it is read as an answer to; and so is a
/// frame that no decoder would make, e.g. a whole message whose length lies.
///
/// # Panics
/// One of these does not hold.
pub fn dissect(protocol: &dyn Protocol, data: &[u8]) {
    let Some((control, streams)) = data.split_first_chunk::<3>() else { return };
    let [dialect, low, high] = *control;
    let dialects = protocol.dialects();
    let Some(grammar) = dialects.get(usize::from(dialect) % dialects.len().max(1)) else { return };
    let Some(grammar) = protocol.grammar(grammar) else { return };
    let (requests, replies) =
        streams.split_at(usize::from(u16::from_le_bytes([low, high])).min(streams.len()));

    let mut exchanges = Exchanges::new(&*grammar, &ConnContext { conn: ConnId(1) });
    let mut asked = None;
    for (direction, stream) in [(Direction::ToServer, requests), (Direction::ToClient, replies)] {
        exchanges.push(direction, &Bytes::copy_from_slice(stream));
        let mut placed = Vec::new();
        while let Ok(Some(next)) = exchanges.next(direction) {
            placed.push(next);
        }
        placed.extend(exchanges.end(direction).frames);
        for Placed { dir, frame, answers, .. } in placed {
            check(&*grammar, dir, &frame, answers.as_ref());
            check(&*grammar, dir, &frame, None);
            asked.get_or_insert(frame);
        }
    }
    let odd =
        Frame { kind: FrameKind(low % 8), head_len: high.into(), bytes: Bytes::copy_from_slice(streams) };
    for direction in [Direction::ToServer, Direction::ToClient] {
        check(&*grammar, direction, &odd, asked.as_ref());
        check(&*grammar, direction, &odd, Some(&odd));
    }
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
