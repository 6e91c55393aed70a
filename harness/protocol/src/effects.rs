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

use session::Recorder;
use transcript::evidence::{ClaimedExit, EXIT, Observation};
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

pub use verdict::checks::UNTOLD;

/// Writes down what is going to be done and what must be so afterwards.
pub fn announce(recorder: &Recorder, operation: &str, expected: Vec<(String, String)>) {
    recorder.observe(Direction::ToServer, Observation::Operation, operation);
    for (key, value) in expected {
        recorder.observe(Direction::ToServer, Observation::parse(&key), value);
    }
}

/// What a client that is right comes to, as keys and values of observations.
#[must_use]
pub fn expected(exit: i32, claims: &[(&str, &str)], effects: &[(&str, &str)]) -> Vec<(String, String)> {
    let key = |name: &str| Observation::Expected(name).key().into_owned();
    let exit = [(key(EXIT), exit.to_string())];
    let claim = |claim: &str| key(&Observation::Claim(claim).key());
    let claims = claims.iter().map(|(name, value)| (claim(name), (*value).to_owned()));
    let effects = effects.iter().map(|(effect, value)| (key(effect), (*value).to_owned()));
    exit.into_iter().chain(claims).chain(effects).collect()
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
