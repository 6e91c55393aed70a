//! Puts the results of all shards of one run together. A missing shard is an error, never a smaller run.

use std::collections::BTreeMap;

use verdict::{RunResults, Tally};

/// Why shards do not make a whole.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("no shard was given")]
    Empty,
    /// One of the results is no shard.
    #[error("results of `{matrix}` from {started} are of no shard")]
    NoShard {
        /// Its matrix.
        matrix: String,
        /// When it was run.
        started: String,
    },
    /// Two shards are of different runs.
    #[error("shard `{shard}` is of another run: {what} is `{found}`, elsewhere it is `{expected}`")]
    OtherRun {
        /// The shard.
        shard: String,
        /// What differs.
        what: &'static str,
        /// There.
        found: String,
        /// Elsewhere.
        expected: String,
    },
    /// A shard is there twice.
    #[error("shard `{0}` is given twice")]
    Twice(String),
    /// A shard is not there.
    #[error("shard `{0}` is missing")]
    Missing(String),
    /// Two shards ran the same cell.
    #[error("cell `{0}` is in two shards")]
    SameCell(String),
}

/// Puts shards together.
///
/// # Errors
/// The shards are not all shards of one run, each once.
pub fn merge(shards: Vec<RunResults>) -> Result<RunResults, MergeError> {
    let mut by_number: BTreeMap<usize, RunResults> = BTreeMap::new();
    let mut scheme: Option<(String, usize)> = None;
    for shard in shards {
        let name = shard.partition.clone().unwrap_or_default();
        let (kind, number, count) = parse(&name).ok_or_else(|| MergeError::NoShard {
            matrix: shard.matrix.clone(),
            started: shard.started.clone(),
        })?;
        let (first_kind, first_count) = scheme.get_or_insert((kind.clone(), count));
        same(&name, "the partition", &format!("{kind}/{count}"), &format!("{first_kind}/{first_count}"))?;
        if let Some(first) = by_number.values().next() {
            same(&name, "the matrix", &shard.matrix, &first.matrix)?;
            same(&name, "the producer", &shard.producer, &first.producer)?;
            same(&name, "the content of its documents", &digests(&shard), &digests(first))?;
        }
        if by_number.insert(number, shard).is_some() {
            return Err(MergeError::Twice(name));
        }
    }
    let (kind, count) = scheme.ok_or(MergeError::Empty)?;
    if let Some(missing) = (1..=count).find(|number| !by_number.contains_key(number)) {
        return Err(MergeError::Missing(format!("{kind}:{missing}/{count}")));
    }
    join(by_number)
}

fn digests(results: &RunResults) -> String {
    results.documents.iter().map(|document| document.digest.as_str()).collect::<Vec<_>>().join(" ")
}

fn join(shards: BTreeMap<usize, RunResults>) -> Result<RunResults, MergeError> {
    let mut shards = shards.into_values();
    let mut whole = shards.next().ok_or(MergeError::Empty)?;
    whole.partition = None;
    for shard in shards {
        whole.complete &= shard.complete;
        whole.flaky_passes &= shard.flaky_passes;
        whole.duration_ms = whole.duration_ms.max(shard.duration_ms);
        whole.started = whole.started.min(shard.started);
        whole.cells.extend(shard.cells);
        let known = |c: &String| whole.complaints.contains(c);
        let complaints: Vec<_> = shard.complaints.into_iter().filter(|c| !known(c)).collect();
        whole.complaints.extend(complaints);
        for build in shard.builds {
            let same = |b: &verdict::BuildRecord| {
                (&b.protocol, &b.id, &b.source) == (&build.protocol, &build.id, &build.source)
            };
            match whole.builds.iter_mut().find(|b| same(b)) {
                // A shard may have no fixture that tells it. That it was unavailable stands.
                Some(known) if known.detail.is_empty() && known.missing.is_none() => *known = build,
                Some(_) => {}
                None => whole.builds.push(build),
            }
        }
    }
    whole.cells.sort_by(|a, b| a.cell.cmp(&b.cell));
    if let Some([first, _]) = whole.cells.array_windows::<2>().find(|[a, b]| a.cell == b.cell) {
        return Err(MergeError::SameCell(first.cell.clone()));
    }
    whole.tally = Tally::of(&whole.cells);
    Ok(whole)
}

fn same(shard: &str, what: &'static str, found: &str, expected: &str) -> Result<(), MergeError> {
    if found == expected {
        return Ok(());
    }
    Err(MergeError::OtherRun {
        shard: shard.to_owned(),
        what,
        found: found.to_owned(),
        expected: expected.to_owned(),
    })
}

