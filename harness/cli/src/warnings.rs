//! Where all layers say what the user should know: standard error, a line each, above the progress bar if there is
//! one.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::Failure;
use crate::args::Global;
use crate::exit::Exit;

/// What says how much is told where the command line does not: a level, or one for each crate.
const VARIABLE: &str = "WIRESKEW_LOG";

/// The bar that is on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows warnings from now on, and more or less than that where it is asked for.
pub(crate) fn install(global: &Global) -> Result<(), Failure> {
    let variable = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let shown = shown(global.quiet, global.verbose, variable.as_deref())
        .map_err(|why| Failure::text(Exit::Usage, why))?;
    let lines = tracing::subscriber::set_global_default(subscriber(shown, Line::default));
    // It is set once, at the start; a second one would be a defect that hides warnings only.
    drop(lines);
    Ok(())
}

/// Lines go above this bar.
pub(crate) fn above(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// What is shown: as the command line says, else as the variable says, else warnings.
fn shown(quiet: bool, verbose: u8, variable: Option<&str>) -> Result<Targets, String> {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => match variable.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => return targets(text).ok_or_else(|| not_understood(text)),
            None => LevelFilter::WARN,
        },
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    Ok(Targets::new().with_default(level))
}

/// A word by itself is a level. `Targets` would take any other one for a crate of which all is shown, and hide the rest.
fn targets(text: &str) -> Option<Targets> {
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    text.parse().ok().filter(|_| text.split(',').all(is_level))
}

fn not_understood(text: &str) -> String {
    format!(
        "{VARIABLE} is `{}`, which is no level; there are `off`, `error`, `warn`, `info`, `debug` and `trace`, also for one \
         crate, e.g. `warn,session=debug`",
        report::escape(text)
    )
}

fn subscriber(
    shown: Targets,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl tracing::Subscriber + Send + Sync {
    let lines = fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(writer);
    tracing_subscriber::registry().with(lines).with(shown)
}

/// One line; it is written when it is whole.
#[derive(Default)]
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Who closed standard error does not want to hear of it, and the run must go on.
        let write = || drop(io::stderr().lock().write_all(&self.0));
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check(quiet: bool, verbose: u8, variable: Option<&str>, expect: &str) {
        let log = Log::default();
        let writer = log.clone();
        let shown = shown(quiet, verbose, variable).expect("it is a level");
        tracing::subscriber::with_default(subscriber(shown, move || writer.clone()), || {
            tracing::error!("one");
            tracing::warn!(slot = 3, "two \u{1b}[2J");
            tracing::info!("three");
            tracing::debug!(target: "session::sandbox", "four");
        });
        let text = String::from_utf8(log.0.lock().expect("no writer panicked").clone()).expect("text");
        assert_eq!(text, expect);
    }

    const ONE: &str = "ERROR one\n";
    const TWO: &str = "ERROR one\n WARN two \\x1b[2J slot=3\n";
    const THREE: &str = "ERROR one\n WARN two \\x1b[2J slot=3\n INFO three\n";
    const FOUR: &str = "ERROR one\n WARN two \\x1b[2J slot=3\n INFO three\nDEBUG four\n";

    #[test]
    fn says_as_much_as_is_asked_for() {
        check(true, 0, None, ONE);
        check(false, 0, None, TWO);
        check(false, 1, None, THREE);
        check(false, 2, None, FOUR);
    }

    #[test]
    fn the_variable_counts_where_the_command_line_says_nothing() {
        check(false, 0, Some("info"), THREE);
        check(false, 0, Some("OFF"), "");
        check(false, 0, Some("error,session=debug"), "ERROR one\nDEBUG four\n");
        check(false, 0, Some(" "), TWO);
        check(true, 0, Some("debug"), ONE);
        check(false, 1, Some("off"), THREE);
        for wrong in ["loud", "session=loud", "debug=session"] {
            let why = shown(false, 0, Some(wrong)).expect_err(wrong);
            assert!(why.contains(&format!("`{wrong}`")) && why.contains("`debug`"), "{why}");
        }
    }
}
