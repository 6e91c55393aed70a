//! The machine by itself, on frames of four bytes.
//!
//! ```text
//! verb  key  number, big endian       o asks, s asks until the end of the stream, n asks for nothing,
//!                                     p goes on, c completes, f fails, u is said by itself
//! w                                   a frame once something was said the other way, and much too short before
//! !…                                  a frame that reaches to the end of the stream, and completes key 0
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use proptest::prelude::*;
use transcript::ConnId;
use wire::{DecodeErrorKind, Dissection, FrameKind};

use super::*;

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;
const FRAME_LEN: usize = 4;

/// Who heard what, verbs only.
type Heard = Arc<Mutex<Vec<(Direction, u8)>>>;

#[derive(Default)]
struct Toy {
    heard: Heard,
    in_order: bool,
}

struct ToyDecoder {
    dir: Direction,
    heard: Heard,
    /// What a `w` needs, until something is heard.
    needs: usize,
    /// There is one.
    waits: bool,
}

impl Decoder for ToyDecoder {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        self.waits = src.first() == Some(&b'w') && self.needs > 0;
        match src.first() {
            Some(b'?') => Err(DecodeError { kind: DecodeErrorKind::Syntax, field: "verb", offset: 0 }),
            _ if self.waits => Ok(None),
            Some(verb) if src.len() >= FRAME_LEN && *verb != b'!' => {
                let kind = FrameKind(*verb);
                Ok(Some(Frame { kind, head_len: FRAME_LEN, bytes: src.split_to(FRAME_LEN).freeze() }))
            }
            _ => Ok(None),
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if src.first() == Some(&b'!') {
            let bytes = src.split().freeze();
            return Ok(Some(Frame { kind: FrameKind(b'!'), head_len: 1, bytes }));
        }
        match self.decode(src)? {
            None if !src.is_empty() => {
                let kind = DecodeErrorKind::Truncated { needed: 4, got: src.len() as u64 };
                Err(DecodeError { kind, field: "frame", offset: 0 })
            }
            frame => Ok(frame),
        }
    }

    fn needs(&self) -> usize {
        if self.waits { self.needs } else { 0 }
    }

    fn note_other(&mut self, other: &Frame) {
        self.needs = 0;
        self.heard.lock().expect("no test panics with it").push((self.dir, other.kind.0));
    }
}

/// Keys, whoever asks.
#[derive(Default)]
struct Keys {
    open: BTreeMap<u8, ExchangeId>,
    to_end: Vec<ExchangeId>,
}

impl Pairing for Keys {
    fn place(&mut self, _dir: Direction, frame: &Frame, fresh: Option<ExchangeId>) -> Place {
        let key = frame.bytes.get(1).copied().unwrap_or(0);
        match frame.kind.0 {
            verb @ (b'o' | b's') => {
                self.open.extend(fresh.map(|id| (key, id)));
                self.to_end.extend(fresh.filter(|_| verb == b's'));
                Place::Opens(Due::One)
            }
            b'n' => Place::Opens(Due::None),
            // An id is kept, so that the machine is told about exchanges that are over.
            b'p' => self.open.get(&key).map_or(Place::Unasked, |id| Place::Part(*id)),
            b'c' => self.open.get(&key).map_or(Place::Unasked, |id| Place::Completes(*id, Meaning::Success)),
            b'f' => {
                self.open.get(&key).map_or(Place::Unasked, |id| Place::Completes(*id, Meaning::Refused(7)))
            }
            b'!' => self.open.get(&0).map_or(Place::Unasked, |id| Place::Completes(*id, Meaning::Success)),
            _ => Place::Unasked,
        }
    }

    fn ended(&mut self, dir: Direction) -> Vec<(ExchangeId, Meaning)> {
        let ended = if dir == DOWN { std::mem::take(&mut self.to_end) } else { Vec::new() };
        ended.into_iter().map(|id| (id, Meaning::NotSupported)).collect()
    }
}

