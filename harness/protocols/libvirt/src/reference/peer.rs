//! One client of a reference server: what was read of it and not yet understood, and what it is still owed.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;
use wire::libvirt_rpc::{DESCRIPTOR_BYTE, HEAD_LEN, Header, MessageDecoder, MessageType};
use wire::{Direction, Frame, Unread};

use super::calls::Session;
use super::transaction::Owner;

/// One client.
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) decoder: MessageDecoder,
    /// What was read and not yet understood.
    pub(super) incoming: Unread,
    /// How many bytes are thrown away before the next message.
    pub(super) passes_over: usize,
    /// How many bytes were understood so far.
    pub(super) understood: u64,
    /// A call whose descriptors are still to come, and how many.
    pub(super) pending: Option<(Frame, u32)>,
    /// Where in the stream descriptors came: first byte, byte behind the last, how many.
    pub(super) descriptors: VecDeque<(u64, u64, usize)>,
    /// The stream that it reads: procedure and serial.
    pub(super) stream: Option<(i32, u32)>,
    /// It has ended its direction.
    pub(super) finished: bool,
    /// Answers that take their time, and when they are due.
    pub(super) later: Vec<(Instant, Bytes)>,
    /// When the next sign of life is due, and how many were not answered.
    pub(super) ping: Option<(Instant, u32)>,
}

impl Client {
    /// One that has just come.
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            session: Session { owner, ..Session::default() },
            decoder: MessageDecoder::towards(Direction::ToServer),
            incoming: Unread::default(),
            passes_over: 0,
            understood: 0,
            pending: None,
            descriptors: VecDeque::new(),
            stream: None,
            finished: false,
            later: Vec::new(),
            ping: None,
        }
    }

    pub(super) fn take(&mut self, bytes: &Bytes, fds: usize) {
        let from = self.understood + u64::try_from(self.incoming.len()).unwrap_or(0);
        self.incoming.push(bytes);
        if fds > 0 {
            let to = from + u64::try_from(bytes.len()).unwrap_or(0);
            self.descriptors.push_back((from, to, fds));
        }
    }

    /// What came and is not dealt with, and what is going to be said.
    pub(super) fn held_bytes(&self) -> usize {
        let pending = self.pending.as_ref().map_or(0, |(call, _)| call.bytes.len());
        self.incoming.len() + pending + self.later.iter().map(|(_, answer)| answer.len()).sum::<usize>()
    }

    pub(super) fn pass_over(&mut self) {
        if self.passes_over > 0 {
            self.passes_over -= self.incoming.skip(self.passes_over);
        }
    }

    /// The message that a frame completes, if it does.
    pub(super) fn completed(&mut self, frame: Frame) -> Option<Frame> {
        if frame.kind == DESCRIPTOR_BYTE {
            let (call, left) = self.pending.take()?;
            if left > 1 {
                self.pending = Some((call, left - 1));
                return None;
            }
            return Some(call);
        }
        let with_fds = Header::of_frame(&frame)?.kind == MessageType::CALL_WITH_FDS;
        let count = frame.bytes.get(HEAD_LEN..HEAD_LEN + 4).and_then(|raw| raw.try_into().ok());
        match count.map(u32::from_be_bytes) {
            Some(due @ 1..) if with_fds => {
                self.pending = Some((frame, due));
                None
            }
            _ => Some(frame),
        }
    }

    /// Whether a descriptor came beside the byte at that place of the stream; takes it.
    pub(super) fn has_descriptor(&mut self, at: u64) -> bool {
        while let Some((from, to, left)) = self.descriptors.front_mut() {
            if *to <= at || *left == 0 {
                self.descriptors.pop_front();
                continue;
            }
            if *from > at {
                return false;
            }
            *left -= 1;
            return true;
        }
        false
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.ping.is_some_and(|(at, _)| now >= at)
    }

    /// Has the next sign of life due at that time; how many before it were not answered.
    pub(super) fn miss(&mut self, next: Instant) -> u32 {
        let unanswered = self.ping.map_or(0, |(_, unanswered)| unanswered);
        self.ping = Some((next, unanswered + 1));
        unanswered
    }

    /// When something is to be sent that nobody asks for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let later = self.later.iter().map(|(at, _)| *at);
        later.chain(self.ping.map(|(at, _)| at)).min()
    }

    /// The answers whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Bytes> {
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| now >= *at);
        self.later = later;
        let due: Vec<(Instant, Bytes)> = due;
        due.into_iter().map(|(_, answer)| answer).collect()
    }
}
