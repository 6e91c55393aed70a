//! Which endpoints there are, in which release, and what they answer.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use wire::http1::Request;

use super::daemon::{Facts, State};
use super::defects;
use super::engine::{Engine, Exec, Program, Record, Refusal, Spec, State as Is, Timed, Why};
use super::http::{Asked, Cut, Ends, Reply};
use super::replies::reply as model;
use crate::dialect::{Bodies, Capabilities, Dialect, Errors, NewerThanPrefix};
use crate::operations::TINY;
use crate::settings::Ping;
use crate::version::{ApiVersion, Asked as Target, api, unescaped};

/// The time of everything.
const TIME: &str = "2026-01-01T00:00:00Z";

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handler {
    Options,
    Ping,
    Version,
    Info,
    Usage,
    Events,
    ListContainers,
    CreateContainer,
    InspectContainer,
    StartContainer,
    StopContainer,
    KillContainer,
    PauseContainer,
    UnpauseContainer,
    WaitContainer,
    AttachContainer,
    RenameContainer,
    UpdateContainer,
    RemoveContainer,
    Top,
    Stats,
    Logs,
    Archive,
    CreateExec,
    StartExec,
    InspectExec,
    ListImages,
    InspectImage,
    CreateImage,
    LoadImages,
    Build,
    ListNetworks,
    InspectNetwork,
    ListVolumes,
    CreateVolume,
    InspectVolume,
    UpdateVolume,
    RemoveVolume,
    InspectPlugin,
    Session,
    Grpc,
    Attestations,
}

impl Handler {
    /// Whether it reads the body of its request.
    pub(super) fn reads_body(self) -> bool {
        matches!(
            self,
            Self::CreateContainer
                | Self::CreateExec
                | Self::StartExec
                | Self::CreateImage
                | Self::LoadImages
                | Self::Build
                | Self::CreateVolume
        )
    }

    /// The version of the API that has brought it, where that is not the first one.
    fn since(self) -> Option<ApiVersion> {
        match self {
            Self::UpdateVolume => Some(api(42)),
            Self::Attestations => Some(api(55)),
            _ => None,
        }
    }
}

/// Why there is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nobody knows the path, or not that method of it.
    Page,
    /// The path is written otherwise.
    Moved(String),
}

/// The endpoint of a request.
///
/// # Errors
/// There is none.
pub(super) fn find(dialect: &Dialect, request: &Request<'_>) -> Result<Handler, Unknown> {
    let target = request.target.split('?').next().unwrap_or_default();
    let path = unescaped(&target.replace('+', "%2B"));
    if let Some(clean) = cleaned(&path) {
        return Err(Unknown::Moved(clean));
    }
    let asked = Target::of(request.target);
    let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
    if request.method == "OPTIONS" {
        return Ok(Handler::Options);
    }
    let found = match (request.method, &parts[..]) {
        ("GET" | "HEAD", ["_ping"]) => Handler::Ping,
        ("GET", ["version"]) => Handler::Version,
        ("GET", ["info"]) => Handler::Info,
        ("GET", ["system", "df"]) => Handler::Usage,
        ("GET", ["events"]) => Handler::Events,
        ("GET", ["containers", "json"]) => Handler::ListContainers,
        ("POST", ["containers", "create"]) => Handler::CreateContainer,
        ("GET", ["containers", _, "json"]) => Handler::InspectContainer,
        ("POST", ["containers", _, act]) => match *act {
            "start" => Handler::StartContainer,
            "stop" => Handler::StopContainer,
            "kill" => Handler::KillContainer,
            "pause" => Handler::PauseContainer,
            "unpause" => Handler::UnpauseContainer,
            "wait" => Handler::WaitContainer,
            "attach" => Handler::AttachContainer,
            "rename" => Handler::RenameContainer,
            "update" => Handler::UpdateContainer,
            "exec" => Handler::CreateExec,
            _ => return Err(Unknown::Page),
        },
        ("DELETE", ["containers", _]) => Handler::RemoveContainer,
        ("GET", ["containers", _, "top"]) => Handler::Top,
        ("GET", ["containers", _, "stats"]) => Handler::Stats,
        ("GET", ["containers", _, "logs"]) => Handler::Logs,
        ("GET" | "HEAD", ["containers", _, "archive"]) => Handler::Archive,
        ("POST", ["exec", _, "start"]) => Handler::StartExec,
        ("GET", ["exec", _, "json"]) => Handler::InspectExec,
        ("GET", ["images", "json"]) => Handler::ListImages,
        ("GET", ["images", _, "json"]) => Handler::InspectImage,
        ("GET", ["images", _, "attestations"]) => Handler::Attestations,
        ("POST", ["images", "create"]) => Handler::CreateImage,
        ("POST", ["images", "load"]) => Handler::LoadImages,
        ("POST", ["build"]) => Handler::Build,
        ("GET", ["networks"]) => Handler::ListNetworks,
        ("GET", ["networks", _]) => Handler::InspectNetwork,
        ("GET", ["volumes"]) => Handler::ListVolumes,
        ("POST", ["volumes", "create"]) => Handler::CreateVolume,
        ("GET", ["volumes", _]) => Handler::InspectVolume,
        ("PUT", ["volumes", _]) => Handler::UpdateVolume,
        ("DELETE", ["volumes", _]) => Handler::RemoveVolume,
        ("GET", ["plugins", _, "json"]) => Handler::InspectPlugin,
        ("POST", ["session"]) => Handler::Session,
        ("POST", ["grpc"]) => Handler::Grpc,
        _ => return Err(Unknown::Page),
    };
    let is_known = found.since().is_none_or(|since| dialect.knows(since));
    if is_known { Ok(found) } else { Err(Unknown::Page) }
}

