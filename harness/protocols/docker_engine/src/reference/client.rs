//! The reference client: a CLI that asks for the version first, and settles on what both know.
//!
//! ```text
//! A  HEAD /_ping                       GET /_ping where that is neither 200 nor 500
//! A  POST /v1.51/containers/create
//! B  POST /v1.51/containers/ID/attach  101, and what the container says
//! A  POST /v1.51/containers/ID/wait    its head at once, its body when the container has ended
//! C  POST /v1.51/containers/ID/start
//! ```

use std::time::Duration;

use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::call::{self, Tools};
use protocol::{Made, effects};
use serde_json::{Value, json};
use session::{Address, Client, ClientReport, LaunchError, Recorder, Server};
use transcript::{ConnId, ExitStatus};
use wire::http1::{Body, Response, SWITCH};
use wire::{Frame, multiplex};

use super::defects::{self, DEFECTS};
use crate::dialect::{DIALECTS, Dialect};
use crate::link::{Link, Lost, status};
use crate::operations::{self, CONTAINER, Operation, PRINTED, REFUSED, TINY};
use crate::settings;
use crate::version::{ApiVersion, FALLBACK, api};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The exit code of `docker run` where the daemon fails.
const RUN_FAILED: i32 = 125;
/// The version that has brought annotations.
const ANNOTATIONS: ApiVersion = api(43);

/// A CLI of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, no defect of that name, or a setting that nobody knows.
pub(crate) fn client(build: &Build, switched_on: &[String]) -> Made<dyn Client> {
    let part = Part::of(build, Role::Client, &DIALECTS, DEFECTS, switched_on)?;
    let pin = part.needs(settings::pin(&build.settings))?;
    let endpoint = part.endpoint("docker-cli");
    Ok(call::client(endpoint, Clis { dialect: part.dialect, switches: part.switches, pin }))
}

struct Clis {
    dialect: &'static Dialect,
    switches: Switches,
    pin: Option<String>,
}

/// Why a command ended without its end.
#[derive(Debug)]
enum Failed {
    /// The daemon refuses.
    Refused(String),
    /// The connection ended or could not be made, or what came cannot be read.
    Loudly,
    /// An answer did not come.
    Silence,
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Ended => Self::Loudly,
            Lost::Silent => Self::Silence,
        }
    }
}

/// What a command came to.
#[derive(Debug, Default)]
struct Outcome {
    /// The exit code.
    code: i32,
    /// What was printed.
    printed: Option<String>,
}

impl Tools for Clis {
    type Operation = Operation;

    fn operation(&self, name: &str) -> Option<&'static Operation> {
        operations::operation(name)
    }

    fn command(&self, operation: &Operation) -> Vec<String> {
        let pin = self.pin.iter().map(|pin| format!("DOCKER_API_VERSION={pin}"));
        let argv = ["docker"].iter().chain(operation.argv).map(|word| (*word).to_owned());
        pin.chain(argv).collect()
    }

    async fn carry_out(
        &self,
        operation: &'static Operation,
        server: &mut dyn Server,
        recorder: &Recorder,
        deadline: Duration,
    ) -> Result<ClientReport, LaunchError> {
        let patience = PATIENCE.min(deadline / 2);
        let mut cli = Cli {
            of: self,
            address: server.address().clone(),
            recorder: recorder.clone(),
            conns: 0,
            first: None,
            patience,
            prefix: String::new(),
            api: FALLBACK,
        };
        let outcome = cli.run(operation).await;
        // What is left open is closed before anybody looks.
        drop(cli);
        let exit = match outcome {
            Ok(Outcome { code, printed }) => {
                if let Some(printed) = printed {
                    effects::claim(recorder, PRINTED, &printed);
                }
                Some(ExitStatus::Code(code))
            }
            Err(Failed::Refused(text)) => {
                effects::claim(recorder, REFUSED, &text);
                Some(ExitStatus::Code(if operation.argv.first() == Some(&"run") { RUN_FAILED } else { 1 }))
            }
            Err(Failed::Loudly) => Some(ExitStatus::Code(1)),
            Err(Failed::Silence) => None,
        };
        effects::claim_exit(recorder, exit);
        server.effects(recorder).await;
        Ok(ClientReport { exit, stdout: Vec::new(), stderr: Vec::new() })
    }
}

