//! Hand-made results.

use std::collections::BTreeMap;

use matrix::Verdict;
use verdict::{
    Blame, BuildRecord, CellResult, Finding, FrameRef, Outcome, Reproduction, Rule, RunResults, Tally, Weight,
};

pub(crate) fn build(id: &str, source: &str) -> BuildRecord {
    BuildRecord {
        protocol: "lxc-command".into(),
        id: id.into(),
        version: id.into(),
        dialect: id.into(),
        source: source.into(),
        detail: format!("lxc=1:{id}-1"),
        digest: Some(format!("sha256:{}", "0123456789abcdef".repeat(4))),
        missing: None,
    }
}

pub(crate) fn cell(
    client: &str,
    server: &str,
    case: &str,
    verdict: Option<Verdict>,
    outcome: Outcome,
) -> CellResult {
    let cell = format!("lxc-command/{client}..{server}/{case}");
    let reproduction = (!outcome.is_expected())
        .then(|| Reproduction { command: format!("wireskew repro '{cell}' --seed 7"), seed: 7 });
    let explained = verdict.is_none().then(|| "left out by hand".to_owned());
    CellResult {
        protocol: "lxc-command".into(),
        client: client.into(),
        server: server.into(),
        case: case.into(),
        verdict,
        outcome,
        summary: String::new(),
        shapes: Vec::new(),
        negotiated: verdict.map(|_| server.to_owned()),
        suspects: Vec::new(),
        validated: BTreeMap::new(),
        findings: Vec::new(),
        reason: explained,
        bug: None,
        duration_ms: 3,
        retries: Vec::new(),
        earlier: Vec::new(),
        transcript: None,
        reproduction,
        cell,
    }
}

pub(crate) fn pass(client: &str, server: &str, case: &str) -> CellResult {
    cell(client, server, case, Some(Verdict::Compatible), Outcome::Pass)
}

pub(crate) fn finding() -> Finding {
    Finding {
        check: "unknown-request-answered".into(),
        shape: "no-reply".into(),
        weight: Weight::Violation,
        blame: Blame::Server,
        message: "an unknown command got no answer".into(),
        expected: "ret -38 (ENOSYS), no payload".into(),
        actual: "the connection was closed without a byte".into(),
        frame: Some(FrameRef {
            event: 2,
            conn: 1,
            dir: "c2s".into(),
            hex: "c8000000100000000000000000000000".into(),
            decoded: vec!["cmd = 200 (unknown)".into(), "dlen = 16".into()],
            span: Some(0..4),
        }),
        rule: Rule {
            text: "An unknown request is answered with -ENOSYS.".into(),
            source: "lxc commit ebc548a1e".into(),
        },
    }
}

/// Every outcome once at least, two levels of detail, known bugs.
pub(crate) fn every_outcome() -> RunResults {
    let mut cells = vec![
        pass("4.0.6", "4.0.6", "client/info"),
        pass("4.0.6", "7.0.0", "client/info"),
        pass("7.0.0", "4.0.6", "client/info"),
        pass("7.0.0", "7.0.0", "client/info"),
        pass("4.0.6", "4.0.6", "client/attach"),
        pass("7.0.0", "7.0.0", "client/attach"),
        degraded(),
        silent_wrong(),
        cell("4.0.6", "4.0.6", "client/freeze", Some(Verdict::Compatible), Outcome::Xpass),
        cell("7.0.0", "7.0.0", "client/freeze", Some(Verdict::Refused), Outcome::Fail),
        cell("4.0.6", "7.0.0", "client/freeze", Some(Verdict::Compatible), Outcome::Fail),
        refused(),
        unknown("4.0.6", "EOF, no reply", Some(Verdict::Broken), Outcome::Fail),
        unknown("5.0.2", "-38, drained, closed", Some(Verdict::Compatible), Outcome::Pass),
        unknown("7.0.0", "-38, drained, closed", Some(Verdict::Compatible), Outcome::Pass),
        cell("probe", "4.0.6", "probe/crash", Some(Verdict::Broken), Outcome::Xfail),
        cell("probe", "5.0.2", "probe/crash", Some(Verdict::Broken), Outcome::Xfail),
        flaky(),
        cell("7.0.0", "4.0.6", "replay/attach", Some(Verdict::Inconclusive), Outcome::HarnessError),
        cell("7.0.0", "5.0.2", "replay/attach", None, Outcome::HarnessError),
        cell("7.0.0", "6.0.4", "replay/attach", None, Outcome::MissingBuild),
        cell("7.0.0", "6.0.4", "replay/info", None, Outcome::MissingBuild),
        cell("7.0.0", "7.0.0", "replay/attach", None, Outcome::Skipped),
    ];
    for cell in cells.iter_mut().filter(|c| c.outcome == Outcome::MissingBuild) {
        cell.reason =
            Some("lxc 1:6.0.4-1 is gone; newest candidate 1:6.0.5-1; run `wireskew builds update`".into());
    }
    for cell in cells.iter_mut().filter(|c| c.case == "probe/crash") {
        "SIGSEGV".clone_into(&mut cell.summary);
        cell.bug = Some("LXC-01".into());
        cell.reason = Some("GET_CONFIG_ITEM without payload is dereferenced".into());
        cell.shapes = vec!["crash".into()];
    }
    results(cells)
}

