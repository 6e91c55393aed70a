//! Makes a script of what recorded hosts said.
//!
//! There are no replies to wait for, so the script keeps the rhythm of the recording: what a heartbeat apart was then is
//! a heartbeat of the reference agents apart now. Where the agent's process was replaced, the agent is restarted behind the
//! connection that stays open, or the release comes that the header names for that time.

use session::{Script, ServerAct, Step, Successor};
use transcript::{ConnId, EventKind, Transcript};
use wire::Direction;

use super::HEARTBEAT_MS;
use super::checks::period_us;
use super::scenarios::NO_HOOKS;

/// How many heartbeats the last host stays to hear what is still to come.
const LAST_BEATS: u64 = 4;

/// The script of a recorded conversation.
pub(super) fn script(recorded: &Transcript) -> Script {
    let beat_us = period_us(recorded);
    let ms = |us: u64| us.saturating_mul(HEARTBEAT_MS) / beat_us;
    let mut script = Script { condition: condition(recorded), ..Script::new() };
    let mut last_us = 0;
    let mut open: Option<ConnId> = None;
    for event in &recorded.events {
        let step = match (&event.kind, event.dir) {
            (EventKind::Connect, Direction::ToServer) => Step::Connect(event.conn),
            (EventKind::Connect, Direction::ToClient) => Step::Server(fate(recorded, last_us, event.at_us)),
            (EventKind::Data(data), Direction::ToServer) => {
                let payload = data.bytes.clone().into();
                Step::Send { conn: event.conn, payload, fds: Vec::new(), creds: None }
            }
            (EventKind::Eof(_), Direction::ToServer) => Step::Close(event.conn),
            _ => continue,
        };
        // Rounded on the way up, so that many short gaps do not vanish.
        let gap_ms = ms(event.at_us).saturating_sub(ms(last_us));
        // An agent that is busy needs a moment to see that a host is gone, or to read what it left.
        let comes_or_goes = event.at_us > 0 && matches!(step, Step::Connect(_) | Step::Close(_));
        let pause_ms = if comes_or_goes { gap_ms.max(HEARTBEAT_MS) } else { gap_ms };
        if pause_ms > 0 {
            script.steps.push(listen(open, pause_ms));
        }
        last_us = event.at_us;
        let ends = matches!(step, Step::Close(_)) && event.at_us == end_us(recorded);
        if ends {
            script.steps.push(listen(open, LAST_BEATS * HEARTBEAT_MS));
        }
        open = match step {
            Step::Connect(conn) => Some(conn),
            Step::Close(_) => None,
            _ => open,
        };
        script.steps.push(step);
    }
    script
}

/// What happened to the agent between two times.
fn fate(recorded: &Transcript, before_us: u64, at_us: u64) -> ServerAct {
    let header = &recorded.provenance;
    let agent = |at_us: u64| {
        let change = header.builds.iter().rev().find(|change| change.from_us <= at_us);
        change.map_or(&header.server, |change| &change.server)
    };
    let (before, now) = (agent(before_us), agent(at_us));
    match &now.version {
        Some(version) if now.id != before.id => ServerAct::Replace(Successor::release(version.as_str())),
        _ => ServerAct::CrashRestart,
    }
}

/// Time passes; whoever is connected listens.
fn listen(open: Option<ConnId>, ms: u64) -> Step {
    match open {
        Some(conn) => Step::AwaitQuiet { conn, quiet_ms: ms },
        None => Step::Pause { ms },
    }
}

/// Hooks were installed in the guest only where lifecycle events were what the recording is about.
fn condition(recorded: &Transcript) -> Option<String> {
    (recorded.provenance.case != "scenario/lifecycle").then(|| NO_HOOKS.to_owned())
}

/// When the last host went.
fn end_us(recorded: &Transcript) -> u64 {
    let ends = |kind: &EventKind| matches!(kind, EventKind::Eof(_));
    let host = recorded.events.iter().filter(|event| event.dir == Direction::ToServer && ends(&event.kind));
    host.map(|event| event.at_us).last().unwrap_or(0)
}