impl Grammar for Toy {
    fn dialect(&self) -> &str {
        "toy"
    }

    fn decoder(&self, dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(ToyDecoder { dir, heard: Arc::clone(&self.heard), needs: 2 << 20, waits: false })
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        match self.in_order {
            true => Box::new(InOrder::new(Self::default())),
            false => Box::new(Keys::default()),
        }
    }

    fn dissect(&self, _dir: Direction, _frame: &Frame, _request: Option<&Frame>) -> Dissection {
        Dissection::default()
    }

    fn due(&self, request: &Frame) -> Due {
        if request.kind.0 == b'n' { Due::None } else { Due::One }
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        if reply.kind.0 == b'u' { Meaning::Notification } else { Meaning::Success }
    }
}

fn message(verb: u8, key: u8, number: u16) -> Bytes {
    let [high, low] = number.to_be_bytes();
    Bytes::copy_from_slice(&[verb, key, high, low])
}

fn number(frame: &Frame) -> u16 {
    frame.bytes.get(2..4).and_then(|number| number.try_into().ok()).map_or(0, u16::from_be_bytes)
}

fn machine() -> Exchanges {
    Exchanges::new(&Toy::default(), &ConnContext { conn: ConnId(1) })
}

fn in_order() -> Exchanges {
    let toy = Toy { in_order: true, ..Toy::default() };
    Exchanges::new(&toy, &ConnContext { conn: ConnId(1) })
}

impl Exchanges {
    /// One side says something that is a frame.
    #[track_caller]
    fn say(&mut self, dir: Direction, bytes: &Bytes) -> Placed {
        self.push(dir, bytes);
        let placed = self.next(dir).expect("it can be framed").expect("it is whole");
        assert_eq!(placed.dir, dir);
        placed
    }
}

const FIRST: ExchangeId = ExchangeId(0);

/// Says what is given as `dir verb key`; its place, exchange and whose word it answers, by number.
#[track_caller]
fn check(said: &[(Direction, u8, u8)], expect: &[(Place, Option<u64>, Option<u16>)]) {
    let mut machine = machine();
    let placed = said.iter().zip(0..).map(|((dir, verb, key), at)| {
        let Placed { place, exchange, answers, .. } = machine.say(*dir, &message(*verb, *key, at));
        (place, exchange.map(|id| id.0), answers.as_ref().map(number))
    });
    assert_eq!(placed.collect::<Vec<_>>(), expect);
}

#[test]
fn either_side_asks_and_goes_on() {
    let (opens, part) = (Place::Opens(Due::One), Place::Part(FIRST));
    let done = Place::Completes(FIRST, Meaning::Success);
    for (asks, answers) in [(UP, DOWN), (DOWN, UP)] {
        check(
            &[(asks, b'o', 1), (asks, b'p', 1), (answers, b'p', 1), (asks, b'p', 1), (answers, b'c', 1)],
            &[
                (opens, Some(0), None),
                // Nothing was said to whoever asks, and then the last that was.
                (part, Some(0), None),
                (part, Some(0), Some(0)),
                (part, Some(0), Some(2)),
                (done, Some(0), Some(0)),
            ],
        );
        // Whoever asks may also end it.
        check(
            &[(asks, b'o', 1), (answers, b'p', 1), (asks, b'f', 1)],
            &[
                (opens, Some(0), None),
                (part, Some(0), Some(0)),
                (Place::Completes(FIRST, Meaning::Refused(7)), Some(0), Some(1)),
            ],
        );
    }
}

#[test]
fn exchanges_are_open_beside_each_other() {
    let opens = Place::Opens(Due::One);
    check(
        &[(UP, b'o', 1), (DOWN, b'o', 2), (UP, b'n', 3), (DOWN, b'u', 0), (UP, b'c', 2), (DOWN, b'c', 1)],
        &[
            (opens, Some(0), None),
            (opens, Some(1), None),
            (Place::Opens(Due::None), None, None),
            (Place::Unasked, None, None),
            (Place::Completes(ExchangeId(1), Meaning::Success), Some(1), Some(1)),
            (Place::Completes(FIRST, Meaning::Success), Some(0), Some(0)),
        ],
    );
}

