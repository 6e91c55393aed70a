//! A protocol of lines whose server gives names: what is recorded with one is played to another, which gives others.
//!
//! ```text
//! make        id <name>
//! use <name>  ok, or gone where there is none of that name, whole or by its first twelve bytes
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use session::{Address, BoxFuture, Conversation, Listener, Received, Recorder, Script, Server, Transport};
use transcript::evidence::Observation;
use transcript::text;
use verdict::{ConnContext, Due as IsDue, InOrder, Meaning, Pairing, Quotable};
use wire::{Decoder, Dissection, Extent, Fault, Field, Frame, FrameKind, Scan, Step, StreamDecoder, Value};

use super::*;
use crate::replay;

const SHORT: usize = 12;
const SOON: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Lines;

impl Scan for Lines {
    fn step(&mut self, src: &[u8]) -> Result<Step, Fault> {
        Ok(match src.iter().position(|byte| *byte == b'\n') {
            Some(at) => Step::Complete(Extent { kind: FrameKind(0), head_len: at + 1, len: at + 1 }),
            None => Step::Partial { field: "line", at: 0, needed: src.len() as u64 + 1 },
        })
    }
}

impl Grammar for Lines {
    fn dialect(&self) -> &str {
        "lines"
    }

    fn decoder(&self, _dir: Direction, _conn: &ConnContext) -> Box<dyn Decoder> {
        Box::new(StreamDecoder::over(*self))
    }

    fn pairing(&self) -> Box<dyn Pairing> {
        Box::new(InOrder::new(*self))
    }

    fn dissect(&self, _dir: Direction, frame: &Frame, _request: Option<&Frame>) -> Dissection {
        let text = String::from_utf8_lossy(&frame.bytes).trim_end().to_owned();
        let (word, name) = text.split_once(' ').unwrap_or((&text, ""));
        let field = |name: &'static str, span, text: &str| Field {
            name: name.into(),
            span,
            value: Value::Text(text.to_owned()),
            label: None,
            mask: None,
        };
        let mut fields = vec![field("word", 0..word.len(), word)];
        if !name.is_empty() {
            fields.push(field("name", word.len()..frame.bytes.len(), name));
        }
        Dissection { fields, ..Dissection::default() }
    }

    fn due(&self, _request: &Frame) -> IsDue {
        IsDue::One
    }

    fn quotable(&self, reply: &Frame, _request: Option<&Frame>) -> Vec<Quotable> {
        let names = reply.bytes.starts_with(b"id ");
        names.then(|| Quotable { field: "name".into(), short: Some(SHORT) }).into_iter().collect()
    }

    fn meaning(&self, _request: Option<&Frame>, reply: &Frame) -> Meaning {
        if reply.bytes.starts_with(b"gone") { Meaning::Refused(1) } else { Meaning::Success }
    }
}

/// Gives these names, one after the other, to whoever asks.
struct Names {
    address: Address,
}

impl Names {
    fn start(names: &[String]) -> Self {
        let listener = Listener::open(Transport::Memory, 8).expect("it is memory");
        let address = listener.address().clone();
        let mut left = names.to_vec();
        left.reverse();
        tokio::spawn(async move {
            let mut given: Vec<String> = Vec::new();
            // One client after the other.
            while let Ok(mut client) = listener.accept().await {
                let mut line = String::new();
                while let Ok(Received::Data(data, _)) = client.recv(SOON).await {
                    line.push_str(&String::from_utf8_lossy(&data.bytes));
                    while let Some((request, rest)) =
                        line.split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned()))
                    {
                        line = rest;
                        let answer = answer(&request, &mut left, &mut given);
                        // A client that is gone is told nothing.
                        let _ = client.send(&answer.into(), &[], None, SOON).await;
                    }
                }
            }
        });
        Self { address }
    }
}

fn answer(request: &str, left: &mut Vec<String>, given: &mut Vec<String>) -> String {
    match request.split_once(' ') {
        None => match left.pop() {
            Some(name) => {
                given.push(name.clone());
                format!("id {name}\n")
            }
            None => "gone\n".to_owned(),
        },
        Some((_, name)) => {
            let is_it = |given: &String| given == name || (name.len() == SHORT && given.starts_with(name));
            if given.iter().any(is_it) { "ok\n" } else { "gone\n" }.to_owned()
        }
    }
}

impl Server for Names {
    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&mut self, _recorder: &Recorder) {}

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// Plays a script to a server that gives these names.
fn play(script: &Script, names: &[String]) -> Transcript {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut server = Names::start(names);
        let recorder = Recorder::new();
        let mut conversation = Conversation::new(&mut server, &Lines, &recorder, 1.0);
        conversation.play(script).await.expect("nothing of ours fails");
        Transcript { events: recorder.take(), ..Transcript::default() }
    })
}

