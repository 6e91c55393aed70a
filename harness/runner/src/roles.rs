//! Gives a conversation that was recorded elsewhere the roles of its case.
//!
//! What a part of a recording is for is not in its bytes. Where a case has a script, its marks are put in front of the bytes that the
//! script sends behind them; whether those are the same bytes is asked when the recording is judged, and not here.

use std::collections::BTreeMap;

use session::{Script, Step};
use transcript::{ConnId, Event, EventKind, Mark, Transcript};
use wire::Direction;

/// A mark of a connection, and how much was sent on it before.
struct Due {
    at: usize,
    mark: Mark,
}

/// Puts the marks of a script into a conversation that has none.
pub fn give_roles(script: &Script, transcript: &mut Transcript) {
    if transcript.events.iter().any(|event| matches!(event.kind, EventKind::Mark(_))) {
        return;
    }
    let mut due = marks_of(script);
    let mut sent: BTreeMap<ConnId, usize> = BTreeMap::new();
    let mut marked = Vec::with_capacity(transcript.events.len());
    for event in transcript.events.drain(..) {
        let is_client = event.dir == Direction::ToServer && event.kind != EventKind::Connect;
        let left = due.get_mut(&event.conn).filter(|_| is_client && event.conn != ConnId(0));
        let so_far = sent.entry(event.conn).or_default();
        if let Some(left) = left {
            let ends = matches!(event.kind, EventKind::Eof(_) | EventKind::Reset);
            let come = left.iter().take_while(|due| due.at <= *so_far || ends).count();
            marked.extend(
                left.drain(..come).map(|due| Event { kind: EventKind::Mark(due.mark), ..event.clone() }),
            );
        }
        if let (EventKind::Data(data), Direction::ToServer) = (&event.kind, event.dir) {
            *so_far += data.bytes.len();
        }
        marked.push(event);
    }
    // What the script would still have done on a connection that the server has closed.
    let at_us = marked.last().map_or(0, |event| event.at_us);
    for (conn, left) in due {
        let never = left.into_iter().map(|due| EventKind::Mark(due.mark));
        marked.extend(never.map(|kind| Event { at_us, conn, dir: Direction::ToServer, kind }));
    }
    transcript.events = marked;
}

fn marks_of(script: &Script) -> BTreeMap<ConnId, Vec<Due>> {
    let mut due: BTreeMap<ConnId, Vec<Due>> = BTreeMap::new();
    let mut sent: BTreeMap<ConnId, usize> = BTreeMap::new();
    for step in &script.steps {
        match step {
            Step::Mark(conn, mark) => {
                let at = sent.get(conn).copied().unwrap_or(0);
                due.entry(*conn).or_default().push(Due { at, mark: mark.clone() });
            }
            Step::Send { conn, payload, .. } => *sent.entry(*conn).or_default() += payload.literal_len(),
            _ => {}
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use transcript::Data;
    use transcript::evidence::Role;

    use super::*;

    fn event(dir: Direction, kind: EventKind) -> Event {
        Event { at_us: 0, conn: ConnId(1), dir, kind }
    }

    fn sent(text: &'static str) -> Event {
        event(Direction::ToServer, EventKind::Data(Data { bytes: text.into(), ..Data::default() }))
    }

    #[test]
    fn marks_stand_in_front_of_what_was_sent_behind_them() {
        let script = Script::new()
            .open(1, Role::Subject, &[])
            .send(1, "ab")
            .role(1, Role::Canary, &[])
            .send(1, "c")
            .role(1, Role::Quiet, &[])
            .close(1);
        let gone = event(Direction::ToServer, EventKind::Eof(None));
        #[track_caller]
        fn check(script: &Script, events: Vec<Event>, expect: &[&str]) {
            let mut transcript = Transcript { events, ..Transcript::default() };
            give_roles(script, &mut transcript);
            let word = |event: &Event| match &event.kind {
                EventKind::Mark(mark) => mark.label.clone(),
                EventKind::Data(data) => String::from_utf8_lossy(&data.bytes).into_owned(),
                EventKind::Eof(_) => "end".to_owned(),
                _ => "connect".to_owned(),
            };
            assert_eq!(transcript.events.iter().map(word).collect::<Vec<_>>(), expect);
        }
        let connect = event(Direction::ToServer, EventKind::Connect);
        let whole = vec![connect.clone(), sent("a"), sent("b"), sent("c"), gone.clone()];
        check(&script, whole, &["connect", "subject", "a", "b", "canary", "c", "quiet", "end"]);
        let cut = vec![connect.clone(), sent("ab"), event(Direction::ToClient, EventKind::Eof(None))];
        check(&script, cut, &["connect", "subject", "ab", "end", "canary", "quiet"]);
        let marked = vec![connect, event(Direction::ToServer, EventKind::Mark(Mark::default())), sent("ab")];
        check(&script, marked, &["connect", "", "ab"]);
    }
}
