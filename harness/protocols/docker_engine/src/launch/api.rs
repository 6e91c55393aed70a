//! What we ask a daemon ourselves, by other means than the client under test: one connection each, and nobody records it.
//!
//! No request has a version in its path, and so the daemon's own.

use std::time::Duration;

use serde_json::Value;
use session::{Address, LaunchErrorKind};
use wire::http1::{Body, SWITCH};
use wire::multiplex;

use crate::link::{Link, Lost, status};

/// How HTTP is left.
const UPGRADE: [(&str, &str); 2] = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
/// How long one answer may take. What ends a container may wait for that to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// What every request says.
const HOST: [(&str, &str); 2] = [("Host", "docker"), ("User-Agent", "wireskew")];
/// The types of bodies.
const JSON: (&str, &str) = ("Content-Type", "application/json");
const TAR: (&str, &str) = ("Content-Type", "application/x-tar");

/// A daemon, as its API shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Api<'a>(pub(super) &'a Address);

/// An answer: its status, and its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// What was asked.
    asked: String,
}

impl Answer {
    /// The answer, if it is a result.
    pub(super) fn done(self) -> Result<Self, LaunchErrorKind> {
        if self.status < 300 {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.body);
        Err(LaunchErrorKind::Setup(format!("{}: {} {}", self.asked, self.status, said.trim_end())))
    }

    /// Its JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Api<'_> {
    /// Asks, whatever comes of it.
    pub(super) async fn ask(&self, method: &str, target: &str) -> Result<Answer, LaunchErrorKind> {
        self.send(method, target, None).await
    }

    /// The JSON of what is there.
    pub(super) async fn get(&self, target: &str) -> Result<Value, LaunchErrorKind> {
        Ok(self.ask("GET", target).await?.done()?.json())
    }

    /// Does something with JSON for its body, and returns the JSON of the answer.
    pub(super) async fn post(&self, target: &str, body: &Value) -> Result<Value, LaunchErrorKind> {
        let body = body.to_string();
        Ok(self.send("POST", target, Some((JSON, body.as_bytes()))).await?.done()?.json())
    }

    /// Does something that needs no body.
    pub(super) async fn act(&self, method: &str, target: &str) -> Result<(), LaunchErrorKind> {
        self.ask(method, target).await?.done().map(drop)
    }

    /// Makes an image of an archive.
    pub(super) async fn import(&self, image: &str, archive: &[u8]) -> Result<(), LaunchErrorKind> {
        let (name, tag) = image.split_once(':').unwrap_or((image, "latest"));
        let target = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        let answer = self.send("POST", &target, Some((TAR, archive))).await?.done()?;
        // The status comes before the work.
        match String::from_utf8_lossy(&answer.body).contains("errorDetail") {
            true => {
                Err(LaunchErrorKind::Setup(format!("{target}: {}", String::from_utf8_lossy(&answer.body))))
            }
            false => Ok(()),
        }
    }

    /// What a command says in a container, on its standard output.
    pub(super) async fn exec(&self, container: &str, command: &[&str]) -> Result<String, LaunchErrorKind> {
        let made = serde_json::json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": command });
        let made = self.post(&format!("/containers/{container}/exec"), &made).await?;
        let id = made["Id"].as_str().unwrap_or_default();
        let target = format!("/exec/{id}/start");
        let said = self.hear(&target, b"{\"Detach\":false,\"Tty\":false}").await;
        let said = said.map_err(|lost| lost_at("POST", &target, lost))?;
        let output = multiplex::join(&said).map(|streams| streams.stdout).unwrap_or(said);
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// What comes when HTTP is left, up to the end.
    async fn hear(&self, target: &str, body: &[u8]) -> Result<Vec<u8>, Lost> {
        let mut link = Link::connect(self.0, None, PATIENCE).await?;
        let headers: Vec<_> = HOST.into_iter().chain([JSON]).chain(UPGRADE).collect();
        link.send("POST", target, &headers, Some(body)).await?;
        let answer = link.answer().await?;
        if answer.kind != SWITCH {
            return Ok(answer.payload().to_vec());
        }
        link.half_close()?;
        link.rest().await
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        body: Option<((&str, &str), &[u8])>,
    ) -> Result<Answer, LaunchErrorKind> {
        let asked = format!("{method} {target}");
        let answer = self.exchange(method, target, body).await;
        let (status, body) = answer.map_err(|lost| lost_at(method, target, lost))?;
        Ok(Answer { status, body, asked })
    }

    async fn exchange(
        &self,
        method: &str,
        target: &str,
        body: Option<((&str, &str), &[u8])>,
    ) -> Result<(u16, Vec<u8>), Lost> {
        let mut link = Link::connect(self.0, None, PATIENCE).await?;
        let headers: Vec<_> = HOST.into_iter().chain(body.map(|(kind, _)| kind)).collect();
        link.send(method, target, &headers, body.map(|(_, body)| body)).await?;
        let answer = link.answer().await?;
        let body = Body::of(&answer).map(|body| body.data.into_owned()).unwrap_or_default();
        Ok((status(&answer), body))
    }
}

fn lost_at(method: &str, target: &str, lost: Lost) -> LaunchErrorKind {
    let why = match lost {
        Lost::Ended => "the connection ended",
        Lost::Silent => "no answer",
    };
    LaunchErrorKind::Setup(format!("{method} {target}: {why}"))
}
