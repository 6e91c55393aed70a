use report::html::render;

use crate::sample;

#[test]
fn page_of_every_outcome() {
    insta::assert_snapshot!("html", render(&sample::every_outcome()));
}

/// Names of all elements, in order of appearance: `<` begins nothing else in what maud writes.
fn elements(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|rest| rest.split([' ', '>']).next()).collect()
}

#[test]
fn peers_cannot_write_elements() {
    let page = render(&sample::hostile());
    let own = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "span", "table", "tr",
        "th", "td", "ul", "li", "div", "details", "summary", "pre",
    ];
    let foreign: Vec<_> =
        elements(&page).into_iter().filter(|e| !own.contains(&e.trim_start_matches('/'))).collect();
    assert_eq!(foreign, Vec::<&str>::new());
    assert_eq!(page.chars().find(|c| c.is_control() && *c != '\n'), None);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the evidence is shown as text");
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    for results in [sample::every_outcome(), sample::hostile(), sample::incomplete()] {
        let page = render(&results);
        let tags = page.split('<').skip(1).filter_map(|rest| rest.split('>').next());
        let loading: Vec<_> =
            tags.filter(|t| t.contains("src=") || t.contains("href=") || t.contains(" on")).collect();
        assert_eq!(loading, Vec::<&str>::new());
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn every_cell_has_its_drawer() {
    let results = sample::every_outcome();
    let page = render(&results);
    for cell in &results.cells {
        assert!(page.contains(&cell.cell), "{} is not on the page", cell.cell);
    }
    assert!(render(&sample::incomplete()).contains("Incomplete: "));
}
