//! The daemon's service for events, as far as a shim without a daemon needs it: every event is taken.
//!
//! Where nobody answers there, each event holds the shim up for the 5 s in which it dials.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::launch::Place;
use protocol::reference::call::{Caller, End};
use session::{Address, Listener};
use tokio::task::{JoinHandle, JoinSet};
use ttrpc::Values;
use ttrpc::envelope::{self, Call, Success, data};
use wire::ttrpc::{Header, MessageDecoder, MessageType};

use super::place::run;

/// Where shims are told that it is, below `/run`.
const SOCKET: &str = "containerd/containerd.sock.ttrpc";
/// Where it is made, in the slot's directory: the path of the other place is too long.
const MADE: &str = "events";
/// Shims that may wait to be accepted.
const BACKLOG: usize = 16;
/// How long a shim may be silent before it is asked again whether it speaks.
const SILENCE: Duration = Duration::from_secs(600);
/// How long a shim may refuse an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Most events that are remembered.
const EVENTS_MAX: usize = 4096;

/// Takes events.
#[derive(Debug)]
pub(super) struct Events {
    task: JoinHandle<()>,
    topics: Topics,
}

/// What the events were about, in the order in which they came.
type Topics = Arc<Mutex<Vec<String>>>;

impl Events {
    /// Takes them from now on, in place of whoever did.
    pub(super) fn take(place: &Place) -> io::Result<Self> {
        let made = place.work().join(MADE);
        let listener = Listener::bind(Address::Path(made.clone()), BACKLOG)?;
        fs::rename(made, run(place).join(SOCKET))?;
        let topics = Topics::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&topics)));
        Ok(Self { task, topics })
    }

    /// Takes no more: nobody listens there from now on.
    pub(super) fn end(&self, place: &Place) -> io::Result<()> {
        self.task.abort();
        fs::remove_file(run(place).join(SOCKET))
    }

    /// The topics of all events so far.
    pub(super) fn topics(&self) -> Vec<String> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: Listener, topics: Topics) {
    // Dropped with this task: ends those of all shims.
    let mut shims = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(shim) => drop(shims.spawn(answer(Caller::over(shim, None), Arc::clone(&topics)))),
                // Out of descriptors: those that end give theirs back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = shims.join_next() => {}
        }
    }
}

/// Answers one shim until it goes, or sends what is no message.
async fn answer(mut shim: Caller, topics: Topics) {
    let mut decoder = MessageDecoder::new();
    loop {
        let frame = match shim.frame(&mut decoder, SILENCE).await {
            Ok(frame) => frame,
            Err(End::Timeout) => continue,
            Err(End::Eof | End::Reset | End::Unreadable(_)) => return,
        };
        let header = Header::of_frame(&frame).filter(|header| header.kind == MessageType::REQUEST);
        let Some(header) = header else { continue };
        if let Some(topic) = topic(data(&frame.bytes)) {
            let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
            if topics.len() < EVENTS_MAX {
                topics.push(topic);
            }
        }
        let taken = envelope::success(header.stream, Success::Bare, &[]);
        if shim.send(taken, None, ANSWER_DEADLINE).await.is_err() {
            return;
        }
    }
}

/// What an event is about: `ForwardRequest{Envelope envelope=1}`, `Envelope{.. topic=3; ..}`.
fn topic(request: &[u8]) -> Option<String> {
    let call = Call::read(request).ok()?;
    Some(Values(call.payload).message(1).text(3)).filter(|topic| !topic.is_empty())
}

#[cfg(test)]
mod tests {
    use wire::protobuf::Writer;

    use super::*;

    #[test]
    fn reads_what_an_event_is_about() {
        let envelope = Writer::new().text(2, "lab").text(3, "/tasks/exit");
        let forward = Writer::new().message(1, envelope).finish();
        let request = envelope::call("containerd.services.events.ttrpc.v1.Events", "Forward", &forward);
        assert_eq!(topic(&request).as_deref(), Some("/tasks/exit"));
        assert_eq!(topic(&envelope::call("a", "b", &[])), None);
        assert_eq!(topic(b"\xff"), None);
    }
}
