//! What the tests share.

use matrix::{Builds, CellId, ConfigError, Observed, Verdict};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// A small registry with every kind of build.
pub(crate) const BUILDS: &str = r#"protocol = "lxc-command"
alias = "lxc"

[[build]]
id = "4.0.6"
recorded = true
debian = { suite = "bullseye", packages = ["lxc=1:4.0.6-2+deb11u2"] }

[[build]]
id = "5.0.2"
recorded = true

[[build]]
id = "ref-4.0.6"
version = "4.0.6"
reference = true

[[build]]
id = "ideal"
roles = ["server"]
reference = true
"#;

/// [`BUILDS`], read.
pub(crate) fn builds() -> Builds {
    Builds::parse("builds.toml", BUILDS).expect("the tests' own builds parse")
}

/// An error as a person sees it, without colour and in ASCII.
pub(crate) fn rendered<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    let error = result.expect_err("the text was accepted");
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_width(100)
        .render_report(&mut out, &error)
        .expect("writing to a String cannot fail");
    assert!(out.is_ascii(), "the rendering has more than ASCII:\n{out}");
    format!("{}\n--\n{}", error.brief(), out)
}

/// Results from lines of `<cell> <verdict> [<shape>…]`, with `-` for a cell that did not run. The
/// version of a build is its id without `ref-`.
pub(crate) fn observed(lines: &str) -> Vec<Observed> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(observed_line).collect()
}

fn observed_line(line: &str) -> Observed {
    let mut words = line.split_whitespace();
    let cell: CellId = words.next().and_then(|cell| cell.parse().ok()).expect("the test's own cells parse");
    let verdict = match words.next() {
        Some("compatible") => Some(Verdict::Compatible),
        Some("degraded") => Some(Verdict::Degraded),
        Some("refused") => Some(Verdict::Refused),
        Some("broken") => Some(Verdict::Broken),
        Some("inconclusive") => Some(Verdict::Inconclusive),
        Some("-") => None,
        other => panic!("no verdict: {other:?}"),
    };
    let version = |id: &str| id.strip_prefix("ref-").unwrap_or(id).to_owned();
    Observed {
        client_version: version(cell.client.as_str()),
        server_version: version(cell.server.as_str()),
        cell,
        verdict,
        shapes: words.map(str::to_owned).collect(),
    }
}
