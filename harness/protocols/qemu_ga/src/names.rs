//! Names of the protocol: commands, members and error classes.
//!
//! Source: `docs/interop/qemu-ga-ref.rst` and `qga/qapi-schema.json` of QEMU. All commands stand in `commands.txt`.

use std::sync::LazyLock;

/// Answers its argument; what repairs a stream of which nobody knows the state.
pub(crate) const SYNC: &str = "guest-sync";
/// The same with the byte ff before the answer.
pub(crate) const SYNC_DELIMITED: &str = "guest-sync-delimited";
/// Answers nothing but that the agent is there.
pub(crate) const PING: &str = "guest-ping";
/// Answers the version and the list of commands: all that there is of a negotiation.
pub(crate) const INFO: &str = "guest-info";
/// Answers the devices of Windows guests; elsewhere it is blocked, or unknown since 10.0.
pub(crate) const GET_DEVICES: &str = "guest-get-devices";
/// Answers the disks.
pub(crate) const GET_DISKS: &str = "guest-get-disks";
/// Answers the mounted file systems and the disks under them.
pub(crate) const GET_FSINFO: &str = "guest-get-fsinfo";
/// Answers the host name.
pub(crate) const GET_HOST_NAME: &str = "guest-get-host-name";
/// Answers the time of the clock in nanoseconds.
pub(crate) const GET_TIME: &str = "guest-get-time";
/// Answers what is known of the operating system.
pub(crate) const GET_OSINFO: &str = "guest-get-osinfo";
/// Answers the load, since 10.0.
pub(crate) const GET_LOAD: &str = "guest-get-load";
/// Answers counters of the processors, since 7.2.
pub(crate) const GET_CPUSTATS: &str = "guest-get-cpustats";
/// A command that no release knows, for probes.
pub(crate) const UNKNOWN: &str = "wireskew-unknown";

static COMMANDS: LazyLock<Vec<Vec<&str>>> =
    LazyLock::new(|| read(include_str!("commands.txt")).expect("a constant, which a test reads"));

/// Reads `commands.txt`: a name and its words in each row. An error names the line.
fn read(table: &'static str) -> Result<Vec<Vec<&'static str>>, String> {
    let rows = (1..).zip(table.lines()).filter(|(_, line)| !line.starts_with('#'));
    let row = |(at, line): (u32, &'static str)| {
        let row: Vec<_> = line.split_whitespace().collect();
        match row[..] {
            [_, "5.2" | "7.2" | "10.0", "blocked" | "reads" | "machine"]
            | [_, "5.2" | "7.2" | "10.0", "reads", "machine"] => Ok(row),
            _ => Err(format!("line {at}: `{line}` is no command with a release and what it does")),
        }
    };
    rows.map(row).collect()
}

/// The commands of `commands.txt` that have a word.
pub(crate) fn commands(word: &str) -> Vec<&'static str> {
    COMMANDS.iter().filter(|row| row[1..].contains(&word)).map(|row| row[0]).collect()
}

/// What every agent is started without, because it shuts down, freezes, writes or runs something. Nothing else may be
/// enabled that is not in [`READS`].
pub(crate) static BLOCKED: LazyLock<Vec<&str>> = LazyLock::new(|| commands("blocked"));

/// Commands that only read. Whatever is enabled has to be one of them.
pub(crate) static READS: LazyLock<Vec<&str>> = LazyLock::new(|| commands("reads"));

/// Commands whose answers are those of the machine.
pub(crate) static OF_MACHINE: LazyLock<Vec<&str>> = LazyLock::new(|| commands("machine"));

/// Commands that tell their success by no reply at all: `success-response` is false.
pub(crate) const SILENT: [&str; 4] =
    ["guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"];

