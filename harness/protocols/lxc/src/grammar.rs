//! How a dialect is read: decoders, and what replies mean.

use verdict::{ConnContext, Due, Grammar, InOrder, Meaning, Pairing};
use wire::lxc::{self, RequestDecoder, RequestHead, ResponseDecoder, ResponseHead, Rules};
use wire::{Decoder, Direction, Dissection, Frame};

use protocol::dialect::IDEAL;

use super::dialect::Dialect;
use super::names::{self, ENOSYS};

/// The reading of one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LxcGrammar {
    dialect: &'static Dialect,
}

impl LxcGrammar {
    /// The reading of that dialect.
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect }
    }

    fn request(&self, frame: &Frame) -> Option<RequestHead> {
        RequestHead::of_frame(self.dialect.layout, frame)
    }
}

impl Grammar for LxcGrammar {
    fn dialect(&self) -> &str {
        self.dialect.name
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        let (layout, rules) = (self.dialect.layout, self.dialect.rules());
        match dir {
            // What is longer than the limit is still one request: the designers asked that it be drained.
            Direction::ToServer if self.dialect.name == IDEAL => {
                Box::new(RequestDecoder::new(layout, Rules { payload_max: u32::MAX, ..rules }))
            }
            Direction::ToServer => Box::new(RequestDecoder::new(layout, rules)),
            Direction::ToClient => Box::new(ResponseDecoder::new(layout, rules)),
        }
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(*self))
    }

    fn dissect(&self, dir: Direction, frame: &Frame, request: Option<&Frame>) -> Dissection {
        super::message::dissect(self.dialect, dir, frame, request)
    }

    /// STOP is answered only when it fails: the stream ends when the monitor does. The head of a
    /// two-part request is answered once its second part came, so the reply belongs to the head.
    fn due(&self, request: &Frame) -> Due {
        if request.kind == lxc::DESCRIPTOR_BYTE {
            return Due::None;
        }
        match self.request(request) {
            Some(head) if head.cmd == names::STOP => Due::OnFailure,
            Some(_) => Due::One,
            None => Due::None,
        }
    }

    fn meaning(&self, request: Option<&Frame>, reply: &Frame) -> Meaning {
        if reply.kind == lxc::STATE_MESSAGE {
            return Meaning::Notification;
        }
        let Some(head) = ResponseHead::of_frame(self.dialect.layout, reply) else {
            return Meaning::Refused(0);
        };
        let command = request.and_then(|frame| self.request(frame)).map(|head| head.cmd);
        match (command, head.ret) {
            (_, ret) if ret == -ENOSYS => Meaning::NotSupported,
            // Its `ret` is the number of a state.
            (Some(names::ADD_STATE_CLIENT), 0..) => Meaning::Success,
            (_, 0) => Meaning::Success,
            (_, ret) => Meaning::Refused(ret.into()),
        }
    }
}
