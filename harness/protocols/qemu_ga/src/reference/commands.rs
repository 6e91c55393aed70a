//! What each command does and answers. Nothing is done: answers are those of a machine that does not exist.

use std::collections::BTreeSet;

use wire::json::{Kind, Value, write_text_upper};

use protocol::defect::Switches;
use protocol::dialect::IDEAL;

use super::defects;
use super::text::write_value;
use crate::dialect::{Dialect, Numbers, TOKEN_MAX};
use crate::names::{self, COMMAND_NOT_FOUND, GENERIC_ERROR, SILENT, SYNC, SYNC_DELIMITED};

/// The time of the machine, in nanoseconds: it stands still, so that an agent says the same in every run.
const TIME_NS: &str = "1735689600000000000";

/// What came of a request.
pub(super) struct Done {
    /// The line that answers it, without its end; `None` where success is told by no answer.
    pub(super) reply: Option<String>,
    /// Whether the delimiter stands in front of it.
    pub(super) delimited: bool,
}

/// A fault of a request: class and text.
type Fault = (&'static str, String);

fn generic(text: impl Into<String>) -> Fault {
    (GENERIC_ERROR, text.into())
}

/// An agent as its commands see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commands<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) switches: &'a Switches,
    /// Commands that are not allowed.
    pub(super) blocked: &'a BTreeSet<String>,
}

