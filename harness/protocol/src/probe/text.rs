//! Probes as a text: what is sent on one connection, what it is for, and what is waited for.
//!
//! ```text
//! probe unknown-method | an unknown method is refused …     a name, and what it is about; `kills` behind the name where it may
//!   subject not-supported,answer                             a role, and what is expected of each request of it
//!     send good 1; good 3                                    one write
//!     each good 1                                            byte by byte
//!     split 10 30 good 1                                     two writes with 30 ms in between; -7 counts from the end
//!     answer                                                 waits for the answers to the last write
//!     quiet 50 · pause 30                                    takes what comes, or waits, for so many milliseconds
//!     half-close
//! ```
//!
//! How bytes are written, a protocol says. The same text makes a probe between looks at the server, and, called `alone-…`, the
//! conversation that was recorded elsewhere.

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use session::Script;
use transcript::evidence::{Expect, Role};

use super::{Description, REPLY_MS, SUBJECT_CONN, closing, opening};
use crate::{Action, Case, Hazard};

/// Between single bytes.
const EACH_GAP_MS: u64 = 2;
/// In front of the name of a probe that has its connection to itself, as it was recorded elsewhere.
pub const ALONE: &str = "alone-";

/// One probe of a text.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    /// Whether it kills a server that is wrong about it.
    pub kills: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    role: Role,
    expect: Vec<Expect>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Bytes),
    Answer,
    Quiet(u64),
    Pause(u64),
    HalfClose,
}

impl Row {
    /// What is sent and waited for, on an open connection.
    fn play(&self, script: Script, conn: u32) -> Script {
        let mut script = script;
        for (at, part) in self.parts.iter().enumerate() {
            let expect = Expect::list(&part.expect);
            let args = if part.expect.is_empty() { vec![] } else { vec![(Expect::ARG, expect.as_str())] };
            script = match at {
                0 => script.open(conn, part.role, &args),
                _ => script.role(conn, part.role, &args),
            };
            for step in &part.steps {
                script = match step {
                    Step::Send(bytes) => script.send(conn, bytes.clone()),
                    Step::Answer => script.answers(conn, REPLY_MS),
                    Step::Quiet(ms) => script.quiet(conn, *ms),
                    Step::Pause(ms) => script.pause(*ms),
                    Step::HalfClose => script.half_close(conn),
                };
            }
        }
        script.close(conn)
    }

    /// The probe between looks at the server, and with another client behind it.
    #[must_use]
    pub fn case(&self, d: &Description, prefix: &str) -> Case {
        let hazard = if self.kills { Hazard::Disturbs } else { Hazard::Harmless };
        let script = closing(d, self.play(opening(d), SUBJECT_CONN));
        self.made(&format!("{prefix}{}", self.name), hazard, script)
    }

    /// The connection of the probe and nothing else, as it was recorded elsewhere.
    #[must_use]
    pub fn alone(&self, prefix: &str) -> Case {
        let script = self.play(Script::new(), 1);
        self.made(&format!("{ALONE}{prefix}{}", self.name), Hazard::Disturbs, script)
    }

    fn made(&self, name: &str, hazard: Hazard, script: Script) -> Case {
        let id = CaseId::new(CaseKind::Probe, name);
        Case::new(id, self.about, hazard, Action::Script(script.into()))
    }
}

/// Reads a text; `bytes` makes those of one write, in the probe of that name, of what stands behind `send`.
///
/// # Errors
/// The first line that is not understood, and what is wrong with it.
pub fn read(
    text: &'static str,
    bytes: impl Fn(&str, &'static str) -> Option<Bytes>,
) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
        let taken = take_line(&mut rows, line, &bytes);
        taken.ok_or_else(|| format!("line {number}: `{line}` is not understood"))?;
    }
    let is_empty = |row: &&Row| !row.parts.iter().any(|part| part.role == Role::Subject);
    match rows.iter().find(is_empty) {
        Some(row) => Err(format!("`{}` has no subject", row.name)),
        None => Ok(rows),
    }
}

