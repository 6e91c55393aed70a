//! What clients of this protocol are asked to do, and what that is for.
//!
//! One operation is one session of `virsh`: some commands on one connection. The reference clients do the
//! same without a process. What a client says is no evidence: releases print failures as values and report
//! rollbacks that leave every interface inactive. So each operation, in `operations.toml`, names
//!
//! - its *effects*: what must be so on the server afterwards, read over a connection of our own that is
//!   open before the client comes and after it has gone ([`super::beside`]);
//! - its *claims*: what the client must say, whoever the server is;
//! - its *answers*: what the client says that depends on the server. They are compared with what our own
//!   connection is told: `effect.as-said.<word>` is `yes`, or says what is so instead.
//!
//! The words of the keys are those of [`protocol::effects`]; what is written under which word:
//!
//! ```text
//! daemon        11.3.0                              version of the server
//! domains       test:running
//! interfaces    eth1:active eth9:inactive           by name
//! transaction   open, none, unsupported             of interface changes
//! networks      default:active
//! pools         default-pool:active
//! devices       computer scsi_host1 …               names of node devices
//! device        active:yes persistent:yes autostart:unknown
//! xml           <interface …>…</interface>          in one line, nothing between the elements
//! description   hello                               of network default; `none` where it has none
//! dhcp-hosts    00:11:22:33:44:55=192.168.122.77    of network default
//! screenshot    image/png 33443 bytes 1f0c…         kind, length and digest (FNV-1a, 64 bits)
//! event         lifecycle of test
//! error         invalid, unsupported, …             why a command failed, see [`super::claims`]
//! ```

use std::sync::LazyLock;

use matrix::Version;
use protocol::{Hazard, effects};
use serde::Deserialize;
use transcript::evidence::Expectation;

/// Word: version of the server.
pub(crate) const DAEMON: &str = "daemon";
/// Word: domains and their states.
pub(crate) const DOMAINS: &str = "domains";
/// Word: interfaces and their states.
pub(crate) const INTERFACES: &str = "interfaces";
/// Word: whether a transaction of interface changes is open.
pub(crate) const TRANSACTION: &str = "transaction";
/// Word: networks and their states.
pub(crate) const NETWORKS: &str = "networks";
/// Word: storage pools and their states.
pub(crate) const POOLS: &str = "pools";
/// Word: names of node devices.
pub(crate) const DEVICES: &str = "devices";
/// Word: what is so of the node device [`DEVICE_NAME`].
pub(crate) const DEVICE: &str = "device";
/// Word: the description of the interface [`INTERFACE`].
pub(crate) const XML: &str = "xml";
/// Word: the text that the network [`NETWORK`] is described with.
pub(crate) const DESCRIPTION: &str = "description";
/// Word: hosts that the network [`NETWORK`] has an address for.
pub(crate) const DHCP_HOSTS: &str = "dhcp-hosts";
/// Word: what came as a screenshot.
pub(crate) const SCREENSHOT: &str = "screenshot";
/// Word: the event that came.
pub(crate) const EVENT: &str = "event";
/// Word: why a command failed.
pub(crate) const ERROR: &str = "error";

/// Prefix of the effects that say whether an answer of the client is true; their good value is
/// [`AS_SAID_YES`].
pub(crate) const AS_SAID: &str = "as-said.";
/// What is written where the client said what our own connection is told.
pub(crate) const AS_SAID_YES: &str = "yes";

/// The driver that every operation is carried out on.
pub(crate) const URI: &str = "test:///default";
/// The domain that the test driver comes with.
pub(crate) const DOMAIN: &str = "test";
/// The network that it comes with.
pub(crate) const NETWORK: &str = "default";
/// The interface that it comes with.
pub(crate) const INTERFACE: &str = "eth1";
/// A node device that it comes with.
pub(crate) const DEVICE_NAME: &str = "computer";
/// What is written of a network without a description.
pub(crate) const NO_DESCRIPTION: &str = "none";
/// The interface that operations define.
pub(crate) const NEW_INTERFACE_XML: &str = "<interface type='ethernet' name='eth9'><start mode='none'/>\
<mac address='aa:bb:cc:dd:ee:99'/><mtu size='1500'/><protocol family='ipv4'>\
<ip address='10.9.9.9' prefix='24'/></protocol></interface>";

