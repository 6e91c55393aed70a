//! One request on a connection of its own, read as the clients of a release read.

use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::reference::call::Caller;
use session::{Address, Recorder};
use transcript::ConnId;
use wire::lxc::{Command, Layout, ResponseHead};

use super::super::dialect::{Bad, ClientFacts};
use super::super::names::{self, ENOSYS};
use super::super::request;
use super::defects;

/// `SIGSEGV`.
const SIGSEGV: i32 = 11;
/// How long a connection may take to be made while the server's backlog is full.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// How an operation ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With an exit code.
    Exit(i32),
    /// Of a signal.
    Signal(i32),
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What the client reads as the return value.
    pub(super) ret: i32,
    /// What it reads as the answer.
    pub(super) data: u64,
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// How it came to that.
    pub(super) how: How,
}

/// How a client came to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum How {
    /// A reply came.
    #[default]
    Replied,
    /// The stream ended without a byte.
    Closed,
    /// Nobody listens.
    NoServer,
    /// A reply came that the client does not accept.
    Rejected,
}

impl Said {
    /// Whether the request was carried out, in the reading of the client.
    pub(super) fn is_good(&self) -> bool {
        self.ret >= 0 && matches!(self.how, How::Replied | How::Closed)
    }

    /// Whether the server gave away that it does not know the request.
    pub(super) fn is_refusal(&self) -> bool {
        self.how == How::Closed || self.ret == -ENOSYS
    }
}

/// A client in the middle of an operation.
pub(super) struct Asker<'a> {
    pub(super) facts: ClientFacts,
    pub(super) switches: &'a Switches,
    pub(super) address: &'a Address,
    pub(super) recorder: &'a Recorder,
    /// Which tool this is.
    pub(super) tool: &'static str,
    /// How many connections were made.
    pub(super) conns: u32,
    pub(super) stdout: String,
}

