//! A transcript as the sequence of what was done and said, message by message.
//!
//! ```text
//! transcript   connect  c2s "…refresh…\n"  s2c "…os-ver" "sion…\n"  exit s2c  connect s2c  eof c2s
//! timeline     HostConnects  FromHost      FromAgent                AgentLeaves AgentStarts HostLeaves
//! ```
//!
//! Everything stands in bytes and in the events of the recorder. Observations are not looked at, and of the marks only
//! those that say that a host's own API was called: what it then does not send is on no wire. The rates
//! are measured too: an agent that runs at a heartbeat of 20 ms is held to other bounds than one at 5 s.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use transcript::{EventKind, Mark, Transcript};
use verdict::Reading;
use wire::json_lines::{BLANK, LINE, LineDecoder, LineScan};
use wire::{Decoder, Direction, FrameKind};

use crate::message::{Message, Offered};
use crate::reference::settings::HEARTBEAT;
use crate::{LINE_MAX, names};

/// The heartbeat period of an agent that was never told another one, in microseconds.
const PERIOD_DEFAULT_US: u64 = 5_000_000;
/// How long an agent sleeps that finds no host, in microseconds. Peers that run faster than real ones sleep less: a
/// fifth of their period, as 1 s is of 5 s.
const NAP_US: u64 = 1_000_000;
/// A period from which on an agent is taken for a real one, whose nap does not depend on it.
const REAL_PERIOD_US: u64 = 900_000;
/// How much later than it should a message of a real agent may be, in microseconds.
const SLACK_US: u64 = 250_000;
/// The same for faster peers, in periods.
const SLACK_PERIODS: u64 = 2;

/// So many periods without a heartbeat are silence.
const SILENT_PERIODS: u64 = 3;
/// And so much longer on peers that run faster than real ones, in microseconds: a busy machine may not run them at all
/// for a while.
const SILENT_SCALED_US: u64 = 1_000_000;

/// What happened, in order, and how fast this agent runs.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Everything that counts.
    pub(super) acts: Vec<Act>,
    /// How fast things go.
    pub(super) pace: Pace,
    /// Which ends are scripts, which are not judged.
    pub(super) scripts: Scripts,
}

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Act {
    /// When, in microseconds.
    pub(super) at_us: u64,
    /// Index of the event.
    pub(super) event: usize,
    /// On which connection.
    pub(super) conn: u32,
    /// What.
    pub(super) what: What,
}

/// The kinds of [`Act`].
#[derive(Debug)]
pub(super) enum What {
    /// A host connected.
    HostConnects,
    /// The host, or the port's other end, is gone.
    HostLeaves,
    /// The agent's process ended behind a port that stays open.
    AgentLeaves,
    /// An agent's process began behind a port that stayed open.
    AgentStarts,
    /// The host said something.
    FromHost(Said),
    /// The agent said something.
    FromAgent(Said),
    /// A call of the host's own API has returned, says whoever made it; the name of the message that it is for.
    Called(&'static str),
}

/// One line.
#[derive(Debug)]
pub(super) struct Said {
    /// The line as it travelled.
    pub(super) bytes: Bytes,
    /// What sort of frame it is.
    pub(super) kind: FrameKind,
    /// What it says, if it is a message.
    pub(super) message: Option<Message>,
    /// Whether a line that a host may stumble over came before it in the same read, or before its beginning.
    pub(super) behind_bad: bool,
    /// Whether it is the first line behind a replaced end, and may have its beginning from the end before.
    pub(super) torn: bool,
}

impl Said {
    /// Name of the message; empty for what is none.
    pub(super) fn name(&self) -> &str {
        self.message.as_ref().map_or("", Message::name)
    }
}

/// How fast an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Between two heartbeats, in microseconds.
    pub(super) period_us: u64,
    /// The longest sleep of the reader (W1).
    pub(super) nap_us: u64,
    /// What a busy machine may add.
    pub(super) slack_us: u64,
}

