//! What the probes and scenarios say of the releases, as it was measured on libvirtd 7.0.0, 9.0.0, 11.3.0 and
//! 12.8.0 and as the reference servers say it too. Everything that is not here is compatible on all of them;
//! `wireskew run` shows that.

use std::sync::Arc;

use matrix::{Build, BuildId, CaseId, Role, Verdict};
use protocol::{Action, Bench, Case};
use session::{Conversation, Recorder, Start};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use transcript::Transcript;
use verdict::{Evidence, Reading, judge};

use crate::{DIALECTS, LibvirtGrammar, probes, reference, scenarios};

/// What a case comes to on which releases: verdict, and the shapes of all findings.
type Measured = (&'static str, &'static [&'static str], Verdict, &'static [&'static str]);

const ALL: &[&str] = &["7.0.0", "9.0.0", "11.3.0", "12.8.0"];
const OLD: &[&str] = &["7.0.0", "9.0.0"];
const NEW: &[&str] = &["11.3.0", "12.8.0"];

const MEASURED: &[Measured] = {
    use Verdict::{Broken, Compatible, Degraded, Refused};
    const INACTIVE: &[&str] = &["rollback-leaves-inactive"];
    const FORGOTTEN: &[&str] = &["discarded-at-restart", "transaction-lost-at-restart"];
    &[
        ("probe/second-open", ALL, Broken, &["first-driver-lost"]),
        ("probe/third-open", ALL, Broken, &["driver-left-behind", "wrong-success"]),
        ("probe/free-pages-overflow", OLD, Broken, &["closed", "crash"]),
        ("probe/free-pages-overflow", NEW, Compatible, &[]),
        ("probe/node-device-list-active", OLD, Refused, &["refused-valid"]),
        ("probe/node-device-list-active", NEW, Compatible, &[]),
        ("probe/network-update-order", ALL, Compatible, &[]),
        ("probe/features-and-procedures", ALL, Compatible, &[]),
        ("probe/type-and-address", ALL, Compatible, &[]),
        ("probe/event-not-lost", ALL, Compatible, &[]),
        ("probe/stream-complete", ALL, Compatible, &[]),
        ("probe/pipelined-200", ALL, Compatible, &[]),
        ("scenario/rollback-restores", ALL, Broken, INACTIVE),
        ("scenario/rollback-of-nothing", ALL, Broken, INACTIVE),
        ("scenario/undefine-then-rollback", ALL, Broken, INACTIVE),
        ("scenario/redefine-then-rollback", ALL, Broken, INACTIVE),
        ("scenario/define-start-then-rollback", ALL, Broken, INACTIVE),
        ("scenario/destroy-then-rollback", ALL, Broken, INACTIVE),
        ("scenario/rollback-touches-only-changed", ALL, Broken, &["rollback-touches-others"]),
        ("scenario/commit-keeps", ALL, Compatible, &[]),
        ("scenario/begin-twice", ALL, Compatible, &[]),
        ("scenario/commit-then-rollback-refused", ALL, Compatible, &[]),
        (
            "scenario/rollback-by-another-client",
            ALL,
            Broken,
            &["rollback-leaves-inactive", "state-of-driver"],
        ),
        ("scenario/commit-by-another-client", ALL, Compatible, &["state-of-driver"]),
        (
            "scenario/client-dies-in-transaction",
            ALL,
            Broken,
            &["no-automatic-rollback", "rollback-leaves-inactive", "state-of-driver"],
        ),
        ("scenario/client-dies-then-begin", ALL, Compatible, &["no-automatic-rollback"]),
        ("scenario/last-client-dies", ALL, Degraded, &["discarded-at-last-close"]),
        ("scenario/daemon-restart-in-transaction", ALL, Degraded, FORGOTTEN),
        ("scenario/daemon-crash-in-transaction", ALL, Degraded, FORGOTTEN),
        ("scenario/reboot-in-transaction", ALL, Degraded, FORGOTTEN),
        ("scenario/daemon-crash-after-commit", ALL, Degraded, &["discarded-at-restart"]),
        ("scenario/machine-rollback", ALL, Refused, &["no-such-driver"]),
        ("scenario/machine-rollback", &["ideal"], Compatible, &[]),
        ("scenario/machine-commit", &["ideal"], Compatible, &[]),
        ("scenario/machine-client-dies", &["ideal"], Compatible, &[]),
        ("scenario/machine-crash", &["ideal"], Compatible, &[]),
        ("scenario/machine-reboot", &["ideal"], Compatible, &[]),
    ]
};

/// The same of servers that are run with settings.
type Set = (&'static str, &'static str, (&'static str, &'static str), Verdict, &'static [&'static str]);

const SET: &[Set] = {
    use Verdict::{Broken, Compatible};
    const SASL: (&str, &str) = ("authentication", "sasl");
    &[
        (
            "probe/unknown-payload-16",
            "12.8.0",
            ("locale", "de_DE.UTF-8"),
            Broken,
            &["translated-text", "wrong-refusal"],
        ),
        ("probe/unknown-payload-16", "12.8.0", ("locale", "C"), Compatible, &[]),
        ("probe/before-authentication-open", "7.0.0", SASL, Compatible, &[]),
        ("probe/before-authentication-call", "12.8.0", SASL, Compatible, &[]),
        ("probe/before-authentication-unknown-procedure", "12.8.0", SASL, Compatible, &[]),
        ("probe/features-and-procedures", "12.8.0", ("highest", "222"), Compatible, &[]),
    ]
};

fn build(dialect: &str, setting: Option<(&str, &str)>) -> Build {
    Build {
        id: BuildId::new(format!("ref-{dialect}")),
        protocol: "libvirt-remote".into(),
        roles: vec![Role::Server],
        version: dialect.to_owned(),
        dialect: dialect.to_owned(),
        sources: Vec::new(),
        like: None,
        settings: setting.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

/// Plays a case to a reference server of its own: verdict, and the shapes of all findings.
async fn played(case: &Case, build: &Build) -> (Verdict, Vec<String>) {
    let bench = Bench::new(std::env::temp_dir(), std::env::temp_dir());
    let servers = reference::server(build, &[], &bench).expect("a reference server");
    let mut server = servers.start(Start::in_memory()).await.expect("it starts");
    let grammar = LibvirtGrammar::new(DIALECTS.for_version(&build.dialect).expect("in the table"));
    let Action::Script(script) = &case.action else { panic!("{} is no script", case.id) };
    let recorder = Recorder::new();
    // Tests run beside each other on busy machines.
    Conversation::new(&mut *server, &grammar, &recorder, 4.0)
        .play(&script.make())
        .await
        .expect("it is played");
    server.stop().await;
    let transcript = Transcript { events: recorder.take(), ..Transcript::default() };
    let reading = Reading::of(&transcript, &grammar);
    let evidence = Evidence {
        case: &case.id,
        transcript: &transcript,
        reading: &reading,
        grammar: &grammar,
        recorded: None,
    };
    let mut checks = verdict::checks::of(case.id.kind);
    checks.extend(crate::checks::of(case.id.kind));
    let judgement = judge(&evidence, &checks, None);
    let mut shapes: Vec<String> = judgement.findings.into_iter().map(|finding| finding.shape).collect();
    shapes.sort();
    shapes.dedup();
    (judgement.verdict, shapes)
}

#[test]
fn reference_servers_are_told_apart_as_the_releases_were() {
    let cases: Vec<Case> = probes::all().into_iter().chain(scenarios::all()).collect();
    let named = |name: &str| {
        let id: CaseId = name.parse().expect("a case id");
        cases.iter().find(|case| case.id == id).unwrap_or_else(|| panic!("no case {id}")).clone()
    };
    let measured = MEASURED.iter().flat_map(|(name, releases, verdict, shapes)| {
        releases.iter().map(move |release| (*name, *release, None, *verdict, *shapes))
    });
    let set = SET.iter().map(|(name, release, setting, verdict, shapes)| {
        (*name, *release, Some(*setting), *verdict, *shapes)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let places = Arc::new(Semaphore::new(8));
        let mut running = JoinSet::new();
        for (name, release, setting, verdict, shapes) in measured.chain(set) {
            let (case, build, places) = (named(name), build(release, setting), Arc::clone(&places));
            running.spawn(async move {
                let _place = places.acquire_owned().await;
                let shapes: Vec<String> = shapes.iter().map(ToString::to_string).collect();
                let found = played(&case, &build).await;
                (format!("{name} on {release} {setting:?}"), found, (verdict, shapes))
            });
        }
        while let Some(done) = running.join_next().await {
            let (what, found, expect) = done.expect("it does not panic");
            assert_eq!(found, expect, "{what}");
        }
    });
}