fn take_line(
    rows: &mut Vec<Row>,
    line: &'static str,
    bytes: &impl Fn(&str, &'static str) -> Option<Bytes>,
) -> Option<()> {
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    if word == "probe" {
        let (name, about) = rest.split_once(" | ")?;
        let (name, kills) = match name.strip_suffix(" kills") {
            Some(name) => (name, true),
            None => (name, false),
        };
        rows.push(Row { name, about, kills, parts: Vec::new() });
        return (!name.contains(' ')).then_some(());
    }
    let row = rows.last_mut()?;
    // The same word waits, with a number behind it.
    let role = Role::parse(word).filter(|role| *role != Role::Quiet || rest.is_empty());
    if let Some(role) = role {
        let words = rest.split(',').filter(|word| !word.is_empty());
        let expect = match role {
            Role::Canary => vec![Expect::Answer],
            _ => words.map(Expect::parse).collect::<Option<_>>()?,
        };
        row.parts.push(Part { role, expect, steps: Vec::new() });
        return Some(());
    }
    let name = row.name;
    let steps = &mut row.parts.last_mut()?.steps;
    match word {
        "send" => steps.push(Step::Send(bytes(name, rest)?)),
        "each" => {
            for byte in bytes(name, rest)? {
                steps.extend([Step::Send(Bytes::from(vec![byte])), Step::Pause(EACH_GAP_MS)]);
            }
        }
        "split" => {
            let mut words = rest.splitn(3, ' ');
            let (at, gap): (i64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let bytes = bytes(name, words.next()?)?;
            let len = i64::try_from(bytes.len()).ok()?;
            let at =
                usize::try_from(if at < 0 { len + at } else { at }).ok().filter(|at| *at < bytes.len())?;
            steps.push(Step::Send(bytes.slice(..at)));
            steps.push(if gap > 0 { Step::Pause(gap) } else { Step::Quiet(EACH_GAP_MS) });
            steps.push(Step::Send(bytes.slice(at..)));
        }
        "answer" => steps.push(Step::Answer),
        "quiet" => steps.push(Step::Quiet(rest.parse().ok()?)),
        "pause" => steps.push(Step::Pause(rest.parse().ok()?)),
        "half-close" => steps.push(Step::HalfClose),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(_name: &str, text: &'static str) -> Option<Bytes> {
        (!text.is_empty()).then(|| Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn says_what_is_not_understood() {
        #[track_caller]
        fn check(text: &'static str, expect: &str) {
            assert_eq!(read(text, bytes).expect_err("a wrong text"), expect);
        }
        check("subject answer", "line 1: `subject answer` is not understood");
        check("probe a", "line 1: `probe a` is not understood");
        check("probe a b | c", "line 1: `probe a b | c` is not understood");
        check("probe a | b\n  canary\n    send x", "`a` has no subject");
        check("probe a | b\n subject answr", "line 2: `subject answr` is not understood");
        check("probe a | b\n subject answer\n send", "line 3: `send` is not understood");
        check("probe a | b\n subject answer\n split 99 0 x", "line 3: `split 99 0 x` is not understood");
        check("probe a | b\n subject answer\n quiet x", "line 3: `quiet x` is not understood");
        check("probe a | b\n subject answer\n wait", "line 3: `wait` is not understood");
    }

    #[test]
    fn plays_what_the_text_says() {
        let text = "# a comment\nprobe a kills | b\n subject answer,refusal\n  each xy\n  split -1 0 ab\n  answer\n canary\n  send c\n  half-close";
        let rows = read(text, bytes).expect("a right text");
        let [row] = &rows[..] else { panic!("one probe: {rows:?}") };
        let alone = row.alone("v2-");
        assert_eq!((&*alone.id.name, row.kills, alone.hazard), ("alone-v2-a", true, Hazard::Disturbs));
        let Action::Script(script) = alone.action else { panic!("a script") };
        let expect = Script::new()
            .open(1, Role::Subject, &[(Expect::ARG, "answer,refusal")])
            .send(1, "x")
            .pause(2)
            .send(1, "y")
            .pause(2)
            .send(1, "a")
            .quiet(1, 2)
            .send(1, "b")
            .answers(1, REPLY_MS)
            .role(1, Role::Canary, &[Expect::Answer.arg()])
            .send(1, "c")
            .half_close(1)
            .close(1);
        assert_eq!(script.make(), expect);
    }
}
