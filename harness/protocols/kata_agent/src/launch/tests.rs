//! Agents that are none: this test program itself plays them, when a variable says so.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use matrix::{BuildId, CaseKind, Role, Source, Verdict};
use protocol::Bench;
use protocol::{Action, Protocol as _};
use session::{Connection, Conversation, LaunchError, Received, Recorder, Start};
use transcript::{Provenance, Transcript};
use verdict::{Evidence, Reading};

use crate::KataAgent;

use super::*;

/// Says where the test program listens that plays an agent.
const AGENT: &str = "WIRESKEW_KATA_AGENT";
const SOON: Duration = Duration::from_secs(10);

fn listen(place: &str, kind: &str) -> UnixListener {
    let name = match kind {
        "path" | "muxer" | "sulking-muxer" => return UnixListener::bind(place).expect("a place"),
        "abstract" => SocketAddr::from_abstract_name(place),
        "abstract-nul" => SocketAddr::from_abstract_name(format!("{place}\0")),
        other => panic!("{other}"),
    };
    UnixListener::bind_addr(&name.expect("a name")).expect("a place")
}

/// Says after whoever connects what he says.
fn parrot(mut stream: UnixStream) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        stream.write_all(&byte).expect("it is taken");
    }
}

#[test]
fn plays_an_agent_when_told() {
    let Ok(told) = std::env::var(AGENT) else { return };
    let address = std::env::var("KATA_AGENT_SERVER_ADDR").ok();
    let (kind, place) = match told.split_once(' ') {
        Some((kind, place)) => {
            assert_eq!(address, None, "the user's own word is taken");
            (kind.to_owned(), place.to_owned())
        }
        None => (told, address.expect("it is told").strip_prefix("unix://").expect("a path").to_owned()),
    };
    for (number, mut stream) in listen(&place, &kind).incoming().flatten().enumerate() {
        if kind.ends_with("muxer") {
            let mut asked = [0; 13];
            stream.read_exact(&mut asked).expect("a line");
            assert_eq!(&asked, b"CONNECT 1024\n");
            let sulks = kind != "muxer" && number > 0;
            stream.write_all(if sulks { b"NO\n" } else { b"OK 1073741824\n" }).expect("it is taken");
        }
        parrot(stream);
    }
}

fn build(dialect: &str, settings: &[(&str, &str)]) -> Build {
    Build {
        id: BuildId::new("dev"),
        protocol: crate::NAME.into(),
        roles: vec![Role::Server],
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: settings.iter().map(|(word, value)| ((*word).to_owned(), (*value).to_owned())).collect(),
    }
}

fn path(program: &str, args: &[&str]) -> Source {
    Source::Path { path: program.into(), args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

fn agent(told: &str) -> Source {
    let exe = std::env::current_exe().expect("it runs");
    let test = "launch::tests::plays_an_agent_when_told";
    path("env", &[&format!("{AGENT}={told}"), &exe.to_string_lossy(), "--exact", test, "--nocapture"])
}

fn launcher(build: &Build, source: &Source, dir: &Path) -> Result<Arc<dyn Launcher>, LaunchError> {
    let bench = Bench::new(dir, dir);
    protocol::launch::server(&KataAgent, build, source, &bench)
}

/// Whether a process runs that was told of a place in a directory.
fn is_left(dir: &Path) -> bool {
    let told = |process: std::fs::DirEntry| std::fs::read(process.path().join("environ")).unwrap_or_default();
    let place = dir.as_os_str().as_encoded_bytes();
    let mut processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
    processes.any(|process| told(process).windows(place.len()).any(|part| part == place))
}

#[tokio::test]
async fn an_agent_is_met_where_its_release_binds() {
    let check = async |dialect: &str, settings: &[(&str, &str)], told: &str, expect: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let launcher = launcher(&build(dialect, settings), &agent(told), dir.path());
        let launcher = launcher.unwrap_or_else(|error| panic!("{error}"));
        let server = launcher.start(Start::within(SOON)).await.unwrap_or_else(|error| panic!("{error}"));
        let address = server.address().to_string().replace(&*dir.path().to_string_lossy(), "");
        let number = |text: &str| text.replace(|digit: char| digit.is_ascii_digit(), "");
        assert_eq!(number(&address), number(expect), "{dialect}");
        let mut connection = Connection::connect(server.address(), SOON).await.expect("it listens");
        connection.send(&Bytes::from_static(b"x"), &[], None, SOON).await.expect("it is taken");
        let Ok(Received::Data(data, _)) = connection.recv(SOON).await else { panic!("nothing comes") };
        assert_eq!(&*data.bytes, b"x");
        server.stop().await;
        assert!(!is_left(dir.path()), "{dialect}: a process is still there");
        assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0, "{dialect}");
    };
    for dialect in ["2.0", "2.1"] {
        check(dialect, &[], "abstract-nul", "@/own-1.sock\\x00").await;
    }
    check("2.5", &[], "abstract", "@/own-1.sock").await;
    for dialect in ["3.0", "3.2", "4.0", "ideal"] {
        check(dialect, &[], "path", "/own-1.sock").await;
    }
    check("4.0", &[], "path {socket}", "/own-1.sock").await;
    // In a virtual machine the muxer listens, whatever the agent's release does.
    let port = &[(HYBRID_VSOCK, "1024")];
    check("2.5", port, "muxer {socket}", "vsock port 1024 behind /own-1.sock").await;
}