#[test]
fn what_answers_nothing_that_is_open_is_a_stray() {
    check(
        &[(UP, b'o', 1), (DOWN, b'c', 1), (DOWN, b'f', 1), (UP, b'p', 1)],
        &[
            (Place::Opens(Due::One), Some(0), None),
            (Place::Completes(FIRST, Meaning::Success), Some(0), Some(0)),
            (Place::Stray(Meaning::Refused(7)), None, None),
            // A late part is one of an exchange that is over, and does not open it again.
            (Place::Part(FIRST), Some(0), None),
        ],
    );
    let mut machine = machine();
    for verb in *b"ocppc" {
        machine.say(UP, &message(verb, 1, 0));
    }
    assert!(machine.open.is_empty());
}

#[test]
fn both_decoders_hear_the_other_way() {
    let toy = Toy::default();
    let mut machine = Exchanges::new(&toy, &ConnContext { conn: ConnId(1) });
    for (dir, verb) in [(UP, b'o'), (DOWN, b'u'), (DOWN, b'c'), (UP, b'n')] {
        machine.say(dir, &message(verb, 1, 0));
    }
    machine.push(DOWN, &Bytes::from_static(b"!"));
    machine.end(DOWN);
    let heard = toy.heard.lock().expect("no test panics with it");
    assert_eq!(*heard, [(DOWN, b'o'), (UP, b'u'), (UP, b'c'), (DOWN, b'n'), (UP, b'!')]);
}

/// What waited for a word of the other side comes behind that word and before the next one, and although it was said to
/// need more than ever came.
#[test]
fn what_waits_for_the_other_side_comes_when_that_speaks() {
    let mut machine = machine();
    let [waits, also, asks, other] =
        [(b'w', 1), (b'o', 2), (b'o', 3), (b'c', 2)].map(|(verb, key)| message(verb, key, 0));
    machine.push(UP, &[&waits[..], &also].concat().into());
    assert_eq!(machine.next(UP), Ok(None));
    machine.push(DOWN, &[&asks[..], &other].concat().into());
    let mut came = Vec::new();
    while let Some(placed) = machine.next(DOWN).expect("it can be framed") {
        came.push((placed.dir, placed.frame.kind.0, placed.exchange.map(|id| id.0)));
    }
    assert_eq!(came, [(DOWN, b'o', Some(0)), (UP, b'w', None), (UP, b'o', Some(1)), (DOWN, b'c', Some(1))]);
    assert_eq!((machine.unread(UP), machine.unread(DOWN)), (0, 0));
}

/// What is wrong with the other direction does not keep this one from going on.
#[test]
fn a_direction_that_cannot_be_framed_is_the_only_one() {
    let mut machine = machine();
    machine.push(UP, &Bytes::from_static(b"?"));
    assert!(machine.next(UP).is_err());
    machine.push(DOWN, &[&message(b'o', 1, 0)[..], &message(b'u', 1, 0)].concat().into());
    for expect in [Some(b'o'), Some(b'u'), None] {
        let next = machine.next(DOWN).expect("nothing is wrong with this one");
        assert_eq!(next.map(|placed| placed.frame.kind.0), expect);
    }
    assert_eq!((machine.next(UP).is_err(), machine.unread(UP)), (true, 1));
}

