//! The words in which the effects of a client's operation are written down, for every protocol.
//!
//! An exit code is no evidence. So each operation names the *effects* that it is for, and whoever carries
//! it out, reference client or launcher of a real tool, observes them by other means than the client's
//! word. All of it is written with [`session::Recorder::observe`]:
//!
//! ```text
//! key                direction  written when                       value
//! operation          c2s        before the operation               its name
//! expected.exit      c2s        before the operation               exit code of a client that is right
//! expected.<effect>  c2s        before the operation               what must be so afterwards
//! claim.exit         c2s        when the client has ended          `0`, `1` …, `signal-11`, `gone`, `none`
//! claim.<word>       c2s        when the client has ended          what the client said, e.g. its state
//! effect.<effect>    s2c        after the client has ended         what really is so
//! detail.<effect>    s2c        next to it, for people             the text that it was read from
//! ```
//!
//! [`ClaimedExit`] has the words of `claim.exit`; an `Exit` event of direction `ToServer` is recorded with it. An effect that
//! cannot be seen is not written at all, or as [`UNTOLD`] where that cannot be the client's doing.
//! `verdict::checks::EFFECT_MATCHES_CLAIM` says how a check reads this.

use matrix::{CaseId, CaseKind};
use session::Recorder;
use transcript::evidence::{ClaimedExit, EXIT, Expectation, Observation};
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

use crate::{Action, Case, Deadlines, Hazard};
pub use verdict::checks::UNTOLD;

/// One thing that a client can do, and what it is for.
pub trait Operation: Sync + 'static {
    /// Its name, which is that of its case.
    fn name(&self) -> &str;

    /// What it does, in one sentence.
    fn about(&self) -> &'static str;

    /// The kind of its case.
    fn kind(&self) -> CaseKind {
        CaseKind::Client
    }

    /// What it does to the server.
    fn hazard(&self) -> Hazard {
        Hazard::Disturbs
    }

    /// How long it may take, and its server to start.
    fn deadlines(&self) -> Deadlines {
        Deadlines::default()
    }

    /// What has to be so before, as a word of `Server::prepare`.
    fn condition(&self) -> Option<&'static str> {
        None
    }

    /// What a client that is right comes to; see [`expected`].
    fn expected(&self) -> Vec<Expectation>;

    /// Writes down what is going to be done and what must be so afterwards.
    fn announce(&self, recorder: &Recorder) {
        announce(recorder, self.name(), &self.expected());
    }

    /// The case in which it is carried out.
    fn case(&'static self) -> Case {
        let id = CaseId::new(self.kind(), self.name());
        Case::new(id, self.about(), self.hazard(), Action::Operation(self.name())).within(self.deadlines())
    }
}

/// Writes down what is going to be done and what must be so afterwards.
pub(crate) fn announce(recorder: &Recorder, operation: &str, expected: &[Expectation]) {
    recorder.observe(Direction::ToServer, Observation::Operation, operation);
    for expectation in expected {
        recorder.observe(Direction::ToServer, expectation.observation(), expectation.value.as_str());
    }
}

/// What a client that is right comes to.
#[must_use]
pub fn expected(exit: i32, claims: &[(&str, &str)], effects: &[(&str, &str)]) -> Vec<Expectation> {
    let claims = claims.iter().map(|(word, value)| Expectation::claim(word, value));
    let effects = effects.iter().map(|(effect, value)| Expectation::effect(effect, value));
    [Expectation::exit(exit)].into_iter().chain(claims).chain(effects).collect()
}

/// Writes down how the client ended; `None` when its deadline passed.
pub fn claim_exit(recorder: &Recorder, exit: Option<ExitStatus>) {
    if let Some(status) = exit {
        recorder.record(ConnId(0), Direction::ToServer, EventKind::Exit(status));
    }
    claim(recorder, EXIT, &ClaimedExit(exit).to_string());
}

/// Writes down what the client said.
pub fn claim(recorder: &Recorder, word: &str, value: &str) {
    recorder.observe(Direction::ToServer, Observation::Claim(word), value);
}

/// Writes down what really is so.
pub fn effect(recorder: &Recorder, effect: &str, value: &str) {
    recorder.observe(Direction::ToClient, Observation::Effect(effect), value);
}

/// Writes down the text from which an effect was read.
pub fn detail(recorder: &Recorder, effect: &str, text: &str) {
    recorder.observe(Direction::ToClient, Observation::Detail(effect), text);
}
