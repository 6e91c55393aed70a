//! `builds.toml`: what is read and what is refused.

use insta::assert_snapshot;
use matrix::{Build, BuildId, Builds, Role, Source};

use crate::support::{builds, rendered};

fn refuse(text: &str) -> String {
    rendered(Builds::parse("builds.toml", text))
}

#[test]
fn reads_every_source_and_fills_in_what_is_absent() {
    let text = r#"
        protocol = "p"
        [[build]]
        id = "1.0"
        path = { path = "/opt/p", args = ["-v"] }
        debian = { suite = "sid", packages = ["pp=1:1.0-1+b2", "libp=1.0~rc1"], extra = ["busybox"], snapshot = "20261120T000000Z" }
        reference = { defects = ["no-drain"] }
        container = { image = "registry.example.org:5000/p:1.0", digest = "sha256:00000000000000000000000000000000000000000000000000000000000000aa" }
        recorded = true
        [[build]]
        id = "main"
        version = "2.0"
        dialect = "1.0"
        roles = ["server"]
        path = "target/p"
        container = "p@sha256:00000000000000000000000000000000000000000000000000000000000000bb"
        dockerfile = "p/Dockerfile"
    "#;
    let builds = Builds::parse("builds.toml", text).expect("the text is right");
    insta::assert_debug_snapshot!(builds.iter().collect::<Vec<_>>());
    assert_eq!(
        builds.location(&BuildId::new("main")).map(ToString::to_string).as_deref(),
        Some("builds.toml:11:14")
    );
}

#[test]
fn the_newest_build_is_the_highest_number_and_reference_peers_do_not_displace_it() {
    let builds = builds();
    assert_eq!(builds.newest().map(|build| build.id.as_str()), Some("5.0.2"));
    assert!(builds.is_called("lxc") && builds.is_called("lxc-command") && !builds.is_called("libvirt"));
    let ideal = builds.get(&BuildId::new("ideal")).expect("it is in the text");
    assert_eq!((ideal.version.as_str(), ideal.dialect.as_str()), ("ideal", "ideal"));
    assert_eq!(ideal.roles, [Role::Server]);
    assert_eq!(ideal.sources, [Source::Reference { defects: Vec::new() }]);
}

#[test]
fn points_at_broken_toml() {
    assert_snapshot!(refuse("protocol = \"p\"\n[[build]\nid = \"1.0\"\n"));
    assert_snapshot!(refuse("protocol = \"p\"\nprotocol = \"q\"\n"));
    assert_snapshot!(refuse("protocol = \"p\nbuild = 3"));
}

#[test]
fn points_at_unknown_keys_and_names_the_nearest() {
    assert_snapshot!(refuse(
        "protocol = \"p\"\n\n[[build]]\nid = \"1.0\"\nrecorded = true\ndialekt = \"1.0\"\n"
    ));
    assert_snapshot!(refuse(
        "protocol = \"p\"\n[[build]]\nid = \"1.0\"\ndebian = { suit = \"sid\", packages = [\"p=1\"] }\n"
    ));
    assert_snapshot!(refuse("protocol = \"p\"\ncolour = \"red\"\n"));
}

#[test]
fn points_at_wrong_types_and_collects_them() {
    assert_snapshot!(refuse(
        "protocol = 7\nalias = [\"a\"]\n[[build]]\nid = \"1.0\"\nrecorded = \"yes\"\nroles = [\"client\", 3, \"sever\"]\n"
    ));
    assert_snapshot!(refuse("protocol = \"p\"\nbuild = { id = \"1.0\" }\n"));
    assert_snapshot!(refuse("protocol = \"p\"\nbuild = [1]\n"));
}

#[test]
fn points_at_values_that_cannot_be() {
    assert_snapshot!(refuse("[[build]]\nrecorded = true\n"));
    assert_snapshot!(refuse("protocol = \"p\"\n[[build]]\nid = \"a..b\"\nrecorded = true\n"));
    assert_snapshot!(refuse("protocol = \"p\"\n[[build]]\nid = \"probe\"\nrecorded = true\n"));
    assert_snapshot!(refuse("protocol = \"p\"\n[[build]]\nid = \"1.0\"\nreference = false\n"));
    assert_snapshot!(refuse("protocol = \"p\"\n[[build]]\nid = \"1.0\"\nroles = []\nrecorded = true\n"));
    assert_snapshot!(refuse(
        "protocol = \"p\"\n[[build]]\nid = \"1.0\"\nrecorded = true\n[[build]]\nid = \"1.0\"\nrecorded = true\n"
    ));
    assert_snapshot!(refuse(
        "protocol = \"p\"\n[[build]]\nid = \"1.0\"\ndebian = { suite = \"sid\", packages = [\"lxc\", \"Lxc=1\", \"lxc=\"], snapshot = \"yesterday\" }\n"
    ));
    assert_snapshot!(refuse(
        "protocol = \"p\"\n[[build]]\nid = \"1.0\"\ndebian = { suite = \"sid\", packages = [] }\n"
    ));
    assert_snapshot!(refuse(
        "protocol = \"p\"\n[[build]]\nid = \"1.0\"\ncontainer = \"my lxc\"\n[[build]]\nid = \"1.1\"\ncontainer = { image = \"lxc:1\", digest = \"1.1\" }\n"
    ));
}

