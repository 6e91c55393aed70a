//! How an error is shown: what is wrong, where in which file, why, and what helps.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use miette::{Diagnostic, LabeledSpan, SourceCode, SourceSpan};
use report::Style;

/// Lines above and below the place that is wrong.
const CONTEXT: usize = 1;

/// The text of an error, several ones below each other, for standard error.
pub(crate) fn render(error: &dyn Diagnostic, style: Style) -> String {
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    let decor = if style.unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
    let renderer = renderer.decor_style(decor).term_width(style.width);
    let related = error.related().into_iter().flatten();
    let groups = std::iter::once(group(error)).chain(related.map(group));
    // Each is a report of its own: together, the numbers of their lines would be one column.
    let texts: Vec<_> = groups.map(|group| renderer.render(&[group])).collect();
    texts.join("\n\n")
}

fn group(error: &dyn Diagnostic) -> Group<'static> {
    let mut group = Group::with_title(Level::ERROR.primary_title(harmless(error)));
    if let Some(snippet) = error.source_code().and_then(|source| snippet(source, error)) {
        group = group.element(snippet);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        group = group.element(Level::NOTE.message(harmless(error)));
        cause = error.source();
    }
    if let Some(help) = error.help() {
        group = group.element(Level::HELP.message(harmless(help)));
    }
    group
}

/// A text that may have come from a file or an argument.
fn harmless(text: impl std::fmt::Display) -> String {
    normalize_untrusted_str(&text.to_string())
}

/// The lines that the labels point at. None where they point outside of the text.
fn snippet(
    source: &dyn SourceCode,
    error: &dyn Diagnostic,
) -> Option<Snippet<'static, annotate_snippets::Annotation<'static>>> {
    let labels: Vec<LabeledSpan> = error.labels()?.collect();
    let start = labels.iter().map(LabeledSpan::offset).min()?;
    let end = labels.iter().map(|label| label.offset().saturating_add(label.len())).max()?;
    let span = SourceSpan::from((start, end.saturating_sub(start)));
    let lines = source.read_span(&span, CONTEXT, CONTEXT).ok()?;
    let text = std::str::from_utf8(lines.data()).ok()?;
    let first = lines.span().offset();
    let within = |at: usize| text.floor_char_boundary(at.saturating_sub(first));
    let annotations = labels.iter().enumerate().map(|(n, label)| {
        let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let span = within(label.offset())..within(label.offset().saturating_add(label.len()));
        kind.span(span).label(label.label().map(harmless))
    });
    let snippet = Snippet::source(text.to_owned()).line_start(lines.line() + 1).fold(false);
    Some(snippet.path(lines.name().map(harmless)).annotations(annotations))
}

#[cfg(test)]
mod tests {
    use miette::{MietteDiagnostic, NamedSource, Report};

    use super::*;

    const TEXT: &str = "[[build]]\nid = \"4.0.6\"\nverison = \"4.0.6\"\n# \u{1b}[2J\n";

    fn rendered(labels: &[(usize, usize)], text: &'static str, unicode: bool) -> String {
        let labels =
            labels.iter().map(|(at, len)| LabeledSpan::new(Some("nobody reads this".into()), *at, *len));
        let error = MietteDiagnostic::new("unknown key `verison`").with_help("did you mean `version`?");
        let report =
            Report::from(error.with_labels(labels)).with_source_code(NamedSource::new("builds.toml", text));
        render(report.as_ref(), Style { unicode, ..Style::plain(80) })
    }

    #[test]
    fn points_at_the_place_in_its_lines() {
        let at = TEXT.find("verison").expect("it is there");
        insta::assert_snapshot!("unicode", rendered(&[(at, 7)], TEXT, true));
        let ascii = rendered(&[(at, 7)], TEXT, false);
        assert_eq!(ascii.chars().find(|c| c.is_control() && *c != '\n'), None, "{ascii:?}");
        insta::assert_snapshot!("ascii", ascii.replace('\u{241b}', "ESC"));
    }

    #[test]
    fn places_outside_of_the_text_and_inside_of_letters_do_no_harm() {
        for text in ["", "\n", "ä\r\nö", "a\n\nb"] {
            for at in 0..text.len() + 3 {
                for len in 0..text.len() + 3 {
                    let shown = rendered(&[(at, len), (0, 1), (at + len, usize::MAX - at - len)], text, true);
                    assert!(shown.contains("unknown key") && shown.contains("did you mean"), "{shown}");
                }
            }
        }
    }

    #[test]
    fn causes_follow_what_they_caused() {
        let inner = std::io::Error::other("no\u{1b}[31m room");
        let error = cannot_save(inner);
        insta::assert_snapshot!("causes", render(Report::from_err(error).as_ref(), Style::plain(80)));
    }

    fn cannot_save(inner: std::io::Error) -> impl std::error::Error + Send + Sync + 'static {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("cannot save `a.wire`")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        Outer(inner)
    }
}
