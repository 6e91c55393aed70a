//! What the tests share.

use matrix::{Builds, ConfigError};
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
