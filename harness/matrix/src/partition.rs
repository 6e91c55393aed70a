//! Shards: one run spread over several machines.
//!
//! `hash:1/4` is the first of four shards by the hash of the cell's name: a cell stays in its shard
//! whatever else is planned. `count:1/4` deals the selected cells out in the order of their names: the
//! shards have the same size, but a new cell moves others.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// How cells are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deal {
    /// By the hash of the name.
    Hash,
    /// In turn.
    Count,
}

/// One shard of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partition {
    deal: Deal,
    /// From 1.
    shard: u64,
    total: u64,
}

/// Why a text or an environment names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// The text has another form.
    #[error(
        "`{0}` is not a partition: expected `hash:<shard>/<shards>` or `count:<shard>/<shards>`, e.g. `hash:1/4`"
    )]
    Form(String),
    /// The number of the shard is not one of them.
    #[error("shard {shard} of {total} does not exist: shards are counted from {first}")]
    Range {
        /// As given.
        shard: u64,
        /// As given.
        total: u64,
        /// 0 or 1, as the variable counts.
        first: u64,
    },
    /// Only one of two variables that belong together is set.
    #[error("`{set}` is set, but `{missing}` is not")]
    Half {
        /// The one.
        set: &'static str,
        /// The other.
        missing: &'static str,
    },
    /// A variable is no number.
    #[error("`{name}={value}` is not a number")]
    NoNumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// Pairs of variables that say which shard this is: number, how many, and what the first is called.
/// <https://bazel.build/reference/test-encyclopedia#test-sharding> counts from 0,
/// <https://docs.gitlab.com/ci/variables/predefined_variables/> from 1.
const VARIABLES: [(&str, &str, u64); 2] =
    [("TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", 0), ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1)];

impl Partition {
    /// Shard `shard` (from 1) of `total`.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn new(deal: Deal, shard: u64, total: u64) -> Result<Self, PartitionError> {
        if shard == 0 || shard > total {
            return Err(PartitionError::Range { shard, total, first: 1 });
        }
        Ok(Self { deal, shard, total })
    }

    /// The shard that a CI system names by environment variables, if it does; by hash. `lookup` gives
    /// the value of a variable. Bazel's variables go before GitLab's.
    ///
    /// # Errors
    /// When the variables do not name a shard.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, PartitionError> {
        let number = |name: &'static str, value: String| {
            value.trim().parse::<u64>().map_err(|_| PartitionError::NoNumber { name, value })
        };
        for (index, total, first) in VARIABLES {
            let (shard, shards) = match (lookup(index), lookup(total)) {
                (None, None) => continue,
                (Some(_), None) => return Err(PartitionError::Half { set: index, missing: total }),
                (None, Some(_)) => return Err(PartitionError::Half { set: total, missing: index }),
                (Some(shard), Some(shards)) => (number(index, shard)?, number(total, shards)?),
            };
            if shard < first || shard - first >= shards {
                return Err(PartitionError::Range { shard, total: shards, first });
            }
            return Self::new(Deal::Hash, shard - first + 1, shards).map(Some);
        }
        Ok(None)
    }

    /// The number of the shard, from 1.
    #[must_use]
    pub fn shard(&self) -> u64 {
        self.shard
    }

    /// How many shards there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How cells are dealt out.
    #[must_use]
    pub fn deal(&self) -> Deal {
        self.deal
    }

    /// The items of this shard. `name` gives the name of the cell; counting goes by the order of names.
    pub fn take<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
        let is_mine = |turn: u64| turn % self.total == self.shard - 1;
        match self.deal {
            Deal::Hash => items.retain(|item| is_mine(name_hash(&name(item)))),
            Deal::Count => {
                items.sort_by_cached_key(&name);
                let mut turns = 0..;
                items.retain(|_| turns.next().is_some_and(is_mine));
            }
        }
        items
    }
}

