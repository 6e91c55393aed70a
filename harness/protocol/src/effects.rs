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
//! claim.exit         c2s        when the client has ended          `0`, `1` …, `signal-11`, `none`
//! claim.<word>       c2s        when the client has ended          what the client said, e.g. its state
//! effect.<effect>    s2c        after the client has ended         what really is so
//! detail.<effect>    s2c        beside it, for people              the text that it was read from
//! ```
//!
//! `none` stands for a client that was killed when its deadline passed. An `Exit` event of direction
//! `ToServer` is recorded beside `claim.exit`. An effect that cannot be seen is not written at all, or as
//! [`UNTOLD`] where that cannot be the client's doing.
//! `verdict::checks::EffectMatchesClaim` says how a check reads this.

use session::Recorder;
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

pub use verdict::checks::UNTOLD;

/// Key under which the name of the operation is written.
pub const OPERATION: &str = "operation";
/// Prefix of the keys that say what must be so.
pub const EXPECTED: &str = "expected.";
/// Prefix of the keys that say what the client says.
pub const CLAIM: &str = "claim.";
/// Prefix of the keys that say what really is so.
pub const EFFECT: &str = "effect.";
/// Prefix of the keys that hold the text from which an effect was read.
pub const DETAIL: &str = "detail.";

/// The exit code, as an effect-like word: `expected.exit`, `claim.exit`.
pub const EXIT: &str = "exit";

/// Writes down what is going to be done and what must be so afterwards.
pub fn announce(recorder: &Recorder, operation: &str, expected: Vec<(String, String)>) {
    recorder.observe(Direction::ToServer, OPERATION, operation);
    for (key, value) in expected {
        recorder.observe(Direction::ToServer, &key, value);
    }
}

/// What a client that is right comes to, as keys and values of observations.
#[must_use]
pub fn expected(exit: i32, claims: &[(&str, &str)], effects: &[(&str, &str)]) -> Vec<(String, String)> {
    let exit = [(format!("{EXPECTED}{EXIT}"), exit.to_string())];
    let claims =
        claims.iter().map(|(claim, value)| (format!("{EXPECTED}{CLAIM}{claim}"), (*value).to_owned()));
    let effects = effects.iter().map(|(effect, value)| (format!("{EXPECTED}{effect}"), (*value).to_owned()));
    exit.into_iter().chain(claims).chain(effects).collect()
}

/// Writes down how the client ended; `None` when its deadline passed.
pub fn claim_exit(recorder: &Recorder, exit: Option<ExitStatus>) {
    let word = match exit {
        Some(ExitStatus::Code(code)) => code.to_string(),
        Some(ExitStatus::Signal(signal)) => format!("signal-{signal}"),
        Some(ExitStatus::Gone) => "gone".to_owned(),
        None => "none".to_owned(),
    };
    if let Some(status) = exit {
        recorder.record(ConnId(0), Direction::ToServer, EventKind::Exit(status));
    }
    claim(recorder, EXIT, &word);
}

/// Writes down what the client said.
pub fn claim(recorder: &Recorder, word: &str, value: &str) {
    recorder.observe(Direction::ToServer, &format!("{CLAIM}{word}"), value);
}

/// Writes down what really is so.
pub fn effect(recorder: &Recorder, effect: &str, value: &str) {
    recorder.observe(Direction::ToClient, &format!("{EFFECT}{effect}"), value);
}

/// Writes down the text from which an effect was read.
pub fn detail(recorder: &Recorder, effect: &str, text: &str) {
    recorder.observe(Direction::ToClient, &format!("{DETAIL}{effect}"), text);
}
