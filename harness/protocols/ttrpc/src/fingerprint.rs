//! Which families a server can be of, by what it answered.

use verdict::{ConnReading, Exchange, FrameAt, Meaning, Reading, ReplyAt};
use wire::Direction;
use wire::protobuf::Schema;
use wire::ttrpc::{HEAD_LEN, Header, MessageType, OVERSIZE, Oversize};

use crate::envelope::{Call, Success, code, data};
use crate::family::{self, Family, NoData, StrayData};

/// The families of each line, oldest first.
const FAMILIES: [&Family; 10] = [
    &family::GO_1_0,
    &family::GO_1_1,
    &family::GO_1_2_0,
    &family::GO_1_2_8,
    &family::RS_SYNC_0_3,
    &family::RS_SYNC_0_8,
    &family::RS_ASYNC_0_5_0,
    &family::RS_ASYNC_0_5_3,
    &family::RS_ASYNC_0_7,
    &family::RS_ASYNC_0_8,
];

/// How a success is written.
fn spelling(data: &[u8]) -> Success {
    if data.starts_with(b"\x0a\0") { Success::EmptyStatus } else { Success::Bare }
}

/// The families that do as a server did, by name, oldest of each line first; none where it was asked nothing that tells them apart, or
/// answered as none of them does. `schema` says what it knows.
///
/// | asked | what tells |
/// |---|---|
/// | an unknown method, an unknown service | the code |
/// | a stream of an even number | whether it is served |
/// | a request without data | the code, and whether it comes before the next message |
/// | a message above the limit | the code, the end of the connection, or that its body is carried out |
/// | data on a stream that is not open | whether it is refused, and whether the server lives on or its process ends |
/// | anything that succeeds | how that is written |
#[must_use]
pub fn fingerprint(reading: &Reading, schema: &Schema) -> Vec<String> {
    let mut suspects = Suspects { left: FAMILIES.to_vec(), is_told: false };
    for conn in &reading.conns {
        let exchanges = conn.exchanges();
        for (at, exchange) in exchanges.iter().enumerate() {
            suspects.hear(conn, exchange, exchanges.get(at + 1), schema);
        }
        suspects.hear_what_came_behind(conn, &exchanges);
    }
    suspects.hear_of_death(reading);
    let told = if suspects.is_told { suspects.left } else { Vec::new() };
    told.iter().map(|family| family.name.to_owned()).collect()
}

/// What a server may still be.
struct Suspects {
    left: Vec<&'static Family>,
    /// Whether anything was asked that tells families apart.
    is_told: bool,
}

impl Suspects {
    fn keep(&mut self, fits: impl Fn(&Family) -> bool) {
        self.is_told = true;
        self.left.retain(|family| fits(family));
    }

    /// Takes an exchange, and the next one of its connection.
    fn hear(
        &mut self,
        conn: &ConnReading,
        exchange: &Exchange<'_>,
        next: Option<&Exchange<'_>>,
        schema: &Schema,
    ) {
        let asked = &exchange.request.frame;
        let Some(header) = Header::of_frame(asked) else { return };
        match header.kind {
            _ if asked.kind == OVERSIZE => return self.hear_of_oversize(conn, exchange),
            MessageType::DATA => return self.hear_of_data(exchange),
            MessageType::REQUEST if data(&asked.bytes).is_empty() && !header.stream.is_multiple_of(2) => {
                return self.hear_of_no_data(conn, exchange, next);
            }
            _ => {}
        }
        let Some((reply, code)) = answer(exchange) else { return };
        if code == code::OK {
            self.keep(|family| family.success == spelling(data(&reply.frame.bytes)));
        }
        let Ok(call) = Call::read(data(&asked.bytes)) else { return };
        if header.kind != MessageType::REQUEST || call.service.is_empty() {
            return;
        }
        let is_known = schema.method(call.service, call.method).is_some();
        match (is_known, header.stream.is_multiple_of(2)) {
            (true, true) => self.keep(|family| family.even_streams == (code == code::OK)),
            (false, false) => {
                let knows_service = schema.service(call.service).is_some();
                self.keep(|family| {
                    code == if knows_service { family.unknown_method } else { family.unknown_service }
                });
            }
            _ => {}
        }
    }