impl Asker<'_> {
    /// Asks without a payload.
    pub(super) async fn ask(&mut self, command: Command, data: i64) -> Result<Said, Ended> {
        self.exchange(command, request::plain(command, data), &[]).await.map(|(said, _)| said)
    }

    /// Asks with a payload.
    pub(super) async fn ask_with(&mut self, command: Command, payload: &[u8]) -> Result<Said, Ended> {
        let message = request::with_payload(command, payload);
        let head_len = request::LAYOUT.head_len();
        self.exchange(command, message.slice(..head_len), payload).await.map(|(said, _)| said)
    }

    /// Asks with a text.
    pub(super) async fn ask_text(&mut self, command: Command, text: &str) -> Result<Said, Ended> {
        self.ask_with(command, &[text.as_bytes(), b"\0"].concat()).await
    }

    /// Asks and keeps the connection, which is a lease or is going to tell something.
    pub(super) async fn ask_and_keep(
        &mut self,
        command: Command,
        data: i64,
        payload: &[u8],
    ) -> Result<(Said, Option<Caller>), Ended> {
        let len = i32::try_from(payload.len()).unwrap_or(i32::MAX);
        let head = request::lying(command, len, data, b"");
        self.exchange(command, head, payload).await
    }

    /// Whether the socket still has a server. Nothing is said there, so nothing is written down.
    pub(super) async fn somebody_listens(&self) -> bool {
        Caller::connect(self.address, None, CONNECT_DEADLINE).await.is_ok()
    }

    async fn exchange(
        &mut self,
        command: Command,
        head: Bytes,
        payload: &[u8],
    ) -> Result<(Said, Option<Caller>), Ended> {
        self.conns += 1;
        let trace = Some((self.recorder.clone(), ConnId(self.conns)));
        let Ok(mut open) = Caller::connect(self.address, trace, CONNECT_DEADLINE).await else {
            let said = Said { ret: -1, how: How::NoServer, ..Said::default() };
            return self.weigh(command, said).map(|said| (said, None));
        };
        // The real tools attach their credentials to the head and send the payload by itself. A server that does not
        // take it has closed; that is seen when the answer is read.
        let own = open.own_credentials();
        let _ = open.send(head, Some(own), CONNECT_DEADLINE).await;
        if !payload.is_empty() {
            let _ = open.send(Bytes::copy_from_slice(payload), None, CONNECT_DEADLINE).await;
        }
        let said = self.read(&mut open).await?;
        let kept = (said.how == How::Replied).then_some(open);
        Ok((self.weigh(command, said)?, kept))
    }

    /// Reads the head in one call and the payload in another, as every release does; the ideal client
    /// reads until both are complete.
    async fn read(&mut self, open: &mut Caller) -> Result<Said, Ended> {
        let layout = request::LAYOUT;
        let (head, fds) = match open.take(layout.head_len(), self.facts.believes_cut_replies).await {
            Some((bytes, fds)) if !bytes.is_empty() => (bytes, fds),
            _ => return Ok(self.closed()),
        };
        if head.len() < layout.head_len() && !self.facts.believes_cut_replies {
            return Ok(Said { ret: -1, how: How::Rejected, ..Said::default() });
        }
        let Some(head) = decode(layout, &head) else { return Ok(self.closed()) };
        self.survive(head, fds.len())?;
        let mut said = Said { ret: head.ret, data: head.data, fds, ..Said::default() };
        let rejected = |said: Said| Said { how: How::Rejected, ret: said.ret.min(-1), ..said };
        if said.fds.len() > 2 {
            // No command passes as many to a client that did not ask for a list of them.
            return Ok(rejected(said));
        }
        let limit = i32::try_from(wire::lxc::DATA_MAX).unwrap_or(i32::MAX);
        match head.len {
            i32::MIN..0 => Ok(if head.ret < 0 { said } else { rejected(said) }),
            0 => Ok(said),
            len if len > limit => Ok(rejected(said)),
            len => {
                let len = usize::try_from(len).unwrap_or(0);
                let payload = open.take(len, self.facts.believes_cut_replies).await;
                said.payload = payload.map(|(bytes, _)| bytes.to_vec()).unwrap_or_default();
                Ok(if said.payload.len() == len { said } else { rejected(said) })
            }
        }
    }

    /// A stream that ended without a byte, as the release reads it.
    fn closed(&self) -> Said {
        Said { ret: self.facts.no_answer, how: How::Closed, ..Said::default() }
    }

    /// Dies where the release dies, and gives up where it survives that.
    fn survive(&self, head: ResponseHead, fds: usize) -> Result<(), Ended> {
        let fragile = matches!(self.tool, "lxc-info" | "lxc-attach");
        let ones = head == ResponseHead { ret: -1, len: -1, data: u64::MAX };
        let dies = (fragile && head.ret >= 0 && head.len < 0 && self.facts.negative_length == Bad::Crash)
            || (fragile && fds > 2 && self.facts.extra_fds == Bad::Crash)
            || (self.tool == "lxc-console" && ones && self.facts.all_ones_console == Bad::Crash);
        let gives_up = fragile && ((head.ret >= 0 && head.len < 0) || fds > 2);
        match (dies, gives_up) {
            (true, _) => Err(Ended::Signal(SIGSEGV)),
            (false, true) => Err(Ended::Exit(1)),
            (false, false) => Ok(()),
        }
    }

    /// Where the seeded defects of clients sit. The end of a stream is how STOP succeeds.
    fn weigh(&self, command: Command, said: Said) -> Result<Said, Ended> {
        if command == names::STOP || !said.is_refusal() {
            return Ok(said);
        }
        if self.switches.has(defects::IGNORES_ENOSYS) {
            return Err(Ended::Exit(1));
        }
        if self.switches.has(defects::TAKES_REFUSAL_FOR_SUCCESS) {
            return Ok(Said { ret: 0, how: How::Replied, ..said });
        }
        Ok(said)
    }
}

/// A head from whatever came; what is missing reads as zero, as in a buffer that was cleared before.
fn decode(layout: Layout, bytes: &[u8]) -> Option<ResponseHead> {
    let mut padded = bytes.to_vec();
    padded.resize(layout.head_len(), 0);
    ResponseHead::decode(layout, &padded)
}
