//! Calls over one connection: one after the other, or several at once.
//!
//! An answer above the limit fails its call, and its body is passed over, as clients in Go do
//! (`containerd/ttrpc@v1.2.7:channel.go`, `recv`).

use std::time::Duration;

use bytes::Bytes;
use protocol::defect::Switches;
use protocol::effects;
use protocol::reference::call::{Caller, End, Trace};
use session::{Address, ClientReport, Recorder, Server};
use transcript::ExitStatus;
use wire::Frame;
use wire::ttrpc::{DATA_MAX, Header, Limits, MessageDecoder, MessageType, OVERSIZE, Oversize};

use super::faults;
use crate::envelope::{self, Answer, code, data};

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// It was carried out; the result.
    Done(Bytes),
    /// It failed.
    Failed {
        /// With that code.
        code: i64,
        /// In these words.
        says: String,
    },
}

impl Called {
    /// Whether the method is not known there.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Failed { code: code::UNIMPLEMENTED, .. })
    }

    /// Whether the method is not known to one that has no code for that: of INVALID_ARGUMENT, the words tell.
    #[must_use]
    pub fn is_unknown_in_words(&self) -> bool {
        matches!(self, Self::Failed { code: code::INVALID_ARGUMENT, says } if says.ends_with("does not exist"))
    }
}

/// Why a call has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended or could not be made, or what came was no message.
    Loudly,
    /// Nothing came.
    Silence,
}

/// Why an operation ended without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The server refused, or cannot be reached.
    Refused,
    /// A call has no end.
    Lost(Lost),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// The result of a call that an operation needs.
///
/// # Errors
/// It failed.
pub fn done(called: Called) -> Result<Bytes, Failed> {
    match called {
        Called::Done(result) => Ok(result),
        Called::Failed { .. } => Err(Failed::Refused),
    }
}

/// How a client ends whose operation came to that; one that waits for ever does not.
#[must_use]
pub fn exit(operation: Result<(), Failed>) -> Option<ExitStatus> {
    match operation {
        Ok(()) => Some(ExitStatus::Code(0)),
        Err(Failed::Refused | Failed::Lost(Lost::Loudly)) => Some(ExitStatus::Code(1)),
        Err(Failed::Lost(Lost::Silence)) => None,
    }
}

/// Ends a client that prints nothing: says how, and has the server say what is so then.
pub async fn end(server: &mut dyn Server, recorder: &Recorder, exit: Option<ExitStatus>) -> ClientReport {
    effects::claim_exit(recorder, exit);
    server.effects(recorder).await;
    ClientReport { exit, stdout: Vec::new(), stderr: Vec::new() }
}

/// A client on one connection.
pub struct Calls {
    caller: Caller,
    decoder: MessageDecoder,
    /// Whether it reads the body of an answer above the limit as messages, which no client should do.
    reads_bodies: bool,
    patience: Duration,
    next: u32,
    /// What came that was not waited for yet.
    early: Vec<(u32, Called)>,
}

impl Calls {
    /// Connects.
    ///
    /// # Errors
    /// [`Lost::Loudly`] where nobody listens.
    pub async fn connect(address: &Address, trace: Trace, patience: Duration) -> Result<Self, Lost> {
        let caller = Caller::connect(address, trace, patience).await.map_err(|_| Lost::Loudly)?;
        Ok(Self::over(caller, patience))
    }

    fn over(caller: Caller, patience: Duration) -> Self {
        let decoder = within(Oversize::Discarded);
        Self { caller, decoder, reads_bodies: false, patience, next: 1, early: Vec::new() }
    }

    /// The same with faults, before anything was called.
    #[must_use]
    pub fn with_faults(self, switches: &Switches) -> Self {
        match switches.has(faults::READS_REFUSED_BODIES) {
            true => Self { decoder: within(Oversize::Ignored), reads_bodies: true, ..self },
            false => self,
        }
    }

    /// Begins a call; the number of its stream.
    ///
    /// # Errors
    /// The server takes nothing.
    pub async fn begin(&mut self, service: &str, method: &str, payload: &[u8]) -> Result<u32, Lost> {
        let stream = self.next;
        self.next = self.next.wrapping_add(2);
        let request = envelope::request(stream, service, method, payload);
        self.caller.send(request, None, self.patience).await.map_err(|_| Lost::Loudly)?;
        Ok(stream)
    }

    /// Waits for the end of a call as long as the client's patience lasts, whatever else comes. What others come to meanwhile is
    /// kept for them; what answers nothing is passed over.
    ///
    /// # Errors
    /// There is none.
    pub async fn end(&mut self, stream: u32) -> Result<Called, Lost> {
        tokio::time::timeout(self.patience, self.ended(stream)).await.unwrap_or(Err(Lost::Silence))
    }