/// Ends that are no builds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scripts {
    /// The host.
    pub(super) host: bool,
    /// The agent.
    pub(super) agent: bool,
}

impl Pace {
    /// What the time between two heartbeats says.
    fn of(gap_us: Option<u64>) -> Self {
        let period_us = gap_us.unwrap_or(PERIOD_DEFAULT_US).max(1);
        if period_us >= REAL_PERIOD_US {
            return Self { period_us, nap_us: NAP_US, slack_us: SLACK_US };
        }
        let slack_us = period_us.saturating_mul(SLACK_PERIODS).min(SLACK_US);
        Self { period_us, nap_us: period_us / 5, slack_us }
    }

    /// From the write of a host to the read of the agent, at most: W1.
    pub(super) fn read_us(self) -> u64 {
        self.nap_us.saturating_add(self.slack_us)
    }

    /// From a refresh to the read of the `api-version` that answers the next heartbeat, at most: W2.
    pub(super) fn announced_us(self) -> u64 {
        self.period_us.saturating_add(self.read_us())
    }

    /// So long without a heartbeat is silence.
    pub(super) fn silent_us(self) -> u64 {
        let late_us = if self.is_scaled() { SILENT_SCALED_US } else { self.read_us() };
        self.period_us.saturating_mul(SILENT_PERIODS).saturating_add(late_us)
    }

    /// Whether this is faster than any real agent: then a busy machine may be slower than all bounds, and what is
    /// bounded in time is bounded in heartbeats as well.
    pub(super) fn is_scaled(self) -> bool {
        self.period_us < REAL_PERIOD_US
    }
}

impl Timeline {
    /// Reads a transcript of which there is a reading already, unless another check has done so.
    pub(super) fn once(transcript: &Transcript, reading: &Reading) -> Arc<Self> {
        reading.beyond(|| Self::of(transcript))
    }

    /// Reads a transcript.
    pub(super) fn of(transcript: &Transcript) -> Self {
        let header = &transcript.provenance;
        let is_script = |end: &transcript::Endpoint| [PROBE, SCRIPTED_GUEST].contains(&end.id.as_str());
        let injected = header.case.starts_with(INJECTED);
        let scripts =
            Scripts { host: is_script(&header.client), agent: is_script(&header.server) || injected };
        let mut reader = Reader::default();
        for (event, happened) in transcript.events.iter().enumerate() {
            reader.event(event, happened);
        }
        let told = header.server.details.get(HEARTBEAT).and_then(|ms| ms.parse::<u64>().ok());
        let told = told.map(|ms| ms.saturating_mul(1000));
        // What a script sends has no rate.
        let seen = if scripts.agent { None } else { usual_gap(&reader.acts) };
        Self { acts: reader.acts, pace: Pace::of(told.or(seen)), scripts }
    }

    /// When the last thing happened.
    pub(super) fn end_us(&self) -> u64 {
        self.acts.last().map_or(0, |act| act.at_us)
    }
}

/// The id of a script that stood for the guest in recordings; a cell says so in its name.
const SCRIPTED_GUEST: &str = "scripted-guest";
/// The id of an end that is a script.
const PROBE: &str = matrix::BuildId::PROBE;
/// Scenarios in which the port puts words into the guest's mouth.
const INJECTED: &str = "scenario/guest-sends-";

/// The usual time between two heartbeats of one process and connection. The first two may follow each other more
/// quickly, since the first one waited for a host, and on a busy machine some come late and the next ones early: the
/// one in the middle counts.
fn usual_gap(acts: &[Act]) -> Option<u64> {
    let mut gaps: Vec<u64> = Vec::new();
    let (mut last, mut before) = (None, None);
    for act in acts {
        match &act.what {
            What::FromAgent(said) if said.name() == names::HEARTBEAT => {
                if let (Some(_), Some(last)) = (before, last) {
                    gaps.push(act.at_us.saturating_sub(last));
                }
                before = last;
                last = Some(act.at_us);
            }
            What::FromAgent(_) | What::FromHost(_) | What::Called(_) => {}
            _ => (last, before) = (None, None),
        }
    }
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}