impl Commands<'_> {
    fn has(&self, defect: &str) -> bool {
        self.switches.has(defect)
    }

    /// Carries out what was parsed.
    pub(super) fn dispatch(&self, request: Value<'_>) -> Done {
        let id = request.get("id").filter(|_| request.kind() == Kind::Object);
        // A server without the limit of a token would answer with as much as it got.
        let lost = |id: &Value<'_>| self.has(defects::ID_LOST) || id.raw().len() > TOKEN_MAX;
        let id = id.filter(|id| !lost(id)).map(|id| {
            let mut text = String::from("\"id\": ");
            write_value(&mut text, id.raw(), self.numbers());
            text
        });
        let command = request.get("execute").and_then(Value::text).unwrap_or_default().into_owned();
        let silent = SILENT.contains(&command.as_str()) && !self.has(defects::ANSWERS_SILENT);
        match self.carry_out(request) {
            Ok(_) if silent => Done { reply: None, delimited: false },
            Ok(value) => {
                let id = id.map(|id| format!(", {id}")).unwrap_or_default();
                let delimited = command == SYNC_DELIMITED;
                Done { reply: Some(format!("{{\"return\": {value}{id}}}")), delimited }
            }
            Err((class, text)) => {
                let id = id.map(|id| format!("{id}, ")).unwrap_or_default();
                Done { reply: Some(error(&id, class, &text)), delimited: false }
            }
        }
    }

    /// How numbers are written.
    fn numbers(&self) -> Numbers {
        match () {
            () if self.has(defects::NUMBERS_CUT) => Numbers::SixPlaces,
            () if self.has(defects::PRINTS_INF) => Numbers::SeventeenDigits,
            () => self.dialect.numbers,
        }
    }

    fn carry_out(&self, request: Value<'_>) -> Result<String, Fault> {
        let (command, arguments) = self.checked(request)?;
        let unknown = if self.has(defects::WRONG_CLASS) { GENERIC_ERROR } else { COMMAND_NOT_FOUND };
        let forgotten = command == names::GET_DEVICES && self.has(defects::FORGETS_DEVICES);
        if !self.dialect.knows(&command) || forgotten {
            return Err((unknown, format!("The command {command} has not been found")));
        }
        let is_blocked = self.blocked.contains(&command) || command == names::GET_DEVICES;
        if is_blocked && !self.has(defects::EXECUTES_BLOCKED) {
            let hides = self.has(defects::BLOCKED_NOT_FOUND);
            let class = if hides { COMMAND_NOT_FOUND } else { self.dialect.blocked_class };
            return Err((class, self.dialect.blocked_text.replace("{}", &command)));
        }
        let sync = command == SYNC || command == SYNC_DELIMITED;
        if let Some(arguments) = arguments {
            let unexpected = arguments.members().find(|(name, _)| !(sync && name == "id"));
            if let Some((name, _)) = unexpected {
                return Err(generic(format!("Parameter '{name}' is unexpected")));
            }
        }
        if sync {
            let id = arguments.and_then(|arguments| arguments.get("id"));
            let id = id.ok_or_else(|| generic("Parameter 'id' is missing"))?;
            let bad = || generic("Invalid parameter type for 'id', expected: integer");
            return self.sync_number(id).ok_or_else(bad);
        }
        Ok(self.answer(&command))
    }

    /// The number of a guest-sync, if it is one of 64 bits.
    fn sync_number(&self, id: Value<'_>) -> Option<String> {
        let digits = id.number()?;
        if self.has(defects::NO_RANGE) {
            return Some(digits.to_owned());
        }
        digits.parse::<i64>().ok().map(|number| number.to_string())
    }

    /// The command and its arguments, once the form of the request is right.
    fn checked<'d>(&self, request: Value<'d>) -> Result<(String, Option<Value<'d>>), Fault> {
        if request.kind() != Kind::Object {
            return Err(generic("QMP input must be a JSON object"));
        }
        let infinite = |value: Value<'_>| {
            let number = value.number().and_then(|digits| digits.parse::<f64>().ok());
            number.is_some_and(f64::is_infinite)
        };
        for (name, value) in request.members() {
            let what = match (&*name, value.kind()) {
                ("execute", Kind::Text) | ("arguments", Kind::Object) => continue,
                ("id", _) if infinite(value) && !self.dialect.infinite && !self.has(defects::PRINTS_INF) => {
                    "is a number that cannot be said"
                }
                ("id", _) => continue,
                ("execute", _) => "must be a string",
                ("arguments", _) => "must be an object",
                _ => "is unexpected",
            };
            return Err(generic(format!("QMP input member '{name}' {what}")));
        }
        let command = request.get("execute").and_then(Value::text);
        let command = command.ok_or_else(|| generic("QMP input lacks member 'execute'"))?;
        Ok((command.into_owned(), request.get("arguments")))
    }

    fn answer(&self, command: &str) -> String {
        let answer = match command {
            names::INFO => return self.info(),
            names::GET_TIME => TIME_NS,
            "guest-fsfreeze-status" => r#""thawed""#,
            names::GET_HOST_NAME if self.has(defects::LOSES_MEMBER) => r#"{"name": "reference"}"#,
            names::GET_HOST_NAME => r#"{"host-name": "reference"}"#,
            "guest-get-timezone" => r#"{"zone": "UTC", "offset": 0}"#,
            "guest-get-memory-block-info" => r#"{"size": 134217728}"#,
            names::GET_OSINFO => OSINFO,
            "guest-get-vcpus" => r#"[{"online": true, "can-offline": false, "logical-id": 0}]"#,
            names::GET_LOAD => r#"{"load15m": 0.5, "load5m": 0.25, "load1m": 0.125}"#,
            names::GET_DISKS => r#"[{"name": "/dev/vda", "dependencies": [], "partition": false}]"#,
            names::GET_FSINFO => return self.fsinfo(),
            names::GET_CPUSTATS => "[]",
            "guest-get-users" | "guest-get-memory-blocks" | "guest-network-get-interfaces" => "[]",
            "guest-get-diskstats" | "guest-network-get-route" => "[]",
            // guest-ping, and commands that only a reference server is ever asked to carry out.
            _ => "{}",
        };
        answer.to_owned()
    }

    fn fsinfo(&self) -> String {
        let privileged =
            if self.dialect.privileged_bytes { r#""total-bytes-privileged": 4096, "# } else { "" };
        let behind = r#""mountpoint": "/", "disk": [], "used-bytes": 0, "type": "ext4""#;
        format!(r#"[{{"name": "vda", "total-bytes": 4096, {privileged}{behind}}}]"#)
    }

    fn info(&self) -> String {
        let version = if self.dialect.name == IDEAL { "99.0" } else { self.dialect.name };
        let lies = self.has(defects::ENABLED_WRONG);
        let command = |name: &&str| {
            let enabled = lies || (!self.blocked.contains(*name) && *name != names::GET_DEVICES);
            let answers = !SILENT.contains(name);
            format!(r#"{{"enabled": {enabled}, "name": "{name}", "success-response": {answers}}}"#)
        };
        let commands: Vec<String> = self.dialect.commands.iter().map(command).collect();
        format!(r#"{{"version": "{version}.0", "supported_commands": [{}]}}"#, commands.join(", "))
    }
}

/// An error as it is printed.
pub(super) fn error(id: &str, class: &str, text: &str) -> String {
    let mut line = format!("{{{id}\"error\": {{\"class\": \"{class}\", \"desc\": ");
    write_text_upper(&mut line, text);
    line + "}}"
}

/// What guest-get-osinfo answers.
const OSINFO: &str = concat!(
    r#"{"name": "Debian GNU/Linux", "kernel-release": "6.0", "version": "0", "pretty-name": "none", "#,
    r##""version-id": "0", "kernel-version": "#1", "machine": "x86_64", "id": "debian"}"##
);
