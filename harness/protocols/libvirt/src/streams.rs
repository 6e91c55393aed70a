//! Whether a client ends the streams that it takes.
//!
//! ```text
//! server                            client
//! STREAM CONTINUE, bytes
//! STREAM CONTINUE, nothing: the end
//!                                   STREAM OK, or STREAM ERROR
//! STREAM OK
//! ```
//!
//! A stream that a client leaves open keeps its place among the calls that a server works on at a time.
//! Specified by `libvirt/libvirt@v11.3.0:docs/kbase/internals/rpc.rst`; measured with virsh 7.0.0, 9.0.0,
//! 11.3.0 and 12.8.0.

use verdict::checks::Report;
use verdict::{Blame, Check, ConnReading, ExchangeId};
use wire::libvirt_rpc::{Header, MessageType, Status};

use crate::grammar::ends_stream;
use crate::shapes;

/// A client confirms the end of every stream.
pub(crate) const STREAM_CONFIRMED: Check = Check { name: "stream-confirmed", judge: stream_confirmed };

verdict::rules! {
    RULE: "whoever takes a stream to its end confirms that, or says that it failed",
        "libvirt/libvirt@v11.3.0:docs/kbase/internals/rpc.rst";
}

fn stream_confirmed(report: &mut Report<'_>) {
    let evidence = report.evidence;
    for conn in &evidence.reading.conns {
        // Whoever is cut off cannot confirm anything.
        if closed_by_server(conn) {
            continue;
        }
        let replies = conn.steps.iter().flat_map(|step| &step.replies);
        for end in replies.filter(|reply| is_end(&reply.at.frame)) {
            // Of what belongs to no stream, nothing has to be confirmed.
            let Some((stream, header)) = end.at.exchange.zip(Header::of_frame(&end.at.frame)) else {
                continue;
            };
            if !confirms(conn, stream) {
                let serial = header.serial;
                let message =
                    format!("the client took the stream of serial {serial} to its end and said nothing");
                report
                    .violation(shapes::STREAM_LEFT_OPEN, RULE, message)
                    .blame(Blame::Client)
                    .at_reply(conn.conn.0, end)
                    .push("STREAM with status OK or ERROR", "none before it closed");
            }
        }
    }
}

/// Whether the server ended the connection before the client did.
fn closed_by_server(conn: &ConnReading) -> bool {
    let client_ended = conn.steps.iter().any(|step| step.client_ended);
    conn.steps.iter().any(|step| step.closed.is_some()) && !client_ended
}

fn is_end(frame: &wire::Frame) -> bool {
    let header = Header::of_frame(frame);
    header.is_some_and(|header| header.kind == MessageType::STREAM && header.status == Status::CONTINUE)
        && frame.payload().is_empty()
}

fn confirms(conn: &ConnReading, stream: ExchangeId) -> bool {
    let requests = conn.steps.iter().flat_map(|step| &step.requests);
    let of_stream = requests.filter(|at| at.exchange == Some(stream));
    of_stream.filter_map(|at| Header::of_frame(&at.frame)).any(|header| ends_stream(&header))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use matrix::{CaseId, CaseKind};
    use transcript::{ConnId, Data, Event, EventKind, Provenance, Transcript};
    use verdict::{Evidence, Reading};
    use wire::Direction;

    use super::*;
    use crate::request;
    use crate::{DIALECTS, LibvirtGrammar};

    const SHOT: i32 = 211;

    fn stream(status: Status, payload: &[u8]) -> Bytes {
        Header { kind: MessageType::STREAM, status, ..request::header(SHOT, 7) }.message(payload)
    }

    #[track_caller]
    fn check(what: &str, passed: &[(Direction, Bytes)], end: Option<Direction>, expect: &[&str]) {
        let event = |at: usize, dir: Direction, kind: EventKind| Event {
            at_us: u64::try_from(at).unwrap_or(0),
            conn: ConnId(1),
            dir,
            kind,
        };
        let data = |bytes: &Bytes| Data { bytes: bytes.clone(), fds: Vec::new(), creds: None };
        let mut events = vec![event(0, Direction::ToServer, EventKind::Connect)];
        events.extend(
            passed
                .iter()
                .enumerate()
                .map(|(at, (dir, bytes))| event(at + 1, *dir, EventKind::Data(data(bytes)))),
        );
        events.extend(end.map(|dir| event(99, dir, EventKind::Eof(None))));
        let transcript = Transcript { provenance: Provenance::default(), events };
        let grammar = LibvirtGrammar::new(DIALECTS.named("ideal").expect("in the table"));
        let reading = Reading::of(&transcript, &grammar);
        let case = CaseId::new(CaseKind::Client, "screenshot");
        let evidence = Evidence {
            case: &case,
            transcript: &transcript,
            reading: &reading,
            grammar: &grammar,
            recorded: None,
        };
        let found: Vec<String> = STREAM_CONFIRMED.findings(&evidence).into_iter().map(|f| f.shape).collect();
        assert_eq!(found, expect, "{what}");
    }

    #[test]
    fn finds_streams_that_are_left_open() {
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        let call = request::call(SHOT, 7, b"");
        let reply = request::reply(&request::header(SHOT, 7), wire::xdr::Writer::new());
        let begin = [(up, call), (down, reply), (down, stream(Status::CONTINUE, b"part"))];
        let with = |more: &[(Direction, Bytes)]| [&begin[..], more].concat();
        let (end, confirmed) = ((down, stream(Status::CONTINUE, b"")), (up, stream(Status::OK, b"")));
        check("a stream that goes on", &begin, Some(up), &[]);
        check("confirmed", &with(&[end.clone(), confirmed.clone()]), Some(up), &[]);
        check("aborted", &with(&[end.clone(), (up, stream(Status::ERROR, b""))]), Some(up), &[]);
        check("left open", &with(std::slice::from_ref(&end)), Some(up), &["stream-left-open"]);
        check("cut off by the server", &with(std::slice::from_ref(&end)), Some(down), &[]);
        let other = Header { kind: MessageType::STREAM, ..request::header(SHOT, 8) }.message(b"");
        check("another one confirmed", &with(&[end, (up, other)]), Some(up), &["stream-left-open"]);
    }
}
