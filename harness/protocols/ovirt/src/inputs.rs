//! What a guest can send that a host must survive: the table of bad and odd inputs.
//!
//! Each is sent into a running conversation, in writes of its own; the agent keeps silent meanwhile. Behind it comes
//! the canary: a heartbeat that says 0 and one that says the agent's maximum, after which a host with versions must
//! announce. Where an input has a good message in it, that is a heartbeat that says 1, which must be announced as well.

use std::sync::LazyLock;

use super::names::MAX_EVER;

/// One input.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// Its name, behind `guest-sends-`.
    pub name: &'static str,
    /// What is odd about it, in one sentence.
    pub about: &'static str,
    /// The writes, with time between them.
    pub writes: Vec<Vec<u8>>,
    /// Whether the guest's end of the port is closed and opened again.
    pub closes: Closes,
    /// What a host that was in force at its maximum, this one, has to announce because of it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the models are held against it"))]
    pub announces: fn(max: i64) -> Option<i64>,
}

/// When the guest's end of the port is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closes {
    /// It stays open.
    Never,
    /// Together with the last write.
    AtOnce,
    /// When the host has had time to read.
    Later,
}

/// The heartbeat that says 0, and which nobody announces.
pub(crate) const CANARY_ZERO: &str = "canary-zero";
/// The heartbeat that says the maximum of the newest agents.
pub(crate) const CANARY_MAX: &str = "canary-max";

fn heartbeat(version: &str) -> Vec<u8> {
    format!("{{\"__name__\": \"heartbeat\", \"free-ram\": \"100\", \"apiVersion\": {version}}}\n")
        .into_bytes()
}

fn nothing(_: i64) -> Option<i64> {
    None
}

fn one(max: i64) -> Option<i64> {
    (max > 1).then_some(1)
}

fn two(max: i64) -> Option<i64> {
    (max > 2).then_some(2)
}

/// Every input, and the two heartbeats of the canary.
#[must_use]
pub(crate) fn all() -> Vec<Input> {
    let mut all = versions();
    all.extend(heartbeats());
    all.extend(shapes());
    all.extend(contents());
    all.extend(chunks());
    all
}

/// The input of that name, or a heartbeat of the canary.
#[must_use]
pub(crate) fn input(name: &str) -> Option<Input> {
    match name {
        CANARY_ZERO => Some(whole(CANARY_ZERO, "A good heartbeat that says 0.", heartbeat("0"))),
        CANARY_MAX => {
            let version = MAX_EVER.to_string();
            Some(whole(CANARY_MAX, "A good heartbeat that says the maximum.", heartbeat(&version)))
        }
        name => {
            // Some are large: of all that are made to find one, the others are kept for the next time.
            static ALL: LazyLock<Vec<Input>> = LazyLock::new(all);
            ALL.iter().find(|input| input.name == name).cloned()
        }
    }
}

fn whole(name: &'static str, about: &'static str, bytes: Vec<u8>) -> Input {
    Input { name, about, writes: vec![bytes], closes: Closes::Never, announces: nothing }
}

fn line(name: &'static str, about: &'static str, text: &str) -> Input {
    whole(name, about, format!("{text}\n").into_bytes())
}

