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
        let grammar = DockerEngine.grammar("28.5.2").expect("a dialect");
        let reading = Reading::of(&transcript, &*grammar);
        assert_eq!(DockerEngine.negotiated(&transcript, &reading).as_deref(), expect, "{path}");
    }
    check("28.5.2..20.10.5/recorded-ps.wire", Some("1.41"));
    check("28.5.2..26.1.5/recorded-ps.wire", Some("1.45"));
    check("20.10.24..28.5.2/recorded-ps.wire", Some("1.41"));
    check("28.5.2..28.5.2/recorded-pinned-too-old.wire", Some("1.23"));
    check("probe..28.5.2/alone-ping-head.wire", None);
}
