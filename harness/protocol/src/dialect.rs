//! Dialects: what each release of a protocol does, as data.
//!
//! A dialect is the release before it with changes applied. A change says in our words what it is and where that is
//! written or was measured, so a table is a list of facts with their sources, and what one release does is made of it.
//!
//! ```text
//! release "4.0.7", after "4.0.6"
//!   change    what      "a device item has 20 bytes"         for people: reports and `lock --changes`
//!             source    "lxc/lxc@lxc-4.0.7:…/cgroup.h"
//!             apply     |d| d.device_item_len = Some(20)      makes the facts of 4.0.7 of those of 4.0.6
//!             declares  "14", "device item 24 -> 20 bytes"    for `messages.lock`: it is meant
//!             breaks    "client/cgroup", Shape::LOUD_FAIL     what becomes of peers that do not have it in common
//! ```
//!
//! Where several releases continue none, each begins a line of its own, as hosts 4.x and agents 1.x of oVirt do. A
//! version is then looked for in the line of its first number.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use matrix::{CasePattern, DeclaredChange, LockTable, LockedDialect, LockedMessage, Rename, Version};
use transcript::evidence::Shape;

/// Name of the dialect that does what the protocol's designers asked for, the last of every table.
pub const IDEAL: &str = "ideal";

/// What a release does: the type that changes are applied to.
pub trait Facts: Clone + Send + Sync + 'static {
    /// What is so before the first line of the table.
    fn first() -> Self;

    /// Where the name of the release is kept.
    fn name(&mut self) -> &mut &'static str;
}

/// What a release changed; made by [`change`].
#[derive(Debug)]
pub struct Change<D> {
    /// In our words.
    pub what: &'static str,
    /// Where that is written, or where it was measured.
    pub source: &'static str,
    /// The change itself.
    pub apply: fn(&mut D),
    breaks: &'static [(&'static str, Shape)],
    declares: &'static [(&'static str, &'static str)],
    renames: &'static [(&'static str, &'static str, &'static str)],
}

/// A change: what it is, where that is written or was measured, and how it is made.
pub const fn change<D>(what: &'static str, source: &'static str, apply: fn(&mut D)) -> Change<D> {
    Change { what, source, apply, breaks: &[], declares: &[], renames: &[] }
}

impl<D> Change<D> {
    /// Says what is broken between a peer that has it and one that has not: patterns of cases, and the shape that is found
    /// there.
    #[must_use]
    pub const fn breaks(mut self, cases_and_shapes: &'static [(&'static str, Shape)]) -> Self {
        self.breaks = cases_and_shapes;
        self
    }

    /// Declares for the lock what it changes under a number, limit or flag that was there before.
    #[must_use]
    pub const fn declares(mut self, subjects_and_how: &'static [(&'static str, &'static str)]) -> Self {
        self.declares = subjects_and_how;
        self
    }

    /// Declares for the lock which number is called otherwise: the number, the old name and the new one.
    #[must_use]
    pub const fn renames(mut self, names: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.renames = names;
        self
    }
}

/// A change that lies between two dialects, as everybody but its protocol sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The release that made it.
    pub release: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Where that is written, or where it was measured.
    pub source: &'static str,
    /// Patterns of cases that it breaks, each with the shape that is found there.
    pub breaks: &'static [(&'static str, Shape)],
}

impl Changed {
    /// Whether what was found in a case is what comes of the change.
    #[must_use]
    pub fn explains(&self, case: &str, shapes: &[String]) -> bool {
        let meant = |pattern: &str| pattern.parse().is_ok_and(|p: CasePattern| p.matches_name(case));
        self.breaks
            .iter()
            .any(|(pattern, shape)| shapes.iter().any(|found| *found == *shape) && meant(pattern))
    }
}

/// One line of a release table.
#[derive(Debug)]
pub struct Release<D: 'static> {
    /// Its name: a dotted number, [`IDEAL`], or what a build of our own is called.
    pub name: &'static str,
    /// The release of which it is the continuation; none begins a line.
    pub after: Option<&'static str>,
    /// What it changed.
    pub changes: &'static [Change<D>],
}

impl<D> Release<D> {
    /// The version that it is; what is no plain dotted number is found by its name only.
    fn version(&self) -> Option<Version> {
        self.name.parse().ok().filter(|version: &Version| version.to_string() == self.name)
    }

    fn declared(&self) -> Vec<DeclaredChange> {
        let declared = self.changes.iter().flat_map(|change| change.declares);
        let owned = |(subject, how): &(&str, &str)| DeclaredChange {
            subject: (*subject).to_owned(),
            what: (*how).to_owned(),
        };
        declared.map(owned).collect()
    }

