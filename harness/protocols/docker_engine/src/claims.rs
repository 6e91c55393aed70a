//! What a CLI claims, read from what it prints.

use crate::operations::{Operation, TINY};
use crate::version::ApiVersion;

/// What stands before the words of a daemon: of 20.10 about an object that is not there, of all others, and of `docker run`.
const PREFIXES: [&str; 2] = ["Error response from daemon: ", "Error: "];
const OF_RUN: &str = "docker: ";

/// What an operation is for, as far as it was printed.
pub(crate) fn printed(operation: &Operation, stdout: &str) -> Option<String> {
    let text = stdout.trim_end();
    let is = |is_so: bool, yes: &str, no: &str| Some(if is_so { yes } else { no }.to_owned());
    match operation.name {
        "version" => {
            let versions = text.split(' ').filter(|word| word.parse::<ApiVersion>().is_ok()).count();
            is(versions == 2, "both", "less")
        }
        "images" => text.lines().find(|line| *line == TINY).or(text.lines().next()).map(ToOwned::to_owned),
        "run-detached" | "annotated" => is(is_id(text), "id", "no id"),
        "top" => is(text.lines().count() > 1, "processes", "none"),
        // They print a name that nobody asks for.
        "pause" | "stop" | "rm" | "reloaded-stop" => None,
        _ => Some(text.to_owned()).filter(|text| !text.is_empty()),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The words of who refuses, if that is what it complains of.
pub(crate) fn refused(stderr: &str) -> Option<String> {
    let last = |line: &&str| !line.trim().is_empty() && !line.contains("--help");
    let line = stderr.lines().rfind(last)?.trim();
    let line = line.strip_prefix(OF_RUN).unwrap_or(line);
    let words = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::operation;

    #[test]
    fn reads_what_was_printed() {
        #[track_caller]
        fn check(name: &str, stdout: &str, expect: Option<&str>) {
            let operation = operation(name).expect("it is an operation");
            assert_eq!(printed(operation, stdout).as_deref(), expect, "{name}: {stdout}");
        }
        check("version", "1.41 1.12\n", Some("both"));
        check("version", "1.41 \n", Some("less"));
        check("ps", "aa\n", Some("aa"));
        check("ps", "", None);
        check("images", "busybox:1\ntiny:1\n", Some("tiny:1"));
        check("run-detached", &format!("{}\n", "0a".repeat(32)), Some("id"));
        check("annotated", "WARNING\n", Some("no id"));
        check("top", "UID PID\nroot 1\n", Some("processes"));
        check("top", "UID PID\n", Some("none"));
        check("stop", "aa\n", None);
        check("exec", "hi\n", Some("hi"));
    }

    #[test]
    fn reads_who_refused_in_which_words() {
        #[track_caller]
        fn check(stderr: &str, expect: Option<&str>) {
            assert_eq!(refused(stderr).as_deref(), expect, "{stderr}");
        }
        let missing = "No such container: nope";
        check("Error: No such container: nope\n", Some(missing));
        check("Error response from daemon: No such container: nope\n", Some(missing));
        let run = "docker: Error response from daemon: client version 1.41 is too old.\n\nRun 'docker run --help' for more information\n";
        check(run, Some("client version 1.41 is too old."));
        check("docker: Error response from daemon: x.\nSee 'docker run --help'.\n", Some("x."));
        check(
            "\"--annotation\" requires API version 1.43, but the Docker daemon API version is 1.41\n",
            Some("\"--annotation\" requires API version 1.43, but the Docker daemon API version is 1.41"),
        );
        check("", None);
    }
}
