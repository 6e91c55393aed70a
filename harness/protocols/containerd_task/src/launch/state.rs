//! What says in a bundle where its shim is, changed while no daemon runs.
//!
//! ```text
//! address           before 2.0: unix:///run/containerd/s/<..>
//! bootstrap.json    since 2.0:  {"version":3,"address":"unix:///run/containerd/s/<..>","protocol":"ttrpc"}
//! ```
//!
//! A file that is damaged, or that a later release has written, is no reason to kill what runs. 2.1.9 does so.

use std::fs;
use std::io;
use std::path::Path;

use super::bootstrap::{At, Bootstrap};

const BOOTSTRAP: &str = "bootstrap.json";
const ADDRESS: &str = "address";
/// What is left of a file that was cut.
const CUT_LEN: usize = 40;

/// Changes what stands in a bundle, by the name of an operation.
pub(super) fn change(operation: &str, bundle: &Path) -> io::Result<()> {
    let name = [BOOTSTRAP, ADDRESS].into_iter().find(|name| bundle.join(name).is_file());
    let name = name.ok_or_else(|| io::Error::other("nothing in the bundle says where the shim is"))?;
    let was = fs::read(bundle.join(name))?;
    match changed(operation, &was) {
        None => fs::remove_file(bundle.join(name)),
        Some(Changed::Same(text)) => fs::write(bundle.join(name), text),
        Some(Changed::Bootstrap(text)) => fs::write(bundle.join(BOOTSTRAP), text),
    }
}

/// What says where the shim is, file by file.
pub(super) fn files(bundle: &Path) -> [Option<Vec<u8>>; 2] {
    [BOOTSTRAP, ADDRESS].map(|name| fs::read(bundle.join(name)).ok())
}

/// What is written.
#[derive(Debug, PartialEq, Eq)]
enum Changed {
    /// Into the same file.
    Same(Vec<u8>),
    /// Into the file that daemons since 2.0 read first.
    Bootstrap(String),
}

fn changed(operation: &str, was: &[u8]) -> Option<Changed> {
    let bootstrap = |version: Option<u64>, more: &str| {
        let was = Bootstrap::read(was)?;
        let At::Path(path) = was.at else { return None };
        let (path, version) = (path.display().to_string(), version.unwrap_or(was.version));
        let text = format!(r#"{{"version":{version},"address":"unix://{path}","protocol":"ttrpc"{more}}}"#);
        Some(Changed::Bootstrap(text))
    };
    match operation {
        "empty" => Some(Changed::Same(Vec::new())),
        "cut" => Some(Changed::Same(was.get(..CUT_LEN).unwrap_or(was).to_owned())),
        "of-the-future" => bootstrap(Some(99), ""),
        "unknown-key" => bootstrap(None, r#","of-the-future":1"#),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_what_it_is_named_for() {
        let json = br#"{"version":3,"address":"unix:///run/s/1","protocol":"ttrpc"}"#;
        let bootstrap = |text: &str| Some(Changed::Bootstrap(text.to_owned()));
        assert_eq!(changed("empty", json), Some(Changed::Same(Vec::new())));
        assert_eq!(changed("cut", json), json.get(..40).map(|cut| Changed::Same(cut.to_owned())));
        let future = r#"{"version":99,"address":"unix:///run/s/1","protocol":"ttrpc"}"#;
        assert_eq!(changed("of-the-future", b"unix:///run/s/1"), bootstrap(future));
        let known = r#"{"version":3,"address":"unix:///run/s/1","protocol":"ttrpc","of-the-future":1}"#;
        assert_eq!(changed("unknown-key", json), bootstrap(known));
        assert_eq!(changed("gone", json), None);
    }
}
