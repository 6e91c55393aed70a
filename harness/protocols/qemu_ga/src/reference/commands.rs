//! What each command does and answers. Nothing is done: answers are those of a machine that does not exist.

use std::collections::BTreeSet;

use wire::json::{Kind, Value, write_text_upper};

use protocol::defect::Switches;

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

/// Carries out what was parsed.
pub(super) fn dispatch(
    dialect: &Dialect,
    switches: &Switches,
    blocked: &BTreeSet<String>,
    request: Value<'_>,
) -> Done {
    let id = request.get("id").filter(|_| request.kind() == Kind::Object);
    // A server without the limit of a token would answer with as much as it got.
    let lost = |id: &Value<'_>| switches.has(defects::ID_LOST) || id.raw().len() > TOKEN_MAX;
    let id = id.filter(|id| !lost(id)).map(|id| {
        let mut text = String::from("\"id\": ");
        write_value(&mut text, id.raw(), numbers(dialect, switches));
        text
    });
    let command = request.get("execute").and_then(Value::text).unwrap_or_default().into_owned();
    match carry_out(dialect, switches, blocked, request) {
        Ok(_) if SILENT.contains(&command.as_str()) && !switches.has(defects::ANSWERS_SILENT) => {
            Done { reply: None, delimited: false }
        }
        Ok(value) => {
            let id = id.map(|id| format!(", {id}")).unwrap_or_default();
            Done { reply: Some(format!("{{\"return\": {value}{id}}}")), delimited: command == SYNC_DELIMITED }
        }
        Err((class, text)) => {
            let id = id.map(|id| format!("{id}, ")).unwrap_or_default();
            Done { reply: Some(error(&id, class, &text)), delimited: false }
        }
    }
}

/// How numbers are written.
fn numbers(dialect: &Dialect, switches: &Switches) -> Numbers {
    match () {
        () if switches.has(defects::NUMBERS_CUT) => Numbers::SixPlaces,
        () if switches.has(defects::PRINTS_INF) => Numbers::SeventeenDigits,
        () => dialect.numbers,
    }
}

/// An error as it is printed.
pub(super) fn error(id: &str, class: &str, text: &str) -> String {
    let mut line = format!("{{{id}\"error\": {{\"class\": \"{class}\", \"desc\": ");
    write_text_upper(&mut line, text);
    line + "}}"
}

fn carry_out(
    dialect: &Dialect,
    switches: &Switches,
    blocked: &BTreeSet<String>,
    request: Value<'_>,
) -> Result<String, Fault> {
    let (command, arguments) = checked(dialect, switches, request)?;
    let unknown = if switches.has(defects::WRONG_CLASS) { GENERIC_ERROR } else { COMMAND_NOT_FOUND };
    let forgotten = command == names::GET_DEVICES && switches.has(defects::FORGETS_DEVICES);
    if !dialect.knows(&command) || forgotten {
        return Err((unknown, format!("The command {command} has not been found")));
    }
    let is_blocked = blocked.contains(&command) || command == names::GET_DEVICES;
    if is_blocked && !switches.has(defects::EXECUTES_BLOCKED) {
        let class =
            if switches.has(defects::BLOCKED_NOT_FOUND) { COMMAND_NOT_FOUND } else { dialect.blocked_class };
        return Err((class, dialect.blocked_text.replace("{}", &command)));
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
        return sync_number(id, switches)
            .ok_or_else(|| generic("Invalid parameter type for 'id', expected: integer"));
    }
    Ok(answer(dialect, switches, blocked, &command))
}

/// The number of a guest-sync, if it is one of 64 bits.
fn sync_number(id: Value<'_>, switches: &Switches) -> Option<String> {
    let digits = id.number()?;
    if switches.has(defects::NO_RANGE) {
        return Some(digits.to_owned());
    }
    digits.parse::<i64>().ok().map(|number| number.to_string())
}

/// The command and its arguments, once the form of the request is right.
fn checked<'d>(
    dialect: &Dialect,
    switches: &Switches,
    request: Value<'d>,
) -> Result<(String, Option<Value<'d>>), Fault> {
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
            ("id", _) if infinite(value) && !dialect.infinite && !switches.has(defects::PRINTS_INF) => {
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

fn answer(dialect: &Dialect, switches: &Switches, blocked: &BTreeSet<String>, command: &str) -> String {
    match command {
        names::INFO => info(dialect, switches, blocked),
        names::GET_TIME => TIME_NS.to_owned(),
        "guest-fsfreeze-status" => "\"thawed\"".to_owned(),
        names::GET_HOST_NAME if switches.has(defects::LOSES_MEMBER) => "{\"name\": \"reference\"}".to_owned(),
        names::GET_HOST_NAME => "{\"host-name\": \"reference\"}".to_owned(),
        "guest-get-timezone" => "{\"zone\": \"UTC\", \"offset\": 0}".to_owned(),
        "guest-get-memory-block-info" => "{\"size\": 134217728}".to_owned(),
        names::GET_OSINFO => concat!(
            "{\"name\": \"Debian GNU/Linux\", \"kernel-release\": \"6.0\", \"version\": \"0\", ",
            "\"pretty-name\": \"none\", \"version-id\": \"0\", \"kernel-version\": \"#1\", ",
            "\"machine\": \"x86_64\", \"id\": \"debian\"}"
        )
        .to_owned(),
        "guest-get-vcpus" => "[{\"online\": true, \"can-offline\": false, \"logical-id\": 0}]".to_owned(),
        names::GET_LOAD => "{\"load15m\": 0.5, \"load5m\": 0.25, \"load1m\": 0.125}".to_owned(),
        names::GET_DISKS => {
            "[{\"name\": \"/dev/vda\", \"dependencies\": [], \"partition\": false}]".to_owned()
        }
        names::GET_FSINFO => fsinfo(dialect),
        "guest-get-users"
        | "guest-get-memory-blocks"
        | "guest-network-get-interfaces"
        | "guest-get-diskstats"
        | names::GET_CPUSTATS
        | "guest-network-get-route" => "[]".to_owned(),
        // guest-ping, and commands that only a reference server is ever asked to carry out.
        _ => "{}".to_owned(),
    }
}

fn fsinfo(dialect: &Dialect) -> String {
    let privileged = if dialect.privileged_bytes { "\"total-bytes-privileged\": 4096, " } else { "" };
    format!(
        "[{{\"name\": \"vda\", \"total-bytes\": 4096, {privileged}\"mountpoint\": \"/\", \"disk\": [], \
         \"used-bytes\": 0, \"type\": \"ext4\"}}]"
    )
}

fn info(dialect: &Dialect, switches: &Switches, blocked: &BTreeSet<String>) -> String {
    let version = if dialect.name == "ideal" { "99.0.0".to_owned() } else { format!("{}.0", dialect.name) };
    let lies = switches.has(defects::ENABLED_WRONG);
    let commands: Vec<String> = dialect
        .commands
        .iter()
        .map(|name| {
            let enabled = lies || (!blocked.contains(*name) && *name != names::GET_DEVICES);
            let answers = !SILENT.contains(name);
            format!("{{\"enabled\": {enabled}, \"name\": \"{name}\", \"success-response\": {answers}}}")
        })
        .collect();
    format!("{{\"version\": \"{version}\", \"supported_commands\": [{}]}}", commands.join(", "))
}
