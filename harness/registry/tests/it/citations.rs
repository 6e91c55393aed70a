//! Every rule that a peer is held to is written down somewhere, and so is every bug that is known.

use std::collections::BTreeSet;
use std::path::Path;

use runner::Project;

/// What a citation can lead to.
struct Library {
    /// The top of the checkout.
    root: std::path::PathBuf,
    /// Ids of known bugs.
    bugs: BTreeSet<String>,
}

impl Library {
    /// Why a source leads nowhere. It is one or more citations with `; ` between them.
    fn follow(&self, source: &str) -> Result<(), String> {
        source
            .split("; ")
            .try_for_each(|part| self.follow_one(part).map_err(|why| format!("`{part}`: {why}")))
    }

    /// The same of what a release changed: what was measured need not name the package of that release.
    fn follow_change(&self, source: &str) -> Result<(), String> {
        let measured = |part: &&str| part.strip_prefix("measured on ").is_some_and(is_version);
        source
            .split("; ")
            .filter(|part| !measured(part))
            .try_for_each(|part| self.follow_one(part).map_err(|why| format!("`{part}`: {why}")))
    }

    fn follow_one(&self, part: &str) -> Result<(), String> {
        if let Some(bug) = part.split([' ', ',']).find(|word| is_bug(word) && !self.bugs.contains(*word)) {
            return Err(format!("there is no bug {bug}"));
        }
        if is_measured(part) {
            return Ok(());
        }
        if let Some(rfc) = part.strip_prefix("RFC ") {
            return is_number(word(rfc)).then_some(()).ok_or_else(|| "an RFC has a number".to_owned());
        }
        let cited = word(part);
        if is_link(cited) || is_public(cited) || is_manual_page(cited) || self.bugs.contains(cited) {
            return Ok(());
        }
        let (file, section) =
            cited.split_once('#').ok_or("it is neither public nor a section of a file here")?;
        let text =
            std::fs::read_to_string(self.root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        let mut anchors = headings.map(|heading| anchor(heading.trim_start_matches('#').trim()));
        anchors
            .any(|known| known == section)
            .then_some(())
            .ok_or_else(|| format!("{file} has no such section"))
    }
}

/// `LV-04`.
fn is_bug(word: &str) -> bool {
    let parts = word.split_once('-');
    parts
        .is_some_and(|(letters, number)| letters.bytes().all(|b| b.is_ascii_uppercase()) && is_number(number))
}

/// What is cited, without the words behind it.
fn word(part: &str) -> &str {
    part.split([' ', ',']).next().unwrap_or_default().trim_end_matches(':')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `measured on <package> <version>`.
fn is_measured(part: &str) -> bool {
    let Some((_, version)) = part.strip_prefix("measured on ").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    is_version(version)
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn is_link(cited: &str) -> bool {
    cited.strip_prefix("https://").is_some_and(|rest| rest.contains('.')) || cited.starts_with("CVE-")
}

/// `<owner>/<repository>@<tag or commit>:<path>`; a commit or a release may be cited as a whole.
fn is_public(cited: &str) -> bool {
    let Some((repository, at)) = cited.split_once('@') else { return false };
    let is_repository =
        repository.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty());
    let is_commit = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_there = match at.split_once(':') {
        // A branch has no number.
        Some((revision, path)) => {
            revision.contains(|c: char| c.is_ascii_digit()) && path.contains(['.', '/'])
        }
        None => is_commit(at) || is_version(at.trim_start_matches('v')),
    };
    is_repository && is_there
}

/// `unix(7)`.
fn is_manual_page(cited: &str) -> bool {
    let section = cited.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    section.is_some_and(|section| section.len() == 1 && is_number(section))
}

/// A heading as GitHub links to it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_citation_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root, &registry::all(), &[]).expect("the checkout is right");
    let mut nowhere = Vec::new();
    let mut check = |who: &str, led: Result<(), String>| {
        nowhere.extend(led.err().map(|why| format!("{who}: {why}")));
    };
    let generic = Library { root: root.clone(), bugs: BTreeSet::new() };
    let rules = verdict::checks::all_rules();
    assert!(!rules.is_empty());
    rules.iter().for_each(|rule| check(rule.text(), generic.follow(rule.source())));
    for files in project.protocols.values() {
        let bugs = files.known_bugs.iter().map(|bug| bug.id.clone()).collect();
        let library = Library { root: root.clone(), bugs };
        files.protocol.rules().iter().for_each(|rule| check(rule.text(), library.follow(rule.source())));
        for bug in files.known_bugs.iter() {
            let others = library.bugs.iter().filter(|id| **id != bug.id).cloned().collect();
            let library = Library { root: root.clone(), bugs: others };
            check(&bug.id, library.follow(&bug.source));
        }
        files.expectations.rules().iter().for_each(|rule| check(&rule.reason, library.follow(&rule.bug)));
        for dialect in files.protocol.dialects() {
            let changes = files.protocol.changes(None, dialect);
            changes.iter().for_each(|change| check(change.what, library.follow_change(change.source)));
        }
    }
    assert_eq!(nowhere, Vec::<String>::new());
}

#[test]
fn knows_where_a_citation_leads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = Library { root, bugs: BTreeSet::from(["LV-09".to_owned()]) };
    for source in [
        "harness/ARCHITECTURE.md#claims-are-effects",
        "harness/ARCHITECTURE.md#claims-are-effects: of a client",
        "libvirt/libvirt@v11.3.0:src/libvirt-interface.c, virInterfaceChangeBegin; LV-09: no script",
        "oVirt/vdsm@9a00df7a7",
        "measured on libvirt 7.0.0 to 12.8.0, test driver",
        "RFC 4506, section 4",
        "unix(7)",
        "CVE-2026-18917",
        "https://github.com/lxc/lxc/pull/4702",
    ] {
        assert_eq!(library.follow(source), Ok(()), "{source}");
    }
    for source in [
        "",
        "ours",
        "DESIGN section 7, rule 1",
        "DESIGN.md#rules",
        "harness/ARCHITECTURE.md",
        "harness/ARCHITECTURE.md#rules-of-nobody",
        "oVirt/vdsm commit 9a00df7a7",
        "oVirt/vdsm@main",
        "oVirt/vdsm@main:lib/vdsm/virt/guestagent.py",
        "LV-09 to LV-10",
        "measured: client 4.0.6",
        "measured on 7.0.0",
        "LV-10",
        "unix(7); ours",
    ] {
        assert!(library.follow(source).is_err(), "{source}");
    }
}
