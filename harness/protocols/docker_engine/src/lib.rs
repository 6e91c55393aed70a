//! `docker-engine`: the Docker Engine API between clients and the daemon, over HTTP/1.1 on a socket.
//!
//! Specified by `moby/moby`, `api/swagger.yaml`. The version of the API is a prefix of the path; a daemon announces its highest one in
//! a header of its answer to `/_ping`, and both settle on the lower one of the two maxima. Attach and exec leave HTTP, for bytes that
//! are multiplexed or a terminal's.
//!
//! ```text
//! dialect.rs     what each release does, as data     releases.rs   the table, one entry for each change
//! version.rs     versions of the API, and prefixes   names.rs      which endpoint a request is for
//! grammar.rs     how a dialect is read               message.rs    requests and answers, part by part
//! probes.rs      what is asked of every daemon, from texts in probes/
//! operations.rs  what CLIs do                        settings.rs   how daemons and CLIs are run
//! contents.rs    what single replies have to say
//! scenarios.rs   reloads, restarts, other releases   configuration.rs  what daemons are told in them
//! documented.rs  what documents of the user say of replies
//! checks.rs      what clients and daemons must hold  states.rs     what they say of containers
//! recorded.rs    what was recorded elsewhere         lock.rs       what every release has promised
//! reference/     daemons, and a CLI                  link.rs       one connection, as who asks has it
//! launch/        real daemons and CLIs               claims.rs     what a CLI claims, by what it prints
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use matrix::swagger::Documents;
use matrix::{Build, CaseId, CaseKind, Role};
use protocol::dialect::Releases;
use protocol::effects::Operation;
use protocol::launch::At;
use protocol::probe::text::ALONE;
use protocol::{Case, Defect, Peers, Protocol};
use transcript::Transcript;
use verdict::checks::{
    ALONE_COMPLETE, ANSWERED_AS_DUE, ANSWERED_ONCE, PAYLOAD_DRAINED, READABLE_REPLIES, STAYS_UP,
};
use verdict::{Check, Cited, Grammar, Reading};
use wire::http1::{Request, Response};

mod checks;
mod claims;
mod configuration;
mod contents;
mod dialect;
mod documented;
mod grammar;
mod launch;
mod link;
mod lock;
mod message;
mod names;
mod operations;
mod probes;
mod recorded;
mod reference;
mod releases;
mod scenarios;
mod settings;
mod shapes;
mod states;
mod version;

use dialect::DIALECTS;
use grammar::EngineGrammar;
use version::Asked;

/// Name of the protocol.
const NAME: &str = "docker-engine";

/// The protocol in all its dialects.
#[must_use]
pub fn protocol() -> Arc<dyn Protocol> {
    Arc::new(DockerEngine::default())
}

#[derive(Debug, Clone, Default)]
struct DockerEngine {
    /// What the user has given of the API.
    documents: Option<Arc<Documents>>,
}

