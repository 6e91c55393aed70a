use std::path::Path;

use super::*;

fn fixture(path: &str) -> Transcript {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/docker-engine");
    transcript::fixture::load(fixtures.join(path)).expect("a recording")
}

#[test]
fn a_recording_is_played_to_a_daemon_that_has_what_it_names() {
    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        assert_eq!(condition_of(&fixture(path)).as_deref(), expect, "{path}");
    }
    check("28.5.2..28.5.2/recorded-inspect.wire", Some("running xforkyforky"));
    check("28.5.2..28.5.2/recorded-ps.wire", Some("running"));
    check("28.5.2..28.5.2/recorded-volume-rm.wire", Some("volume vforkyforky"));
    check("probe..28.5.2/recorded-logs-tty-1.41.wire", Some("terminal probet"));
    check("probe..28.5.2/alone-ping-get.wire", None);
}

#[test]
fn what_a_client_asks_for_is_what_was_negotiated() {
    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        let transcript = fixture(path);
        let grammar = DockerEngine::default().grammar("28.5.2").expect("a dialect");
        let reading = Reading::of(&transcript, &*grammar);
        assert_eq!(DockerEngine::default().negotiated(&transcript, &reading).as_deref(), expect, "{path}");
    }
    check("28.5.2..20.10.5/recorded-ps.wire", Some("1.41"));
    check("28.5.2..26.1.5/recorded-ps.wire", Some("1.45"));
    check("20.10.24..28.5.2/recorded-ps.wire", Some("1.41"));
    check("20.10.5..20.10.5/recorded-pinned-too-old.wire", Some("1.23"));
    check("28.5.2..28.5.2/recorded-pinned-too-old.wire", None);
    check("probe..28.5.2/alone-ping-head.wire", None);
}

/// What checks find in a recording in which a piece of text is replaced, wherever it stands.
fn changed(path: &str, dir: wire::Direction, (from, to): (&str, &str)) -> Vec<String> {
    let mut transcript = fixture(path);
    for event in transcript.events.iter_mut().filter(|event| event.dir == dir) {
        if let transcript::EventKind::Data(data) = &mut event.kind
            && let Ok(text) = std::str::from_utf8(&data.bytes)
        {
            data.bytes = text.replace(from, to).into();
        }
    }
    let protocol = DockerEngine::default();
    let case: CaseId = transcript.provenance.case.parse().expect("it names a case");
    let version = transcript.provenance.server.version.as_deref().expect("a version");
    let grammar = protocol.grammar(version).expect("a dialect");
    let reading = Reading::of(&transcript, &*grammar);
    let (grammar, recorded) = (&*grammar, None);
    let evidence =
        verdict::Evidence { case: &case, transcript: &transcript, reading: &reading, grammar, recorded };
    verdict::judge(&evidence, &protocol.checks(&case), None).shapes()
}

#[test]
fn a_client_that_leaves_its_rules_is_found() {
    #[track_caller]
    fn check(path: &str, change: (&str, &str), expect: &str) {
        let to_server = wire::Direction::ToServer;
        let has = |shapes: Vec<String>| shapes.iter().any(|shape| shape == expect);
        assert!(!has(changed(path, to_server, ("", ""))), "{path} as it is");
        assert!(has(changed(path, to_server, change)), "{path} with {change:?}");
    }
    // moby/moby#21930: a pin of 1.23 went out as 1.24.
    check("20.10.5..20.10.5/recorded-pinned-too-old.wire", ("/v1.23/", "/v1.24/"), "pin-changed");
    check("20.10.5..20.10.5/recorded-pinned-too-old.wire", ("/v1.23/", "/v1.22/"), "pin-changed");
    check("28.5.2..20.10.5/recorded-ps.wire", ("/v1.41/", "/v1.51/"), "above-agreed");
    check("28.5.2..28.5.2/recorded-ps.wire", ("/v1.51/", "/v1.50/"), "below-agreed");
    check("28.5.2..28.5.2/recorded-ps.wire", ("/v1.51/", "/"), "no-prefix");
}