/// The first eight bytes of the SHA-256 of the name, big endian: the same on every machine, for ever.
fn name_hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deal = match self.deal {
            Deal::Hash => "hash",
            Deal::Count => "count",
        };
        write!(f, "{deal}:{}/{}", self.shard, self.total)
    }
}

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || PartitionError::Form(text.to_owned());
        let (deal, shard) = text.split_once(':').ok_or_else(form)?;
        let deal = match deal {
            "hash" => Deal::Hash,
            "count" => Deal::Count,
            _ => return Err(form()),
        };
        let (shard, total) = shard.split_once('/').ok_or_else(form)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| form());
        Self::new(deal, number(shard)?, number(total)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_prints_and_refuses_the_rest() {
        #[track_caller]
        fn check(text: &str, expect: Result<(Deal, u64, u64), &str>) {
            let read = text.parse::<Partition>();
            match expect {
                Ok((deal, shard, total)) => {
                    assert_eq!(read, Ok(Partition { deal, shard, total }));
                    assert_eq!(read.map(|partition| partition.to_string()).as_deref(), Ok(text));
                }
                Err(message) => {
                    assert_eq!(
                        read.map_err(|error| error.to_string()).expect_err("it was accepted"),
                        message
                    );
                }
            }
        }
        let form = |text: &str| {
            format!(
                "`{text}` is not a partition: expected `hash:<shard>/<shards>` or `count:<shard>/<shards>`, e.g. `hash:1/4`"
            )
        };
        check("hash:1/4", Ok((Deal::Hash, 1, 4)));
        check("count:4/4", Ok((Deal::Count, 4, 4)));
        check("hash:1/1", Ok((Deal::Hash, 1, 1)));
        check("hash:0/4", Err("shard 0 of 4 does not exist: shards are counted from 1"));
        check("count:5/4", Err("shard 5 of 4 does not exist: shards are counted from 1"));
        check("hash:1/0", Err("shard 1 of 0 does not exist: shards are counted from 1"));
        for text in ["", "1/4", "hash:1", "hash:1/4/2", "slice:1/4", "hash:a/4", "hash:-1/4"] {
            check(text, Err(&form(text)));
        }
    }

    #[test]
    fn takes_the_shard_from_the_environment_of_ci_systems() {
        #[track_caller]
        fn check(variables: &[(&str, &str)], expect: Result<Option<&str>, &str>) {
            let variables: BTreeMap<_, _> = variables.iter().copied().collect();
            let read = Partition::from_variables(|name| variables.get(name).map(|value| (*value).to_owned()));
            let shown = read.map(|partition| partition.map(|partition| partition.to_string()));
            assert_eq!(
                shown.map_err(|error| error.to_string()),
                expect.map(|p| p.map(str::to_owned)).map_err(str::to_owned)
            );
        }
        check(&[], Ok(None));
        check(&[("TEST_SHARD_INDEX", "0"), ("TEST_TOTAL_SHARDS", "4")], Ok(Some("hash:1/4")));
        check(&[("TEST_SHARD_INDEX", "3"), ("TEST_TOTAL_SHARDS", "4")], Ok(Some("hash:4/4")));
        check(&[("CI_NODE_INDEX", "4"), ("CI_NODE_TOTAL", "4")], Ok(Some("hash:4/4")));
        check(
            &[
                ("TEST_SHARD_INDEX", "1"),
                ("TEST_TOTAL_SHARDS", "2"),
                ("CI_NODE_INDEX", "1"),
                ("CI_NODE_TOTAL", "9"),
            ],
            Ok(Some("hash:2/2")),
        );
        check(
            &[("TEST_SHARD_INDEX", "4"), ("TEST_TOTAL_SHARDS", "4")],
            Err("shard 4 of 4 does not exist: shards are counted from 0"),
        );
        check(
            &[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")],
            Err("shard 0 of 4 does not exist: shards are counted from 1"),
        );
        check(&[("CI_NODE_INDEX", "1")], Err("`CI_NODE_INDEX` is set, but `CI_NODE_TOTAL` is not"));
        check(
            &[("TEST_TOTAL_SHARDS", "4")],
            Err("`TEST_TOTAL_SHARDS` is set, but `TEST_SHARD_INDEX` is not"),
        );
        check(&[("CI_NODE_INDEX", "x"), ("CI_NODE_TOTAL", "4")], Err("`CI_NODE_INDEX=x` is not a number"));
    }

    /// The hash is part of the contract between shards on different machines.
    #[test]
    fn the_hash_of_a_name_never_changes() {
        // SHA-256 of "abc" begins ba7816bf 8f01cfea (FIPS 180-4, example).
        assert_eq!(name_hash("abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn counting_deals_in_the_order_of_names_whatever_the_order_of_the_plan() {
        let names = ["d", "a", "c", "e", "b"].map(str::to_owned).to_vec();
        let partition: Partition = "count:1/2".parse().expect("the test's own partition parses");
        assert_eq!(partition.take(names.clone(), Clone::clone), ["a", "c", "e"]);
        let partition: Partition = "count:2/2".parse().expect("the test's own partition parses");
        assert_eq!(partition.take(names, Clone::clone), ["b", "d"]);
    }

    proptest! {
        #[test]
        fn every_cell_is_in_exactly_one_shard(
            names in proptest::collection::btree_set("[a-z0-9./-]{1,30}", 0..60),
            total in 1u64..9,
            by_count in any::<bool>(),
        ) {
            let deal = if by_count { Deal::Count } else { Deal::Hash };
            let names: Vec<String> = names.into_iter().collect();
            let mut dealt = Vec::new();
            for shard in 1..=total {
                let partition = Partition::new(deal, shard, total).map_err(|e| TestCaseError::fail(e.to_string()))?;
                let mine = partition.take(names.clone(), Clone::clone);
                if by_count {
                    let even = names.len() / total as usize;
                    prop_assert!((even..=even + 1).contains(&mine.len()));
                }
                dealt.extend(mine);
            }
            dealt.sort();
            prop_assert_eq!(dealt, names);
        }

        #[test]
        fn a_cell_keeps_its_hash_shard_when_others_come(name in "[a-z/]{1,20}", other in "[a-z/]{1,20}", total in 1u64..9) {
            prop_assume!(name != other);
            for shard in 1..=total {
                let partition = Partition::new(Deal::Hash, shard, total).map_err(|e| TestCaseError::fail(e.to_string()))?;
                let alone = partition.take(vec![name.clone()], Clone::clone);
                let both = partition.take(vec![other.clone(), name.clone()], Clone::clone);
                prop_assert_eq!(alone.contains(&name), both.contains(&name));
            }
        }
    }
}
