//! A conversation made of whole messages: what was sent is what is decoded, frame by frame.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::told::{EXCHANGES_MAX, payload};
use super::both::{Both, Said};
use crate::http1::{
    BODY, BODY_PIECE_MAX, CHUNKED, HEAD, INTERIM, MessageDecoder, PIECE, RAW, RESPONSE, SWITCH, Version,
    WHOLE, chunk, last_chunk, request_head, response_head,
};
use crate::{Direction, FrameKind};

/// Any conversation of whole messages, with pipelining, bodies in every form, early answers and upgrades: what was sent is
/// what is decoded, whatever the pieces.
///
/// # Panics
/// It is not.
pub fn http1_structured(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let Ok(pieces) = <[u8; 2]>::arbitrary(&mut choices) else { return };
    let talk = talk(&mut choices);
    let mut both = Both::of(
        [Direction::ToServer, Direction::ToClient].map(|dir| Box::new(MessageDecoder::new(dir)) as _),
    );
    for (dir, bytes) in &talk.moves {
        match bytes {
            Some(bytes) => both.say(*dir, bytes, pieces.map(usize::from)),
            None => both.end(*dir),
        }
    }
    for (Said { frames, left, end }, expect) in both.finish().into_iter().zip(&talk.expect) {
        let found = frames.iter().map(|frame| (frame.kind, &frame.bytes[..])).collect::<Vec<_>>();
        let expect = expect.iter().map(|(kind, bytes)| (*kind, &bytes[..])).collect::<Vec<_>>();
        assert_eq!(found, expect, "what was sent is what is decoded");
        assert_eq!((left.len(), end), (0, Ok(())), "nothing else was sent");
    }
}

/// What is said, in order, and the frames that are to come out.
#[derive(Default)]
struct Talk {
    /// Bytes, or the end of a side.
    moves: Vec<(Direction, Option<Vec<u8>>)>,
    expect: [Vec<(FrameKind, Vec<u8>)>; 2],
}

impl Talk {
    fn say(&mut self, dir: Direction, frames: Vec<(FrameKind, Vec<u8>)>) {
        let bytes = frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        self.moves.push((dir, Some(bytes)));
        let [to_server, to_client] = &mut self.expect;
        let expect = if dir == Direction::ToServer { to_server } else { to_client };
        expect.extend(frames.into_iter().filter(|(_, bytes)| !bytes.is_empty()));
    }
}

/// What a request is answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// An answer of which the end is known.
    Known,
    /// One that goes on to the end of the stream.
    Rest,
    /// 101.
    Switch,
}

struct Exchange {
    request: Vec<(FrameKind, Vec<u8>)>,
    answer: Vec<(FrameKind, Vec<u8>)>,
    ending: Ending,
}

fn talk(choices: &mut Unstructured<'_>) -> Talk {
    let mut talk = Talk::default();
    for _ in 0..EXCHANGES_MAX {
        // Where the choices run out, the conversation ends.
        match group(choices, &mut talk) {
            Ok(true) if !choices.is_empty() => {}
            _ => break,
        }
    }
    talk.moves.extend([(Direction::ToServer, None), (Direction::ToClient, None)]);
    talk
}

/// Requests in a row and their answers; whether more can follow.
fn group(choices: &mut Unstructured<'_>, talk: &mut Talk) -> Result<bool> {
    let mut exchanges = Vec::new();
    for _ in 0..choices.int_in_range(1..=3)? {
        exchanges.push(Exchange::made_up(choices)?);
        if exchanges.last().is_some_and(|last| last.ending != Ending::Known) {
            break;
        }
    }
    let ending = exchanges.last().map_or(Ending::Known, |last| last.ending);
    let raw = if ending == Ending::Switch {
        [payload(choices, &[1])?, payload(choices, &[1])?]
    } else {
        [vec![], vec![]]
    };
    let [from_client, from_server] = raw.map(|bytes| vec![(RAW, bytes)]);
    let (early, ends) = (bool::arbitrary(choices)?, bool::arbitrary(choices)?);
    let mut late = Vec::new();
    for (at, exchange) in exchanges.iter().enumerate() {
        let mut request = exchange.request.clone();
        if early && at + 1 == exchanges.len() {
            late = request.split_off(1);
        }
        talk.say(Direction::ToServer, request);
    }
    let eager = !early && ending == Ending::Switch;
    if eager {
        talk.say(Direction::ToServer, from_client.clone());
        if ends {
            talk.moves.push((Direction::ToServer, None));
        }
    }
    for exchange in exchanges {
        talk.say(Direction::ToClient, exchange.answer);
    }
    talk.say(Direction::ToServer, late);
    talk.say(Direction::ToClient, from_server);
    if !eager {
        talk.say(Direction::ToServer, from_client);
    }
    Ok(ending == Ending::Known)
}

impl Exchange {
    fn made_up(choices: &mut Unstructured<'_>) -> Result<Self> {
        let method = *choices.choose(&["GET", "HEAD", "POST", "PUT"])?;
        let upgrades = choices.ratio(1, 4)?;
        let ending = match u8::arbitrary(choices)? {
            0..32 if upgrades => Ending::Switch,
            32..40 if method != "HEAD" => Ending::Rest,
            _ => Ending::Known,
        };
        let mut answer = Vec::new();
        if choices.ratio(1, 4)? {
            answer.push((INTERIM, answer_head(100, &[])));
        }
        answer.push(match ending {
            Ending::Switch => (SWITCH, answer_head(101, &[("Upgrade", "tcp")])),
            Ending::Rest => (RESPONSE, [answer_head(200, &[]), payload(choices, &[0])?].concat()),
            Ending::Known => (RESPONSE, answer_of_known_end(choices, method == "HEAD")?),
        });
        Ok(Self { request: request(choices, method, upgrades)?, answer, ending })
    }
}