/// `hash:1/4` as `("hash", 1, 4)`.
fn parse(partition: &str) -> Option<(String, usize, usize)> {
    let (kind, rest) = partition.split_once(':')?;
    let (number, count) = rest.split_once('/')?;
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count).contains(&number).then(|| (kind.to_owned(), number, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(partition: Option<&str>, cells: &[&str]) -> RunResults {
        let cells: Vec<_> = cells.iter().map(|name| cell(name)).collect();
        RunResults {
            format: 1,
            producer: "wireskew 0".to_owned(),
            matrix: "m".to_owned(),
            started: "t".to_owned(),
            seed: 1,
            complete: true,
            duration_ms: 1,
            partition: partition.map(str::to_owned),
            builds: Vec::new(),
            tally: Tally::of(&cells),
            flaky_passes: false,
            documents: Vec::new(),
            cells,
            complaints: Vec::new(),
        }
    }

    fn cell(name: &str) -> verdict::CellResult {
        verdict::CellResult {
            cell: name.to_owned(),
            protocol: "p".to_owned(),
            client: "c".to_owned(),
            server: "s".to_owned(),
            case: "probe/x".to_owned(),
            verdict: None,
            outcome: verdict::Outcome::Pass,
            summary: String::new(),
            shapes: Vec::new(),
            negotiated: None,
            suspects: Vec::new(),
            validated: BTreeMap::new(),
            findings: Vec::new(),
            reason: None,
            bug: None,
            duration_ms: 0,
            retries: Vec::new(),
            earlier: Vec::new(),
            transcript: None,
            reproduction: None,
        }
    }

    #[track_caller]
    fn check(shards: Vec<RunResults>, expect: Result<&[&str], MergeError>) {
        let merged = merge(shards).map(|whole| whole.cells.into_iter().map(|c| c.cell).collect::<Vec<_>>());
        assert_eq!(merged, expect.map(|names| names.iter().map(|n| (*n).to_owned()).collect()));
    }

    #[test]
    fn puts_all_shards_together_in_order() {
        check(
            vec![shard(Some("hash:2/2"), &["b"]), shard(Some("hash:1/2"), &["a", "c"])],
            Ok(&["a", "b", "c"]),
        );
    }

    #[test]
    fn refuses_what_is_no_whole() {
        let missing = MergeError::Missing("hash:2/3".to_owned());
        check(vec![shard(Some("hash:1/3"), &["a"]), shard(Some("hash:3/3"), &["b"])], Err(missing));
        let twice = MergeError::Twice("hash:1/2".to_owned());
        check(vec![shard(Some("hash:1/2"), &["a"]), shard(Some("hash:1/2"), &["b"])], Err(twice));
        let same = MergeError::SameCell("a".to_owned());
        check(vec![shard(Some("hash:1/2"), &["a"]), shard(Some("hash:2/2"), &["a"])], Err(same));
        let no_shard = MergeError::NoShard { matrix: "m".to_owned(), started: "t".to_owned() };
        check(vec![shard(None, &["a"])], Err(no_shard));
        check(Vec::new(), Err(MergeError::Empty));
    }

    /// A shard without a fixture that says it does not hide what another knows, and none hides that a build is missing.
    #[test]
    fn a_build_is_told_by_whoever_knows_it() {
        let build = |detail: &str, missing: Option<&str>| verdict::BuildRecord {
            protocol: "p".to_owned(),
            id: "s".to_owned(),
            version: "1".to_owned(),
            dialect: "1".to_owned(),
            source: "recorded".to_owned(),
            detail: detail.to_owned(),
            digest: None,
            missing: missing.map(str::to_owned),
        };
        let check = |first, second, expect| {
            let one = RunResults { builds: vec![first], ..shard(Some("hash:1/2"), &["a"]) };
            let two = RunResults { builds: vec![second], ..shard(Some("hash:2/2"), &["b"]) };
            assert_eq!(merge(vec![one, two]).expect("a whole").builds, [expect]);
        };
        check(build("", None), build("package", None), build("package", None));
        check(build("package", None), build("", None), build("package", None));
        check(build("", Some("fetch it")), build("package", None), build("", Some("fetch it")));
    }

    #[test]
    fn refuses_shards_of_different_runs() {
        let other = RunResults { matrix: "n".to_owned(), ..shard(Some("hash:2/2"), &["b"]) };
        let error = MergeError::OtherRun {
            shard: "hash:2/2".to_owned(),
            what: "the matrix",
            found: "n".to_owned(),
            expected: "m".to_owned(),
        };
        check(vec![shard(Some("hash:1/2"), &["a"]), other], Err(error));
    }
}