/// What one side said.
fn said(transcript: &Transcript, dir: Direction) -> Vec<String> {
    let text = |event: &Event| match &event.kind {
        EventKind::Data(data) if event.dir == dir => Some(String::from_utf8_lossy(&data.bytes).into_owned()),
        _ => None,
    };
    transcript.events.iter().filter_map(text).collect()
}

fn marks(transcript: &Transcript) -> Vec<(usize, Capture)> {
    let mark = |(at, event): (usize, &Event)| match &event.kind {
        EventKind::Mark(mark) => Some((at, Capture::of_mark(mark)?)),
        _ => None,
    };
    transcript.events.iter().enumerate().filter_map(mark).collect()
}

/// What a client does that knows which name comes next.
#[derive(Debug, Clone, Copy)]
enum Act {
    Make,
    /// Quotes the name that was given so long ago.
    Use(usize),
    UseShort(usize),
}

/// One connection for each act. Nobody is asked for a name that there is not.
fn recording(acts: &[Act], names: &[String]) -> (Script, usize) {
    let mut script = Script::new();
    let mut made: usize = 0;
    for (conn, act) in (1..).zip(acts) {
        let quoted = |back: usize| made.checked_sub(back % made.max(1) + 1).and_then(|at| names.get(at));
        let line = match act {
            Act::Make => None,
            Act::Use(back) => quoted(*back).map(|name| format!("use {name}\n")),
            Act::UseShort(back) => quoted(*back).map(|name| format!("use {}\n", &name[..SHORT])),
        };
        made += usize::from(line.is_none());
        let line = line.unwrap_or_else(|| "make\n".to_owned());
        script =
            script.then(session::Step::Connect(ConnId(conn))).send(conn, line).reply(conn, 500).close(conn);
    }
    (script, made)
}

fn recorded(acts: &[Act], names: &[String]) -> Transcript {
    let mut transcript = play(&recording(acts, names).0, names);
    give(&mut transcript, &Lines).expect("there is no mark that could be wrong");
    transcript
}

fn replayed(transcript: &Transcript, names: &[String]) -> Transcript {
    play(&replay::script(transcript, &Lines, None).expect("its captures are right"), names)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9a-f]{64}", 1 => "[0-9a-f]{13}", 1 => "[0-9a-f]{20}"]
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(name(), 8).prop_filter("no two begin alike", |names| {
        names.iter().map(|name| &name[..SHORT]).collect::<BTreeSet<_>>().len() == names.len()
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => Just(Act::Make),
        2 => (0..8_usize).prop_map(Act::Use),
        1 => (0..8_usize).prop_map(Act::UseShort),
    ];
    proptest::collection::vec(act, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the second server calls things, it is asked for them by its own names: it answers as the first one did.
    #[test]
    fn another_server_is_asked_by_its_own_names(acts in acts(), first in names(), second in names()) {
        let before = recorded(&acts, &first);
        let after = replayed(&before, &second);
        let due = recording(&acts, &second).0;
        prop_assert_eq!(said(&after, Direction::ToServer), said(&play(&due, &second), Direction::ToServer));
        let words = |transcript: &Transcript| -> Vec<String> {
            said(transcript, Direction::ToClient).iter().map(|line| line.trim_end()[..2].to_owned()).collect()
        };
        prop_assert_eq!(words(&after), words(&before));
        // What was played captures what was recorded, and can be played again.
        let captures = |transcript| marks(transcript).into_iter().map(|(_, capture)| capture).collect::<Vec<_>>();
        prop_assert_eq!(captures(&after), captures(&before));
    }

    /// Whichever mark is taken away, it is missed.
    #[test]
    fn a_mark_that_is_gone_is_missed(acts in acts(), first in names(), second in names()) {
        let before = recorded(&acts, &first);
        let check = |transcript: &Transcript| checked(transcript, &Reading::of(transcript, &Lines), &Lines);
        prop_assert!(check(&before).is_ok());
        for (at, _) in marks(&before) {
            let mut edited = before.clone();
            edited.events.remove(at);
            let bad = check(&edited).expect_err("it is missed");
            prop_assert_eq!(bad.kind, BadCaptureKind::Unmarked("name".to_owned()));
            let answers = said(&replayed(&edited, &second), Direction::ToClient);
            prop_assert!(answers.contains(&"gone\n".to_owned()), "{:?}", answers);
        }
        // It is text like any other.
        let text = text::render(&before);
        prop_assert!(text::is_canonical(&text));
        let read = text::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&before));
    }
}

fn fixed_names(names: [&str; 2]) -> Vec<String> {
    names.map(|name| name.repeat(16)).to_vec()
}