fn versions() -> Vec<Input> {
    let with =
        |name, about, version: &str, announces| Input { announces, ..whole(name, about, heartbeat(version)) };
    vec![
        Input {
            closes: Closes::Later,
            ..whole(
                "negative-heartbeat",
                "A heartbeat says -1, and the port is closed and opened.",
                heartbeat("-1"),
            )
        },
        with("negative-text-heartbeat", "A heartbeat says \"-5\".", "\"-5\"", nothing),
        with("text-heartbeat", "A heartbeat says 2 in quotes.", "\"2\"", two),
        with("true-heartbeat", "A heartbeat says true, which is 1.", "true", one),
        with("fraction-heartbeat", "A heartbeat says 1.5, which is 1.", "1.5", one),
        with("small-fraction-heartbeat", "A heartbeat says 0.9, which is 0.", "0.9", nothing),
        with("word-heartbeat", "A heartbeat says a word.", "\"x\"", nothing),
        with("nan-heartbeat", "A heartbeat says NaN.", "NaN", nothing),
        with("null-heartbeat", "A heartbeat says null.", "null", nothing),
        with("list-heartbeat", "A heartbeat says a list.", "[2]", nothing),
        with("object-heartbeat", "A heartbeat says an object.", "{}", nothing),
        with("infinite-heartbeat", "A heartbeat says 1e999.", "1e999", nothing),
        with("high-heartbeat", "A heartbeat says 99.", "99", nothing),
        with("huge-heartbeat", "A heartbeat says 400 nines.", &"9".repeat(400), nothing),
        with("vast-heartbeat", "A heartbeat says 5000 nines.", &"9".repeat(5000), nothing),
        Input {
            announces: two,
            ..line(
                "version-twice",
                "A heartbeat says 1 and then 2.",
                r#"{"__name__": "heartbeat", "free-ram": "100", "apiVersion": 1, "apiVersion": 2}"#,
            )
        },
        line(
            "keyless-heartbeat",
            "A heartbeat without a version.",
            r#"{"__name__": "heartbeat", "free-ram": "100"}"#,
        ),
    ]
}

