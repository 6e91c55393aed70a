//! Containers that run, and reloads, restarts and other releases in the middle.
//!
//! The scenarios are in `scenarios.txt`. What is done to the containers are steps of the role `subject`; in steps of the role
//! `state`, everybody who looks asks for the list of containers and for what the daemon says of itself. Marks say what is due:
//!
//! ```text
//! state     at=before runs=aa,pp              which containers run
//! state     at=after runs=aa,pp due=before    and that the configuration is the one of that point
//! subject   manages=aa expect=answer          a container that runs can be managed
//! ```

use bytes::Bytes;
use matrix::{CaseId, CaseKind};
use protocol::probe::closing;
use protocol::{Action, Case, Deadlines, Hazard};
use session::{Payload, Piece, Script, ServerAct, Step, Successor, Template};
use transcript::ConnId;
use transcript::evidence::{Expect, Role};

use crate::probes;

/// How long an answer may take: a daemon that cannot reach a container takes twelve seconds to end it.
const ANSWER_MS: u64 = 20_000;
/// How long a daemon is left alone that has ended a container, before anybody looks: 26.1.5 answers, and lists it as running for some
/// milliseconds more.
const LISTED_MS: u64 = 300;
/// What a command in a container says.
pub(crate) const ECHO: &str = "managed";

/// Every scenario.
pub(crate) fn all() -> Vec<Case> {
    read(include_str!("scenarios.txt")).unwrap_or_else(|error| unreachable!("a test reads it: {error}"))
}

/// The releases by which the daemon of a case is replaced.
pub(crate) fn replaced_by(case: &CaseId) -> Vec<String> {
    let release = case.name.strip_prefix("upgrade-to-").or_else(|| case.name.strip_prefix("there-and-back-"));
    release.filter(|_| case.kind == CaseKind::Scenario).map(str::to_owned).into_iter().collect()
}

/// Reads `scenarios.txt`. An error names the line.
fn read(text: &'static str) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    let mut title: Option<(&'static str, &'static str)> = None;
    for (at, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let bad = |what: &str| format!("line {at}: {what}");
        match (line.strip_prefix("    "), title.take()) {
            (None, None) => title = Some(line.split_once(": ").ok_or_else(|| bad("no title"))?),
            (Some(steps), Some((name, about))) => {
                let scene = steps.split("; ").try_fold(Scene::default(), |scene, step| {
                    scene.step(step).ok_or_else(|| bad(&format!("`{step}` is no step here")))
                })?;
                cases.push(scene.case(name, about));
            }
            _ => return Err(bad("steps belong behind a title")),
        }
    }
    Ok(cases)
}

/// A script in the making.
#[derive(Default)]
struct Scene {
    script: Script,
    /// How many connections there were.
    conns: u32,
}

/// The first connection of a scenario; those before are for who asks afterwards.
const FIRST: u32 = 10;

