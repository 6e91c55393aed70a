//! What kind of terminal this is.

use std::io::IsTerminal as _;

use report::Style;

use crate::args::Color;

/// Columns where nothing says how many there are.
const WIDTH_DEFAULT: usize = 100;

/// How to write to standard output.
pub(crate) fn style(color: Color) -> Style {
    let stdout = std::io::stdout();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout.is_terminal() && !no_color && !dumb,
    };
    Style { color, unicode: speaks_unicode(), width: width() }
}

fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let size = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    columns.or_else(size).filter(|columns| *columns > 0).unwrap_or(WIDTH_DEFAULT)
}

/// Whether the locale can show more than ASCII. A log that is no terminal can.
fn speaks_unicode() -> bool {
    if !std::io::stdout().is_terminal() {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// Writes to standard output. A reader that went away (`wireskew … | head`) is no fault; anything else that keeps the
/// results from their reader is, and ends the process.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("cannot write to standard output: {error}");
            #[expect(clippy::exit, reason = "there is nobody left to tell the exit code through results")]
            std::process::exit(i32::from(crate::exit::Exit::Setup as u8));
        }
    }
}