impl Protocol for DockerEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn alias(&self) -> &'static str {
        "docker"
    }

    fn about(&self) -> &'static str {
        "the Docker Engine API (moby, api/swagger.yaml)"
    }

    fn framing(&self) -> &'static str {
        "http1"
    }

    fn releases(&self) -> Option<&'static dyn Releases> {
        Some(&DIALECTS)
    }

    fn grammar(&self, dialect: &str) -> Option<Arc<dyn Grammar>> {
        Some(Arc::new(EngineGrammar::new(DIALECTS.for_version(dialect)?).with(self.documents.clone())))
    }

    fn cases(&self) -> Vec<Case> {
        let operations = operations::OPERATIONS.iter().map(Operation::case);
        let cases =
            probes::all().into_iter().chain(operations).chain(scenarios::all()).chain(recorded::cases());
        cases.map(|case| case.within(operations::DEADLINES)).collect()
    }

    fn operations(&self) -> Vec<&'static dyn Operation> {
        operations::OPERATIONS.iter().map(|operation| operation as &dyn Operation).collect()
    }

    fn lacks(&self, client: &Build, case: &CaseId) -> Option<String> {
        let client = DIALECTS.for_version(&client.dialect)?;
        let needs = case.is(CaseKind::Client, "annotated").then_some(version::api(43))?;
        (client.api_max < needs).then(|| format!("a CLI of its release has no option of API {needs}"))
    }

    fn is_without(&self, daemon: &Build, case: &CaseId) -> Option<String> {
        let daemon = DIALECTS.for_version(&daemon.dialect)?;
        let leaves = probes::is_h2_preface(case) && daemon.http.prior_knowledge;
        leaves.then(|| "it speaks HTTP/2 to who begins with its preface, which is another framing".to_owned())
    }

    fn cannot_replay(&self, case: &CaseId) -> Option<&'static str> {
        probes::cannot_replay(case).or_else(|| recorded::cannot_replay(case))
    }

    /// The container that a recording was made with has a name of its own.
    fn condition(&self, recorded: &Transcript) -> Option<String> {
        condition_of(recorded)
    }

    fn checks(&self, case: &CaseId) -> Vec<Check> {
        let documented = self.documents.is_some().then_some(documented::DOCUMENTED);
        let own = [checks::ERRORS, checks::SAYS_IT_CLOSES, checks::MANAGEABLE, contents::CONTENTS];
        let agreed = (case.kind == CaseKind::Client).then_some(checks::AGREED_ON);
        let of_kind = match case.kind {
            CaseKind::Replay => {
                return verdict::checks::of(case.kind).into_iter().chain(documented).collect();
            }
            _ if recorded::is_recorded(case) => {
                vec![recorded::RECORDED_COMPLETE, recorded::AS_RECORDED, ANSWERED_ONCE, READABLE_REPLIES]
            }
            CaseKind::Probe if case.name.starts_with(ALONE) => {
                vec![
                    ALONE_COMPLETE,
                    ANSWERED_AS_DUE,
                    ANSWERED_ONCE,
                    PAYLOAD_DRAINED,
                    READABLE_REPLIES,
                    STAYS_UP,
                ]
            }
            kind => verdict::checks::of(kind),
        };
        let states = (case.kind == CaseKind::Scenario).then_some(states::STATES);
        of_kind.into_iter().chain(own).chain(documented).chain(agreed).chain(states).collect()
    }

    fn rules(&self) -> Vec<Cited> {
        let own = checks::RULES.iter().chain(documented::RULES).copied();
        own.chain(recorded::rules()).chain(contents::rules()).chain(states::rules()).collect()
    }

    /// The first version that was asked for and taken; without a prefix it is the daemon's own, which it announces.
    fn negotiated(&self, _transcript: &Transcript, reading: &Reading) -> Option<String> {
        let replies = reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.replies);
        let settled = replies.filter_map(|reply| {
            let request = reply.request.as_ref().and_then(Request::of)?;
            let response = Response::of(&reply.at.frame)?;
            let asked = Asked::of(request.target);
            let body = wire::http1::Body::of(&reply.at.frame);
            let text = body.and_then(|body| message::error_text(&response, &body.data)).unwrap_or_default();
            if asked.path == "/_ping" || (response.status == 400 && text.contains("client version")) {
                return None;
            }
            let own = || String::from_utf8(response.headers.get("api-version")?.to_vec()).ok();
            asked.version().map(|version| version.to_string()).or_else(own)
        });
        settled.into_iter().next()
    }

    fn documented_by(&self, documents: &Arc<Documents>) -> Option<Arc<dyn Protocol>> {
        Some(Arc::new(Self { documents: Some(Arc::clone(documents)) }))
    }

    fn validated(&self, reading: &Reading) -> BTreeMap<String, usize> {
        self.documents
            .as_deref()
            .map(|documents| documented::validated(documents, reading))
            .unwrap_or_default()
    }

    fn lock_table(&self) -> matrix::LockTable {
        lock::lock_table()
    }

    fn takes_part(&self, case: &CaseId) -> Option<String> {
        scenarios::replaced_by(case).pop()
    }

    fn replaced_by(&self, case: &CaseId) -> Vec<String> {
        scenarios::replaced_by(case)
    }

    fn defects(&self) -> &'static [Defect] {
        reference::DEFECTS
    }

    /// Whoever serves the API.
    fn speaks_at(&self, role: Role) -> &'static [At] {
        if role == Role::Server { &[At::Socket, At::Tcp] } else { &[] }
    }

    fn peers(&self) -> Peers {
        Peers {
            reference_server: Some(reference::server),
            reference_client: Some(reference::client),
            real_server: Some(launch::server),
            real_client: Some(launch::client),
        }
    }
}

/// What is asked for below these paths needs an image or a container.
const NEEDS: [&str; 6] = ["/build", "/containers/", "/events", "/exec/", "/images/", "/system/"];

/// What a daemon must have before a recording is played to it: what the requests of the recording name.
fn condition_of(recorded: &Transcript) -> Option<String> {
    let case: CaseId = recorded.provenance.case.parse().ok()?;
    if let Some(operation) = operations::operation(&case.name).filter(|_| case.kind == CaseKind::Client) {
        return Some(operation.before.to_owned());
    }
    if !recorded::is_recorded(&case) {
        return None;
    }
    let grammar = EngineGrammar::new(DIALECTS.for_version(recorded.provenance.server.version.as_deref()?)?);
    let reading = Reading::of(recorded, &grammar);
    let replies = || reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.replies);
    let named = replies().filter(|reply| reply.meaning == verdict::Meaning::Success).find_map(|reply| {
        let request = reply.request.as_ref().and_then(Request::of)?;
        let asked = Asked::of(request.target);
        let container = names::container(asked.path).filter(|name| !is_id(name));
        let volume = asked.path.strip_prefix("/volumes/").filter(|_| request.method == "DELETE");
        match (container, volume) {
            (Some(name), _) => Some(format!("{} {name}", recorded::condition(&case))),
            (None, volume) => volume.map(|name| format!("{} {name}", operations::VOLUME)),
        }
    });
    let lists_nothing = || {
        replies().any(|reply| {
            let asked = reply.request.as_ref().and_then(Request::of);
            let body = wire::http1::Body::of(&reply.at.frame);
            asked.is_some_and(|request| Asked::of(request.target).path == "/containers/json")
                && body.is_some_and(|body| body.data.trim_ascii() == b"[]")
        })
    };
    let Some(named) = named else {
        let about_containers = |path: &str| NEEDS.iter().any(|part| path.starts_with(part));
        let mut requests = reading.conns.iter().flat_map(|conn| &conn.steps).flat_map(|step| &step.requests);
        let needs_one = requests.any(|at| {
            Request::of(&at.frame).is_some_and(|request| about_containers(Asked::of(request.target).path))
        });
        return (needs_one && !lists_nothing()).then(|| operations::RUNNING.to_owned());
    };
    let command = replies().find_map(|reply| message::command(&reply.at.frame));
    Some(command.map_or(named.clone(), |command| format!("{named} {command}")))
}

/// Whether a name is one that a daemon has made.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