    async fn ended(&mut self, stream: u32) -> Result<Called, Lost> {
        loop {
            if let Some(at) = self.early.iter().position(|(of, _)| *of == stream) {
                return Ok(self.early.remove(at).1);
            }
            let frame = self.caller.frame(&mut self.decoder, self.patience).await;
            let frame = frame.map_err(|end| match end {
                End::Timeout => Lost::Silence,
                End::Eof | End::Reset | End::Unreadable(_) => Lost::Loudly,
            })?;
            let Some((of, called)) = self.answer(&frame)? else { continue };
            let is_open = of < self.next && !of.is_multiple_of(2);
            if is_open && !self.early.iter().any(|(known, _)| *known == of) {
                self.early.push((of, called));
            }
        }
    }

    /// What a message says of which call.
    fn answer(&self, frame: &Frame) -> Result<Option<(u32, Called)>, Lost> {
        let header = Header::of_frame(frame).filter(|header| header.kind == MessageType::RESPONSE);
        let Some(header) = header else { return Ok(None) };
        if frame.kind == OVERSIZE {
            let says = format!("the answer is longer than {DATA_MAX} bytes");
            let failed = Called::Failed { code: code::RESOURCE_EXHAUSTED, says };
            return Ok((!self.reads_bodies).then_some((header.stream, failed)));
        }
        let answer = Answer::read(data(&frame.bytes)).ok_or(Lost::Loudly)?;
        let called = match answer.code {
            code::OK => Called::Done(Bytes::copy_from_slice(answer.payload)),
            code => Called::Failed { code, says: String::from_utf8_lossy(answer.message).into_owned() },
        };
        Ok(Some((header.stream, called)))
    }

    /// Numbers streams from the first one again, which no client should do.
    pub fn number_anew(&mut self) {
        self.next = 1;
    }

    /// Calls, and waits for the end of it.
    ///
    /// # Errors
    /// There is none.
    pub async fn call(&mut self, service: &str, method: &str, payload: &[u8]) -> Result<Called, Lost> {
        let stream = self.begin(service, method, payload).await?;
        self.end(stream).await
    }
}

fn within(oversize: Oversize) -> MessageDecoder {
    MessageDecoder::within(Limits { data_max: DATA_MAX, oversize })
}

#[cfg(test)]
mod tests {
    use session::{Connection, Transport};

    use super::*;
    use crate::envelope::Success;

    /// Two ends of a connection: those of a client and of its server.
    fn connected() -> (Calls, Connection) {
        let (client, server) = Connection::pair(Transport::Memory).expect("memory");
        (Calls::over(Caller::over(client, None), PATIENCE), server)
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_call_is_waited_for_no_longer_for_all_that_is_said_of_others() {
        let (mut calls, server) = connected();
        let stream = calls.begin("s.S", "M", b"").await.expect("there is room");
        let begun = tokio::time::Instant::now();
        let floods = async {
            loop {
                tokio::time::sleep(PATIENCE / 10).await;
                let other = envelope::success(stream + 2, Success::Bare, b"");
                server.send(&other, &[], None, PATIENCE).await.expect("there is room");
            }
        };
        let called =
            tokio::select! { called = calls.end(stream) => called, () = floods => unreachable!("for ever") };
        assert_eq!((called, begun.elapsed()), (Err(Lost::Silence), PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_above_the_limit_fails_its_call_and_no_other_one() {
        let (mut calls, server) = connected();
        let streams = [calls.begin("s.S", "M", b"").await, calls.begin("s.S", "M", b"").await];
        let [Ok(long), Ok(short)] = streams else { panic!("there is no room: {streams:?}") };
        let bait = envelope::success(long, Success::Bare, b"bait");
        let mut body = vec![0; DATA_MAX as usize + 1];
        body[..bait.len()].copy_from_slice(&bait);
        let head = Header { stream: long, kind: MessageType::RESPONSE, flags: wire::ttrpc::Flags(0) };
        let answers = [&head.message(&body)[..], &envelope::success(short, Success::Bare, b"short")].concat();
        let answers = Bytes::from(answers);
        let ends = async { (calls.end(long).await, calls.end(short).await) };
        let (ends, sent) = tokio::join!(ends, server.send(&answers, &[], None, PATIENCE));
        sent.expect("all of it is read");
        let says = "the answer is longer than 4194304 bytes".to_owned();
        let failed = Called::Failed { code: code::RESOURCE_EXHAUSTED, says };
        assert_eq!(ends, (Ok(failed), Ok(Called::Done(Bytes::from_static(b"short")))));
    }

    #[test]
    fn a_method_that_is_not_there_is_told_from_an_argument_that_is_not_valid() {
        #[track_caller]
        fn check(code: i64, says: &str, by_code: bool, in_words: bool) {
            let called = Called::Failed { code, says: says.to_owned() };
            assert_eq!(
                (called.is_unknown(), called.is_unknown_in_words()),
                (by_code, in_words),
                "{code} {says}"
            );
        }
        check(code::UNIMPLEMENTED, "method X", true, false);
        check(code::INVALID_ARGUMENT, "/grpc.AgentService/X does not exist", false, true);
        check(code::INVALID_ARGUMENT, "empty add arp neighbours request", false, false);
        check(code::NOT_FOUND, "container c1 does not exist", false, false);
    }
}