#[test]
fn a_dockerfile_lies_beside_the_builds() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let file = folder.path().join("builds.toml");
    std::fs::write(&file, "protocol = 'p'\nbuild = [{ id = '1', dockerfile = 'p/Dockerfile' }]\n")
        .expect("it can be written");
    let builds = Builds::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let sources = builds.get(&BuildId::new("1")).map(|build| &*build.sources);
    assert_eq!(sources, Some(&[Source::Dockerfile { path: folder.path().join("p/Dockerfile") }][..]));
}

#[test]
fn a_build_is_like_another_one_but_for_what_it_says() {
    let text = r#"
        protocol = "p"
        [[build]]
        id = "1.0"
        dialect = "one"
        roles = ["server"]
        recorded = true
        debian = { suite = "sid", packages = ["pp=1.0"], locales = ["de_DE.UTF-8"] }
        [[build]]
        id = "1.0-german"
        like = "1.0"
        settings = { locale = "de_DE.UTF-8", LANGUAGE = "de" }
        [[build]]
        id = "1.0-as-two"
        like = "1.0"
        version = "2.0"
        roles = ["client", "server"]
    "#;
    let builds = Builds::parse("builds.toml", text).expect("the text is right");
    let get = |id: &str| builds.get(&BuildId::new(id)).cloned().expect("it is in the text");
    let (base, german, two) = (get("1.0"), get("1.0-german"), get("1.0-as-two"));
    assert_eq!((base.like.as_ref(), base.settings.len()), (None, 0));
    let same = |other: &Build| Build { id: base.id.clone(), like: None, ..other.clone() };
    assert_eq!(same(&Build { settings: base.settings.clone(), ..german.clone() }), base);
    assert_eq!(german.like, Some(base.id.clone()));
    let settings: Vec<_> =
        german.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(settings, [("LANGUAGE", "de"), ("locale", "de_DE.UTF-8")]);
    assert_eq!((two.version.as_str(), two.dialect.as_str(), two.roles.len()), ("2.0", "one", 2));
    let Some(Source::Debian(debian)) = base.sources.first() else { panic!("{:?}", base.sources) };
    assert_eq!(debian.locales, ["de_DE.UTF-8"]);
}

#[test]
fn points_at_a_likeness_that_cannot_be() {
    let refuse = |builds: &str| refuse(&format!("protocol = \"p\"\n{builds}"));
    assert_snapshot!(refuse("[[build]]\nid = \"a\"\nlike = \"b\"\n[[build]]\nid = \"b\"\nrecorded = true\n"));
    assert_snapshot!(refuse(
        "[[build]]\nid = \"a\"\nrecorded = true\n[[build]]\nid = \"b\"\nlike = \"a\"\n[[build]]\nid = \"c\"\nlike = \"b\"\n"
    ));
    assert_snapshot!(refuse(
        "[[build]]\nid = \"a\"\nrecorded = true\n[[build]]\nid = \"b\"\nlike = \"a\"\nreference = true\n"
    ));
    assert_snapshot!(refuse(
        "[[build]]\nid = \"a\"\ndebian = { suite = \"sid\", packages = [\"pp=1\"], locales = [\"de_DE\", \"C.UTF-8\"] }\n"
    ));
    assert_snapshot!(refuse("[[build]]\nid = \"a\"\nrecorded = true\nsettings = { locale = 7 }\n"));
}

#[test]
fn names_a_file_that_is_not_there() {
    let error = Builds::load(std::path::Path::new("no/such/builds.toml"));
    assert_snapshot!(rendered(error));
}

/// No text makes the reader panic or lose the place: every truncation of a good file either reads
/// or says where it ends.
#[test]
fn every_truncation_reads_or_is_refused_with_a_place() {
    let text = crate::support::BUILDS;
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(error) = Builds::parse("builds.toml", &text[..end]) {
            assert!(error.problems().iter().all(|problem| problem.location().is_some()), "at {end}: {error}");
        }
    }
}