/// The path as it should be written, where it is not.
fn cleaned(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let ends = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    let clean = format!("/{}{ends}", parts.join("/"));
    (clean != path).then_some(clean)
}

/// What became of a request.
pub(super) enum Done {
    /// An answer, and how long it takes.
    Replies(Reply, u64),
    /// A container was started.
    Started { reply: Reply, container: String, program: Program },
    /// Containers have ended, each with a status.
    Ended { reply: Reply, took_ms: u64, ended: Vec<(String, i32)> },
    /// Its status is waited for, unless it is known.
    Awaits { reply: Reply, container: String, status: Option<i32> },
    /// The connection is a container's.
    Attaches { reply: Reply, container: String, tty: bool },
    /// The connection is a further program's.
    Executes { reply: Reply, exec: String, tty: bool, program: Program },
    /// The connection is for HTTP/2.
    Switches { reply: Reply, greeting: Bytes },
}

impl Done {
    /// The answer, or its beginning.
    pub(super) fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Replies(reply, _)
            | Self::Started { reply, .. }
            | Self::Ended { reply, .. }
            | Self::Awaits { reply, .. }
            | Self::Attaches { reply, .. }
            | Self::Executes { reply, .. }
            | Self::Switches { reply, .. } => Some(reply),
        }
    }

    /// How long it takes, in milliseconds.
    pub(super) fn took_ms(&self) -> u64 {
        match self {
            Self::Replies(_, took_ms) | Self::Ended { took_ms, .. } => *took_ms,
            _ => 0,
        }
    }
}

impl Reply {
    /// Whether the connection ends with it.
    fn is_last(&self) -> bool {
        self.ends == Ends::Closed
    }
}

impl Done {
    /// Whether nothing comes behind the answer.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Replies(reply, _) if reply.is_last())
    }
}

/// A request and who answers it.
struct Call<'a> {
    facts: &'a Facts,
    request: &'a Request<'a>,
    target: Target<'a>,
    /// The version that holds for it.
    prefix: ApiVersion,
    asked: &'a Asked,
}

/// Answers a request.
pub(super) fn answer(
    facts: &Facts,
    state: &mut State,
    handler: Result<Handler, Unknown>,
    request: &Request<'_>,
    asked: &Asked,
) -> Done {
    let target = Target::of(request.target);
    let prefix = target.version();
    let call = Call { facts, request, prefix: prefix.unwrap_or(facts.dialect.api_max), target, asked };
    let handler = match handler {
        Ok(handler) => handler,
        Err(Unknown::Moved(to)) => return call.moved(&to),
        Err(Unknown::Page) => return call.page_not_found(),
    };
    if handler == Handler::Options {
        return Done::Replies(call.reply(200, None, Vec::new()), 0);
    }
    if let Some(refused) = prefix.and_then(|prefix| call.other_version(prefix)) {
        return refused;
    }
    if let Some(since) = handler.since().filter(|since| call.prefix < *since)
        && facts.dialect.newer_than_prefix == NewerThanPrefix::Refused
        && !facts.switches.has(defects::SERVES_NEWER)
    {
        let path = target_pattern(handler);
        return call.error(400, &format!("{} {path} requires minimum API version {since}", request.method));
    }
    let Some(mut engine) = state.engine.take() else { return call.error(500, "the daemon is ending") };
    let done = call.handle(handler, state, &mut engine);
    state.engine = Some(engine);
    done.unwrap_or_else(|refusal| call.refused(&refusal))
}

fn target_pattern(handler: Handler) -> &'static str {
    match handler {
        Handler::UpdateVolume => "/volumes/{name:.*}",
        _ => "/images/{name:.*}/attestations",
    }
}