fn heartbeats() -> Vec<Input> {
    vec![
        line("no-free-ram", "A heartbeat without free-ram.", r#"{"__name__": "heartbeat", "apiVersion": 1}"#),
        line(
            "word-free-ram",
            "A heartbeat whose free-ram is no number.",
            r#"{"__name__": "heartbeat", "free-ram": "x", "apiVersion": 1}"#,
        ),
        line(
            "null-free-ram",
            "A heartbeat whose free-ram is null.",
            r#"{"__name__": "heartbeat", "free-ram": null, "apiVersion": 1}"#,
        ),
        Input {
            announces: one,
            ..line(
                "list-memory-stat",
                "A heartbeat whose memory-stat is a list; the newest release takes its version.",
                r#"{"__name__": "heartbeat", "free-ram": "100", "memory-stat": [], "apiVersion": 1}"#,
            )
        },
        line(
            "null-memory-stat",
            "A heartbeat whose memory-stat is null.",
            r#"{"__name__": "heartbeat", "free-ram": "100", "memory-stat": null, "apiVersion": 1}"#,
        ),
    ]
}

fn shapes() -> Vec<Input> {
    vec![
        line("unknown-name", "A message that nobody knows.", r#"{"__name__": "no-such-message", "x": 1}"#),
        line("null-name", "A message whose name is null.", r#"{"__name__": null}"#),
        line("number-name", "A message whose name is a number.", r#"{"__name__": 5}"#),
        line("list-name", "A message whose name is a list.", r#"{"__name__": ["x"]}"#),
        line("no-name", "A message without a name.", r#"{"a": 1}"#),
        line("list", "A list.", "[]"),
        line("number", "A number.", "42"),
        line("text", "A text.", r#""x""#),
        line("null", "null.", "null"),
        line("not-json", "A word.", "hello"),
        line("blank-line", "An empty line.", ""),
        line(
            "byte-order-mark",
            "A byte order mark before the object.",
            "\u{feff}{\"__name__\": \"fqdn\", \"fqdn\": \"bom\"}",
        ),
        whole(
            "bad-utf-8",
            "Bytes that are no UTF-8.",
            b"{\"__name__\": \"fqdn\", \"fqdn\": \"\xff\xfe\"}\n".to_vec(),
        ),
        line("deep", "900 nested lists.", &nested(900)),
        line("deeper", "100000 opening brackets.", &"[".repeat(100_000)),
        whole("uninstalled", "The package is removed.", b"{\"__name__\": \"uninstalled\"}\n\n".to_vec()),
        line("echo", "An echo, which no host knows.", r#"{"__name__": "echo", "t": "p"}"#),
        line(
            "memory-stats",
            "A message that is in the agent's table alone.",
            r#"{"__name__": "memory-stats", "memory": {}}"#,
        ),
        whole(
            "carriage-return",
            "A line that ends in CR LF.",
            b"{\"__name__\": \"host-name\", \"name\": \"cr\"}\r\n".to_vec(),
        ),
    ]
}

fn nested(depth: usize) -> String {
    format!(r#"{{"__name__": "fqdn", "fqdn": {}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

fn contents() -> Vec<Input> {
    vec![
        line(
            "control-characters",
            "Escapes of NUL and of half a pair.",
            r#"{"__name__": "fqdn", "fqdn": "a\u0000\ud800b"}"#,
        ),
        line("emoji", "A character above U+FFFF.", r#"{"__name__": "fqdn", "fqdn": "\ud83d\ude00"}"#),
        line(
            "text-applications",
            "Applications are a text.",
            r#"{"__name__": "applications", "applications": "abc"}"#,
        ),
        line(
            "null-applications",
            "Applications are null.",
            r#"{"__name__": "applications", "applications": null}"#,
        ),
        line(
            "text-interfaces",
            "Interfaces are a text.",
            r#"{"__name__": "network-interfaces", "interfaces": "abc"}"#,
        ),
        line(
            "disk-without-total",
            "A disk without its size.",
            r#"{"__name__": "disks-usage", "disks": [{"path": "/", "fs": "ext4"}]}"#,
        ),
        line("object-containers", "Containers are an object.", r#"{"__name__": "containers", "list": {}}"#),
        line(
            "unknown-completion",
            "A completion that nobody waits for.",
            r#"{"__name__": "completion", "reply_id": "nobody", "done": true}"#,
        ),
        line(
            "word-cpus",
            "The number of processors is a word.",
            r#"{"__name__": "number-of-cpus", "count": "x"}"#,
        ),
        line(
            "huge-cpus",
            "There are 10^30 processors.",
            r#"{"__name__": "number-of-cpus", "count": 1000000000000000000000000000000}"#,
        ),
    ]
}

fn chunks() -> Vec<Input> {
    let behind = |name, about, bad: &[u8]| Input {
        announces: one,
        ..whole(name, about, [bad, &heartbeat("1")].concat())
    };
    let good = heartbeat("1");
    let (first, second) = good.split_at(good.len() / 2);
    let junk = vec![b'x'; (1 << 20) + (4 << 10)];
    vec![
        behind(
            "no-name-and-good",
            "A message without a name and a good heartbeat in one write.",
            b"{\"a\": 1}\n",
        ),
        behind("not-json-and-good", "A word and a good heartbeat in one write.", b"hello\n"),
        behind(
            "null-heartbeat-and-good",
            "A heartbeat that says null and a good one in one write.",
            &heartbeat("null"),
        ),
        Input {
            writes: vec![[b"{\"a\": 1}\n", first].concat(), second.to_vec()],
            ..behind(
                "no-name-and-half",
                "A message without a name and half a good heartbeat, then the other half.",
                b"",
            )
        },
        Input {
            writes: good.iter().map(|byte| vec![*byte]).collect(),
            ..behind("byte-by-byte", "A good heartbeat, each byte in a write of its own.", b"")
        },
        Input {
            writes: vec![junk.clone(), b"\n".to_vec()],
            ..whole("long-line", "A line of more than 1 MiB.", Vec::new())
        },
        Input {
            writes: vec![junk.clone(), junk.clone(), junk, b"\n".to_vec()],
            ..whole("longer-line", "A line of more than 3 MiB.", Vec::new())
        },
        Input {
            closes: Closes::Later,
            ..whole(
                "half-line-and-closes",
                "The port is closed in mid-line and opened again.",
                first.to_vec(),
            )
        },
        Input {
            closes: Closes::AtOnce,
            ..line(
                "heartbeat-and-closes",
                "A heartbeat without a version, and the port is closed right behind it and opened again.",
                r#"{"__name__": "heartbeat", "free-ram": "100"}"#,
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_input_sends_something() {
        let all = all();
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other.name != one.name), "{}", one.name);
            assert!(
                one.writes.iter().all(|write| !write.is_empty()) && !one.writes.is_empty(),
                "{}",
                one.name
            );
        }
        assert!(input(CANARY_MAX).is_some() && input("no-such-input").is_none());
    }
}
