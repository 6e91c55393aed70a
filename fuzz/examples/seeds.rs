//! Makes seeds of the committed fixtures: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.
//!
//! Writes `fuzz/seeds/<target>/<hash>`, anew each time. The seeds lie outside of `fuzz/corpus`, which
//! the fuzzer writes to, and are not committed: the fixtures are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use transcript::{ConnId, EventKind, Transcript};
use wire::Direction;

/// What makes an input of a target from what both sides of a connection sent.
type Input = fn(&[u8], &[u8]) -> Vec<u8>;

/// The targets of a framing. They start from the recordings of all protocols that it carries.
const TARGETS: [(&str, &[(&str, Input)]); 6] = [
    ("lxc", &[("lxc_decode", wire::fuzz::lxc_input), ("lxc_round_trip", wire::fuzz::lxc_input)]),
    (
        "libvirt-rpc",
        &[("libvirt_decode", wire::fuzz::libvirt_input), ("libvirt_round_trip", wire::fuzz::libvirt_input)],
    ),
    ("ttrpc", &[("ttrpc_decode", wire::fuzz::ttrpc_input), ("ttrpc_round_trip", wire::fuzz::ttrpc_input)]),
    ("http1", &[("http1_decode", wire::fuzz::http1_input), ("http1_round_trip", wire::fuzz::http1_input)]),
    ("json-lines", &[("json_decode", wire::fuzz::json_input), ("json_dissect", wire::fuzz::json_input)]),
    ("json-values", &[("json_values", wire::fuzz::json_input), ("json_dissect", wire::fuzz::json_input)]),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Longer inputs are cut down by the fuzzer anyway.
const SEED_LEN_MAX: usize = 64 * 1024;

fn main() -> Result<()> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = env::args_os().nth(1).map_or_else(|| package.join("../fixtures"), PathBuf::from);
    let folder = package.join("seeds");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut paths = Vec::new();
    find(&fixtures, &mut paths)?;
    let mut counts = BTreeMap::new();
    for path in &paths {
        let text = fs::read(path)?;
        let transcript =
            transcript::text::parse_bytes(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut write = |target: &'static str, seed: &[u8]| -> Result<()> {
            if !seed.is_empty() && seed.len() <= SEED_LEN_MAX {
                let folder = folder.join(target);
                fs::create_dir_all(&folder)?;
                // Named by content, so that the many equal conversations are one seed.
                fs::write(folder.join(format!("{:016x}", wire::lxc::fnv1a_64(seed))), seed)?;
                *counts.entry(target).or_insert(0) += 1;
            }
            Ok(())
        };
        write("fixture_parse", &text)?;
        let protocol = registry::find(&transcript.provenance.protocol)
            .ok_or_else(|| format!("{}: of no protocol that is registered", path.display()))?;
        let targets = TARGETS.iter().filter(|(framing, _)| *framing == protocol.framing());
        for (requests, replies) in streams(&transcript).values() {
            write("dissect", &registry::fuzz::dissect_input(&*protocol, requests, replies))?;
            for (target, input) in targets.clone().flat_map(|(_, targets)| *targets) {
                write(target, &input(requests, replies))?;
            }
        }
    }
    if counts.is_empty() {
        return Err(format!("no fixture under {}", fixtures.display()).into());
    }
    for (target, count) in counts {
        println!("{target}: {count} seeds, {} different", fs::read_dir(folder.join(target))?.count());
    }
    Ok(())
}

/// All fixtures under a folder.
fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "wire") {
            paths.push(path);
        }
    }
    Ok(())
}

/// What both sides of each connection sent.
fn streams(transcript: &Transcript) -> BTreeMap<ConnId, (Vec<u8>, Vec<u8>)> {
    let mut streams = BTreeMap::<_, (Vec<u8>, Vec<u8>)>::new();
    for event in &transcript.events {
        if let EventKind::Data(data) = &event.kind {
            let (requests, replies) = streams.entry(event.conn).or_default();
            let stream = if event.dir == Direction::ToServer { requests } else { replies };
            stream.extend_from_slice(&data.bytes);
        }
    }
    streams
}
