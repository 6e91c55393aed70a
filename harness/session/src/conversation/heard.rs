//! What the server said last on a connection: of that, scripts capture values.

use verdict::ExchangeId;
use verdict::exchange::Placed;
use wire::{Direction, Frame};

/// The frames of the last reply, with what each answers.
#[derive(Debug, Default)]
pub(super) struct Heard {
    exchange: Option<ExchangeId>,
    frames: Vec<(Frame, Option<Frame>)>,
}

impl Heard {
    /// Keeps a frame of the server; what belongs to no exchange is no reply.
    pub(super) fn hear(&mut self, placed: &Placed) {
        if placed.dir != Direction::ToClient || placed.exchange.is_none() {
            return;
        }
        if self.exchange != placed.exchange {
            self.frames.clear();
            self.exchange = placed.exchange;
        }
        self.frames.push((placed.frame.clone(), placed.answers.clone()));
    }

    /// Whether there was none yet.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames.
    pub(super) fn reply(&self) -> impl DoubleEndedIterator<Item = (&Frame, Option<&Frame>)> {
        self.frames.iter().map(|(frame, answers)| (frame, answers.as_ref()))
    }
}
