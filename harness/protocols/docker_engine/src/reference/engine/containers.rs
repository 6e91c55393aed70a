//! Containers as the daemon knows them: their records, how they are found, made, renamed and listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::files::FileError;
use super::runtimes::Snapshot;
use super::world::{CONTAINERS, write_record};
use super::{Engine, Event};
use crate::dialect::{Dialect, Wrappers};

/// What a container is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Its name without a slash; one is made where it is empty.
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// Its runtime; the default one where it is empty.
    pub runtime: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is removed when it has ended.
    pub auto_remove: bool,
    /// What whoever asks wants to be told again, word for word: the rest of the request.
    pub kept: String,
}

/// How a container is, as the daemon says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It was never started.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended with that status.
    Exited(i32),
}

impl State {
    /// Whether it runs, frozen or not.
    pub(crate) fn lives(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its place in the order in which ids were given.
    pub number: u64,
    /// What it is made of, with its name and its runtime.
    pub spec: Spec,
    /// How it is.
    pub state: State,
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was so already.
    NotModified,
    /// The request is wrong.
    BadParameter,
    /// There is no such object.
    NotFound,
    /// The object is not in the state for it.
    Conflict,
    /// The daemon could not.
    Fault,
}

impl Why {
    /// The status of the reply.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::NotModified => 304,
            Self::BadParameter => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Fault => 500,
        }
    }
}

/// Something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// Why.
    pub why: Why,
    /// The same in the daemon's words.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into() }
    }
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self::new(Why::Fault, error.to_string())
    }
}

/// What a release says of a runtime that it does not have (`moby/moby@d222bf097c:daemon/runtime_unix.go` changed the words).
pub(super) fn unknown_runtime(dialect: &Dialect, name: &str) -> Refusal {
    let words = match dialect.wrappers {
        Wrappers::Name => "Unknown runtime specified",
        Wrappers::Content | Wrappers::ContentWhileReferenced => "unknown or invalid runtime name:",
    };
    Refusal::new(Why::BadParameter, format!("{words} {name}"))
}

impl Engine {
    /// Makes a container, with the configuration that holds.
    ///
    /// # Errors
    /// No such image or runtime, or the name is in use.
    pub(crate) fn create(&mut self, spec: Spec) -> Result<String, Refusal> {
        let snapshot = self.snapshot();
        self.create_with(&snapshot, spec)
    }

    /// Makes a container, with a configuration that was taken earlier.
    ///
    /// # Errors
    /// No such image or runtime, or the name is in use.
    pub(crate) fn create_with(&mut self, snapshot: &Snapshot, mut spec: Spec) -> Result<String, Refusal> {
        if !self.images.contains(&spec.image) {
            return Err(Refusal::new(Why::NotFound, format!("No such image: {}", spec.image)));
        }
        if spec.runtime.is_empty() {
            spec.runtime.clone_from(&snapshot.configuration.default_runtime);
        }
        if !snapshot.runtimes.contains_key(&spec.runtime) {
            return Err(unknown_runtime(self.dialect, &spec.runtime));
        }
        if !spec.name.is_empty() {
            self.check_name(&spec.name)?;
        }
        let (number, id) = self.next_id("container")?;
        if spec.name.is_empty() {
            spec.name = format!("unnamed_{number}");
        }
        self.put(Record { id: id.clone(), number, spec, state: State::Created })?;
        self.tell("create", &id, None);
        Ok(id)
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// No such container, or the name is none or in use.
    pub(crate) fn rename(&mut self, reference: &str, name: &str) -> Result<(), Refusal> {
        let record = self.inspect(reference)?.clone();
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(Refusal::new(Why::BadParameter, "Neither old nor new names may be empty"));
        }
        if record.spec.name == name {
            let words = "Renaming a container with the same name as its current name";
            return Err(Refusal::new(Why::BadParameter, words));
        }
        self.check_name(name)?;
        let id = record.id.clone();
        self.put(Record { spec: Spec { name: name.to_owned(), ..record.spec }, ..record })?;
        self.tell("rename", &id, None);
        Ok(())
    }

    /// The container of a name, an id or the beginning of one.
    ///
    /// # Errors
    /// There is none, or more than one id begins so.
    pub(crate) fn inspect(&self, reference: &str) -> Result<&Record, Refusal> {
        if let Some(record) = self.records.get(reference) {
            return Ok(record);
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(record) = self.records.values().find(|record| record.spec.name == name) {
            return Ok(record);
        }
        let mut begin = self.records.values().filter(|record| record.id.starts_with(reference));
        match (begin.next().filter(|_| !reference.is_empty()), begin.next()) {
            (Some(record), None) => Ok(record),
            (Some(_), Some(_)) => {
                let words = format!("multiple IDs found with provided prefix: {reference}");
                Err(Refusal::new(Why::BadParameter, words))
            }
            (None, _) => Err(Refusal::new(Why::NotFound, format!("No such container: {reference}"))),
        }
    }

    /// All containers, the newest first.
    pub(crate) fn list(&self) -> Vec<&Record> {
        let mut records: Vec<&Record> = self.records.values().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.number));
        records
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let is_first = |c: char| c.is_ascii_alphanumeric();
        let is_later = |c: char| is_first(c) || matches!(c, '_' | '.' | '-');
        if name.len() < 2 || !name.starts_with(is_first) || !name.chars().all(is_later) {
            let allowed = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
            return Err(Refusal::new(
                Why::BadParameter,
                format!("Invalid container name ({name}), {allowed}"),
            ));
        }
        let Some(other) = self.records.values().find(|record| record.spec.name == name) else {
            return Ok(());
        };
        let id = &other.id;
        let words = format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or \
             rename) that container to be able to reuse that name."
        );
        Err(Refusal::new(Why::Conflict, words))
    }

    /// Writes a record down, and only then goes by it.
    pub(super) fn put(&mut self, record: Record) -> Result<(), FileError> {
        write_record(&mut self.world.files, &format!("{CONTAINERS}/{}", record.id), &record)?;
        self.count(&record.id, Some(record.state));
        self.records.insert(record.id.clone(), record);
        Ok(())
    }

    pub(super) fn set_state(&mut self, id: &str, state: State) -> Result<(), FileError> {
        match self.records.get(id) {
            Some(record) => self.put(Record { state, ..record.clone() }),
            None => Ok(()),
        }
    }

    /// Forgets a container.
    pub(super) fn forget(&mut self, id: &str) -> Result<(), FileError> {
        self.world.files.remove(&format!("{CONTAINERS}/{id}"))?;
        self.tell("destroy", id, None);
        self.count(id, None);
        self.records.remove(id);
        Ok(())
    }

    pub(super) fn tell(&mut self, action: &'static str, id: &str, status: Option<i32>) {
        let spec = self.records.get(id).map(|record| record.spec.clone()).unwrap_or_default();
        let event = Event { action, id: id.to_owned(), name: spec.name, image: spec.image, status };
        self.events.push(event);
    }
}