/// Members that every release returns, by command; of a list, each of its elements has them.
pub(crate) const MEMBERS: [(&str, &[&str]); 10] = [
    (INFO, &["version", "supported_commands"]),
    (GET_OSINFO, &["name", "kernel-release", "pretty-name", "kernel-version", "machine", "id"]),
    (GET_HOST_NAME, &["host-name"]),
    ("guest-get-timezone", &["zone", "offset"]),
    ("guest-get-vcpus", &["online", "can-offline", "logical-id"]),
    (GET_FSINFO, &["name", "mountpoint", "disk", "type"]),
    (GET_DISKS, &["name", "partition"]),
    ("guest-get-users", &["user", "login-time"]),
    ("guest-network-get-interfaces", &["name"]),
    ("guest-get-memory-block-info", &["size"]),
];

/// Class of a command that is not known or not allowed.
pub(crate) const COMMAND_NOT_FOUND: &str = "CommandNotFound";
/// Class of everything else.
pub(crate) const GENERIC_ERROR: &str = "GenericError";

/// Code of an error in the syntax of a request: it stands for no request.
pub(crate) const SYNTAX: i64 = 1;
/// Code of any other error of class GenericError.
pub(crate) const GENERIC: i64 = 2;
/// Code of an error of another class.
pub(crate) const OTHER: i64 = 3;

/// The byte that no text of UTF-8 holds: from a client it resets the parser, from a server it stands before the
/// answer to guest-sync-delimited.
pub(crate) const DELIMITER: u8 = 0xff;

/// How errors in the syntax begin, behind the place that 11.1 puts in front.
const SYNTAX_ERRORS: [&str; 4] = [
    "JSON parse error",
    "JSON token size limit exceeded",
    "JSON token count limit exceeded",
    "JSON nesting depth limit exceeded",
];

/// Whether the text of an error is about the syntax of what came.
pub(crate) fn is_syntax_error(text: &str) -> bool {
    let text = without_place(text);
    SYNTAX_ERRORS.iter().any(|start| text.starts_with(start))
}

/// The text of an error without the `LINE:COLUMN: ` that 11.1 puts in front. LINE counts from the start of the
/// process, over all connections.
pub(crate) fn without_place(text: &str) -> &str {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let behind_place = text.split_once(':').and_then(|(line, rest)| {
        let (column, behind) = rest.split_once(": ")?;
        (is_number(line) && is_number(column)).then_some(behind)
    });
    behind_place.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_no_part_of_its_text() {
        let check = |text: &str, expect: &str| assert_eq!(without_place(text), expect);
        check("1:1: JSON parse error, stray '%'", "JSON parse error, stray '%'");
        check("155:23: JSON parse error, expected ',' or '}'", "JSON parse error, expected ',' or '}'");
        check("JSON parse error, expecting ':'", "JSON parse error, expecting ':'");
        check("a:1: b", "a:1: b");
        check("1:: b", "1:: b");
        assert!(is_syntax_error("9:9: JSON nesting depth limit exceeded"));
        assert!(!is_syntax_error("QMP input must be a JSON object"));
    }

    #[test]
    fn a_row_that_is_no_command_is_an_error_with_its_line() {
        #[track_caller]
        fn check(row: &str) {
            let error = read(format!("# a\nguest-a 5.2 reads\n{row}").leak()).err();
            let expect = format!("line 3: `{row}` is no command with a release and what it does");
            assert_eq!(error, Some(expect));
        }
        for row in ["guest-b", "guest-b 5.2", "guest-b reads", "guest-b 7.3 reads", "guest-b 5.2 read"] {
            check(row);
        }
        for words in ["blocked machine", "reads blocked", "machine reads", "reads machine 1"] {
            check(&format!("guest-b 5.2 {words}"));
        }
        assert_eq!(COMMANDS.last().map(|row| row[0]), Some("guest-network-get-route"));
    }

    #[test]
    fn no_command_is_both_blocked_and_harmless() {
        assert!(BLOCKED.iter().all(|name| !READS.contains(name)));
        assert!(SILENT.iter().all(|name| BLOCKED.contains(name)));
    }
}