    fn renamed(&self) -> Vec<Rename> {
        let renamed = self.changes.iter().flat_map(|change| change.renames);
        let owned = |(subject, from, to): &(&str, &str, &str)| Rename {
            subject: (*subject).to_owned(),
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        };
        renamed.map(owned).collect()
    }
}

/// The dialects of a protocol: its release table and the facts that are made of it.
#[derive(Debug)]
pub struct Table<D: 'static> {
    releases: &'static [Release<D>],
    made: OnceLock<Made<D>>,
}

#[derive(Debug)]
struct Made<D> {
    dialects: Vec<D>,
    versions: Vec<Option<Version>>,
}

/// A table of releases, whatever is known of each.
pub trait Releases: Sync {
    /// Their names, oldest first.
    fn names(&self) -> Vec<&'static str>;

    /// See [`Table::changes_between`].
    fn changes_between(&self, one: Option<&str>, other: &str) -> Vec<Changed>;
}

impl<D: Facts> Releases for Table<D> {
    fn names(&self) -> Vec<&'static str> {
        self.releases.iter().map(|release| release.name).collect()
    }

    fn changes_between(&self, one: Option<&str>, other: &str) -> Vec<Changed> {
        Table::changes_between(self, one, other)
    }
}

impl<D: Facts> Table<D> {
    /// A table of these releases, each behind the one that it continues, [`IDEAL`] at the end.
    #[must_use]
    pub const fn of(releases: &'static [Release<D>]) -> Self {
        Self { releases, made: OnceLock::new() }
    }

    /// The releases of which it is made.
    #[must_use]
    pub fn releases(&self) -> &'static [Release<D>] {
        self.releases
    }

    /// All dialects, oldest first, [`IDEAL`] last.
    #[must_use]
    pub fn all(&self) -> &[D] {
        &self.made().dialects
    }

    /// The dialect of that very name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&D> {
        self.all().get(self.place(name)?)
    }

    /// The dialect of that very name, or else the newest one that is not newer than a version. An epoch and what a
    /// distribution appends, as in `1:5.2+dfsg-11+deb11u5`, are passed over.
    #[must_use]
    pub fn for_version(&self, version: &str) -> Option<&D> {
        self.all().get(self.place_for(version)?)
    }

    /// What changed from one version to another, whichever is the older one: what each of them has and the other has not,
    /// oldest first. Between two lines there is nothing in common that could have changed. From nothing to a version: all
    /// that led to it.
    #[must_use]
    pub fn changes_between(&self, one: Option<&str>, other: &str) -> Vec<Changed> {
        let line = |version: &str| -> BTreeSet<usize> {
            let before = |at: &usize| self.place(self.releases.get(*at)?.after?);
            std::iter::successors(self.place_for(version), before).collect()
        };
        let (since, other) = (one.map(line), line(other));
        if since.as_ref().is_some_and(|one| one.is_disjoint(&other)) {
            return Vec::new();
        }
        let one = since.unwrap_or_default();
        let releases = one.symmetric_difference(&other).filter_map(|at| self.releases.get(*at));
        let changes =
            releases.flat_map(|release| release.changes.iter().map(move |change| (release, change)));
        changes
            .map(|(release, change)| Changed {
                release: release.name,
                what: change.what,
                source: change.source,
                breaks: change.breaks,
            })
            .collect()
    }

    fn place_for(&self, version: &str) -> Option<usize> {
        if let Some(exact) = self.place(version) {
            return Some(exact);
        }
        let wanted = Version::of_package(version)?;
        let lines = self.releases.iter().filter(|release| release.after.is_none()).count();
        let versions = self.made().versions.iter().zip(0..);
        let not_newer = versions
            .filter_map(|(version, place)| Some((version.as_ref()?, place)))
            .filter(|(version, _)| **version <= wanted)
            .filter(|(version, _)| lines < 2 || version.major() == wanted.major());
        not_newer.max_by_key(|(version, _)| *version).map(|(_, place)| place)
    }

    /// What every dialect has promised: the numbers, layouts, limits and flags that `promised` says, and what the
    /// release's changes declare. A build of our own has promised nothing.
    pub fn lock(&self, protocol: &str, promised: impl Fn(&D) -> LockedDialect) -> LockTable {
        let releases = self.releases.iter().zip(self.all());
        let releases = releases.filter(|(release, _)| release.version().is_some() || release.name == IDEAL);
        let locked = releases.map(|(release, dialect)| LockedDialect {
            name: release.name.to_owned(),
            after: release.after.map(ToOwned::to_owned),
            changes: release.declared(),
            renames: release.renamed(),
            ..promised(dialect)
        });
        let mut dialects: Vec<_> = locked.collect();
        say_since(&mut dialects);
        LockTable { protocol: protocol.to_owned(), dialects }
    }

    fn made(&self) -> &Made<D> {
        self.made.get_or_init(|| {
            let mut dialects: Vec<D> = Vec::new();
            for release in self.releases {
                let before = release.after.and_then(|after| dialects.get(self.place(after)?));
                let mut dialect = before.cloned().unwrap_or_else(D::first);
                *dialect.name() = release.name;
                for change in release.changes {
                    (change.apply)(&mut dialect);
                }
                dialects.push(dialect);
            }
            Made { dialects, versions: self.releases.iter().map(Release::version).collect() }
        })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.releases.iter().position(|release| release.name == name)
    }
}

