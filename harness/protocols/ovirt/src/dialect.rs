//! What each release of either side does, as data.
//!
//! A dialect is the release before it with changes applied; hosts are 4.x, agents 1.x, and `ideal` has both parts.
//! Each change is one line of [`super::releases`] and carries its source: a tag of `oVirt/vdsm` or
//! `oVirt/ovirt-guest-agent` and a commit, or the release on which it was measured.
//!
//! ```text
//! hosts   4.11.0 - 4.12.0 - 4.14.8 - 4.15.0 - 4.17.1 - 4.17.25 - 4.18.0 - 4.50.7
//!         none                1e       1raw     2raw     2         3 \
//! agents  1.0.5 - 1.0.8 - 1.0.9 - 1.0.9.1 - 1.0.10 - 1.0.11 - 1.0.11.3 - 1.0.12 - 1.0.12.3 - 1.0.13
//!         none                      1                  2        2f         3f       3fs
//! ```
//!
//! 4.13.4 is a branch of 4.12 that never got versioning. `4.18.25+patched-max2` is no release: a host whose maximum
//! was changed for one recording.

use protocol::dialect::{Facts, Table};
use std::collections::{BTreeMap, BTreeSet};

use super::names::NO_VERSION;
use super::releases::{self, RELEASES};

/// One release's reading of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release that began it, or `ideal`.
    pub name: &'static str,
    /// What it does as an agent; none for a host.
    pub agent: Option<AgentFacts>,
    /// What it does as a host; none for an agent.
    pub host: Option<HostFacts>,
}

/// What an agent does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AgentFacts {
    /// The highest version; none is no versioning at all.
    pub max: Option<i64>,
    /// What it sends, with the lowest version at which it does.
    pub sends: BTreeMap<&'static str, i64>,
    /// What it carries out.
    pub understands: BTreeSet<&'static str>,
    /// What it makes of the value in `refresh`.
    pub refresh_value: RefreshValue,
    /// What the first heartbeat of a process says.
    pub first_heartbeat: FirstHeartbeat,
    /// Whether a version below 0 is taken as 0.
    pub clamps_below: bool,
    /// Whether a refresh answer follows a change of the version.
    pub answers_after_change: bool,
    /// Whether the name of the guest in full is also in the periodic pass.
    pub fqdn_periodic: bool,
    /// Whether `session-startup` is sent at start and in every refresh answer.
    pub session_startup: bool,
    /// Whether what is sent goes through the character filter.
    pub filters: bool,
    /// Whether half a line stays in the input buffer when the host goes.
    pub keeps_half_line: bool,
    /// Whether a message that has passed the gate and then had to wait for a host goes out unlooked at.
    pub gate_before_wait: bool,
    /// Whether a host that goes away leaves the level as it is until the next one has said something.
    pub trusts_old_level: bool,
    /// Whether the reader sleeps a second when no host is connected, and finds what a new one says only then.
    pub naps: bool,
    /// Whether a lifecycle event is completed also when the guest has no directory of hooks, or its type is none.
    pub completes_whatever_happens: bool,
    /// How deep an echo may be nested to come back.
    pub echo_depth_max: usize,
    /// Whether memory-stat tells of swap space.
    pub swap_space: bool,
    /// Whether memory-stat tells of buffers.
    pub buffers: bool,
    /// Whether disks-usage has the mapping.
    pub mapping: bool,
    /// Whether `reboot` of `shutdown` is understood.
    pub reboot: bool,
    /// Name of the port.
    pub port: &'static str,
}

/// What an agent makes of the value in `refresh`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RefreshValue {
    /// Only that it is there counts.
    #[default]
    Ignored,
    /// The lower one of it and the own maximum counts at once, as the proposal says.
    Taken,
}

/// What the first heartbeat of a process says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FirstHeartbeat {
    /// The maximum.
    #[default]
    Max,
    /// 0, so that the host negotiates anew.
    Zero,
    /// 0 unless a host has told its version since the process began.
    ZeroUnlessTold,
}

/// What a host does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFacts {
    /// The highest version; none is no versioning at all.
    pub max: Option<i64>,
    /// What it sends, with the lowest version that its lookup table asks for.
    pub sends: BTreeMap<&'static str, i64>,
    /// What it understands.
    pub understands: BTreeSet<&'static str>,
    /// What it keeps of a heartbeat's version.
    pub stores: Stores,
    /// When it announces.
    pub announces: Announces,
    /// Whether a version can be handed over by a migration.
    pub hand_over: bool,
    /// What happens to the rest of a read behind a line that it stumbles over.
    pub rest_of_chunk: RestOfChunk,
    /// Whether characters above U+10FFF are lost: a slip of the pen in the filter.
    pub loses_astral: bool,
    /// Most digits of a number; a line with a longer one is refused whole. None is no limit.
    pub digits_max: Option<usize>,
    /// Whether it stumbles over a list for `memory-stat`.
    pub stumbles_over_memory_list: bool,
    /// Whether it stumbles over null for `applications`.
    pub stumbles_over_null_applications: bool,
    /// How deep lists may be nested before it stumbles.
    pub depth_max: usize,
    /// How many bytes of an unfinished line it keeps.
    pub line_max: usize,
    /// Whether data that comes together with the end of the connection is lost.
    pub hang_up_loses: bool,
    /// Whether arguments come before the name in what it writes.
    pub arguments_first: bool,
    /// Whether `refresh` has the version member.
    pub tells_version: bool,
}