pub(crate) fn results(mut cells: Vec<CellResult>) -> RunResults {
    cells.sort_by(|a, b| a.cell.cmp(&b.cell));
    let mut gone = build("6.0.4", "debian");
    gone.digest = None;
    gone.missing =
        Some("lxc 1:6.0.4-1 is gone; newest candidate 1:6.0.5-1; run `wireskew builds update`".into());
    RunResults {
        format: 1,
        producer: "wireskew 0.1.0".into(),
        matrix: "matrices/default.toml".into(),
        started: "2026-11-20T10:00:00Z".into(),
        seed: 7,
        complete: true,
        duration_ms: 1840,
        partition: None,
        builds: vec![
            build("4.0.6", "recorded"),
            build("5.0.2", "recorded"),
            gone,
            build("7.0.0", "reference"),
        ],
        tally: Tally::of(&cells),
        documents: Vec::new(),
        flaky_passes: false,
        cells,
        complaints: vec!["expectations.toml:12: rule for `LXC-99` matched no cell".into()],
    }
}

fn degraded() -> CellResult {
    let mut cell = cell("4.0.6", "7.0.0", "client/attach", Some(Verdict::Degraded), Outcome::Pass);
    "fell back from 18 to /proc".clone_into(&mut cell.summary);
    cell
}

fn silent_wrong() -> CellResult {
    let mut cell = cell("7.0.0", "4.0.6", "client/attach", Some(Verdict::Broken), Outcome::Xfail);
    "exit 0, process not in the container's cgroup".clone_into(&mut cell.summary);
    cell.bug = Some("LXC-10".into());
    cell.reason = Some("command 23 is answered by EOF and the client goes on".into());
    cell.shapes = vec!["silent-wrong".into()];
    cell
}

fn refused() -> CellResult {
    let mut cell = cell("7.0.0", "4.0.6", "client/freeze", Some(Verdict::Refused), Outcome::Pass);
    "exit 1, said so".clone_into(&mut cell.summary);
    cell
}

fn unknown(server: &str, summary: &str, verdict: Option<Verdict>, outcome: Outcome) -> CellResult {
    let mut cell = cell("probe", server, "probe/unknown-payload-16", verdict, outcome);
    summary.clone_into(&mut cell.summary);
    if verdict == Some(Verdict::Broken) {
        cell.shapes = vec!["no-reply".into()];
        cell.findings = vec![finding()];
        cell.reason = Some("no rule expects this".into());
        cell.transcript = Some("transcripts/0001.wire".into());
    }
    cell
}

fn flaky() -> CellResult {
    let mut cell = cell("probe", "7.0.0", "probe/crash", Some(Verdict::Compatible), Outcome::Flaky);
    "-22, closed".clone_into(&mut cell.summary);
    cell.retries = vec!["fail".into(), "fail".into()];
    cell
}

/// Everything that a peer can choose is an attack on whoever reads the report.
pub(crate) fn hostile() -> RunResults {
    let evil = "\u{1b}[2J\u{1b}[31m<script>alert(1)</script>|`x`\r\n::error::owned\u{202e}\0\u{fffd} @maintainer ]]> 漢字";
    let mut cell = cell("probe", "4.0.6", "probe/bad-text", Some(Verdict::Broken), Outcome::Fail);
    evil.clone_into(&mut cell.summary);
    cell.negotiated = Some(evil.into());
    cell.suspects = vec![evil.into()];
    cell.reason = Some(evil.into());
    cell.bug = Some(evil.into());
    cell.shapes = vec![evil.into()];
    cell.retries = vec![evil.into()];
    let mut finding = finding();
    for text in [&mut finding.message, &mut finding.expected, &mut finding.actual, &mut finding.check] {
        evil.clone_into(text);
    }
    if let Some(frame) = &mut finding.frame {
        frame.decoded = vec![format!("name = {evil}")];
        frame.hex = format!("{}…", "1b5b324a".repeat(8));
        frame.span = Some(4..400);
    }
    cell.findings = vec![finding];
    let mut results = results(vec![cell]);
    results.complaints = vec![evil.into()];
    if let Some(build) = results.builds.first_mut() {
        evil.clone_into(&mut build.detail);
    }
    results
}

pub(crate) fn incomplete() -> RunResults {
    let mut results = results(vec![
        pass("4.0.6", "4.0.6", "client/info"),
        cell("7.0.0", "4.0.6", "client/info", None, Outcome::Skipped),
    ]);
    results.complete = false;
    results.partition = Some("hash:1/4".into());
    results
}