/// Says of each message which release brought it, and which was the last to have it if the newest one has not.
fn say_since(dialects: &mut [LockedDialect]) {
    let mut spans: HashMap<_, (String, usize)> = HashMap::new();
    // A number keeps its meaning under another name.
    let name = |message: &LockedMessage| message.number.is_none().then(|| message.name.clone());
    let key = |message: &LockedMessage| (message.kind.clone(), message.number, name(message));
    for (at, dialect) in dialects.iter().enumerate() {
        for message in &dialect.messages {
            spans.entry(key(message)).or_insert_with(|| (dialect.name.clone(), at)).1 = at;
        }
    }
    let names: Vec<_> = dialects.iter().map(|dialect| dialect.name.clone()).collect();
    for message in dialects.iter_mut().flat_map(|dialect| &mut dialect.messages) {
        let Some((since, last)) = spans.get(&key(message)) else { continue };
        message.since = Some(since.clone());
        message.until = names.get(*last).filter(|_| last + 1 < names.len()).cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_table;

    #[derive(Debug, Clone, PartialEq)]
    struct Fact {
        name: &'static str,
        can: Vec<&'static str>,
    }

    impl Facts for Fact {
        fn first() -> Self {
            Self { name: "", can: Vec::new() }
        }

        fn name(&mut self) -> &mut &'static str {
            &mut self.name
        }
    }

    const fn release(
        name: &'static str,
        after: Option<&'static str>,
        changes: &'static [Change<Fact>],
    ) -> Release<Fact> {
        Release { name, after, changes }
    }

    /// ```text
    /// hosts   4.1 - 4.2 - 4.10 - ideal        agents  1.0 - 1.0.9
    ///                \- 4.2+patched
    /// ```
    static LINES: Table<Fact> = Table::of(&[
        release("1.0", None, &[change("speaks", "the test", |d| d.can.push("speak"))]),
        release("1.0.9", Some("1.0"), &[change("sings", "the test", |d| d.can.push("sing"))]),
        release("4.1", None, &[change("hears", "the test", |d| d.can.push("hear"))]),
        release(
            "4.2",
            Some("4.1"),
            &[
                change("reads", "the test", |d: &mut Fact| d.can.push("read"))
                    .declares(&[("skill", "none -> some")])
                    .breaks(&[("client/read*", Shape::LOUD_FAIL)]),
                change("looks", "the test", |d: &mut Fact| d.can.push("look"))
                    .renames(&[("7", "SEE", "LOOK")]),
            ],
        ),
        release("4.2+patched", Some("4.2"), &[change("hears no more", "the test", |d| d.can.clear())]),
        release("4.10", Some("4.2"), &[]),
        release(IDEAL, Some("4.10"), &[change("writes", "the test", |d| d.can.push("write"))]),
    ]);

    #[test]
    fn a_dialect_is_the_one_before_it_with_changes_applied() {
        check_table(&LINES);
        #[track_caller]
        fn check(name: &str, expect: &[&str]) {
            let dialect = LINES.named(name).expect("in the table");
            assert_eq!((dialect.name, dialect.can.as_slice()), (name, expect));
        }
        check("1.0.9", &["speak", "sing"]);
        check("4.1", &["hear"]);
        check("4.2+patched", &[]);
        check("4.10", &["hear", "read", "look"]);
        check(IDEAL, &["hear", "read", "look", "write"]);
        assert_eq!(LINES.named("4.3"), None);
    }

    #[test]
    fn a_version_means_the_newest_release_of_its_line_that_is_not_newer() {
        #[track_caller]
        fn check(versions: &[&str], expect: Option<&str>) {
            for version in versions {
                assert_eq!(LINES.for_version(version).map(|dialect| dialect.name), expect, "{version}");
            }
        }
        check(&["1.0", "1", "1.0.8", "1:1.0.8-3"], Some("1.0"));
        check(&["1.0.9", "1.7"], Some("1.0.9"));
        check(&["4.2", "4.9", "1:4.2.1-3+deb11u3", "4.2+dfsg-1"], Some("4.2"));
        check(&["4.2+patched"], Some("4.2+patched"));
        check(&["4.10", "4.99", "4.10.1-31-gfd4b0df20"], Some("4.10"));
        check(&[IDEAL], Some(IDEAL));
        check(&["", "dev", "0.9", "2.0", "4.0", "99"], None);
    }

    #[test]
    fn changes_between_two_versions_are_what_one_of_them_has_alone() {
        #[track_caller]
        fn check(one: &str, other: &str, expect: &[&str]) {
            let whats = |one, other| {
                LINES.changes_between(Some(one), other).iter().map(|c| c.what).collect::<Vec<_>>()
            };
            assert_eq!((whats(one, other).as_slice(), whats(other, one).as_slice()), (expect, expect));
        }
        check("4.1", "4.10.3", &["reads", "looks"]);
        check("4.2", "4.10", &[]);
        check("4.2+patched", IDEAL, &["hears no more", "writes"]);
        check("1.0", "1.0.9", &["sings"]);
        check("1.0", "4.1", &[]);
        check("dev", "4.1", &[]);
    }

    #[test]
    fn a_change_explains_what_it_breaks() {
        let reads = LINES.changes_between(Some("4.1"), "4.2")[0];
        let shapes = ["loud-fail".to_owned(), "hang".to_owned()];
        assert!(reads.explains("client/read-book", &shapes));
        assert!(
            !reads.explains("client/write", &shapes) && !reads.explains("client/read-book", &shapes[1..])
        );
    }

    #[test]
    fn a_lock_has_what_releases_promised_and_what_their_changes_declare() {
        let promised = |dialect: &Fact| LockedDialect {
            flags: [("skills".to_owned(), dialect.can.join(","))].into(),
            ..LockedDialect::default()
        };
        let lock = LINES.lock("test", promised);
        let names: Vec<_> = lock.dialects.iter().map(|dialect| dialect.name.as_str()).collect();
        assert_eq!(names, ["1.0", "1.0.9", "4.1", "4.2", "4.10", IDEAL]);
        let (first, second) = (&lock.dialects[2], &lock.dialects[3]);
        assert_eq!((first.after.as_deref(), &first.changes, &first.renames), (None, &vec![], &vec![]));
        assert_eq!(
            (second.after.as_deref(), second.flags["skills"].as_str()),
            (Some("4.1"), "hear,read,look")
        );
        let [change, rename] = [second.changes[0].to_string(), second.renames[0].to_string()];
        assert_eq!((change.as_str(), rename.as_str()), ("skill: none -> some", "7: SEE -> LOOK"));
    }

    #[test]
    fn a_lock_says_which_release_brought_a_message_and_which_had_it_last() {
        let message =
            |number, name: &str| LockedMessage { number, name: name.to_owned(), ..LockedMessage::default() };
        let dialect = |name: &str, messages| LockedDialect {
            name: name.to_owned(),
            messages,
            ..LockedDialect::default()
        };
        let mut dialects = [
            dialect("1", vec![message(Some(7), "see"), message(None, "nap")]),
            dialect("2", vec![message(Some(7), "look"), message(None, "nap"), message(None, "run")]),
            dialect(IDEAL, vec![message(Some(7), "look"), message(None, "run")]),
        ];
        say_since(&mut dialects);
        let said = |dialect: &LockedDialect| {
            let words = |it: &LockedMessage| (it.name.clone(), it.since.clone(), it.until.clone());
            dialect.messages.iter().map(words).collect::<Vec<_>>()
        };
        let (one, two) = (|| Some("1".to_owned()), || Some("2".to_owned()));
        assert_eq!(said(&dialects[0]), [("see".into(), one(), None), ("nap".into(), one(), two())]);
        let [_, nap, run] = &said(&dialects[1])[..] else { panic!("three") };
        assert_eq!((nap, run), (&("nap".into(), one(), two()), &("run".into(), two(), None)));
    }

    #[test]
    #[should_panic = "2.0: sleeps changes nothing"]
    fn a_line_that_changes_nothing_is_noticed() {
        static SLEEPS: Table<Fact> = Table::of(&[
            release("1.0", None, &[]),
            release("2.0", Some("1.0"), &[change("sleeps", "the test", |_| {})]),
            release(IDEAL, Some("2.0"), &[]),
        ]);
        check_table(&SLEEPS);
    }
}
