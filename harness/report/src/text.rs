//! Text for people: escaped, painted, measured in columns, wrapped.
//!
//! A [`Text`] never holds a control character: whatever a peer sent is escaped when it enters, so an
//! ANSI sequence in a container's name reaches the reader as `\u{1b}[31m` and not as a colour.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// How to write: decided by the caller, who knows the terminal and the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub color: bool,
    /// Whether anything but ASCII may be written.
    pub unicode: bool,
    /// Columns of the terminal.
    pub width: usize,
}

/// Below this no table can be read; narrower terminals wrap by themselves.
const WIDTH_MIN: usize = 40;

/// More of one text is not shown: a peer may send a megabyte where a name belongs.
const TEXT_MAX: usize = 2000;

/// A space at which a line is not broken. `escape` lets none through, so it only comes from here; it is
/// written as a plain space.
const HARD_SPACE: &str = "\u{a0}";

impl Style {
    /// Neither colour nor a narrow terminal: for files, and for text inside of other formats.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self { color: false, unicode: true, width }
    }

    /// The columns to lay out for.
    pub(crate) fn columns(self) -> usize {
        self.width.max(WIDTH_MIN)
    }
}

/// What a piece of text means; colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Paint {
    /// Nothing special.
    Plain,
    /// A heading.
    Head,
    /// Less important than the rest.
    Dim,
    /// As it should be.
    Good,
    /// Works, with a restriction.
    Fair,
    /// Bad, and known to be.
    Known,
    /// Bad, and not expected.
    Bad,
    /// Not expected, but not bad in itself: an expectation that is out of date, differing tries.
    Odd,
    /// Nothing is known: not run.
    Unknown,
}

impl Paint {
    fn ansi(self) -> anstyle::Style {
        use anstyle::AnsiColor::{Blue, Cyan, Green, Magenta, Red, Yellow};
        let plain = anstyle::Style::new();
        match self {
            Self::Plain => plain,
            Self::Head => plain.bold(),
            Self::Dim => plain.dimmed(),
            Self::Good => Green.on_default(),
            Self::Fair => Cyan.on_default(),
            Self::Known => Yellow.on_default(),
            Self::Bad => Red.on_default().bold(),
            Self::Odd => Magenta.on_default().bold(),
            Self::Unknown => Blue.on_default(),
        }
    }
}

/// A run of text of one meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    paint: Paint,
    text: String,
}

impl Span {
    /// What it means.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// The escaped text.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.replace(HARD_SPACE, " ")
    }
}

/// One line of painted, escaped text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    spans: Vec<Span>,
}

impl Text {
    /// A text of one meaning.
    #[must_use]
    pub fn new(paint: Paint, text: &str) -> Self {
        Self::default().with(paint, text)
    }

    /// A text of no special meaning.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::new(Paint::Plain, text)
    }

    /// This text and another run behind it.
    #[must_use]
    pub fn with(mut self, paint: Paint, text: &str) -> Self {
        self.spans.push(Span { paint, text: escape(&clip(text, TEXT_MAX)) });
        self
    }

    /// The same text, kept on one line where there is room for it.
    #[must_use]
    pub fn unbroken(mut self) -> Self {
        for span in &mut self.spans {
            span.text = span.text.replace(' ', HARD_SPACE);
        }
        self
    }

    /// This text and another behind it.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// The runs, in order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The text alone.
    #[must_use]
    pub fn unpainted(&self) -> String {
        self.spans.iter().map(Span::text).collect()
    }

    /// Columns that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.spans.iter().map(|s| s.text.width()).sum()
    }

    /// The columns of its longest word.
    pub(crate) fn longest_word(&self) -> usize {
        let text: String = self.spans.iter().map(|s| s.text.as_str()).collect();
        text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    /// The same text in what the style can write. Own signs have an ASCII twin; anything else that is
    /// not ASCII is escaped.
    pub(crate) fn fit(&self, style: Style) -> Self {
        if style.unicode {
            return self.clone();
        }
        let ascii = |span: &Span| Span { paint: span.paint, text: span.text.chars().map(ascii).collect() };
        Self { spans: self.spans.iter().map(ascii).collect() }
    }

    /// With colours if the style has them.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let fitted = self.fit(style);
        if !style.color {
            return fitted.unpainted();
        }
        let mut out = String::new();
        for span in &fitted.spans {
            let ansi = span.paint.ansi();
            out.push_str(&format!("{}{}{}", ansi.render(), span.text(), ansi.render_reset()));
        }
        out
    }

    /// Breaks it into lines of at most `width` columns: at spaces, and inside of words that are longer than a line.
    #[must_use]
    pub fn wrap(&self, width: usize) -> Vec<Self> {
        let mut lines = Lines { width: width.max(1), done: Vec::new(), line: Self::default(), used: 0 };
        let mut word = Vec::new();
        for span in &self.spans {
            for (n, part) in span.text.split(' ').enumerate() {
                if n > 0 {
                    lines.word(&std::mem::take(&mut word));
                    lines.space(span.paint);
                }
                word.push((span.paint, part));
            }
        }
        lines.word(&word);
        lines.finish()
    }
}