/// What a host keeps of a heartbeat's version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stores {
    /// The value as it came, unlimited, whenever the limited one differs from what is kept (bug 1318657).
    #[default]
    Raw,
    /// The value limited to 0 and the own maximum.
    Min,
}

/// When a host announces a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Announces {
    /// When the limited value differs from what is kept.
    #[default]
    OnChange,
    /// Also with the first heartbeat behind a connection and behind the start of an agent.
    OnNegotiation,
}

/// What happens to the rest of a read behind a line that a host stumbles over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RestOfChunk {
    /// It is thrown away.
    #[default]
    Lost,
    /// Each line stands for itself.
    Handled,
}

/// A host of 4.18.25 whose maximum was changed to 2; in one recording, and in no release.
pub(crate) const PATCHED_MAX_2: &str = "4.18.25+patched-max2";

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    fn first() -> Self {
        Self { name: "", agent: None, host: None }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

impl Dialect {
    /// The highest version of its host part, or of its agent part where it has no host; absence counts as 0.
    #[cfg(test)]
    pub(crate) fn max(&self) -> i64 {
        let host = self.host.as_ref().map(HostFacts::max_or_none);
        host.or_else(|| self.agent.as_ref().map(AgentFacts::max_or_none)).unwrap_or(NO_VERSION)
    }

    /// The ideal of a release whose maximum is lower, or that has no versioning: for pairs of versions that differ
    /// in nothing but that.
    #[cfg(test)]
    pub(crate) fn ideal_at(max: Option<i64>) -> Self {
        // The table ends with it, which a test holds.
        let mut dialect = DIALECTS.named(protocol::dialect::IDEAL).cloned().unwrap_or_else(Self::first);
        let limit = max.unwrap_or(NO_VERSION);
        if let Some(agent) = &mut dialect.agent {
            agent.max = max;
            agent.sends.retain(|_, min| *min <= limit);
        }
        if let Some(host) = &mut dialect.host {
            host.max = max;
            host.tells_version = max.is_some();
            host.sends.retain(|_, min| *min <= limit);
        }
        dialect
    }

    /// The part of an agent, to be changed; at first what the oldest agents do.
    pub(super) fn agent(&mut self) -> &mut AgentFacts {
        self.agent.get_or_insert_with(releases::first_agent)
    }

    /// The part of a host.
    pub(super) fn host(&mut self) -> &mut HostFacts {
        self.host.get_or_insert_with(releases::first_host)
    }
}

impl AgentFacts {
    /// The highest version; absence counts as 0.
    pub(crate) fn max_or_none(&self) -> i64 {
        self.max.unwrap_or(NO_VERSION)
    }

    /// The lowest version at which it sends a message; none if it never does.
    pub(crate) fn sends_from(&self, name: &str) -> Option<i64> {
        self.sends.get(name).copied()
    }
}

impl HostFacts {
    /// The highest version; absence counts as 0.
    pub(crate) fn max_or_none(&self) -> i64 {
        self.max.unwrap_or(NO_VERSION)
    }

    /// The lowest version that its gate asks for. Names that are not in its table count as 0.
    pub(crate) fn sends_from(&self, name: &str) -> i64 {
        self.sends.get(name).copied().unwrap_or(NO_VERSION)
    }
}

#[cfg(test)]
mod tests {
    use protocol::testing::check_table;

    use super::*;
    use crate::names;

    #[test]
    fn finds_the_dialect_of_a_version() {
        #[track_caller]
        fn check(versions: &[&str], expect: Option<(&str, i64)>) {
            for version in versions {
                let found = DIALECTS.for_version(version);
                assert_eq!(found.map(|dialect| (dialect.name, dialect.max())), expect, "{version}");
            }
        }
        check(&["1.0.5", "1.0.7"], Some(("1.0.5", 0)));
        check(&["1.0.9"], Some(("1.0.9", 0)));
        check(&["1.0.9.1"], Some(("1.0.9.1", 1)));
        check(&["1.0.10.3"], Some(("1.0.10.2", 1)));
        check(&["1.0.11", "1.0.11.2"], Some(("1.0.11", 2)));
        check(&["1.0.11.3"], Some(("1.0.11.3", 2)));
        check(&["1.0.12", "1.0.12.2"], Some(("1.0.12", 3)));
        check(&["1.0.12.3"], Some(("1.0.12.3", 3)));
        check(&["1.0.13", "1.0.16", "1.0.16-7", "1.0.16-7-g639a30d"], Some(("1.0.13", 3)));
        check(&["4.13.4", "4.13.4-7-g720058f20", "4.14.7"], Some(("4.12.0", 0)));
        check(&["4.14.8", "4.14.17", "4.14.17-5-g92f2e42f5"], Some(("4.14.8", 1)));
        check(&["4.15.0", "4.16.38", "4.17.0"], Some(("4.15.0", 1)));
        check(&["4.17.1", "4.17.24"], Some(("4.17.1", 2)));
        check(&["4.17.25", "4.17.44"], Some(("4.17.25", 2)));
        check(&["4.18.0", "4.18.25", "4.19.51", "4.20.49", "4.30.53"], Some(("4.18.0", 3)));
        check(&["4.50.7", "4.50.7-31-gfd4b0df20", "4.60"], Some(("4.50.7", 3)));
        check(&["4.18.25+patched-max2"], Some(("4.18.25+patched-max2", 2)));
        check(&["ideal"], Some(("ideal", 3)));
        check(&["", "dev", "2.0", "0.9", "4.1"], None);
    }

    #[test]
    fn the_release_table_is_sound() {
        check_table(&DIALECTS);
    }

    #[test]
    fn hosts_have_no_agent_part_and_agents_no_host_part() {
        for dialect in DIALECTS.all() {
            let expect = match dialect.name.chars().next() {
                Some('1') => (true, false),
                Some('4') => (false, true),
                _ => (true, true),
            };
            assert_eq!((dialect.agent.is_some(), dialect.host.is_some()), expect, "{}", dialect.name);
        }
    }

    /// In full, as the sources of the releases have them.
    #[test]
    fn holds_the_lookup_tables() {
        #[track_caller]
        fn check(versions: &[&str], of: fn(&Dialect) -> Vec<(&'static str, i64)>, expect: &[(&str, i64)]) {
            for version in versions {
                let dialect = DIALECTS.for_version(version).expect("in the table");
                assert_eq!(of(dialect), expect, "{version}");
            }
        }
        fn agent(d: &Dialect) -> Vec<(&'static str, i64)> {
            let sends = d.agent.as_ref().map(|agent| &agent.sends);
            sends.into_iter().flatten().filter(|(_, min)| **min > 0).map(|(n, min)| (*n, *min)).collect()
        }
        fn host(d: &Dialect) -> Vec<(&'static str, i64)> {
            let sends = d.host.as_ref().map(|host| &host.sends);
            sends.into_iter().flatten().filter(|(_, min)| **min > 0).map(|(n, min)| (*n, *min)).collect()
        }
        fn understood(d: &Dialect) -> Vec<(&'static str, i64)> {
            let known = d.host.as_ref().map(|host| &host.understands);
            let known = known.into_iter().flatten().map(|name| (*name, names::guest_min(name)));
            known.filter(|(_, min)| *min > 0).collect()
        }
        check(&["1.0.9"], agent, &[]);
        check(&["1.0.9.1", "1.0.10.3"], agent, &[("number-of-cpus", 1)]);
        check(&["1.0.11.2", "1.0.11.3"], agent, &[("number-of-cpus", 1), ("os-info", 2), ("timezone", 2)]);
        check(
            &["1.0.12", "1.0.12.3", "1.0.16", "ideal"],
            agent,
            &[("completion", 3), ("containers", 3), ("number-of-cpus", 1), ("os-info", 2), ("timezone", 2)],
        );
        check(&["4.13.4", "4.14.17"], host, &[]);
        check(&["4.16.38", "4.17.24", "4.17.44"], host, &[("set-number-of-cpus", 1)]);
        check(&["4.18.25", "4.50.7", "ideal"], host, &[("lifecycle-event", 3), ("set-number-of-cpus", 1)]);
        check(&["4.13.4"], understood, &[]);
        check(&["4.14.17", "4.16.38"], understood, &[("number-of-cpus", 1)]);
        check(&["4.17.24", "4.17.44"], understood, &[("number-of-cpus", 1), ("os-info", 2), ("timezone", 2)]);
        check(
            &["4.18.25", "4.50.7"],
            understood,
            &[("completion", 3), ("containers", 3), ("number-of-cpus", 1), ("os-info", 2), ("timezone", 2)],
        );
    }

    #[test]
    fn no_release_gives_a_name_another_version() {
        for dialect in DIALECTS.all() {
            for (name, min) in dialect.agent.iter().flat_map(|agent| &agent.sends) {
                assert_eq!(names::guest(name).map(|known| known.min), Some(*min), "{}: {name}", dialect.name);
            }
            for (name, min) in dialect.host.iter().flat_map(|host| &host.sends) {
                assert_eq!(names::host(name).map(|known| known.min), Some(*min), "{}: {name}", dialect.name);
            }
        }
    }
}