#[test]
fn the_end_of_a_direction_completes_what_only_ends_there() {
    let mut machine = machine();
    for (verb, key) in [(b's', 1), (b'o', 2), (b's', 3)] {
        machine.say(UP, &message(verb, key, 0));
    }
    machine.say(DOWN, &message(b'c', 3, 0));
    assert_eq!(machine.end(UP), Ended::default());
    let ended = machine.end(DOWN);
    assert_eq!(ended, Ended { completed: vec![(FIRST, Meaning::NotSupported)], ..Ended::default() });
    assert_eq!(machine.open.keys().copied().collect::<Vec<_>>(), [ExchangeId(1)]);
}

#[test]
fn a_frame_may_reach_to_the_end() {
    let mut machine = machine();
    machine.say(UP, &message(b'o', 0, 5));
    machine.push(DOWN, &Bytes::from_static(b"!to the end"));
    assert_eq!((machine.next(DOWN), machine.unread(DOWN)), (Ok(None), 11));
    let Ended { frames, completed, tail, truncated } = machine.end(DOWN);
    assert_eq!((completed.len(), tail, truncated), (0, 0, None));
    let [Placed { dir: DOWN, frame, place, exchange, answers, .. }] = &frames[..] else {
        panic!("{frames:?}");
    };
    assert_eq!(&frame.bytes[..], b"!to the end");
    assert_eq!((*place, *exchange), (Place::Completes(FIRST, Meaning::Success), Some(FIRST)));
    assert_eq!(answers.as_ref().map(number), Some(5));
    // What the other side had said for that case is freed by it.
    machine.push(UP, &Bytes::from_static(b"w\0\0\0"));
    assert_eq!(machine.next(UP).map(|placed| placed.is_some()), Ok(true));
}

/// What waits for the last word of the other side comes with the end of that.
#[test]
fn what_waits_for_the_last_frame_comes_with_the_end() {
    let mut machine = machine();
    machine.push(UP, &message(b'w', 0, 0));
    machine.push(DOWN, &Bytes::from_static(b"!"));
    assert_eq!((machine.next(UP), machine.next(DOWN)), (Ok(None), Ok(None)));
    let frames = machine.end(DOWN).frames.into_iter().map(|placed| (placed.dir, placed.frame.kind.0));
    assert_eq!(frames.collect::<Vec<_>>(), [(DOWN, b'!'), (UP, b'w')]);
}

#[test]
fn what_is_cut_off_is_told() {
    let mut machine = machine();
    machine.push(DOWN, &message(b'u', 0, 0).slice(..3));
    let ended = machine.end(DOWN);
    let truncated = ended.truncated.map(|error| error.kind);
    assert_eq!((ended.tail, truncated), (3, Some(DecodeErrorKind::Truncated { needed: 4, got: 3 })));
    assert!(ended.frames.is_empty());
}

/// How many exchanges can be open, as a number of a frame.
fn open_max() -> u16 {
    u16::try_from(OPEN_MAX).expect("it is small")
}

#[test]
fn no_more_are_open_than_may_be() {
    let mut machine = machine();
    for at in 0..open_max() {
        assert!(machine.say(UP, &message(b'o', 1, at)).exchange.is_some());
    }
    for dir in [UP, DOWN] {
        let beyond = machine.say(dir, &message(b'o', 2, 0));
        assert_eq!((beyond.place, beyond.exchange), (Place::Opens(Due::One), None));
        assert_eq!(machine.say(DOWN, &message(b'c', 2, 0)).place, Place::Unasked);
    }
    assert_eq!(machine.open.len(), OPEN_MAX);
    // There is room again, for one.
    machine.say(DOWN, &message(b'c', 1, 0));
    let next = machine.say(UP, &message(b'o', 3, 0));
    assert_eq!(next.exchange, Some(ExchangeId(OPEN_MAX as u64)));
    assert_eq!(machine.say(UP, &message(b'o', 4, 0)).exchange, None);
}