/// The state of wrapping. A word may be made of several runs.
struct Lines {
    width: usize,
    done: Vec<Text>,
    line: Text,
    used: usize,
}

impl Lines {
    fn space(&mut self, paint: Paint) {
        if self.used == 0 {
            return;
        }
        if self.used >= self.width {
            self.newline();
        } else {
            self.push(paint, " ", 1);
        }
    }

    fn word(&mut self, parts: &[(Paint, &str)]) {
        let columns: usize = parts.iter().map(|(_, part)| part.width()).sum();
        if self.used > 0 && self.used + columns > self.width && columns <= self.width {
            self.newline();
        }
        for (paint, part) in parts {
            if self.used + part.width() <= self.width {
                self.push(*paint, part, part.width());
            } else {
                self.broken(*paint, part);
            }
        }
    }

    /// A part that is too long: broken at hard spaces if it has any, else anywhere.
    fn broken(&mut self, paint: Paint, part: &str) {
        if part.contains(HARD_SPACE) {
            for (n, piece) in part.split(HARD_SPACE).enumerate() {
                if n > 0 {
                    self.space(paint);
                }
                self.word(&[(paint, piece)]);
            }
            return;
        }
        let mut buf = [0; 4];
        for c in part.chars() {
            let c: &str = c.encode_utf8(&mut buf);
            if self.used + c.width() > self.width {
                self.newline();
            }
            self.push(paint, c, c.width());
        }
    }

    fn push(&mut self, paint: Paint, text: &str, columns: usize) {
        self.used += columns;
        match self.line.spans.last_mut() {
            Some(last) if last.paint == paint => last.text.push_str(text),
            _ => self.line.spans.push(Span { paint, text: text.to_owned() }),
        }
    }

    fn newline(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        self.used = 0;
        while let Some(last) = line.spans.last_mut() {
            last.text.truncate(last.text.trim_end_matches(' ').len());
            if !last.text.is_empty() {
                break;
            }
            line.spans.pop();
        }
        self.done.push(line);
    }

    fn finish(mut self) -> Vec<Text> {
        if self.used > 0 || self.done.is_empty() {
            self.newline();
        }
        self.done
    }
}

/// Makes a text from a peer, a file or an argument harmless: control characters, line ends, invisible and
/// direction-changing characters become their Rust escapes. What can be seen stays as it is.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.push(c),
            // U+200B and its like have no escape of their own in `escape_debug` of every Unicode version.
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                out.extend(c.escape_unicode());
            }
            _ => out.extend(c.escape_debug()),
        }
    }
    // The older form of a CI runner's commands, which is looked for anywhere in a line.
    if out.contains("##[") { out.replace("##[", "#\\u{23}[") } else { out }
}

/// Cuts a text after that many characters and says how many are left out.
pub(crate) fn clip(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => text.into(),
        Some((at, _)) => {
            let (shown, rest) = text.split_at(at);
            format!("{shown}… ({} more characters)", rest.chars().count()).into()
        }
    }
}

/// Cuts a text after that many characters without saying more than `…`: for tables.
pub(crate) fn shorten(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => text.into(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()).into(),
    }
}