impl Scene {
    /// One step, as `scenarios.txt` has it.
    fn step(mut self, step: &str) -> Option<Self> {
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["before", condition] => self.script.condition = Some(condition.to_owned()),
            ["configure", name] => {
                crate::configuration::text(name)?;
                self = self.then(|script| script.server(ServerAct::Configure(name.into())));
            }
            ["reload"] => self = self.then(|script| script.server(ServerAct::Reload)),
            ["restart"] => self = self.then(|script| script.server(ServerAct::Restart)),
            ["crash"] => self = self.then(|script| script.server(ServerAct::CrashRestart)),
            ["replace", "first"] => {
                self = self.then(|script| script.server(ServerAct::Replace(Successor::First)))
            }
            ["replace", release] => {
                self = self.then(|script| script.server(ServerAct::Replace(Successor::release(release))));
            }
            ["sees", at, runs] => self = self.sees(&[("at", at), ("runs", runs)]),
            ["sees", at, runs, due] => {
                self = self.sees(&[("at", at), ("runs", runs), ("due", due.strip_prefix("due=")?)]);
            }
            ["manage", name] => self = self.manages(name),
            ["count", name] => {
                let target = format!("/containers/{name}/stats?stream=0&one-shot=1");
                self = self.asks(&[("counts", name), Expect::Answer.arg()], get(&target).into());
            }
            ["limit", name] => {
                let body = "{\"Image\":\"tiny:1\",\"Cmd\":[\"/bin/true\"],\"HostConfig\":{\"Capabilities\":[\"CHOWN\"]}}";
                let target = format!("/v1.40/containers/create?name={name}");
                self =
                    self.asks(&[("limits", name), Expect::Any.arg()], post(&target, body.as_bytes()).into());
            }
            ["stop", name] => {
                let (conn, stop) = (self.conn(), post(&format!("/containers/{name}/stop?t=1"), b""));
                let args = [("stops", name), Expect::Answer.arg()];
                self = self.then(|script| {
                    let script = script.open(conn, Role::Subject, &args).send(conn, stop);
                    script.answers(conn, ANSWER_MS).quiet(conn, LISTED_MS).close(conn)
                });
            }
            _ => return None,
        }
        Some(self)
    }

    fn then(self, act: impl FnOnce(Script) -> Script) -> Self {
        Self { script: act(self.script), ..self }
    }

    fn conn(&mut self) -> u32 {
        self.conns += 1;
        FIRST + self.conns
    }

    /// Asks on a connection of its own, which a daemon that ends cannot take away from others.
    fn asks(mut self, args: &[(&str, &str)], payload: Payload) -> Self {
        let conn = self.conn();
        self.then(|script| {
            let step = Step::Send { conn: ConnId(conn), payload, fds: Vec::new(), creds: None };
            script.open(conn, Role::Subject, args).then(step).answers(conn, ANSWER_MS).close(conn)
        })
    }

    fn sees(mut self, args: &[(&str, &str)]) -> Self {
        let conn = self.conn();
        self.then(|script| {
            let script = script.watch().open(conn, Role::State, args);
            let script = script.send(conn, get("/containers/json?all=1")).answers(conn, ANSWER_MS);
            script.send(conn, get("/info")).answers(conn, ANSWER_MS).close(conn)
        })
    }

    fn manages(mut self, name: &str) -> Self {
        let args = [("manages", name), Expect::Answer.arg()];
        self = self.asks(&args, get(&format!("/containers/{name}/top")).into());
        let body =
            format!("{{\"AttachStdout\":true,\"AttachStderr\":true,\"Cmd\":[\"/bin/echo\",\"{ECHO}\"]}}");
        let (conn, var) = (self.conn(), format!("exec-{}", self.conns));
        let create = post(&format!("/containers/{name}/exec"), body.as_bytes());
        self = self.then(|script| {
            let script = script.open(conn, Role::Subject, &args).send(conn, create).answers(conn, ANSWER_MS);
            script.capture(conn, "body.Id", &var).close(conn)
        });
        let start = post("/exec/@/start", b"{\"Detach\":false,\"Tty\":false}");
        self = self.asks(&args, quoting(&start, &var));
        self = self.asks(&args, quoting(&get("/exec/@/json"), &var));
        // Last: a daemon may take a container for frozen a little behind its answer that it is not (bug D27).
        for act in ["pause", "unpause"] {
            self = self.asks(&args, post(&format!("/containers/{name}/{act}"), b"").into());
        }
        self
    }

    fn case(self, name: &str, about: &'static str) -> Case {
        let script = closing(&probes::description(), self.script);
        let deadlines = Deadlines { start: std::time::Duration::from_secs(60), ..Deadlines::default() };
        let id = CaseId::new(CaseKind::Scenario, name);
        Case::new(id, about, Hazard::Disturbs, Action::Script(script.into())).within(deadlines)
    }
}

fn get(target: &str) -> Bytes {
    format!("GET {target} HTTP/1.1\r\nHost: d\r\n\r\n").into()
}

fn post(target: &str, body: &[u8]) -> Bytes {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!("POST {target} HTTP/1.1\r\nHost: d\r\n{kind}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat().into()
}

/// A request in which a variable stands where `@` does.
fn quoting(request: &Bytes, var: &str) -> Payload {
    let at = request.iter().position(|byte| *byte == b'@').unwrap_or(request.len());
    let behind = request.slice((at + 1).min(request.len())..);
    let variable = Piece::Variable { var: var.to_owned(), first: None };
    Payload::Template(Template(vec![Piece::Literal(request.slice(..at)), variable, Piece::Literal(behind)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_can_be_read() {
        assert_eq!(read(include_str!("scenarios.txt")).map(|cases| cases.len()), Ok(22));
        for bad in ["a", "    restart", "a: b\n    walk", "a: b\n    configure nothing", "a: b\n    sees x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn releases_take_part_that_the_name_says() {
        let case = |name| CaseId::new(CaseKind::Scenario, name);
        assert_eq!(replaced_by(&case("upgrade-to-26.1.5")), ["26.1.5"]);
        assert_eq!(replaced_by(&case("there-and-back-26.1.5")), ["26.1.5"]);
        assert_eq!(replaced_by(&case("reload-same")), Vec::<String>::new());
    }
}