/// Answers in order are answers to those for which there was no room as well, and to nobody else.
#[test]
fn answers_in_order_find_their_requests_behind_a_flood() {
    let mut machine = in_order();
    let max = open_max();
    for at in 0..max + 2 {
        let placed = machine.say(UP, &message(b'o', 0, at));
        assert_eq!((placed.place, placed.exchange.is_some()), (Place::Opens(Due::One), at < max));
    }
    let answer = |machine: &mut Exchanges| {
        let placed = machine.say(DOWN, &message(b'c', 0, 0));
        let strays = matches!(placed.place, Place::Stray(Meaning::Success));
        assert_eq!(strays, placed.exchange.is_none());
        placed.answers.as_ref().map(number)
    };
    assert_eq!(answer(&mut machine), Some(0));
    // This one has room, and is answered behind the two that had none.
    machine.say(UP, &message(b'o', 0, 9_999));
    machine.say(UP, &message(b'n', 0, 0));
    assert_eq!(machine.say(DOWN, &message(b'u', 0, 0)).place, Place::Unasked);
    for at in 1..max {
        assert_eq!(answer(&mut machine), Some(at));
    }
    let rest = [(); 4].map(|()| answer(&mut machine));
    assert_eq!(rest, [None, None, Some(9_999), None]);
    assert!(machine.open.is_empty());
}

#[test]
fn a_flood_of_requests_takes_no_room() {
    let mut pairing = InOrder::new(Toy::default());
    let frame = Frame { kind: FrameKind(b'o'), head_len: 4, bytes: message(b'o', 0, 0) };
    pairing.place(UP, &frame, Some(FIRST));
    for _ in 0..3 * OPEN_MAX {
        pairing.place(UP, &frame, None);
    }
    assert_eq!(pairing.waiting.0.len(), 2);
}

/// What the machine should say, worked out from all that was said so far.
#[derive(Default)]
struct Model {
    /// By exchange: who asked, with which frame, what the other side said last, whether it is over.
    exchanges: Vec<(Direction, u16, Option<u16>, bool)>,
    keys: BTreeMap<u8, usize>,
}

impl Model {
    fn say(&mut self, dir: Direction, verb: u8, key: u8, at: u16) -> (Option<u64>, Option<u16>) {
        if verb == b'o' {
            self.keys.insert(key, self.exchanges.len());
            self.exchanges.push((dir, at, None, false));
            return (Some(self.exchanges.len() as u64 - 1), None);
        }
        let Some(index) = self.keys.get(&key).copied().filter(|_| matches!(verb, b'p' | b'c' | b'f')) else {
            return (None, None);
        };
        let (asked, request, answered, over) = &mut self.exchanges[index];
        if *over {
            return ((verb == b'p').then_some(index as u64), None);
        }
        let answers = if dir == *asked { *answered } else { Some(*request) };
        if dir != *asked {
            *answered = Some(at);
        }
        *over = verb != b'p';
        (Some(index as u64), answers)
    }
}

proptest! {
    /// Any talk, in any pieces: every frame belongs where the model has it, and nothing else is open.
    #[test]
    fn every_frame_has_its_place(
        said in prop::collection::vec(
            (any::<bool>(), prop::sample::select(b"ooopppcfun".to_vec()), 0..4_u8), 0..60,
        ),
        piece in 1..9_usize,
    ) {
        let (mut machine, mut model) = (machine(), Model::default());
        for ((up, verb, key), at) in said.iter().zip(0..) {
            let dir = if *up { UP } else { DOWN };
            let expect = model.say(dir, *verb, *key, at);
            let bytes = message(*verb, *key, at);
            let mut placed = None;
            for piece in bytes.chunks(piece) {
                prop_assert!(placed.is_none());
                machine.push(dir, &Bytes::copy_from_slice(piece));
                placed = machine.next(dir).expect("it can be framed");
            }
            let placed = placed.expect("it is whole");
            prop_assert_eq!((placed.exchange.map(|id| id.0), placed.answers.as_ref().map(number)), expect);
        }
        let open = model.exchanges.iter().filter(|(.., over)| !over).count();
        prop_assert_eq!(machine.open.len(), open);
    }
}