#[test]
fn marks_stand_right_behind_what_is_quoted() {
    let names = fixed_names(["0a1b", "2c3d"]);
    let transcript = recorded(&[Act::Make, Act::Make, Act::Use(0)], &names);
    let found = marks(&transcript);
    let capture = Capture { field: "name".to_owned(), var: "id-1".to_owned(), short: Some(SHORT) };
    assert_eq!(found.iter().map(|(_, capture)| capture.clone()).collect::<Vec<_>>(), [capture]);
    let behind = &transcript.events[found[0].0 - 1];
    assert!(
        matches!(&behind.kind, EventKind::Data(data) if data.bytes.starts_with(b"id 2c3d")),
        "{behind:?}"
    );
    assert_eq!((behind.conn, transcript.events[found[0].0].conn), (ConnId(2), ConnId(2)));
    let mut again = transcript.clone();
    give(&mut again, &Lines).expect("they are right");
    assert_eq!(again, transcript);
}

#[test]
fn says_what_is_wrong_with_a_mark() {
    let names = fixed_names(["0a1b", "2c3d"]);
    let transcript = recorded(&[Act::Make, Act::Use(0)], &names);
    let (at, capture) = marks(&transcript).pop().expect("there is one");
    #[track_caller]
    fn check(transcript: &Transcript, expect: &str) {
        let error = replay::script(transcript, &Lines, None).expect_err("it is wrong");
        assert_eq!(error.to_string(), expect);
    }
    let mut renamed = transcript.clone();
    renamed.events[at].kind = EventKind::Mark(Capture { field: "body.Id".to_owned(), ..capture }.mark());
    let of_none = "no such field, or no text or number in it";
    check(
        &renamed,
        &format!("event {at}: `mark capture field=body.Id` stands behind a reply that has {of_none}"),
    );
    let mut moved = transcript;
    moved.events.swap(at, at - 1);
    check(&moved, &format!("event {}: `mark capture field=name` stands behind no reply", at - 1));
}

/// Neither a fault of the harness nor a success: what is missing is told, and nobody waits for what was not asked.
#[test]
fn what_cannot_be_captured_is_not_sent() {
    let names = fixed_names(["0a1b", "2c3d"]);
    let script = replay::script(&recorded(&[Act::Make, Act::Use(0)], &names), &Lines, None);
    let played = play(&script.expect("it is right"), &[]);
    assert_eq!(said(&played, Direction::ToServer), ["make\n"]);
    let seen = played.events.iter().filter_map(|event| event.kind.observed()).collect::<Vec<_>>();
    let expect = [
        (Observation::NotCaptured, "`name` as `id-1`: the reply has no such field"),
        (Observation::NotSent, "`id-1` has no value"),
    ];
    assert_eq!(seen, expect);
    assert!(!played.events.iter().any(|event| matches!(event.kind, EventKind::Timeout(_))), "{played:?}");
}

#[test]
fn the_longest_is_what_is_quoted() {
    #[track_caller]
    fn check(known: &[(&str, &str, Option<usize>)], bytes: &'static str, expect: &str) {
        let mut forms = Forms::default();
        for (var, value, short) in known {
            let capture = Capture { field: String::new(), var: (*var).to_owned(), short: *short };
            forms.learn(&capture, value);
        }
        let shown = match forms.payload(&Bytes::from(bytes)) {
            Payload::Fixed(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Payload::Template(Template(pieces)) => pieces.iter().map(shown).collect(),
        };
        assert_eq!(shown, expect);
    }
    fn shown(piece: &Piece) -> String {
        match piece {
            Piece::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Piece::Variable { var, first: None } => format!("<{var}>"),
            Piece::Variable { var, first: Some(first) } => format!("<{var}:{first}>"),
        }
    }
    let one = [("a", "0123456789abcdef", Some(8))];
    check(&one, "x 0123456789abcdef y", "x <a> y");
    check(&one, "/01234567/0123456789abcdef01234567", "/<a:8>/<a>01234567");
    // A part of another number, or too little of this one.
    check(
        &one,
        "0123456789abcde f01234567 012345670 0123456 01234567g",
        "0123456789abcde f01234567 012345670 0123456 <a:8>g",
    );
    check(&[("a", "0123456", None), ("b", "abcdefgh", Some(4))], "0123456 abcd abcdefgh", "0123456 abcd <b>");
    let overlapping = [("a", "01234567", None), ("b", "23456789ab", None)];
    check(&overlapping, "0123456789ab 01234567 23456789ab", "01<b> <a> <b>");
    // Where two have the same value, the newer one is meant; one that has another value has no other any more.
    check(&[("a", "01234567", None), ("b", "01234567", None)], "01234567", "<b>");
    check(&[("a", "01234567", None), ("a", "89abcdef", None)], "01234567 89abcdef", "01234567 <a>");
}
