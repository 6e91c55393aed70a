//! Runs one cell and judges it.

use std::io;
use std::sync::Arc;

use matrix::{CaseId, Expectation, Fit, Verdict};
use protocol::{Deadlines, Hazard, Protocol, captures};
use session::{
    Client, Conversation, LaunchError, LaunchErrorKind, Launcher, Recorder, Script, Server, Start,
    Successors, Transport,
};
use transcript::evidence;
use transcript::{Endpoint, Event, EventKind, Provenance, Transcript};
use verdict::checks::is_only_said;
use verdict::{Evidence, Grammar, Judgement, Reading, Recorded, judge};

use crate::pool::{Pool, Then};
use crate::simulate::{Budget, Share};
use crate::{PlanCell, Work, genuine};

/// What came of one try of a cell.
#[derive(Debug)]
pub enum Executed {
    /// It ran.
    Ran(Box<Judgement>, Arc<Transcript>),
    /// A build is unavailable.
    Missing(String),
    /// It was not run, for a reason that the plan gives.
    Explained(String),
    /// The harness failed.
    Failed(String),
}

/// The peers of a cell and what the run is.
pub(crate) struct Context<'a> {
    pub(crate) protocol: &'a dyn Protocol,
    /// Of the server that is met.
    pub(crate) grammar: Arc<dyn Grammar>,
    /// Of the server from which a replayed fixture was recorded.
    pub(crate) recorded_grammar: Arc<dyn Grammar>,
    pub(crate) pool: Option<&'a Pool>,
    pub(crate) client: Option<&'a dyn Client>,
    /// By what the server may be replaced.
    pub(crate) successors: Successors,
    /// What is known to be wrong.
    pub(crate) expectation: Option<&'a Expectation>,
    pub(crate) transport: Transport,
    /// What cells that handle much share.
    pub(crate) memory: Option<&'a Budget>,
    pub(crate) deadline_scale: f64,
    pub(crate) provenance: &'a Provenance,
}

