//! Both directions of a connection, each told what goes the other way.

use bytes::BytesMut;

use crate::{DecodeError, Decoder, Direction, Frame};

/// What one side said.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) frames: Vec<Frame>,
    /// What is in no frame.
    pub(crate) left: Vec<u8>,
    pub(crate) end: Result<(), DecodeError>,
}

/// A connection.
pub(crate) struct Both {
    to_server: Side,
    to_client: Side,
}

struct Side {
    decoder: Box<dyn Decoder>,
    buffer: BytesMut,
    frames: Vec<Frame>,
    end: Result<(), DecodeError>,
}

impl Both {
    /// Nothing was said yet.
    pub(crate) fn of([to_server, to_client]: [Box<dyn Decoder>; 2]) -> Self {
        Self { to_server: Side::of(to_server), to_client: Side::of(to_client) }
    }

    /// One side speaks, in pieces of these lengths in turn, eight at most and the rest; 0 is all of it.
    pub(crate) fn say(&mut self, dir: Direction, bytes: &[u8], pieces: [usize; 2]) {
        let mut pieces = pieces.into_iter().filter(|piece| *piece > 0).cycle().take(8);
        let mut unsaid = bytes;
        while !unsaid.is_empty() {
            let piece = pieces.next().unwrap_or(unsaid.len()).min(unsaid.len());
            let (said, later) = unsaid.split_at(piece);
            self.side(dir).buffer.extend_from_slice(said);
            self.read(dir);
            unsaid = later;
        }
    }

    /// One side says no more.
    pub(crate) fn end(&mut self, dir: Direction) {
        while let Some(frame) = self.side(dir).last() {
            self.hear(dir, &frame);
        }
    }

    /// What came of it: that of the client, and that of the server.
    pub(crate) fn finish(self) -> [Said; 2] {
        [self.to_server, self.to_client].map(|side| {
            let Side { mut decoder, mut buffer, frames, end } = side;
            let left = buffer.to_vec();
            if end.is_err() {
                let (again, at_end) = (decoder.decode(&mut buffer), decoder.decode_eof(&mut buffer));
                assert_eq!((again.map(drop), at_end.map(drop)), (end, end), "errors are sticky");
                assert_eq!(buffer, left, "an error leaves the buffer as it is");
            }
            Said { frames, left, end }
        })
    }

    /// Reads until neither side has a frame, in turn: what one says may be what the other waits for.
    fn read(&mut self, dir: Direction) {
        let (mut turn, mut idle) = (dir, 0);
        while idle < 2 {
            match self.side(turn).next() {
                Some(frame) => {
                    self.side(turn.reversed()).decoder.note_other(&frame);
                    idle = 0;
                }
                None => idle += 1,
            }
            turn = turn.reversed();
        }
    }

    fn hear(&mut self, dir: Direction, frame: &Frame) {
        self.side(dir.reversed()).decoder.note_other(frame);
        self.read(dir.reversed());
    }

    fn side(&mut self, dir: Direction) -> &mut Side {
        match dir {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Side {
    fn of(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, buffer: BytesMut::new(), frames: Vec::new(), end: Ok(()) }
    }

    fn next(&mut self) -> Option<Frame> {
        self.found(|side| side.decoder.decode(&mut side.buffer))
    }

    fn last(&mut self) -> Option<Frame> {
        self.found(|side| side.decoder.decode_eof(&mut side.buffer))
    }

    fn found(&mut self, read: impl Fn(&mut Self) -> Result<Option<Frame>, DecodeError>) -> Option<Frame> {
        self.end.ok()?;
        let capacity = self.buffer.capacity();
        let found = read(self);
        assert!(self.buffer.capacity() <= capacity, "the decoder reserves nothing");
        match found {
            Ok(found) => found.inspect(|frame| self.frames.push(frame.clone())),
            Err(error) => {
                self.end = Err(error);
                None
            }
        }
    }
}
