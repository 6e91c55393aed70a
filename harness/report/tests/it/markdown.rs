use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use report::markdown::{BYTES_MAX, render};
use verdict::{Outcome, Verdict};

use crate::sample;

#[test]
fn report_of_every_outcome() {
    insta::assert_snapshot!("markdown", render(&sample::every_outcome(), BYTES_MAX));
}

#[test]
fn report_of_an_incomplete_run() {
    let text = render(&sample::incomplete(), BYTES_MAX);
    assert!(text.starts_with("# Compatibility: ✗ NOT as expected\n"), "{text}");
    assert!(text.contains("**Incomplete: "), "{text}");
    assert!(text.contains("hash&#58;1/4"), "{text}");
}

/// Everything that a renderer of GitHub's kind would make of a text, but for what the report itself writes.
fn markup(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => fenced = true,
            Event::End(TagEnd::CodeBlock) => fenced = false,
            Event::Html(html) | Event::InlineHtml(html) if html.trim() != "<!-- -->" => {
                found.push(format!("html {html}"));
            }
            Event::Code(code) => found.push(format!("code {code}")),
            Event::Start(
                tag @ (Tag::Link { .. } | Tag::Image { .. } | Tag::Emphasis | Tag::Strikethrough),
            ) => {
                found.push(format!("{tag:?}"));
            }
            Event::Text(text) if !fenced && text.contains("@maintainer") => {
                found.push(format!("mention {text}"))
            }
            _ => {}
        }
    }
    found
}

#[test]
fn peers_cannot_write_markup() {
    let mut results = sample::hostile();
    let text = render(&results, BYTES_MAX);
    assert_eq!(markup(&text), Vec::<String>::new(), "{text}");
    let attacks = [
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](http://example.org/x)",
        "a | b | c",
        "`code` ``` ````",
        "*bold* _it_ ~~gone~~",
        "&lt;b&gt;",
        "\\",
        "\n\n# heading\n\n```\n",
        "<https://example.org>",
    ];
    for attack in attacks {
        for cell in &mut results.cells {
            attack.clone_into(&mut cell.summary);
            cell.reason = Some(attack.into());
            cell.negotiated = Some(attack.into());
        }
        results.complaints = vec![attack.into()];
        let text = render(&results, BYTES_MAX);
        assert_eq!(markup(&text), Vec::<String>::new(), "{attack:?}:\n{text}");
    }
}

#[test]
fn tables_keep_their_columns() {
    for results in [sample::every_outcome(), sample::hostile()] {
        let text = render(&results, BYTES_MAX);
        let mut width = None;
        for line in text.lines() {
            let columns = line.starts_with('|').then(|| line.matches('|').count());
            assert!(columns.is_none() || width.is_none() || columns == width, "{line}");
            width = columns;
        }
    }
}

#[test]
fn long_reports_are_cut_and_say_so() {
    let fail = |n| {
        let mut cell =
            sample::cell("probe", "4.0.6", &format!("probe/{n:04}"), Some(Verdict::Broken), Outcome::Fail);
        cell.findings = vec![sample::finding(); 20];
        cell
    };
    let results = sample::results((0..2000).map(fail).collect());
    for bytes_max in [2_000, 50_000, 100_000, BYTES_MAX] {
        let text = render(&results, bytes_max);
        assert!(text.len() <= bytes_max, "{} > {bytes_max}", text.len());
        let whole = bytes_max == BYTES_MAX;
        assert_eq!(text.contains("**Cut:** "), !whole, "at {bytes_max}");
        assert_eq!(text.matches("```").count() % 2, 0, "a fence is left open at {bytes_max}");
    }
    let text = render(&results, 50_000);
    let notice = text.lines().last().expect("a last line");
    assert!(
        notice.starts_with("**Cut:** ") && notice.ends_with("The JSON results have everything."),
        "{notice}"
    );
}