/// `1 cell`, `2 cells`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn ascii(c: char) -> String {
    match c {
        '✓' => "+".into(),
        '⊘' => "/".into(),
        '✗' => "x".into(),
        '≈' => "=".into(),
        '∅' => "0".into(),
        '─' => "-".into(),
        '·' => "-".into(),
        '≠' => "!=".into(),
        '…' => "...".into(),
        '\u{a0}' => HARD_SPACE.into(),
        c if c.is_ascii() => c.into(),
        c => c.escape_unicode().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_escape(input: &str, expect: &str) {
        assert_eq!(escape(input), expect);
        assert_eq!(escape(&escape(input)), expect, "escaping twice must change nothing");
    }

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        check_escape("plain ünïcode ✓ \\ ' \"", "plain ünïcode ✓ \\ ' \"");
        check_escape("\x1b[31mred", "\\u{1b}[31mred");
        check_escape("a\r\nb\tc\0", "a\\r\\nb\\tc\\0");
        check_escape("\u{9b}31m", "\\u{9b}31m");
        check_escape("\u{7f}", "\\u{7f}");
        check_escape("a\u{202e}b\u{2066}c\u{200b}d\u{feff}", "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}");
        check_escape("e\u{301}", "e\\u{301}");
        check_escape("\u{fffd}", "\u{fffd}");
        check_escape("##[error]x", "#\\u{23}[error]x");
        check_escape("###[error]x", "##\\u{23}[error]x");
    }

    #[track_caller]
    fn check_wrap(text: Text, width: usize, expect: &[&str]) {
        let lines: Vec<_> = text.wrap(width).iter().map(Text::unpainted).collect();
        assert_eq!(lines, expect);
        assert!(text.wrap(width).iter().all(|l| l.width() <= width.max(2)), "wider than {width}: {lines:?}");
    }

    #[test]
    fn wraps_at_spaces_and_inside_of_long_words() {
        check_wrap(Text::plain("one two three"), 7, &["one two", "three"]);
        check_wrap(Text::plain("one two three"), 40, &["one two three"]);
        check_wrap(Text::plain("abcdefghij"), 4, &["abcd", "efgh", "ij"]);
        check_wrap(Text::plain("ab cdefghij"), 4, &["ab c", "defg", "hij"]);
        check_wrap(Text::plain(""), 4, &[""]);
        check_wrap(Text::plain("漢字漢字"), 4, &["漢字", "漢字"]);
        check_wrap(Text::plain("a").with(Paint::Bad, "b c"), 2, &["ab", "c"]);
        check_wrap(Text::plain("one two").with(Paint::Bad, ": three"), 7, &["one", "two:", "three"]);
    }

    #[test]
    fn keeps_together_what_must_not_be_broken() {
        let mark = || Text::plain("? harness error").unbroken();
        check_wrap(Text::plain("ab ").join(mark()), 16, &["ab", "? harness error"]);
        check_wrap(Text::plain("ab ").join(mark()), 10, &["ab ?", "harness", "error"]);
        check_wrap(Text::plain("a\u{a0}b"), 40, &["a\\u{a0}b"]);
    }

    #[test]
    fn says_how_much_it_leaves_out() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü", 2), "äö… (1 more characters)");
        let text = Text::plain(&"x".repeat(1 << 20)).unpainted();
        assert_eq!(text.len(), TEXT_MAX + "… (1046576 more characters)".len());
    }

    #[test]
    fn ascii_style_writes_ascii_only() {
        let style = Style { color: false, unicode: false, width: 80 };
        let text = Text::plain("✓ ⊘ ✗ ≈ ∅ · … é").render(style);
        assert_eq!(text, "+ / x = 0 - ... \\u{e9}");
    }

    #[test]
    fn colour_is_reset_after_each_run() {
        let style = Style { color: true, unicode: true, width: 80 };
        let text = Text::new(Paint::Bad, "bad").with(Paint::Plain, " rest").render(style);
        assert_eq!(text, "\u{1b}[1m\u{1b}[31mbad\u{1b}[0m rest");
    }
}