impl Context<'_> {
    /// Does the work of a cell. Never panics on what peers do; never waits longer than its deadlines.
    pub(crate) async fn execute(&self, cell: &PlanCell) -> Executed {
        let limit = self.deadlines(cell).cell;
        match tokio::time::timeout(limit, self.work(cell)).await {
            Ok(Ok(executed)) => executed,
            Ok(Err(error)) => match error.kind {
                LaunchErrorKind::Missing { .. } => Executed::Missing(error.to_string()),
                _ => Executed::Failed(error.to_string()),
            },
            Err(_elapsed) => Executed::Failed(format!("the cell was not done after {} s", limit.as_secs())),
        }
    }

    fn deadlines(&self, cell: &PlanCell) -> Deadlines {
        cell.deadlines.scaled(self.deadline_scale)
    }

    fn start(&self, cell: &PlanCell) -> Start {
        Start { deadline: self.deadlines(cell).start, transport: self.transport }
    }

    /// Waits until there is memory for a conversation about that many bytes.
    fn share(&self, bytes: u64) -> Option<Share<'_>> {
        self.memory.map(|memory| memory.take(bytes))
    }

    async fn work(&self, cell: &PlanCell) -> Result<Executed, LaunchError> {
        let case = &cell.planned.id.case;
        match &cell.work {
            Work::Judge(fixture) => {
                let transcript = match fixture.load() {
                    Ok(transcript) => Arc::new(transcript),
                    Err(unusable) => return Ok(unusable.into()),
                };
                let _share = self.share(transcript.byte_count());
                let reading = Reading::of(&transcript, &*self.grammar);
                let captured = match captures::checked(&transcript, &reading, &*self.grammar) {
                    Ok(captured) => captured,
                    Err(bad) => return Ok(fixture.damaged(&bad).into()),
                };
                if let Some(Err(what)) = cell
                    .case
                    .as_deref()
                    .map(|case| genuine::check(self.protocol, case, &transcript, &captured))
                {
                    return Ok(fixture.other(what).into());
                }
                let judgement =
                    judge_reading(self.protocol, &*self.grammar, case, (&transcript, &reading), None);
                Ok(Executed::Ran(Box::new(judgement), transcript))
            }
            Work::Play(script) => self.play(cell, &script.make(), None).await,
            Work::Replay(fixture) => match fixture.load() {
                Ok(recorded) => match self.protocol.replay(&recorded) {
                    Ok(script) => self.play(cell, &script, Some(&recorded)).await,
                    Err(bad) => Ok(fixture.damaged(&bad).into()),
                },
                Err(unusable) => Ok(unusable.into()),
            },
            Work::Operate(operation) => self.operate(cell, operation).await,
            Work::Missing(why) => Ok(Executed::Missing(why.clone())),
            Work::Explain(why) => Ok(Executed::Explained(why.clone())),
        }
    }

    async fn play(
        &self,
        cell: &PlanCell,
        script: &Script,
        recorded: Option<&Transcript>,
    ) -> Result<Executed, LaunchError> {
        let pool = self.pool.ok_or_else(|| no_peer(cell, "server"))?;
        if let Some(what) = self.does_not_travel(pool.launcher(), script, recorded) {
            return Ok(Executed::Explained(format!("{what} do not travel over TCP")));
        }
        if let Some(condition) = script.condition.as_ref().filter(|_| !pool.launcher().prepares()) {
            let why = format!("`{condition}` has to be so before, and a command line cannot be told");
            return Ok(Executed::Explained(why));
        }
        let _share = self.share(script.bytes());
        let mut server = pool.take(cell.hazard, self.start(cell)).await?;
        server.set_successors(&self.successors);
        let recorder = Recorder::new();
        let played = Conversation::new(&mut *server, &*self.grammar, &recorder, self.deadline_scale)
            .play(script)
            .await;
        let transcript = self.transcript(cell, &recorder, pool.launcher(), probe_endpoint());
        let case = &cell.planned.id.case;
        let recorded = recorded.map(|transcript| (transcript, &*self.recorded_grammar));
        let judgement = judge_transcript(self.protocol, &*self.grammar, case, &transcript, recorded);
        let then = played.as_ref().map_or(Then::Ends, |()| self.then(cell.hazard, &*server, &judgement));
        pool.give_back(server, then, self.deadlines(cell).start).await;
        match played {
            Ok(()) => Ok(Executed::Ran(Box::new(judgement), Arc::new(transcript))),
            // Through the kernel only root may claim the credentials of somebody else.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && script.claims() => {
                Ok(Executed::Explained(format!("needs root: {error}")))
            }
            Err(error) => Ok(Executed::Failed(format!("the conversation could not go on: {error}"))),
        }
    }

    /// What is sent beside the bytes, by the script or by the recorded server, and would be lost on the way.
    fn does_not_travel(
        &self,
        server: &dyn Launcher,
        script: &Script,
        recorded: Option<&Transcript>,
    ) -> Option<&'static str> {
        if server.transport(self.transport) != evidence::Transport::Tcp {
            return None;
        }
        let mut then = recorded.into_iter().flat_map(|transcript| &transcript.events);
        let passed = |event: &Event| matches!(&event.kind, EventKind::Data(data) if !data.fds.is_empty());
        if script.passes_descriptors() || then.any(passed) {
            return Some("descriptors");
        }
        script.claims().then_some("credentials")
    }

    async fn operate(&self, cell: &PlanCell, operation: &str) -> Result<Executed, LaunchError> {
        let pool = self.pool.ok_or_else(|| no_peer(cell, "server"))?;
        let client = self.client.ok_or_else(|| no_peer(cell, "client"))?;
        let mut server = pool.take(cell.hazard, self.start(cell)).await?;
        server.set_successors(&self.successors);
        let recorder = Recorder::new();
        let deadline = self.deadlines(cell).operation;
        let done = client.run(operation, &mut *server, &recorder, deadline).await;
        let endpoint = Endpoint { command: client.command(operation), ..client.endpoint() };
        let transcript = self.transcript(cell, &recorder, pool.launcher(), endpoint);
        let case = &cell.planned.id.case;
        let judgement = judge_transcript(self.protocol, &*self.grammar, case, &transcript, None);
        let then = done.as_ref().map_or(Then::Ends, |_| self.then(cell.hazard, &*server, &judgement));
        pool.give_back(server, then, self.deadlines(cell).start).await;
        done?;
        Ok(Executed::Ran(Box::new(judgement), Arc::new(transcript)))
    }

    fn then(&self, hazard: Hazard, server: &dyn Server, judgement: &Judgement) -> Then {
        let mut shapes = judgement.shapes();
        let fit = self.expectation.map(|rule| rule.fit(judgement.verdict, &shapes));
        // A restriction leaves nothing behind.
        if judgement.verdict <= Verdict::Degraded {
            shapes.clear();
        }
        then(hazard, server.forgets(), &shapes, fit)
    }

    fn transcript(
        &self,
        cell: &PlanCell,
        recorder: &Recorder,
        server: &dyn Launcher,
        client: Endpoint,
    ) -> Transcript {
        let id = &cell.planned.id;
        let provenance = Provenance {
            protocol: id.protocol.to_string(),
            case: id.case.to_string(),
            client: Endpoint { id: id.client.to_string(), ..client },
            server: Endpoint { id: id.server.to_string(), ..server.endpoint() },
            transport: server.transport(self.transport).word().to_owned(),
            ..self.provenance.clone()
        };
        Transcript { provenance, events: recorder.take() }
    }
}