/// Placeholder: a file that holds [`NEW_INTERFACE_XML`], as the client sees it.
pub(crate) const INTERFACE_FILE: &str = "{interface-file}";
/// Placeholder: a file that the client may write, as the client sees it.
pub(crate) const OUTPUT_FILE: &str = "{output-file}";

/// One thing that a client can do, and what it is for; what the fields mean stands in `operations.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operation {
    /// Its name; the case is `client/<name>`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The commands of one session of virsh. [`INTERFACE_FILE`] and [`OUTPUT_FILE`] stand for files.
    pub commands: Vec<Vec<&'static str>>,
    /// The release with which the command came; `None` for what every measured release has.
    since: Option<&'static str>,
    /// What our own connection does while the client is at it.
    #[serde(default)]
    pub meanwhile: Meanwhile,
    #[serde(default)]
    exit: i32,
    /// What the client must have said: `(word, value)`.
    #[serde(default)]
    pub claims: Vec<(&'static str, &'static str)>,
    /// What the client must have said as our own connection is told it.
    #[serde(default)]
    pub answers: Vec<&'static str>,
    /// What must be so afterwards: `(word, value)`.
    #[serde(default = "unchanged")]
    pub effects: Vec<(&'static str, &'static str)>,
    /// Whether it is to change something, though it may be refused.
    #[serde(default)]
    pub changes: bool,
    #[serde(default)]
    disturbs: bool,
    /// The procedures of which a client calls one, by their names.
    #[serde(default)]
    pub asks: Vec<&'static str>,
}

fn unchanged() -> Vec<(&'static str, &'static str)> {
    vec![(INTERFACES, "eth1:active"), (TRANSACTION, "none")]
}

/// What happens on our own connection while a client carries out an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Meanwhile {
    /// Nothing; it only keeps the state of the driver from vanishing with the client.
    #[default]
    Nothing,
    /// [`DOMAIN`] is suspended and resumed again and again, so that there are events.
    DomainTogglesPause,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), deny_unknown_fields)]
struct Operations {
    operation: Vec<Operation>,
}

/// Every operation, for reference clients and virsh alike.
pub(crate) fn operations() -> impl Iterator<Item = &'static Operation> {
    static ALL: LazyLock<Operations> = LazyLock::new(|| {
        toml::from_str(include_str!("operations.toml")).expect("a constant, which tests read")
    });
    ALL.operation.iter()
}

/// The operation of that name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    operations().find(|operation| operation.name == name)
}

impl Operation {
    /// The commands in the one argument that virsh takes them in: words quoted where they need it,
    /// commands parted by `;`.
    pub(crate) fn session(&self, interface_file: &str, output_file: &str) -> String {
        let fill =
            |word: &&str| word.replace(INTERFACE_FILE, interface_file).replace(OUTPUT_FILE, output_file);
        let line =
            |words: &Vec<&str>| words.iter().map(|word| quoted(&fill(word))).collect::<Vec<_>>().join(" ");
        self.commands.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// Why a client of that version cannot carry it out. What is no number is taken for the newest.
    pub(crate) fn lacking_in(&self, version: &str) -> Option<String> {
        let since = self.since?;
        let (first, own) = (since.parse::<Version>().ok()?, upstream(version).parse::<Version>().ok()?);
        let command = self.commands.first().map_or("", |words| words[0]);
        (own < first).then(|| format!("virsh {version} has no such `{command}`; it came with {since}"))
    }
}

impl effects::Operation for Operation {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn hazard(&self) -> Hazard {
        if self.disturbs { Hazard::Disturbs } else { Hazard::Harmless }
    }

    fn expected(&self) -> Vec<Expectation> {
        let as_said = |word: &&str| Expectation::effect(&format!("{AS_SAID}{word}"), AS_SAID_YES);
        let mut expected = effects::expected(self.exit, &self.claims, &self.effects);
        expected.extend(self.answers.iter().map(as_said));
        expected
    }
}

/// A version without what a distribution puts behind it: `7.0.0` of `7.0.0-3+deb11u3`.
fn upstream(version: &str) -> &str {
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

/// A word as the parser of virsh reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    if word.chars().all(plain) && !word.is_empty() { word.to_owned() } else { format!("\"{word}\"") }
}

#[cfg(test)]
mod tests {
    use protocol::effects::Operation as _;

