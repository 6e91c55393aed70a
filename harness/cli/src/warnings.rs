//! Where all layers say what the user should know: standard error, a line each, above the progress bar if there is
//! one.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The bar that is on the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows warnings from now on: errors only where quiet is asked for, more the more verbose.
pub(crate) fn install(quiet: bool, verbose: u8) {
    let lines = tracing::subscriber::set_global_default(subscriber(level(quiet, verbose), Line::default));
    // It is set once, at the start; a second one would be a defect that hides warnings only.
    drop(lines);
}

/// Lines go above this bar.
pub(crate) fn above(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn level(quiet: bool, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    }
}

fn subscriber(
    level: LevelFilter,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .without_time()
        .with_target(false)
        .with_writer(writer)
        .finish()
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
    fn check(quiet: bool, verbose: u8, expect: &str) {
        let log = Log::default();
        let writer = log.clone();
        tracing::subscriber::with_default(subscriber(level(quiet, verbose), move || writer.clone()), || {
            tracing::error!("one");
            tracing::warn!(slot = 3, "two \u{1b}[2J");
            tracing::info!("three");
            tracing::debug!("four");
        });
        let text = String::from_utf8(log.0.lock().expect("no writer panicked").clone()).expect("text");
        assert_eq!(text, expect);
    }

    #[test]
    fn says_as_much_as_is_asked_for() {
        check(true, 0, "ERROR one\n");
        check(false, 0, "ERROR one\n WARN two \\x1b[2J slot=3\n");
        check(false, 1, "ERROR one\n WARN two \\x1b[2J slot=3\n INFO three\n");
        check(false, 2, "ERROR one\n WARN two \\x1b[2J slot=3\n INFO three\nDEBUG four\n");
    }
}
