//! Transcripts in files.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use transcript::fixture::{StoreErrorKind, list, load, load_header, store, walk};
use transcript::text::render;
use transcript::{Broken, EventKind, Provenance, Transcript, slug};
use wire::Direction::ToServer;

use crate::samples::{data, event, everything, not_run};

#[test]
fn stores_and_loads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lxc-command/7..5/client-info.wire");
    for transcript in [everything(), Transcript::default()] {
        store(&path, &transcript).unwrap();
        assert_eq!(load(&path).unwrap(), transcript, "what is there is replaced");
    }
    let names: Vec<_> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["client-info.wire"], "no temporary file stays");
}

#[test]
fn does_not_store_what_could_not_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wire");
    store(&path, &everything()).unwrap();

    let lost = Transcript { events: vec![event(0, 1, ToServer, data(b"x"))], ..Transcript::default() };
    let error = store(&path, &lost).unwrap_err();
    assert!(
        matches!(&error.kind, StoreErrorKind::Invalid(i) if matches!(i.broken, Broken::NotConnected(_))),
        "{error}"
    );

    let value = "x".repeat(transcript::text::LINE_LEN_MAX);
    let long = EventKind::Observe { key: "k".into(), value };
    let long = Transcript { events: vec![event(0, 0, ToServer, long)], ..Transcript::default() };
    let error = store(&path, &long).unwrap_err();
    assert!(matches!(&error.kind, StoreErrorKind::Unreadable(_)), "{error}");

    assert_eq!(load(&path).unwrap(), everything(), "the old file is untouched");
}

#[test]
fn reads_a_header_whatever_is_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wire");
    // The end of the header lies before, across and behind the end of what is read at a time.
    for len in (0..40).map(|more| 4096 - 20 + more).chain([0, 8192, 100_000]) {
        let note = "x".repeat(len);
        let provenance = Provenance { note, ..everything().provenance };
        let text = render(&Transcript { provenance: provenance.clone(), ..everything() });
        let (header, body) = text.split_once("\n\n").expect("it has both");
        let damaged = [header.as_bytes(), b"\n\n\xff", body.as_bytes()].concat();
        for text in [text.as_bytes(), &damaged] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(load_header(&path).unwrap(), provenance, "{len}");
        }
        assert!(load(&path).is_err(), "the body is damaged");
    }
}

#[test]
fn says_of_a_header_what_is_said_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wire");
    let whole = render(&everything()).into_bytes();
    let header = whole.windows(2).position(|pair| pair == b"\n\n").expect("it has an end") + 2;
    let check = |damaged: &[u8]| {
        std::fs::write(&path, damaged).unwrap();
        let of_header = load_header(&path).map(|_| ()).map_err(|error| error.to_string());
        let of_whole = load(&path).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(of_header, of_whole, "{}", String::from_utf8_lossy(damaged));
        assert!(of_header.is_err(), "{}", String::from_utf8_lossy(damaged));
    };
    for end in 0..header {
        check(&whole[..end]);
    }
    let damaged = |from: &str, to: &[u8]| {
        let at = whole.windows(from.len()).position(|part| part == from.as_bytes()).expect("it is there");
        [&whole[..at], to, &whole[at + from.len()..]].concat()
    };
    check(b"\n");
    check(b"\n\n");
    check(&damaged("wireskew-wire 1", b"wireskew-wire 2"));
    check(&damaged("# case", b"case"));
    check(&damaged("# case", b"# caze"));
    check(&damaged("# case", b"# \xff"));
    let missing = folder.path().join("b.wire");
    assert_eq!(load_header(&missing).unwrap_err().to_string(), load(&missing).unwrap_err().to_string());
}

#[test]
fn walks_in_order_and_names_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    store(at("b/1..2/x.wire"), &everything()).unwrap();
    store(at("a.b.wire"), &Transcript::default()).unwrap();
    std::fs::write(at("b/damaged.wire"), "# wireskew-wire 1 written").unwrap();
    std::fs::write(at("b/.hidden.wire"), "").unwrap();
    std::fs::write(at("b/notes.txt"), "").unwrap();

    let walked: Vec<_> =
        walk(folder.path()).unwrap().map(|f| (f.id, f.transcript.err().map(|e| e.to_string()))).collect();
    let damaged = format!(
        "cannot read `{}`: line 1, column 26: text ends where the rest of this line should follow; it was cut off, 0 events are complete",
        at("b/damaged.wire").display()
    );
    assert_eq!(
        walked,
        [("a.b".to_owned(), None), ("b/1..2/x".to_owned(), None), ("b/damaged".to_owned(), Some(damaged))]
    );
    assert_eq!(list(folder.path()).unwrap().len(), 3);
}

/// What `wireskew` writes is canonical; so must be what was edited by hand, or each later save would hide its change
/// among changes of layout.
#[test]
fn every_committed_fixture_is_canonical() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    if !fixtures.exists() {
        return not_run("no `fixtures` folder in this checkout");
    }
    for path in list(&fixtures).unwrap() {
        let transcript = load(&path).unwrap_or_else(|error| panic!("{error}"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(render(&transcript) == text, "`{}` is not in canonical form", path.display());
    }
}

/// As a shell gives it for `<(git show main:a.wire)`.
#[test]
fn a_pipe_of_the_shell_is_read() {
    let (from, mut to) = std::io::pipe().unwrap();
    to.write_all(render(&Transcript::default()).as_bytes()).unwrap();
    drop(to);
    assert_eq!(load(format!("/dev/fd/{}", from.as_raw_fd())).unwrap(), Transcript::default());
}

/// What never ends is not begun with.
#[test]
fn what_is_no_regular_file_is_refused() {
    let refused = [load("/dev/zero").map(drop), load_header("/dev/zero").map(drop)];
    for error in refused.map(|read| read.expect_err("a device")) {
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_missing_folder_is_an_error_and_not_an_empty_list() {
    let folder = tempfile::tempdir().unwrap();
    let error = list(folder.path().join("none")).unwrap_err().to_string();
    assert!(error.starts_with("cannot list `") && error.contains("none"), "{error}");
    let error = load(folder.path().join("none.wire")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `") && error.contains("none.wire"), "{error}");
}

#[test]
fn slugs_are_safe_names() {
    for (text, expect) in [
        ("a b/c", "a-b-c"),
        ("..", "unnamed"),
        ("1..2", "1.-2"),
        ("é", "unnamed"),
        ("4.50.7-31+x~1", "4.50.7-31+x~1"),
    ] {
        assert_eq!(slug(text), expect, "{text}");
    }
}