    /// A request without data calls no service.
    fn hear_of_no_data(&mut self, conn: &ConnReading, exchange: &Exchange<'_>, next: Option<&Exchange<'_>>) {
        let answer = answer(exchange);
        let is_before = |event: usize| answer.is_none_or(|(reply, _)| event < reply.event);
        let was_silent = silences(conn, exchange.request).any(is_before);
        let comes_first = |reply: &FrameAt| next.is_none_or(|next| reply.nth < next.request.nth);
        if was_silent {
            self.keep(|family| family.no_data == NoData::AnsweredLate);
        } else if answer.is_some_and(|(reply, _)| comes_first(reply)) {
            self.keep(|family| family.no_data == NoData::Answered);
        }
        if let Some((_, code)) = answer {
            self.keep(|family| family.unknown_service == code);
        }
    }

    fn hear_of_oversize(&mut self, conn: &ConnReading, exchange: &Exchange<'_>) {
        let asked = exchange.request;
        let step = conn.steps.iter().rfind(|step| step.event <= asked.event);
        // Of more than the head, anything may be the reason for an end.
        let head_alone = step.filter(|step| step.sent == HEAD_LEN);
        match (answer(exchange), head_alone) {
            (Some((_, code)), _) if code != code::OK => self.keep(|family| family.oversize.1 == Some(code)),
            (Some(_), _) => self.keep(|family| family.oversize.0 == Oversize::Ignored),
            (None, Some(step)) if step.closed.is_some() && !step.client_ended => {
                self.keep(|family| family.oversize.0 == Oversize::Refused);
            }
            (None, Some(step)) if step.closed.is_none() && step.timeout.is_some() => {
                self.keep(|family| family.oversize.0 != Oversize::Refused);
            }
            _ => {}
        }
    }

    /// Data on a stream that is not open.
    fn hear_of_data(&mut self, exchange: &Exchange<'_>) {
        if answer(exchange).is_some_and(|(_, code)| code != code::OK) {
            self.keep(|family| family.stray_data != StrayData::Ignored);
        }
    }

    /// A process that ends behind such data, and carried out nothing in between, died of it.
    fn hear_of_death(&mut self, reading: &Reading) {
        let steps = || reading.conns.iter().flat_map(|conn| &conn.steps);
        let data = steps().flat_map(|step| &step.requests).filter(|at| is_data(at)).map(|at| at.event).min();
        let exits = reading.exits.iter().filter(|(_, dir, _)| *dir == Direction::ToClient);
        let Some((data, exit)) =
            data.and_then(|data| Some((data, exits.map(|(exit, ..)| *exit).find(|exit| *exit > data)?)))
        else {
            return;
        };
        let mut replies = steps().flat_map(|step| &step.replies);
        let lived_on =
            |reply: &ReplyAt| reply.meaning == Meaning::Success && (data..exit).contains(&reply.at.event);
        if !replies.any(lived_on) {
            self.keep(|family| family.stray_data == StrayData::Kills);
        }
    }

    /// Whoever answers behind data on a stream that is not open lives on; answers to nothing, behind a message above the limit, were
    /// asked in its body.
    fn hear_what_came_behind(&mut self, conn: &ConnReading, exchanges: &[Exchange<'_>]) {
        let behind = exchanges.iter().skip_while(|exchange| !is_data(exchange.request));
        if behind.filter_map(answer).any(|(_, code)| code == code::OK) {
            self.keep(|family| family.stray_data != StrayData::Kills);
        }
        let oversize = exchanges.iter().find(|exchange| exchange.request.frame.kind == OVERSIZE);
        let Some(nth) = oversize.map(|exchange| exchange.request.nth) else { return };
        let mut replies = conn.steps.iter().flat_map(|step| &step.replies).filter(|reply| reply.at.nth > nth);
        if replies.any(|reply| reply.at.exchange.is_none() && reply.meaning.is_answer()) {
            self.keep(|family| family.oversize.0 == Oversize::Ignored);
        }
    }
}

/// What ended an exchange, and its code. What is longer than anybody takes has none.
fn answer<'a>(exchange: &Exchange<'a>) -> Option<(&'a FrameAt, i64)> {
    let (reply, meaning) = exchange.completed?;
    let code = match meaning {
        Meaning::NotSupported => code::UNIMPLEMENTED,
        Meaning::Refused(code) => code,
        _ => code::OK,
    };
    Some((reply.filter(|reply| reply.frame.kind != OVERSIZE)?, code))
}