/// A CLI while it runs one command.
struct Cli<'a> {
    of: &'a Clis,
    address: Address,
    recorder: Recorder,
    conns: u32,
    /// The connection on which plain requests go.
    first: Option<Link>,
    patience: Duration,
    /// What stands in front of every path.
    prefix: String,
    /// The version that both have settled on.
    api: ApiVersion,
}

impl Cli<'_> {
    async fn run(&mut self, operation: &Operation) -> Result<Outcome, Failed> {
        self.negotiate().await?;
        let printed = |text: String| Ok(Outcome { code: 0, printed: Some(text) });
        let container = format!("/containers/{CONTAINER}");
        match operation.name {
            "version" => {
                let version = self.get("/version").await?;
                let is_told = ["ApiVersion", "MinAPIVersion"].iter().all(|key| version[key].is_string());
                printed(if is_told { "both" } else { "less" }.to_owned())
            }
            "ps" => {
                let listed = self.get("/containers/json").await?;
                let name = listed[0]["Names"][0].as_str().unwrap_or_default();
                printed(name.trim_start_matches('/').to_owned())
            }
            "images" => {
                let listed = self.get("/images/json").await?;
                let tags =
                    listed.as_array().into_iter().flatten().flat_map(|image| image["RepoTags"].as_array());
                let mut tags = tags.flatten().filter_map(Value::as_str);
                let known = tags.clone().next().unwrap_or_default().to_owned();
                let found = tags.find(|tag| *tag == TINY).map(ToOwned::to_owned);
                printed(found.unwrap_or(known))
            }
            "run" | "run-exit-3" => self.runs(operation).await,
            "run-detached" => {
                let id = self.create(operation, Some(CONTAINER)).await?;
                self.post(&format!("/containers/{id}/start"), None).await?;
                printed(if id.len() == 64 { "id" } else { "no id" }.to_owned())
            }
            "annotated" => self.annotated(operation).await,
            "exec" | "reloaded-exec" => self.execs(operation).await,
            "inspect" => {
                let state = self.get(&format!("{container}/json")).await?;
                printed(state["State"]["Status"].as_str().unwrap_or_default().to_owned())
            }
            "top" => {
                let top = self.get(&format!("{container}/top")).await?;
                let is_there = top["Processes"].as_array().is_some_and(|rows| !rows.is_empty());
                printed(if is_there { "processes" } else { "none" }.to_owned())
            }
            "pause" => self.done("POST", &format!("{container}/pause")).await,
            "stop" | "reloaded-stop" => self.done("POST", &format!("{container}/stop?t=1")).await,
            "rm" => self.done("DELETE", &format!("{container}?force=1")).await,
            _ => self.done("DELETE", "/containers/nope").await,
        }
    }

    /// Asks for the version, and settles on what both know.
    async fn negotiate(&mut self) -> Result<(), Failed> {
        let dialect = self.of.dialect;
        if self.of.switches.has(defects::NEVER_ASKS) {
            self.prefix = format!("/v{}", dialect.api_max);
            return Ok(());
        }
        let mut answer = self.ask("HEAD", "/_ping", None).await?;
        if !matches!(status(&answer), 200 | 500) {
            answer = self.ask("GET", "/_ping", None).await?;
        }
        let said = Response::of(&answer).and_then(|response| {
            let value = response.headers.get("api-version")?;
            std::str::from_utf8(value).ok()?.parse::<ApiVersion>().ok()
        });
        let has = |defect| self.of.switches.has(defect);
        let theirs = match said {
            Some(version) => version,
            None if has(defects::FAILED_IS_MAXIMUM) => dialect.api_max,
            None => FALLBACK,
        };
        self.api = if has(defects::TAKES_OWN) { dialect.api_max } else { dialect.settles_on(theirs) };
        if has(defects::NEVER_SETTLES) {
            self.api = FALLBACK;
        }
        if let Some(pin) = &self.of.pin {
            self.prefix = format!("/v{pin}");
            return Ok(());
        }
        if dialect.client_min.is_some_and(|min| theirs < min) {
            if !dialect.refusal_swallowed {
                return Err(Failed::Refused(format!("API version {theirs} is not supported by this client")));
            }
            self.api = dialect.api_max;
        }
        self.prefix = if has(defects::NO_PREFIX) { String::new() } else { format!("/v{}", self.api) };
        Ok(())
    }

    async fn link(&mut self) -> Result<Link, Failed> {
        self.conns += 1;
        let trace = Some((self.recorder.clone(), ConnId(self.conns)));
        Ok(Link::connect(&self.address, trace, self.patience).await?)
    }

    /// Sends a request on a connection.
    async fn send(
        &self,
        link: &mut Link,
        method: &str,
        target: &str,
        body: Option<&Value>,
        upgrade: bool,
    ) -> Result<(), Failed> {
        let dialect = self.of.dialect;
        let body = body.map(|body| format!("{body}\n").into_bytes());
        let agent = format!("Docker-Client/{} (linux)", dialect.name);
        // 20.10 has an empty Host where it leaves HTTP: measured.
        let host = if upgrade { dialect.cli.hijack_host } else { dialect.cli.host };
        let mut headers = vec![("Host", host), ("User-Agent", agent.as_str())];
        if upgrade {
            headers.extend([("Connection", "Upgrade"), ("Upgrade", "tcp")]);
        }
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        Ok(link.send(method, target, &headers, body.as_deref()).await?)
    }

    /// Asks on the connection for plain requests.
    async fn ask(&mut self, method: &str, target: &str, body: Option<&Value>) -> Result<Frame, Failed> {
        let mut link = match self.first.take() {
            Some(link) => link,
            None => self.link().await?,
        };
        self.send(&mut link, method, target, body, false).await?;
        let answer = link.answer().await?;
        let closes =
            Response::of(&answer).is_some_and(|response| response.headers.lists("connection", "close"));
        if !closes {
            self.first = Some(link);
        }
        Ok(answer)
    }

    /// Asks below the prefix, and reads the JSON of the answer.
    async fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let target = format!("{}{path}", self.prefix);
        let answer = self.ask(method, &target, body).await?;
        self.read(&answer)
    }

    fn read(&self, answer: &Frame) -> Result<Value, Failed> {
        let body = Body::of(answer).map(|body| body.data.into_owned()).unwrap_or_default();
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        if status(answer) < 300 {
            return Ok(value.unwrap_or_default());
        }
        if self.of.switches.has(defects::REFUSED_IS_DONE) {
            return Ok(Value::Null);
        }
        let reads_both = self.of.dialect.cli.reads_old_json_errors || self.api >= api(24);
        let message =
            value.filter(|_| reads_both).and_then(|value| Some(value["message"].as_str()?.to_owned()));
        Err(Failed::Refused(message.unwrap_or_else(|| String::from_utf8_lossy(&body).trim_end().to_owned())))
    }

    async fn get(&mut self, path: &str) -> Result<Value, Failed> {
        self.request("GET", path, None).await
    }

    async fn post(&mut self, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        self.request("POST", path, body).await
    }

    async fn done(&mut self, method: &str, path: &str) -> Result<Outcome, Failed> {
        self.request(method, path, None).await.map(|_| Outcome::default())
    }

    /// Creates the container of a command line, and returns its id.
    async fn create(&mut self, operation: &Operation, name: Option<&str>) -> Result<String, Failed> {
        let image = operation.argv.iter().position(|word| *word == TINY).unwrap_or(operation.argv.len());
        let command: Vec<_> = operation.argv.iter().skip(image + 1).collect();
        let has = |option: &str| operation.argv.contains(&option);
        let mut host = json!({ "NetworkMode": "none", "AutoRemove": has("--rm") });
        if has("--annotation") {
            host["Annotations"] = json!({ "a": "b" });
        }
        let body = json!({ "Image": TINY, "Cmd": command, "HostConfig": host });
        let query = name.map(|name| format!("?name={name}")).unwrap_or_default();
        let created = self.post(&format!("/containers/create{query}"), Some(&body)).await?;
        Ok(created["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Creates a container with an annotation; a daemon that is too old for that is not asked.
    async fn annotated(&mut self, operation: &Operation) -> Result<Outcome, Failed> {
        if self.api < ANNOTATIONS && self.of.dialect.cli.checks_options {
            return Err(Failed::Refused(format!("\"--annotation\" requires API version {ANNOTATIONS}")));
        }
        let id = self.create(operation, Some(CONTAINER)).await?;
        let printed = if id.len() == 64 { "id" } else { "no id" };
        Ok(Outcome { code: 0, printed: Some(printed.to_owned()) })
    }

    /// Runs a container to its end.
    async fn runs(&mut self, operation: &Operation) -> Result<Outcome, Failed> {
        let id = self.create(operation, None).await?;
        let mut attached = self.link().await?;
        let target = format!("{}/containers/{id}/attach?stderr=1&stdout=1&stream=1", self.prefix);
        self.send(&mut attached, "POST", &target, None, true).await?;
        let switched = attached.answer().await?;
        if switched.kind != SWITCH {
            self.read(&switched)?;
            return Err(Failed::Loudly);
        }
        // It has nothing to say.
        attached.half_close()?;
        let mut waiting = match self.first.take() {
            Some(link) => link,
            None => self.link().await?,
        };
        let target = format!("{}/containers/{id}/wait?condition=removed", self.prefix);
        self.send(&mut waiting, "POST", &target, None, false).await?;
        self.post(&format!("/containers/{id}/start"), None).await?;
        let said = self.said(&mut attached).await?;
        let waited = waiting.answer().await?;
        let code = self.read(&waited)?["StatusCode"].as_i64().and_then(|code| i32::try_from(code).ok());
        let printed = (!said.is_empty()).then_some(said);
        Ok(Outcome { code: code.ok_or(Failed::Loudly)?, printed })
    }

    /// Runs a command in a container.
    async fn execs(&mut self, operation: &Operation) -> Result<Outcome, Failed> {
        let command: Vec<_> = operation.argv.iter().skip(2).collect();
        self.get(&format!("/containers/{CONTAINER}/json")).await?;
        let body = json!({ "AttachStdout": true, "AttachStderr": true, "Tty": false, "Cmd": command });
        let created = self.post(&format!("/containers/{CONTAINER}/exec"), Some(&body)).await?;
        let id = created["Id"].as_str().unwrap_or_default().to_owned();
        let mut link = self.link().await?;
        let target = format!("{}/exec/{id}/start", self.prefix);
        self.send(&mut link, "POST", &target, Some(&json!({ "Detach": false, "Tty": false })), true).await?;
        let switched = link.answer().await?;
        if switched.kind != SWITCH {
            self.read(&switched)?;
            return Err(Failed::Loudly);
        }
        link.half_close()?;
        let said = self.said(&mut link).await?;
        let state = self.get(&format!("/exec/{id}/json")).await?;
        let code =
            state["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).ok_or(Failed::Loudly)?;
        let code = if self.of.switches.has(defects::TRUSTS_101) { 0 } else { code };
        Ok(Outcome { code, printed: Some(said) })
    }

    /// What a stream says on its standard output, up to its end.
    async fn said(&self, link: &mut Link) -> Result<String, Failed> {
        let bytes = link.rest().await?;
        let output = match multiplex::join(&bytes) {
            Ok(streams) => streams.stdout,
            Err(_) => bytes,
        };
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }
}