/// The words of a status.
fn words(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        499 => "status code 499",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

type Handled = Result<Done, Refusal>;

impl Call<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.facts.dialect
    }

    /// The headers of every answer of a handler.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let version = match self.facts.switches.has(defects::HIDES_VERSION) {
            true => None,
            false => Some(("Api-Version", self.announced().to_string())),
        };
        version
            .into_iter()
            .chain([("Ostype", "linux".to_owned()), ("Server", "Docker (linux)".to_owned())])
            .collect()
    }

    /// The version that it announces.
    fn announced(&self) -> ApiVersion {
        let max = self.dialect().api_max;
        match self.facts.switches.has(defects::ANNOUNCES_MORE) {
            true => ApiVersion { minor: max.minor + 1, ..max },
            false => max,
        }
    }

    fn reply(&self, status: u16, kind: Option<&str>, body: Vec<u8>) -> Reply {
        let mut headers = self.headers();
        headers.push(("Docker-Experimental", "false".to_owned()));
        headers.extend(kind.map(|kind| ("Content-Type", kind.to_owned())));
        Reply { status: (status, words(status)), headers, body, ends: Ends::Known }
    }

    fn json(&self, status: u16, value: &Value) -> Done {
        Done::Replies(self.reply(status, Some("application/json"), format!("{value}\n").into_bytes()), 0)
    }

    fn nothing(&self) -> Reply {
        Reply { ends: Ends::None, ..self.reply(204, None, Vec::new()) }
    }

    /// An answer that no handler gives.
    fn bare(&self, status: (u16, &'static str), headers: Vec<(&'static str, String)>) -> Done {
        Done::Replies(Reply { status, headers, body: Vec::new(), ends: Ends::Known }, 0)
    }

    fn moved(&self, to: &str) -> Done {
        self.bare((301, words(301)), vec![("Location", to.replace(char::is_control, ""))])
    }

    fn page_not_found(&self) -> Done {
        let switches = &self.facts.switches;
        if switches.has(defects::UNKNOWN_SUCCEEDS) {
            return self.json(200, &json!({}));
        }
        if switches.has(defects::UNKNOWN_AS_MISSING) {
            return self.error(404, "No such object");
        }
        let reply = Reply {
            status: (404, words(404)),
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: b"{\"message\":\"page not found\"}\n".to_vec(),
            ends: Ends::Known,
        };
        Done::Replies(reply, 0)
    }

    /// The version of the prefix is not taken.
    fn other_version(&self, prefix: ApiVersion) -> Option<Done> {
        let (min, max) = (self.facts.api_min, self.dialect().api_max);
        let written = format!("{}.{}", prefix.major, prefix.minor);
        let written = if prefix.major == u64::MAX || prefix.minor == u64::MAX {
            self.target.prefix.unwrap_or(&written).to_owned()
        } else {
            written
        };
        let text = if prefix > max && !self.facts.switches.has(defects::TAKES_NEWER) {
            format!("client version {written} is too new. Maximum supported API version is {max}")
        } else if prefix < min {
            format!(
                "client version {written} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version"
            )
        } else {
            return None;
        };
        let Done::Replies(mut reply, took_ms) = self.error(400, &text) else { return None };
        reply.headers.retain(|(name, _)| *name != "Docker-Experimental");
        Some(Done::Replies(reply, took_ms))
    }

    fn error(&self, status: u16, text: &str) -> Done {
        let is_old = self.target.version().is_some_and(|version| version < api(24));
        let switches = &self.facts.switches;
        let is_text =
            (is_old && self.dialect().errors == Errors::TextBelow124) || switches.has(defects::TEXT_ERRORS);
        let mut reply = if is_text {
            let mut reply =
                self.reply(status, Some("text/plain; charset=utf-8"), format!("{text}\n").into_bytes());
            reply.headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
            reply
        } else {
            self.reply(
                status,
                Some("application/json"),
                format!("{}\n", json!({ "message": text })).into_bytes(),
            )
        };
        if status == 404 && switches.has(defects::MISSING_AS_UNKNOWN) {
            reply.body = b"{\"message\":\"page not found\"}\n".to_vec();
            reply.headers.retain(|(name, _)| *name != "Api-Version");
        }
        if status == 400 && switches.has(defects::BLAMES_ITSELF) {
            reply.status = (500, words(500));
        }
        Done::Replies(reply, 0)
    }

    fn refused(&self, refusal: &Refusal) -> Done {
        match refusal.why {
            Why::NotModified => Done::Replies(Reply { status: (304, words(304)), ..self.nothing() }, 0),
            why => self.error(why.status(), &refusal.message),
        }
    }

    /// The name in the path.
    fn name(&self) -> String {
        let name = self.target.path.split('/').nth(2).unwrap_or_default();
        unescaped(&name.replace('+', "%2B"))
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.target.parameter(name)
    }

    /// Whether a parameter says so: any text but these does. `moby/moby@v20.10.24:api/server/httputils/form.go`.
    fn flag(&self, name: &str) -> bool {
        let value = self.parameter(name).unwrap_or_default().trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    fn handle(&self, handler: Handler, state: &mut State, engine: &mut Engine) -> Handled {
        use Handler as H;
        let name = self.name();
        Ok(match handler {
            H::Options => Done::Replies(self.reply(200, None, Vec::new()), 0),
            H::Ping => self.ping(),
            H::Version => self.version(),
            H::Info => self.info(engine),
            H::Usage => self.usage(),
            H::Events => self.events(state)?,
            H::ListContainers => self.list(engine)?,
            H::CreateContainer => self.create(engine)?,
            H::InspectContainer => self.inspect(engine, &name)?,
            H::StartContainer => {
                let container = engine.inspect(&name)?.id.clone();
                let program = engine.start(&container)?;
                Done::Started { reply: self.nothing(), container, program }
            }
            H::StopContainer => {
                let seconds = self.parameter("t").and_then(|t| t.parse::<u64>().ok());
                let container = engine.inspect(&name)?.id.clone();
                let timed = engine.stop(&container, seconds.map(|seconds| seconds * 1000));
                self.ended(engine, &container, timed)
            }
            H::KillContainer => {
                let container = engine.inspect(&name)?.id.clone();
                let timed = engine.kill(&container, signal(&self.parameter("signal").unwrap_or_default()));
                self.ended(engine, &container, timed)
            }
            H::PauseContainer => {
                engine.pause(&name)?;
                Done::Replies(self.nothing(), 0)
            }
            H::UnpauseContainer => {
                engine.unpause(&name)?;
                Done::Replies(self.nothing(), 0)
            }
            H::WaitContainer => self.wait(engine, &name)?,
            H::AttachContainer => self.attach(engine, &name),
            H::RenameContainer => {
                engine.rename(&name, &self.parameter("name").unwrap_or_default())?;
                Done::Replies(self.nothing(), 0)
            }
            H::UpdateContainer => {
                engine.inspect(&name)?;
                self.json(200, &json!({ "Warnings": null }))
            }
            H::RemoveContainer => {
                let container = engine.inspect(&name)?.id.clone();
                let timed = engine.remove(&container, self.flag("force"));
                self.ended(engine, &container, timed)
            }
            H::Top => self.top(engine, &name)?,
            H::Stats => self.stats(engine, &name)?,
            H::Logs => self.logs(state, engine, &name)?,
            H::Archive => self.archive(engine, &name)?,
            H::CreateExec => self.create_exec(engine, &name)?,
            H::StartExec => self.start_exec(engine, &name)?,
            H::InspectExec => self.inspect_exec(engine, &name)?,
            H::ListImages => {
                let mut image = model("listed-image", self.dialect(), self.prefix);
                put(&mut image, "/RepoTags", json!([TINY]));
                self.json(200, &json!([image]))
            }
            H::InspectImage if name == TINY => self.json(200, &model("image", self.dialect(), self.prefix)),
            H::InspectImage | H::Attestations => return Err(missing(format!("No such image: {name}"))),
            H::CreateImage => self.lines(&[json!({ "status": format!("sha256:{}", "0".repeat(64)) })]),
            H::LoadImages => {
                let text = "archive/tar: invalid tar header";
                self.lines(&[json!({ "errorDetail": { "message": text }, "error": text })])
            }
            H::Build => self.error(
                if self.dialect().archives_are_faults { 500 } else { 400 },
                "archive/tar: invalid tar header",
            ),
            H::ListNetworks => self.json(200, &json!([model("listed-network", self.dialect(), self.prefix)])),
            H::InspectNetwork => return Err(missing(format!("network {name} not found"))),
            H::ListVolumes => self.json(200, &json!({ "Volumes": [], "Warnings": null })),
            H::CreateVolume => self.create_volume(state)?,
            H::InspectVolume if state.volumes.contains(&name) => self.json(200, &self.volume(&name)),
            H::InspectVolume => return Err(missing(format!("get {name}: no such volume"))),
            H::UpdateVolume => {
                self.error(503, "volume update only valid for cluster volumes, but swarm is unavailable")
            }
            H::RemoveVolume if state.volumes.contains(&name) => {
                state.volumes.retain(|known| *known != name);
                Done::Replies(self.nothing(), 0)
            }
            H::RemoveVolume => return Err(missing(format!("get {name}: no such volume"))),
            H::InspectPlugin => return Err(missing(format!("plugin \"{name}\" not found"))),
            H::Session => self.switches(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
            H::Grpc => self.switches(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0"),
        })
    }

    fn ping(&self) -> Done {
        match self.facts.ping {
            Ping::Answered => {}
            Ping::Fails => return self.error(500, "the daemon is not well"),
            Ping::GetOnly if !self.request.is_head() => {}
            Ping::GetOnly => {
                let headers = vec![("Content-Type", "text/plain".to_owned())];
                let reply = Reply { status: (405, words(405)), headers, body: Vec::new(), ends: Ends::Known };
                return Done::Replies(reply, 0);
            }
        }
        let mut reply = self.reply(200, Some("text/plain; charset=utf-8"), b"OK".to_vec());
        reply.headers.push(("Cache-Control", "no-cache, no-store, must-revalidate".to_owned()));
        reply.headers.push(("Pragma", "no-cache".to_owned()));
        if self.dialect().ping_says_more {
            reply.headers.push(("Builder-Version", "2".to_owned()));
            reply.headers.push(("Swarm", "inactive".to_owned()));
        }
        if self.request.is_head() {
            reply.body.clear();
        }
        Done::Replies(reply, 0)
    }

    fn version(&self) -> Done {
        let mut version = model("version", self.dialect(), self.prefix);
        let max = self.dialect().api_max;
        let said = if self.facts.switches.has(defects::SOURCES_DISAGREE) { api(max.minor - 1) } else { max };
        let min = self.facts.api_min;
        for (pointer, value) in [
            ("/ApiVersion", said.to_string()),
            ("/MinAPIVersion", min.to_string()),
            ("/Version", self.dialect().name.to_owned()),
            ("/Components/0/Details/ApiVersion", said.to_string()),
            ("/Components/0/Details/MinAPIVersion", min.to_string()),
            ("/Components/0/Version", self.dialect().name.to_owned()),
        ] {
            put(&mut version, pointer, json!(value));
        }
        self.json(200, &version)
    }

    fn info(&self, engine: &Engine) -> Done {
        let mut info = model("info", self.dialect(), self.prefix);
        let (known, counts) = (engine.info(), engine.counts());
        let all = counts.running + counts.paused + counts.stopped;
        for (pointer, value) in [
            ("/Containers", json!(all)),
            ("/ContainersRunning", json!(counts.running)),
            ("/ContainersPaused", json!(counts.paused)),
            ("/ContainersStopped", json!(counts.stopped)),
            ("/Labels", json!(known.labels)),
            ("/DefaultRuntime", json!(known.default_runtime)),
            ("/LiveRestoreEnabled", json!(known.live_restore)),
            ("/Debug", json!(known.debug)),
            ("/ServerVersion", json!(self.dialect().name)),
        ] {
            put(&mut info, pointer, value);
        }
        if let Some(runtimes) = info.get_mut("Runtimes").and_then(Value::as_object_mut) {
            for (name, known) in known.runtimes {
                let runtime = runtimes.entry(name).or_insert_with(|| json!({ "path": known.path }));
                if let (Some(members), false) = (runtime.as_object_mut(), known.args.is_empty()) {
                    members.insert("runtimeArgs".to_owned(), json!(known.args));
                }
            }
        }
        self.json(200, &info)
    }

    fn usage(&self) -> Done {
        let usage = model("usage", self.dialect(), self.prefix);
        // What it has is of the machine.
        self.json(200, &usage)
    }

    fn events(&self, state: &State) -> Handled {
        for name in ["since", "until"] {
            let text = self.parameter(name).unwrap_or_default();
            if !text.is_empty() && text.split('.').any(|part| part.parse::<i64>().is_err()) {
                let status = if self.dialect().numbers_are_faults { 500 } else { 400 };
                return Ok(
                    self.error(status, &format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
                );
            }
        }
        let time_nano: i64 = 1_767_225_600_123_456_789;
        let time_nano = if self.dialect().rounds_event_times && self.prefix < api(52) {
            time_nano / 1024 * 1024
        } else {
            time_nano
        };
        let event = |event: &super::engine::Event| {
            let mut attributes = Map::new();
            attributes.insert("image".to_owned(), json!(event.image));
            attributes.insert("name".to_owned(), json!(event.name));
            attributes.extend(event.status.map(|status| ("exitCode".to_owned(), json!(status.to_string()))));
            let mut value = json!({
                "Type": "container", "Action": event.action, "Actor": { "ID": event.id, "Attributes": attributes },
                "scope": "local", "time": time_nano / 1_000_000_000, "timeNano": time_nano,
            });
            if self.prefix < api(52) {
                for (key, said) in [("status", event.action), ("id", &event.id), ("from", &event.image)] {
                    put(&mut value, &format!("/{key}"), json!(said));
                }
            }
            value
        };
        Ok(self.lines(&state.events.iter().map(event).collect::<Vec<_>>()))
    }

    /// JSON values, one behind the other.
    fn lines(&self, values: &[Value]) -> Done {
        let body: Vec<u8> = values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect();
        Done::Replies(Reply { ends: Ends::Chunks, ..self.reply(200, Some("application/json"), body) }, 0)
    }

    fn list(&self, engine: &Engine) -> Handled {
        if let Some(filters) = self.parameter("filters").filter(|filters| !filters.is_empty()) {
            let Ok(read) = serde_json::from_str::<Map<String, Value>>(&filters) else {
                let (status, text) = match self.dialect().filters_are_faults {
                    true => (500, "invalid character 'b' looking for beginning of object key string"),
                    false => (400, "invalid filter"),
                };
                return Ok(self.error(status, text));
            };
            if let Some(unknown) = read.keys().find(|key| !KNOWN_FILTERS.contains(&key.as_str())) {
                return Ok(self.error(400, &format!("invalid filter '{unknown}'")));
            }
        }
        let limit = self.parameter("limit").unwrap_or_default();
        if !limit.is_empty() && limit.parse::<i64>().is_err() {
            let status = if self.dialect().numbers_are_faults { 500 } else { 400 };
            return Ok(self.error(status, &format!("strconv.Atoi: parsing \"{limit}\": value out of range")));
        }
        let all = self.flag("all");
        let shown = engine.list().into_iter().filter(|record| all || record.state.lives());
        let listed: Vec<Value> = shown.map(|record| self.listed(record)).collect();
        Ok(self.json(200, &Value::Array(listed)))
    }

    fn listed(&self, record: &Record) -> Value {
        let mut listed = model("listed-container", self.dialect(), self.prefix);
        let (state, _) = state_words(record.state);
        for (pointer, value) in [
            ("/Id", json!(record.id)),
            ("/Names", json!([format!("/{}", record.spec.name)])),
            ("/Image", json!(record.spec.image)),
            ("/Command", json!(record.spec.command.join(" "))),
            ("/State", json!(state)),
        ] {
            put(&mut listed, pointer, value);
        }
        listed
    }

    /// The body of a request as a JSON object.
    fn body(&self) -> Result<Map<String, Value>, Box<Done>> {
        let (dialect, text) = (self.dialect(), &self.asked.body);
        let error = |status, text: &str| Box::new(self.error(status, text));
        let bad = |text: &str| match dialect.bodies {
            Bodies::Fault => error(500, text),
            _ => error(400, &format!("invalid JSON: {text}")),
        };
        let is_chunked = self.request.headers.get("transfer-encoding").is_some();
        match self.asked.cut {
            Some(Cut::ChunkSize) => return Err(bad("invalid byte in chunk length")),
            Some(Cut::ChunkTooLarge) => return Err(bad("http chunk length too large")),
            Some(Cut::Ended) if dialect.http.cut_body_is_499 => {
                let reply = Reply { body: Vec::new(), ..self.reply(499, None, Vec::new()) };
                return Err(Box::new(Done::Replies(reply, 0)));
            }
            // The value was whole, only its chunk was not.
            Some(Cut::Ended) if is_chunked && dialect.bodies == Bodies::RefusedToTheEnd => {
                return Err(error(400, "unexpected content after JSON"));
            }
            Some(Cut::Ended) if is_chunked => return Ok(Map::new()),
            Some(Cut::Ended) => return Err(bad("unexpected EOF")),
            Some(Cut::Unread) | None => {}
        }
        let kind = self.request.headers.get("content-type").unwrap_or_default();
        if !kind.starts_with(b"application/json") && !text.is_empty() {
            let kind = String::from_utf8_lossy(kind);
            let text = format!("unsupported Content-Type header ({kind}): must be 'application/json'");
            return Err(error(400, &text));
        }
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        let value = match values.next() {
            None => {
                return Err(bad(if dialect.bodies == Bodies::Fault {
                    "EOF"
                } else {
                    "got EOF while reading request body"
                }));
            }
            Some(Err(error)) => return Err(bad(&error.to_string())),
            Some(Ok(value)) => value,
        };
        if dialect.bodies != Bodies::Fault && values.next().is_some() {
            return Err(error(400, "unexpected content after JSON"));
        }
        match value {
            Value::Object(object) => Ok(object),
            Value::Null => Ok(Map::new()),
            _ => Err(bad("json: cannot unmarshal into a container")),
        }
    }

    fn create(&self, engine: &mut Engine) -> Handled {
        let body = match self.body() {
            Ok(body) => body,
            Err(refused) => return Ok(*refused),
        };
        let Some(spec) = spec(&body) else {
            let text = "json: cannot unmarshal a value into a container";
            let status = if self.dialect().bodies == Bodies::Fault { 500 } else { 400 };
            return Ok(self.error(status, text));
        };
        let is_described = body.keys().any(|key| !matches!(key.as_str(), "HostConfig" | "NetworkingConfig"));
        if !is_described {
            return Ok(self.error(400, "config cannot be empty in order to create a container"));
        }
        let has_capabilities = body.get("HostConfig").and_then(|host| host.get("Capabilities")).is_some();
        let drops = self.facts.switches.has(defects::DROPS_CAPABILITIES);
        if has_capabilities && self.dialect().capabilities == Capabilities::Refused && !drops {
            return Ok(self.error(400, "HostConfig.Capabilities is not supported"));
        }
        if spec.command.is_empty() {
            return Ok(self.error(400, "no command specified"));
        }
        let id = engine.create(Spec { name: self.parameter("name").unwrap_or_default(), ..spec })?;
        Ok(self.json(201, &json!({ "Id": id, "Warnings": [] })))
    }

    fn inspect(&self, engine: &Engine, name: &str) -> Handled {
        let record = engine.inspect(name)?;
        let mut value = model("container", self.dialect(), self.prefix);
        let (word, status) = state_words(record.state);
        let kept: Value = serde_json::from_str(&record.spec.kept).unwrap_or_default();
        let (path, args) =
            record.spec.command.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
        for (pointer, said) in [
            ("/Id", json!(record.id)),
            ("/Name", json!(format!("/{}", record.spec.name))),
            ("/Path", json!(path)),
            ("/Args", json!(args)),
            ("/Config/Cmd", json!(record.spec.command)),
            ("/Config/Image", json!(record.spec.image)),
            ("/Config/Tty", json!(record.spec.tty)),
            ("/HostConfig/Runtime", json!(record.spec.runtime)),
            ("/HostConfig/AutoRemove", json!(record.spec.auto_remove)),
            ("/State/Status", json!(word)),
            ("/State/Running", json!(record.state.lives())),
            ("/State/Paused", json!(record.state == Is::Paused)),
            ("/State/ExitCode", json!(status)),
            ("/State/StartedAt", json!(TIME)),
        ] {
            put(&mut value, pointer, said);
        }
        // Containers with scripts were recorded on another storage driver, which has no layers.
        if record.spec.runtime == crate::operations::RUNTIME
            && let Some(data) = value.pointer_mut("/GraphDriver/Data").and_then(Value::as_object_mut)
        {
            data.retain(|key, _| key == "ID");
        }
        // What was asked for is told again, where it is told at all.
        for (part, members) in
            [("Config", &kept), ("HostConfig", kept.get("HostConfig").unwrap_or(&Value::Null))]
        {
            let (Some(known), Some(members)) =
                (value.get_mut(part).and_then(Value::as_object_mut), members.as_object())
            else {
                continue;
            };
            for (key, said) in members.iter().filter(|(key, _)| TOLD_AGAIN.contains(&key.as_str())) {
                known.insert(key.clone(), said.clone());
            }
        }
        Ok(self.json(200, &value))
    }

    fn ended(&self, engine: &Engine, container: &str, timed: Timed<()>) -> Done {
        let Timed { took_ms, result } = timed;
        if let Err(refusal) = result {
            let Done::Replies(reply, _) = self.refused(&refusal) else {
                return self.error(500, &refusal.message);
            };
            return Done::Replies(reply, took_ms);
        }
        let status = match engine.inspect(container).map(|record| record.state) {
            Ok(Is::Exited(status)) => Some(status),
            Ok(_) => None,
            Err(_gone) => Some(KILLED),
        };
        let ended = status.map(|status| (container.to_owned(), status)).into_iter().collect();
        Done::Ended { reply: self.nothing(), took_ms, ended }
    }

    fn wait(&self, engine: &Engine, name: &str) -> Handled {
        let container = engine.inspect(name)?.id.clone();
        let is_for_next = matches!(self.parameter("condition").as_deref(), Some("next-exit" | "removed"));
        let status = engine.exit_status(&container)?.filter(|_| !is_for_next);
        let mut reply = self.reply(200, Some("application/json"), Vec::new());
        reply.headers.push(("Transfer-Encoding", "chunked".to_owned()));
        reply.ends = Ends::None;
        Ok(Done::Awaits { reply, container, status })
    }

    /// The type of a stream, where a release says one.
    fn stream_type(&self, tty: bool) -> &'static str {
        match self.dialect().stream_types && self.prefix >= api(42) && !tty {
            true => "application/vnd.docker.multiplexed-stream",
            false => "application/vnd.docker.raw-stream",
        }
    }

    /// Leaves HTTP, or stays with an answer that goes on to the end of the connection.
    fn stream(&self, tty: bool, headers: Vec<(&'static str, String)>) -> Reply {
        let kind = ("Content-Type", self.stream_type(tty).to_owned());
        let upgrade = [("Connection", "Upgrade".to_owned()), ("Upgrade", "tcp".to_owned())];
        match self.request.upgrade() {
            true => Reply {
                status: (101, "UPGRADED"),
                headers: [kind].into_iter().chain(upgrade).chain(headers).collect(),
                body: Vec::new(),
                ends: Ends::None,
            },
            false => Reply { status: (200, "OK"), headers: vec![kind], body: Vec::new(), ends: Ends::Closed },
        }
    }

    fn attach(&self, engine: &Engine, name: &str) -> Done {
        let switches = &self.facts.switches;
        let streams = self.dialect().attach_errors_are_streams || switches.has(defects::ERRORS_AS_STREAMS);
        match engine.inspect(name) {
            Ok(record) => {
                let (container, tty) = (record.id.clone(), record.spec.tty);
                Done::Attaches { reply: self.stream(tty, Vec::new()), container, tty }
            }
            Err(refusal) if !streams => self.error(404, &refusal.message),
            Err(refusal) => {
                let headers = vec![("Content-Type", "application/vnd.docker.raw-stream".to_owned())];
                let body = format!("{}\r\n", refusal.message).into_bytes();
                Done::Replies(Reply { status: (404, words(404)), headers, body, ends: Ends::Closed }, 0)
            }
        }
    }

    fn top(&self, engine: &Engine, name: &str) -> Handled {
        let row = |title: &String| json!(["root", "1", "0", "0", "00:00", "?", "00:00:00", title]);
        let rows: Vec<Value> = engine.top(name)?.iter().map(row).collect();
        let titles = json!(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        Ok(self.json(200, &json!({ "Processes": rows, "Titles": titles })))
    }

    fn stats(&self, engine: &Engine, name: &str) -> Handled {
        let record = engine.inspect(name)?;
        let mut stats = model("stats", self.dialect(), self.prefix);
        put(&mut stats, "/id", json!(record.id));
        put(&mut stats, "/name", json!(format!("/{}", record.spec.name)));
        // There was no time before it of which something could be said.
        let unsaid = [
            ("/precpu_stats", "online_cpus"),
            ("/precpu_stats", "system_cpu_usage"),
            ("/precpu_stats/cpu_usage", "percpu_usage"),
        ];
        for (part, key) in unsaid.into_iter().filter(|_| self.flag("one-shot")) {
            if let Some(members) = stats.pointer_mut(part).and_then(Value::as_object_mut) {
                members.remove(key);
            }
        }
        let loses =
            !self.dialect().one_shot_has_identity || self.facts.switches.has(defects::ANONYMOUS_STATISTICS);
        if let (true, Some(members)) = (self.flag("one-shot") && loses, stats.as_object_mut()) {
            members.retain(|key, _| key != "id" && key != "name");
        }
        Ok(self.json(200, &stats))
    }

    fn logs(&self, state: &State, engine: &Engine, name: &str) -> Handled {
        let record = engine.inspect(name)?;
        let written = state.logs.get(&record.id).map_or(&[][..], Vec::as_slice);
        let said =
            written.iter().flat_map(|(stream, text)| super::daemon::said(*stream, text, record.spec.tty));
        let kind = self.dialect().stream_types.then(|| self.stream_type(record.spec.tty));
        let reply = Reply { ends: Ends::Chunks, ..self.reply(200, kind, said.collect()) };
        Ok(Done::Replies(reply, 0))
    }

    fn archive(&self, engine: &Engine, name: &str) -> Handled {
        engine.inspect(name)?;
        // One empty block behind the other is an archive with nothing in it.
        let mut reply = self.reply(200, Some("application/x-tar"), vec![0; 1024]);
        reply.headers.push(("X-Docker-Container-Path-Stat", "e30=".to_owned()));
        reply.ends = Ends::Chunks;
        Ok(Done::Replies(reply, 0))
    }

    fn create_exec(&self, engine: &mut Engine, name: &str) -> Handled {
        let body = match self.body() {
            Ok(body) => body,
            Err(refused) => return Ok(*refused),
        };
        let command = strings(body.get("Cmd"));
        let tty = body.get("Tty").and_then(Value::as_bool).unwrap_or_default();
        let id = engine.create_exec(name, command, tty)?;
        Ok(self.json(201, &json!({ "Id": id })))
    }

    fn start_exec(&self, engine: &mut Engine, id: &str) -> Handled {
        if self.asked.body.is_empty() && self.dialect().bodies == Bodies::Fault {
            return Ok(self.error(400, "got EOF while reading request body"));
        }
        let tty = engine.inspect_exec(id)?.tty;
        let (program, id) = match engine.start_exec(id)? {
            Exec::Runs(program) => (program, id.to_owned()),
            // That it failed is what the stream says, and the status that is asked for later.
            Exec::Fails { message, .. } => {
                let output = vec![(super::engine::Stream::Out, format!("{message}\r\n").into_bytes())];
                (Program { output, exit: Some(0), ..Program::default() }, String::new())
            }
        };
        let mut headers = self.headers();
        headers.push(("Docker-Experimental", "false".to_owned()));
        Ok(Done::Executes { reply: self.stream(tty, headers), exec: id, tty, program })
    }

    fn inspect_exec(&self, engine: &Engine, id: &str) -> Handled {
        let exec = engine.inspect_exec(id)?;
        let mut value = model("exec", self.dialect(), self.prefix);
        let (entrypoint, arguments) =
            exec.command.split_first().map_or(("", &[][..]), |(one, rest)| (one.as_str(), rest));
        for (pointer, said) in [
            ("/ID", json!(exec.id)),
            ("/ContainerID", json!(exec.container)),
            ("/Running", json!(exec.running)),
            ("/ExitCode", json!(exec.status)),
            ("/ProcessConfig/entrypoint", json!(entrypoint)),
            ("/ProcessConfig/arguments", json!(arguments)),
            ("/ProcessConfig/tty", json!(exec.tty)),
        ] {
            put(&mut value, pointer, said);
        }
        Ok(self.json(200, &value))
    }

    fn create_volume(&self, state: &mut State) -> Handled {
        let body = match self.body() {
            Ok(body) => body,
            Err(refused) => return Ok(*refused),
        };
        let name = body.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !state.volumes.contains(&name) {
            state.volumes.push(name.clone());
        }
        Ok(self.json(201, &self.volume(&name)))
    }

    fn volume(&self, name: &str) -> Value {
        let mut volume = model("volume", self.dialect(), self.prefix);
        put(&mut volume, "/Name", json!(name));
        volume
    }

    fn switches(&self, greeting: &'static [u8]) -> Done {
        if !self.request.upgrade() {
            return self.error(400, "no upgrade proto in request");
        }
        let headers = vec![("Connection", "Upgrade".to_owned()), ("Upgrade", "h2c".to_owned())];
        let reply =
            Reply { status: (101, "Switching Protocols"), headers, body: Vec::new(), ends: Ends::None };
        Done::Switches { reply, greeting: Bytes::from_static(greeting) }
    }
}

/// The status of what was killed.
const KILLED: i32 = 137;
/// Filters of containers.
const KNOWN_FILTERS: [&str; 8] = ["id", "name", "status", "label", "exited", "ancestor", "network", "volume"];
/// What of a request comes back when the container is read.
const TOLD_AGAIN: [&str; 8] =
    ["Env", "Labels", "User", "WorkingDir", "OpenStdin", "StdinOnce", "NetworkMode", "Annotations"];

fn missing(message: String) -> Refusal {
    Refusal { why: Why::NotFound, message }
}

/// The word of a state, and the status that is told with it.
fn state_words(state: Is) -> (&'static str, i32) {
    match state {
        Is::Created => ("created", 0),
        Is::Running => ("running", 0),
        Is::Paused => ("paused", 0),
        Is::Exited(status) => ("exited", status),
    }
}

/// A signal by its name or number; none is SIGKILL.
fn signal(name: &str) -> u32 {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    match name {
        "" | "KILL" => 9,
        "TERM" => 15,
        "HUP" => 1,
        "INT" => 2,
        "0" => 0,
        number => number.parse().unwrap_or(15),
    }
}

fn put(value: &mut Value, pointer: &str, said: Value) {
    if let Some(known) = value.pointer_mut(pointer) {
        *known = said;
    } else if let (Some((above, key)), false) = (pointer.rsplit_once('/'), pointer.is_empty())
        && let Some(members) = value.pointer_mut(above).and_then(Value::as_object_mut)
    {
        members.insert(key.to_owned(), said);
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// What a container is made of, if every part has its type.
fn spec(body: &Map<String, Value>) -> Option<Spec> {
    let text = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => None,
    };
    let list = |key: &str| match body.get(key) {
        None | Some(Value::Null | Value::Array(_)) => Some(strings(body.get(key))),
        // Go takes a text for a list of one.
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(_) => None,
    };
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or_default();
    let host = body.get("HostConfig").and_then(Value::as_object);
    let labels = body.get("Labels").and_then(Value::as_object);
    let labels = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Some(Spec {
        name: String::new(),
        image: text("Image")?,
        runtime: host.and_then(|host| host.get("Runtime")?.as_str()).unwrap_or_default().to_owned(),
        command: [list("Entrypoint")?, list("Cmd")?].concat(),
        tty: flag(body.get("Tty")),
        labels: labels.collect(),
        auto_remove: flag(host.and_then(|host| host.get("AutoRemove"))),
        kept: Value::Object(body.clone()).to_string(),
    })
}