/// The message for which a call of a host's API is, where a mark says that it has returned. A release that has no such
/// call, a host that is not connected and a process that nobody can call have nothing to send.
fn message_of_call(mark: &Mark) -> Option<&'static str> {
    let result = mark.args.get("result").map(String::as_str);
    if matches!(result, Some("no-such-call" | "not-connected" | "not-callable")) {
        return None;
    }
    let call = mark.label.strip_prefix("host API call ")?.strip_suffix(" has returned")?;
    match call {
        call if call.starts_with("setNumberOfCPUs(") => Some(names::SET_NUMBER_OF_CPUS),
        call if call.starts_with("events.") => Some(names::LIFECYCLE_EVENT),
        _ => None,
    }
}

#[derive(Default)]
struct Reader {
    acts: Vec<Act>,
    host: Stream,
    agent: Stream,
}

struct Stream {
    decoder: LineDecoder,
    left: BytesMut,
    /// The next line is the first one behind a replaced end.
    torn: bool,
    /// The unfinished line began behind a bad one.
    behind_bad: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            decoder: LineDecoder::over(LineScan::new(LINE_MAX)),
            left: BytesMut::new(),
            torn: false,
            behind_bad: false,
        }
    }
}

impl Reader {
    fn event(&mut self, event: usize, happened: &transcript::Event) {
        let what = match (&happened.kind, happened.dir) {
            (EventKind::Connect, Direction::ToServer) => {
                (self.host, self.agent) = Default::default();
                What::HostConnects
            }
            (EventKind::Connect, Direction::ToClient) => {
                self.agent.torn = true;
                What::AgentStarts
            }
            (EventKind::Exit(_), Direction::ToServer) => What::HostLeaves,
            (EventKind::Eof(_) | EventKind::Reset, _) => What::HostLeaves,
            (EventKind::Exit(_), Direction::ToClient) => What::AgentLeaves,
            (EventKind::Mark(mark), _) => match message_of_call(mark) {
                Some(name) => What::Called(name),
                None => return,
            },
            (EventKind::Data(data), dir) => {
                self.data(event, happened, &data.bytes, dir);
                return;
            }
            _ => return,
        };
        self.acts.push(Act { at_us: happened.at_us, event, conn: happened.conn.0, what });
    }

    fn data(&mut self, event: usize, happened: &transcript::Event, bytes: &[u8], dir: Direction) {
        let stream = if dir == Direction::ToServer { &mut self.host } else { &mut self.agent };
        stream.left.extend_from_slice(bytes);
        let mut behind_bad = std::mem::take(&mut stream.behind_bad);
        // Lines have no errors before the end of a stream.
        while let Ok(Some(frame)) = stream.decoder.decode(&mut stream.left) {
            let message = (frame.kind == LINE)
                .then(|| Message::read(&frame.bytes))
                .flatten()
                .filter(|message| !message.name().is_empty());
            let is_bad = message.as_ref().map_or(frame.kind != BLANK, is_stumbled_over);
            let torn = std::mem::take(&mut stream.torn);
            let said = Said { bytes: frame.bytes, kind: frame.kind, message, behind_bad, torn };
            behind_bad |= is_bad;
            let what = if dir == Direction::ToServer { What::FromHost(said) } else { What::FromAgent(said) };
            self.acts.push(Act { at_us: happened.at_us, event, conn: happened.conn.0, what });
        }
        stream.behind_bad = behind_bad && !stream.left.is_empty();
    }
}

/// Whether hosts run into an error with a message: then some of them lose the rest of what they read.
fn is_stumbled_over(message: &Message) -> bool {
    message.name() == names::HEARTBEAT && message.version == Offered::Exception
}