fn answer_head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    response_head(status, "Reason", Version(1), headers).expect("it is well formed").to_vec()
}

fn answer_of_known_end(choices: &mut Unstructured<'_>, to_head: bool) -> Result<Vec<u8>> {
    let status = *choices.choose(&[200, 204, 304, 404, 500])?;
    let form = Form::made_up(choices)?;
    let headers = match &form {
        // Without a length it goes on to the end, but where there is no body.
        Form::None => vec![("Content-Length", "0")],
        form => form.headers(),
    };
    let owned: Vec<_> = headers.iter().map(|(name, value)| (*name, *value)).collect();
    let head = answer_head(status, &owned);
    let bodiless = to_head || matches!(status, 204 | 304);
    Ok(if bodiless { head } else { [head, form.bytes()].concat() })
}

/// How a body is sent.
enum Form {
    None,
    Sized(String, Vec<u8>),
    Chunks(&'static str, Vec<u8>),
}

/// Lengths of data at which something changes.
const LENS: [usize; 5] = [0, 1, 70_000, BODY_PIECE_MAX, BODY_PIECE_MAX + 1];

impl Form {
    fn made_up(choices: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match choices.int_in_range(0..=3)? {
            0 => Self::None,
            1 => {
                let data = payload(choices, &LENS)?;
                Self::Sized(data.len().to_string(), data)
            }
            _ => Self::Chunks(choices.choose(&["chunked", "Chunked", "gzip, chunked"])?, chunks(choices)?),
        })
    }

    fn headers(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::None => Vec::new(),
            Self::Sized(length, _) => vec![("Content-Length", length)],
            // What stands beside chunks does not count.
            Self::Chunks("Chunked", _) => vec![("content-length", "3"), ("transfer-encoding", "Chunked")],
            Self::Chunks(codings, _) => vec![("Transfer-Encoding", codings)],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Sized(_, data) | Self::Chunks(_, data) => data.clone(),
        }
    }

    /// The frames of a request behind its head.
    fn frames(&self) -> Vec<(FrameKind, Vec<u8>)> {
        match self {
            Self::None => Vec::new(),
            Self::Chunks(_, bytes) => vec![(CHUNKED, bytes.clone())],
            Self::Sized(_, data) => {
                let mut frames: Vec<_> =
                    data.chunks(BODY_PIECE_MAX).map(|piece| (PIECE, piece.to_vec())).collect();
                if let Some((kind, _)) = frames.last_mut() {
                    *kind = BODY;
                }
                frames
            }
        }
    }
}

fn chunks(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for _ in 0..choices.int_in_range(0..=4)? {
        let data = payload(choices, &[1, 4096, 70_000])?;
        let sent = chunk(&data);
        match choices.int_in_range(0..=3)? {
            0 if !data.is_empty() => {
                bytes.extend_from_slice(format!("{:08X};a=\"b;c\"\r\n", data.len()).as_bytes());
                bytes.extend_from_slice(&data);
                bytes.extend_from_slice(b"\r\n");
            }
            _ => bytes.extend_from_slice(&sent),
        }
    }
    let trailers: &[_] = if choices.ratio(1, 3)? { &[("Sum", "1"), ("Content-Length", "7")] } else { &[] };
    bytes.extend_from_slice(&last_chunk(trailers).expect("it is well formed"));
    Ok(bytes)
}

fn request(
    choices: &mut Unstructured<'_>,
    method: &str,
    upgrades: bool,
) -> Result<Vec<(FrameKind, Vec<u8>)>> {
    let form = Form::made_up(choices)?;
    let mut headers = form.headers();
    if upgrades {
        headers.push(("Upgrade", "tcp"));
    }
    let blank: &[u8] = if choices.ratio(1, 16)? { b"\r\n" } else { b"" };
    let version = Version(if matches!(form, Form::Chunks(..)) { 1 } else { choices.int_in_range(0..=1)? });
    let head = request_head(method, "/v1.51/a?b=c", version, &headers).expect("it is well formed");
    let behind = form.frames();
    let kind = if behind.is_empty() { WHOLE } else { HEAD };
    Ok([vec![(kind, [blank, &head].concat())], behind].concat())
}

#[cfg(test)]
mod tests {
    use super::super::super::told::noise;
    use super::*;

    /// A body that tells nothing would hold whatever the decoders do.
    #[test]
    fn conversations_reach_every_kind_of_frame_and_go_on_for_long() {
        let (mut kinds, mut longest) = (Vec::new(), 0);
        for seed in 0..400 {
            let data = noise(seed, 4000);
            for expect in talk(&mut Unstructured::new(&data)).expect {
                kinds.extend(expect.iter().map(|(kind, _)| kind.0));
                longest = longest.max(expect.len());
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, (1..=9).collect::<Vec<_>>());
        assert!(longest > 20, "the longest conversation has {longest} frames");
    }
}