/// Whether a server may serve the next cell, perhaps when it is reset: nothing was found, or what was expected, and that is only something said,
/// which the server has forgotten.
fn then(hazard: Hazard, forgets: bool, shapes: &[String], fit: Option<Fit>) -> Then {
    let harms_nobody =
        || forgets && fit == Some(Fit::AsExpected) && shapes.iter().all(|shape| is_only_said(shape));
    match hazard {
        Hazard::Harmless if shapes.is_empty() || harms_nobody() => Then::Serves,
        Hazard::Resettable if shapes.is_empty() || harms_nobody() => Then::IsReset,
        Hazard::Harmless | Hazard::Resettable | Hazard::Disturbs => Then::Ends,
    }
}

fn no_peer(cell: &PlanCell, side: &str) -> LaunchError {
    LaunchError::new(
        format!("run `{}`", cell.planned.id),
        LaunchErrorKind::Setup(format!("no {side} of this source can be started")),
    )
}

fn probe_endpoint() -> Endpoint {
    Endpoint {
        id: matrix::BuildId::PROBE.to_owned(),
        name: "wireskew".to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..Endpoint::default()
    }
}

/// Judges a transcript, recorded or fresh: the same function for both.
#[must_use]
pub fn judge_transcript(
    protocol: &dyn Protocol,
    grammar: &dyn Grammar,
    case: &CaseId,
    transcript: &Transcript,
    recorded: Option<(&Transcript, &dyn Grammar)>,
) -> Judgement {
    let reading = Reading::of(transcript, grammar);
    judge_reading(protocol, grammar, case, (transcript, &reading), recorded)
}

fn judge_reading(
    protocol: &dyn Protocol,
    grammar: &dyn Grammar,
    case: &CaseId,
    (transcript, reading): (&Transcript, &Reading),
    recorded: Option<(&Transcript, &dyn Grammar)>,
) -> Judgement {
    let before =
        recorded.map(|(transcript, grammar)| (transcript, grammar, Reading::of(transcript, grammar)));
    let evidence = Evidence {
        case,
        transcript,
        reading,
        grammar,
        recorded: before.as_ref().map(|(transcript, grammar, reading)| Recorded {
            transcript,
            grammar: *grammar,
            reading,
        }),
    };
    let negotiated = protocol.negotiated(transcript, reading);
    let suspects = protocol.suspects(reading);
    let validated = protocol.validated(reading);
    Judgement { suspects, validated, ..judge(&evidence, &protocol.checks(case), negotiated) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_kept_where_it_is_as_good_as_before() {
        #[track_caller]
        fn check(forgets: bool, shapes: &[&str], fit: Option<Fit>, is_as_before: bool) {
            let shapes: Vec<_> = shapes.iter().map(|shape| (*shape).to_owned()).collect();
            for (hazard, best) in [
                (Hazard::Harmless, Then::Serves),
                (Hazard::Resettable, Then::IsReset),
                (Hazard::Disturbs, Then::Ends),
            ] {
                let expect = if is_as_before { best } else { Then::Ends };
                assert_eq!(then(hazard, forgets, &shapes, fit), expect, "{hazard:?} {shapes:?}");
            }
        }
        let expected = Some(Fit::AsExpected);
        check(false, &[], None, true);
        check(true, &["changed-meaning", "not-supported"], expected, true);
        check(false, &["changed-meaning"], expected, false);
        check(true, &["changed-meaning"], None, false);
        check(true, &["changed-meaning"], Some(Fit::Otherwise), false);
        check(true, &["changed-meaning", "no-reply"], expected, false);
        check(true, &["driver-left-behind"], expected, false);
    }
}
