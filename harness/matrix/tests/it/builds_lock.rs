//! `builds.lock`: text, and what drifted.

use insta::assert_snapshot;
use matrix::{BuildId, BuildsLock, LockedBuild, LockedPackage};
use proptest::prelude::*;

use crate::support::rendered;

/// A digest that is easy to tell from others.
fn sha256(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Name, version and digest of a package.
type Installed<'a> = (&'a str, &'a str, char);

fn lock(builds: &[(&str, char, &[Installed<'_>])]) -> BuildsLock {
    let mut lock = BuildsLock::empty("lxc-command");
    for (id, root, packages) in builds {
        let package = |(name, version, digest): &Installed<'_>| {
            let package = LockedPackage { version: (*version).to_owned(), sha256: sha256(*digest) };
            (((*name).to_owned(), "amd64".to_owned()), package)
        };
        let build = LockedBuild {
            suite: "bullseye".to_owned(),
            root: format!("sha256:{}", sha256(*root)),
            packages: packages.iter().map(package).collect(),
        };
        lock.builds.insert(BuildId::new(*id), build);
    }
    lock
}

#[test]
fn the_text_has_one_line_a_package_and_reads_back() {
    let lock = lock(&[
        ("5.0.2", 'b', &[("lxc", "1:5.0.2-1", 'c')]),
        ("4.0.6", 'a', &[("lxc", "1:4.0.6-2+deb11u2", 'd'), ("libc6", "2.31~x", 'e')]),
    ]);
    assert_snapshot!(lock.render());
    let read = BuildsLock::parse("builds.lock", &lock.render(), "lxc-command");
    assert_eq!(read.unwrap_or_else(|error| panic!("{}", error.brief())), lock);
}

#[test]
fn says_what_drifted() {
    #[track_caller]
    fn check(new: &BuildsLock, expect: &[&str]) {
        let old = lock(&[("4.0.6", 'a', &[("lxc", "1:4.0.6-2", 'd'), ("libc6", "2.31", 'e')])]);
        let shown: Vec<_> = old.drift(new).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expect);
    }
    check(&lock(&[("4.0.6", 'a', &[("lxc", "1:4.0.6-2", 'd'), ("libc6", "2.31", 'e')])]), &[]);
    check(
        &lock(&[("4.0.6", 'b', &[("lxc", "1:4.0.6-3", 'f'), ("libc6", "2.31", '0'), ("new", "1", '1')])]),
        &[
            "build `4.0.6`: libc6:amd64 2.31 has another digest under the same version",
            "build `4.0.6`: lxc:amd64 1:4.0.6-2 -> 1:4.0.6-3",
            "build `4.0.6`: new:amd64 1 is new",
        ],
    );
    check(
        &lock(&[("4.0.6", 'a', &[("lxc", "1:4.0.6-2", 'd')])]),
        &["build `4.0.6`: libc6:amd64 2.31 is gone"],
    );
    check(
        &lock(&[("5.0.2", 'a', &[])]),
        &["build `4.0.6`: only in the lock", "build `5.0.2`: not in the lock"],
    );
    let (a, b) = (sha256('a'), sha256('b'));
    check(
        &lock(&[("4.0.6", 'b', &[("lxc", "1:4.0.6-2", 'd'), ("libc6", "2.31", 'e')])]),
        &[&format!("build `4.0.6`: root sha256:{a} -> sha256:{b}, all packages being the same")],
    );
    let mut suite = lock(&[("4.0.6", 'a', &[("lxc", "1:4.0.6-2", 'd'), ("libc6", "2.31", 'e')])]);
    suite.builds.values_mut().for_each(|build| build.suite = "sid".to_owned());
    check(&suite, &["build `4.0.6`: suite bullseye -> sid"]);
}

#[test]
fn refuses_damaged_and_newer_locks() {
    let refuse = |text: &str| rendered(BuildsLock::parse("builds.lock", text, "lxc-command"));
    assert_snapshot!(refuse("format = 2\nprotocol = \"lxc-command\"\n"));
    assert_snapshot!(refuse(
        "format = 1\nprotocol = \"lxc-command\"\n[[build]]\nid = \"4.0.6\"\nsuite = \"sid\"\nroot = \"sha256:12\"\npackages = [{ name = \"a\", architecture = \"all\", version = \"1\", sha256 = \"ABC\" }]\n"
    ));
    let one = "[[build]]\nid = \"4.0.6\"\nsuite = \"sid\"\nroot = \"sha256:ROOT\"\npackages = []\n"
        .replace("ROOT", &sha256('a'));
    assert_snapshot!(refuse(&format!("format = 1\nprotocol = \"lxc-command\"\n{one}{one}")));
}

proptest! {
    #[test]
    fn any_lock_reads_back(
        packages in proptest::collection::btree_map(("[a-z0-9][a-z0-9+.-]{1,8}", "[a-z0-9]{3,5}"), ("[0-9:.~+a-z-]{1,9}", "[0-9a-f]{64}"), 0..12),
        ids in proptest::collection::btree_set("[0-9]{1,2}\\.[0-9]{1,2}", 0..4),
        root in "[0-9a-f]{64}",
    ) {
        let mut lock = BuildsLock::empty("p");
        let package = |(key, (version, sha256)): (&(String, String), &(String, String))| {
            (key.clone(), LockedPackage { version: version.clone(), sha256: sha256.clone() })
        };
        for id in ids {
            let build = LockedBuild {
                suite: "sid".to_owned(),
                root: format!("sha256:{root}"),
                packages: packages.iter().map(package).collect(),
            };
            lock.builds.insert(BuildId::new(id), build);
        }
        let text = lock.render();
        let read = BuildsLock::parse("builds.lock", &text, "p").map_err(|e| TestCaseError::fail(e.brief()))?;
        prop_assert_eq!(&read, &lock);
        prop_assert_eq!(read.render(), text);
        prop_assert_eq!(lock.drift(&read), []);
    }
}