fn is_data(at: &FrameAt) -> bool {
    Header::of_frame(&at.frame).is_some_and(|header| header.kind == MessageType::DATA)
}

/// When the client had waited in vain, behind what it asked.
fn silences(conn: &ConnReading, asked: &FrameAt) -> impl Iterator<Item = usize> {
    let event = asked.event;
    conn.steps.iter().filter_map(|step| step.timeout).map(|(at, _)| at).filter(move |at| *at > event)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wire::ttrpc::{DATA_MAX, Flags};

    use super::*;
    use crate::envelope::{failure, request, success};
    use crate::testing::{SCHEMA, Talk, good};

    #[track_caller]
    fn check(talk: &Talk, expect: Option<&str>) {
        assert_eq!(named(&fingerprint(&talk.reading(), &SCHEMA)), expect.unwrap_or_default());
    }

    /// Families by name: a line that is left as a whole, and of others the families that follow on each other, by the first and the last
    /// of them.
    fn named(left: &[String]) -> String {
        let is_left = |family: &&Family| left.iter().any(|other| *other == family.name);
        let mut names = Vec::new();
        for families in FAMILIES.chunk_by(|one, next| line(one) == line(next)) {
            if families.iter().all(is_left) {
                names.extend(families.first().map(|family| format!("{}-*", line(family))));
                continue;
            }
            let runs = families.chunk_by(|one, next| is_left(one) == is_left(next));
            names.extend(runs.filter(|run| run.iter().all(is_left)).map(|run| match run {
                [first, .., last] => format!("{} .. {}", first.name, last.name),
                _ => run.iter().map(|family| family.name).collect(),
            }));
        }
        names.join(", ")
    }

    /// The line of a family: `rs-async` of `rs-async-0.8`.
    fn line(family: &Family) -> &'static str {
        family.name.rsplit_once('-').map_or(family.name, |(line, _release)| line)
    }

    fn unknown(stream: u32) -> Bytes {
        request(stream, "s.S", "N", b"")
    }

    fn empty(stream: u32) -> Bytes {
        success(stream, Success::EmptyStatus, b"")
    }

    fn message(stream: u32, kind: MessageType, length: u32) -> Bytes {
        Header { stream, kind, flags: Flags(0) }.with_length(length, b"")
    }

    #[test]
    fn servers_are_told_by_what_they_answer_to_what_they_do_not_know() {
        let refused = |code| Talk::new().asks(unknown(1)).answers(failure(1, code, ""));
        check(&Talk::new(), None);
        check(&refused(code::NOT_FOUND), Some("go-1.0"));
        check(&refused(code::UNIMPLEMENTED), Some("go-1.1 .. go-1.2.8, rs-async-0.7 .. rs-async-0.8"));
        let bare = success(3, Success::Bare, b"");
        check(&refused(code::UNIMPLEMENTED).asks(good(3)).answers(bare), Some("go-1.1 .. go-1.2.8"));
        check(
            &refused(code::UNIMPLEMENTED).asks(good(3)).answers(empty(3)),
            Some("rs-async-0.7 .. rs-async-0.8"),
        );
        check(&refused(code::OK), None);
        let service = Talk::new().asks(request(1, "no.S", "M", b""));
        check(&service.answers(failure(1, code::INVALID_ARGUMENT, "")), Some("rs-sync-*, rs-async-*"));
    }

    #[test]
    fn streams_of_even_numbers_tell() {
        let asked = Talk::new().asks(good(2));
        check(&asked.clone().answers(empty(2)), Some("rs-sync-*, rs-async-0.5.0 .. rs-async-0.5.3"));
        check(
            &asked.answers(failure(2, code::INVALID_ARGUMENT, "")),
            Some("go-*, rs-async-0.7 .. rs-async-0.8"),
        );
        // A method that nobody knows is refused on any stream.
        check(&Talk::new().asks(unknown(2)).answers(failure(2, code::INVALID_ARGUMENT, "")), None);
    }

    #[test]
    fn a_request_without_data_tells_by_its_code_and_its_time() {
        let asked = || Talk::new().asks(message(1, MessageType::REQUEST, 0));
        let refused = |code| failure(1, code, "");
        check(&asked().answers(refused(code::NOT_FOUND)), Some("go-1.0"));
        check(&asked().answers(refused(code::UNIMPLEMENTED)), Some("go-1.1 .. go-1.2.8"));
        check(&asked().answers(refused(code::INVALID_ARGUMENT)), Some("rs-sync-0.8, rs-async-*"));
        check(&asked().silent(), Some("rs-sync-0.3"));
        let late = asked().silent().asks(good(3)).answers(refused(code::INVALID_ARGUMENT)).answers(empty(3));
        check(&late, Some("rs-sync-0.3"));
        // In one write with the next request nobody can say what the answer waited for.
        let at_once = asked().asks(good(3)).answers(refused(code::INVALID_ARGUMENT));
        check(&at_once, Some("rs-sync-*, rs-async-*"));
    }

    #[test]
    fn a_message_above_the_limit_tells_by_what_becomes_of_it() {
        let asked = || Talk::new().asks(message(1, MessageType::REQUEST, DATA_MAX + 1));
        check(&asked().closes(), Some("rs-async-0.5.0 .. rs-async-0.7"));
        check(&asked().silent(), Some("go-*, rs-sync-*, rs-async-0.8"));
        check(&asked().answers(failure(1, code::RESOURCE_EXHAUSTED, "")), Some("go-*"));
        check(&asked().answers(failure(1, code::INVALID_ARGUMENT, "")), Some("rs-sync-0.8, rs-async-0.8"));
        check(&asked().silent().asks(good(7)).answers(empty(7)), Some("rs-sync-0.3"));
        // A client that leaves is hung up on, and behind more than a head anything may be the reason.
        check(&asked().leaves().closes(), None);
        check(
            &Talk::new().asks([message(1, MessageType::REQUEST, DATA_MAX + 1), good(7)].concat()).closes(),
            None,
        );
        // An answer above the limit says nothing.
        check(&Talk::new().asks(unknown(1)).answers(message(1, MessageType::RESPONSE, DATA_MAX + 1)), None);
    }

    #[test]
    fn data_on_a_stream_that_is_not_open_tells_who_lives_on_and_who_dies() {
        let asked = || Talk::new().asks(message(1, MessageType::DATA, 0));
        let refused = || asked().answers(failure(1, code::INVALID_ARGUMENT, ""));
        check(&refused().closes(), Some("go-1.2.0 .. go-1.2.8, rs-async-0.7 .. rs-async-0.8"));
        check(&refused().dies(), Some("go-1.2.0"));
        check(&asked().dies(), Some("go-1.2.0"));
        let bare = || success(3, Success::Bare, b"");
        check(&refused().asks(good(3)).answers(bare()), Some("go-1.2.8"));
        // What ended it behind another answer, nobody knows; and an end before it has other reasons.
        check(&refused().asks(good(3)).answers(bare()).dies(), Some("go-1.2.8"));
        check(
            &Talk::new().asks(good(3)).answers(bare()).dies().asks(message(5, MessageType::DATA, 0)),
            Some("go-*"),
        );
        let lives = asked().asks(good(3)).answers(empty(3));
        check(&lives, Some("rs-sync-*, rs-async-*"));
    }
}
