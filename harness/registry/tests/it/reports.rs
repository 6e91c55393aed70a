//! What was reported of protocols over ttrpc, as conversations made by hand after the reports: each is judged right.

use matrix::Verdict;
use runner::judge_transcript;
use transcript::import::raw::import;

/// The shapes that are found in a conversation of a case.
fn found(protocol: &str, dialect: &str, case: &str, events: &[String]) -> Vec<String> {
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
    judgement.findings.into_iter().map(|finding| finding.shape).collect()
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
    let shapes = found("kata-agent", "3.2", "client/ctl-network", &events);
    assert_eq!(shapes, ["above-limit", "no-reply"]);
}

/// `containerd/ttrpc#72`, `#174`: both ends write and nobody reads.
#[test]
fn calls_of_a_client_that_is_not_read_are_not_answered() {
    let forward = |stream: usize| {
        let head = format!("00000038{:08x}0100", 2 * stream + 1);
        let service: String =
            "containerd.services.events.ttrpc.v1.Events".bytes().map(|b| format!("{b:02x}")).collect();
        let method: String = "Forward".bytes().map(|b| format!("{b:02x}")).collect();
        format!("{head}0a2a{service}1207{method}1a01ff")
    };
    let calls = (0..32).map(|number| sent(number + 2, "c2s", &forward(number)));
    let ends = [event(60_000, "timeout", "s2c"), event(60_001, "eof", "c2s")];
    let events: Vec<_> = [event(1, "connect", "c2s")].into_iter().chain(calls).chain(ends).collect();
    let shapes = found("containerd-task", "1.4", "client/recorded-events", &events);
    assert_eq!(shapes, ["no-reply"], "one finding for all that are lost alike");
}