    use super::*;

    #[test]
    fn what_is_no_operation_is_an_error_with_its_line() {
        #[track_caller]
        fn check(line: usize, text: &'static str, expect: &str) {
            let error = toml::from_str::<Operations>(text).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.contains(&format!("line {line},")) && error.contains(expect), "{text}: {error}");
        }
        const GOOD: &str = "[[operation]]\nname = 'a'\nabout = 'b'\ncommands = [['c']]\n";
        for missing in ["name", "about", "commands"] {
            let text = GOOD.replace(&format!("\n{missing} = "), "\n# ");
            check(1, text.leak(), &format!("missing field `{missing}`"));
        }
        check(5, format!("{GOOD}clams = []").leak(), "unknown field `clams`");
        check(5, format!("{GOOD}meanwhile = 'sleeps'").leak(), "unknown variant `sleeps`");
        check(5, format!("{GOOD}[[operations]]").leak(), "unknown field `operations`");
        assert_eq!(operations().last().map(|last| last.name), Some("announce-interface"));
    }

    #[test]
    fn every_operation_says_what_it_is_for() {
        let mut names: Vec<_> = operations().map(|operation| operation.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), operations().count(), "no name twice");
        for operation in operations() {
            assert!(!operation.effects.is_empty(), "{}", operation.name);
            assert!(operation.about.len() > 9, "{}", operation.name);
            // No word holds what the parser of virsh would read as the end of a word in quotes.
            let words = operation.commands.iter().flat_map(|words| words.iter());
            assert!(words.clone().count() > 0 && words.clone().all(|word| !word.contains(['"', '\\', ';'])));
            if let Some(since) = operation.since {
                assert!(since.parse::<Version>().is_ok(), "{since}");
            }
            for procedure in &operation.asks {
                let known = crate::names::table("procedures").any(|known| known.name == *procedure);
                assert!(known, "{procedure}");
            }
        }
    }

    #[test]
    fn writes_commands_as_virsh_reads_them() {
        let check = |name: &str, expect: &str| {
            let session = operation(name).map(|operation| operation.session("/i.xml", "/out"));
            assert_eq!(session.as_deref(), Some(expect));
        };
        check("rollback", "iface-begin; iface-define /i.xml; iface-rollback");
        check("screenshot", "screenshot test /out");
        check(
            "net-update",
            "net-update default add ip-dhcp-host \"<host mac='00:11:22:33:44:55' ip='192.168.122.77'/>\" --live",
        );
    }

    #[test]
    fn knows_which_release_lacks_a_command() {
        let check = |name: &str, version: &str, lacks: bool| {
            let lacking = operation(name).expect("in the table").lacking_in(version);
            assert_eq!(lacking.is_some(), lacks, "{name} in {version}: {lacking:?}");
        };
        for (name, first) in [
            ("nodedev-info", 1),
            ("postcopy-abort", 1),
            ("dirty-rate", 1),
            ("net-desc", 2),
            ("net-desc-write", 2),
            ("announce-interface", 3),
            ("nodedev-list", 0),
        ] {
            for (at, version) in ["7.0.0", "9.0.0-4+deb12u2", "11.3.0", "12.8.0", "ideal"].iter().enumerate()
            {
                check(name, version, at < first);
            }
        }
    }

    #[test]
    fn expects_answers_to_be_what_our_own_connection_is_told() {
        let expected = operation("nodedev-info").map(Operation::expected).unwrap_or_default();
        let text = |it: &Expectation| format!("{}={}", it.observation().key(), it.value);
        let texts: Vec<_> = expected.iter().map(text).collect();
        assert_eq!(
            texts,
            [
                "expected.exit=0",
                "expected.interfaces=eth1:active",
                "expected.transaction=none",
                "expected.as-said.device=yes",
            ]
        );
    }
}
