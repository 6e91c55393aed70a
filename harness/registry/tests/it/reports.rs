//! What was reported of protocols over ttrpc, as conversations made by hand after the reports: each is judged right.

use matrix::Verdict;
use runner::judge_transcript;
use transcript::import::raw::import;
use verdict::Blame::{self, Client, Server};

/// The shapes that are found in a conversation of a case, and whose fault each is.
fn found(protocol: &str, dialect: &str, case: &str, events: &[String]) -> Vec<(String, Blame)> {
    let protocol = registry::find(protocol).expect("a protocol of the registry");
    let header = format!(
        r#"{{"format":"raw-recording/1","protocol":"{}","client":{{"name":"a","version":"1"}},"server":{{"name":"b","version":"1"}},"recorded":"2026-11-29","transport":"unix-stream","scenario":"report","note":"made by hand"}}"#,
        protocol.name()
    );
    let text = [vec![header], events.to_vec()].concat().join("\n");
    let transcript = import(&text).expect("a raw recording");
    let grammar = protocol.grammar(dialect).expect("a dialect of the protocol");
    let case = case.parse().expect("a case");
    let judgement = judge_transcript(&*protocol, &*grammar, &case, &transcript, None);
    assert_eq!(judgement.verdict, Verdict::Broken);
    judgement.findings.into_iter().map(|finding| (finding.shape, finding.blame)).collect()
}

#[track_caller]
fn check(protocol: &str, dialect: &str, case: &str, events: &[String], expect: &[(&str, Blame)]) {
    let found = found(protocol, dialect, case, events);
    let found: Vec<_> = found.iter().map(|(shape, blame)| (shape.as_str(), *blame)).collect();
    assert_eq!(found, expect);
}

/// A call, in hexadecimal, as is its argument.
fn envelope(stream: u32, service: &str, method: &str, argument: &str) -> String {
    let field = |tag: &str, value: String| format!("{tag}{:02x}{value}", value.len() / 2);
    let text = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let data =
        [field("0a", text(service)), field("12", text(method)), field("1a", argument.to_owned())].concat();
    format!("{:08x}{stream:08x}0100{data}", data.len() / 2)
}

fn sent(t_ms: usize, dir: &str, hex: &str) -> String {
    format!(r#"{{"t_ms":{t_ms}.0,"dir":"{dir}","hex":"{hex}"}}"#)
}

fn event(t_ms: usize, event: &str, dir: &str) -> String {
    format!(r#"{{"t_ms":{t_ms}.0,"event":"{event}","dir":"{dir}"}}"#)
}

/// `containerd/ttrpc-rust#198`: a client refuses the head of an answer above 4 MiB, and reads its body as the next head.
#[test]
fn the_body_of_an_answer_above_the_limit_is_no_answer() {
    let list = "000000220000000101000a11677270632e4167656e7453657276696365120d4c69737450726f636573736573";
    let version = "000000160000000301000a0b677270632e4865616c7468120756657273696f6e";
    // 4194305 bytes are announced; within them stands an answer on stream 3.
    let answer = "00400001000000010200120600000004000000030200 12026f6b".replace(' ', "") + &"00".repeat(40);
    let events = [
        event(1, "connect", "c2s"),
        sent(2, "c2s", list),
        sent(3, "s2c", &answer),
        sent(4, "c2s", version),
        event(5, "eof", "c2s"),
    ];
    // What the client made of it does not show: what it asked next depends on nothing.
    check(
        "kata-agent",
        "3.2",
        "client/ctl-network",
        &events,
        &[("above-limit", Server), ("no-reply", Server)],
    );
}

/// The same, where the body has an answer to the call itself, and the client goes on with what only that can have allowed.
#[test]
fn whoever_goes_on_behind_an_answer_above_the_limit_has_taken_it_out_of_the_body() {
    let call = |stream: u32, method: &str| {
        let request = envelope(stream, "grpc.AgentService", method, "0a026331");
        sent(2 + stream as usize, "c2s", &request)
    };
    // 4194305 bytes are announced; within them stands an empty answer on stream 1.
    let answer = "00400001000000010200".to_owned() + "00000000000000010200" + &"00".repeat(40);
    let begins = [event(1, "connect", "c2s"), call(1, "CreateContainer"), sent(4, "s2c", &answer)];
    let goes_on = |method| {
        let ends = [call(3, method), event(6, "timeout", "s2c"), event(7, "eof", "c2s")];
        begins.iter().cloned().chain(ends).collect::<Vec<_>>()
    };
    let of_server = [("above-limit", Server), ("no-reply", Server)];
    check("kata-agent", "3.2", "client/ctl-network", &goes_on("RemoveContainer"), &of_server);
    let of_both = [("above-limit", Server), ("no-reply", Server), ("takes-refused", Client)];
    check("kata-agent", "3.2", "client/ctl-network", &goes_on("StartContainer"), &of_both);
}

/// `containerd/ttrpc#72`, `#174`: both ends write and nobody reads.
#[test]
fn calls_of_a_client_that_is_not_read_are_not_answered() {
    let forward = |stream| envelope(stream, "containerd.services.events.ttrpc.v1.Events", "Forward", "ff");
    let calls = (0..32).map(|number| sent(number as usize + 2, "c2s", &forward(2 * number + 1)));
    let ends = [event(60_000, "timeout", "s2c"), event(60_001, "eof", "c2s")];
    let events: Vec<_> = [event(1, "connect", "c2s")].into_iter().chain(calls).chain(ends).collect();
    // One finding for all that are lost alike.
    check("containerd-task", "1.4", "client/recorded-events", &events, &[("no-reply", Server)]);
}