#[tokio::test]
async fn an_agent_that_the_kernel_denies_its_option_is_explained() {
    let check = async |script: &str, is_explained: bool| {
        let dir = tempfile::tempdir().expect("a directory");
        let launcher = launcher(&build("3.2", &[]), &path("sh", &["-c", script]), dir.path());
        let started = launcher.expect("it is one").start(Start::within(SOON)).await.map(drop);
        let error = started.expect_err("it ends").to_string();
        assert!(error.starts_with("start kata-agent dev: ended at once: Code(1): Error: "), "{error}");
        for part in
            ["SO_REUSEPORT", "6.12.9, 6.13", "6.1.124", "2.1 to 3.13", "0.5 to 0.8.3", "LD_PRELOAD", "3.14"]
        {
            assert_eq!(error.contains(part), is_explained, "{part}: {error}");
        }
    };
    let trap = "Error: Nix error: EOPNOTSUPP: Operation not supported on transport endpoint";
    check(&format!("echo '{trap}' >&2; exit 1"), true).await;
    check(&format!("echo '{trap}'; exit 1"), true).await;
    check("echo 'Error: Nix error: EADDRINUSE: Address already in use' >&2; exit 1", false).await;
}

/// An agent that was not asked has done nothing wrong.
#[tokio::test]
async fn what_a_muxer_does_wrong_is_no_fault_of_the_agent() {
    let grammar = KataAgent.grammar("4.0").expect("it is a release");
    for name in ["health", "unknown-method", "alone-health", "alone-unknown-method"] {
        let dir = tempfile::tempdir().expect("a directory");
        let (build, source) = (build("4.0", &[(HYBRID_VSOCK, "1024")]), agent("sulking-muxer {socket}"));
        let launcher = launcher(&build, &source, dir.path()).unwrap_or_else(|error| panic!("{error}"));
        let server = launcher.start(Start::within(SOON)).await;
        let mut server = server.unwrap_or_else(|error| panic!("{error}"));
        let case = KataAgent.cases().into_iter().find(|case| case.id.is(CaseKind::Probe, name));
        let case = case.expect("there is one");
        let Action::Script(script) = &case.action else { panic!("{name}") };
        let recorder = Recorder::new();
        let mut conversation = Conversation::new(&mut *server, &*grammar, &recorder, 1.0);
        conversation.play(&script.make()).await.unwrap_or_else(|error| panic!("{error}"));
        server.stop().await;
        let transcript = Transcript { provenance: Provenance::default(), events: recorder.take() };
        let reading = Reading::of(&transcript, &*grammar);
        let (transcript, reading) = (&transcript, &reading);
        let evidence = Evidence { case: &case.id, transcript, reading, grammar: &*grammar, recorded: None };
        let judgement = verdict::judge(&evidence, &KataAgent.checks(&case.id), None);
        let found: Vec<_> = judgement.findings.iter().map(|found| (&*found.check, &*found.message)).collect();
        let expect = "a client is not let through to the server: the muxer's answer is not `OK`";
        assert_eq!((found, judgement.verdict), (vec![("stays-up", expect)], Verdict::Broken), "{name}");
    }
}

#[test]
fn says_what_is_wrong_with_an_agent() {
    #[track_caller]
    fn check(build: &Build, source: &Source, expect: &str) {
        let error = launcher(build, source, Path::new("/")).map(drop).expect_err("it is wrong").to_string();
        assert_eq!(error, format!("start kata-agent dev: {expect}"));
    }
    let missing = "build is missing (there is no program `/no/such`); give the program, e.g. `path:./server`";
    check(&build("4.0", &[]), &path("/no/such", &[]), missing);
    let elsewhere = "a server of kata-agent speaks at {socket}, not at {pty}";
    check(&build("4.0", &[]), &path("sh", &["{pty}"]), elsewhere);
    let untold = "no argument has {socket}, so it cannot be told where to speak";
    check(&build("4.0", &[(HYBRID_VSOCK, "1024")]), &path("sh", &[]), untold);
    let no_port = "`hybrid-vsock` is a port of vsock, e.g. 1024, not `vm`";
    check(&build("4.0", &[(HYBRID_VSOCK, "vm")]), &path("sh", &["{socket}"]), no_port);
    let unknown = "no setting `vsock`; there is `hybrid-vsock`";
    check(&build("4.0", &[("vsock", "1024")]), &path("sh", &[]), unknown);
    check(&build("1.0", &[]), &path("sh", &[]), "there is no dialect `1.0`");
}
