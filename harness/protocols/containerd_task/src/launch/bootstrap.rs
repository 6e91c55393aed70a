//! What a shim says of itself when it has started, on its standard output and in files of the bundle.

use std::path::PathBuf;

use ttrpc::Values;

/// What begins the name of a socket in the file system.
const UNIX: &str = "unix://";
/// The task services.
pub(super) const V2: &str = "containerd.task.v2.Task";
pub(super) const V3: &str = "containerd.task.v3.Task";

/// What a shim prints when it has started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bootstrap {
    /// The version of the task service.
    pub(super) version: u64,
    /// Where it listens.
    pub(super) at: At,
}

/// Where a shim listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A path in its root.
    Path(PathBuf),
    /// An abstract name.
    Abstract(String),
}

impl Bootstrap {
    /// ```text
    /// 1.2 to 1.4.0        /containerd-shim/<..>.sock        an abstract name
    /// 1.4.3 to 1.7        unix:///run/containerd/s/<..>
    /// 2.0 to 2.2          {"version":3,"address":"unix:///run/containerd/s/<..>","protocol":"ttrpc"}
    /// 2.3                 BootstrapResult{int32 version=1; address=2; protocol=3; ..}
    /// ```
    pub(super) fn read(printed: &[u8]) -> Option<Self> {
        if printed.first() == Some(&0x08) {
            let result = Values(printed);
            return Some(Self { version: result.uint(1), at: At::read(&result.text(2))? });
        }
        let text = str::from_utf8(printed).ok()?.trim();
        if !text.starts_with('{') {
            return Some(Self { version: 2, at: At::read(text)? });
        }
        let version = after(text, r#""version":"#)?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
        let address = after(text, r#""address":""#)?.split('"').next()?;
        Some(Self { version: digits.parse().ok()?, at: At::read(address)? })
    }

    /// The task service that it has.
    pub(super) fn service(&self) -> &'static str {
        if self.version >= 3 { V3 } else { V2 }
    }
}

impl At {
    fn read(address: &str) -> Option<Self> {
        match address.strip_prefix(UNIX) {
            Some(path) if path.starts_with('/') => Some(Self::Path(path.into())),
            None if address.starts_with('/') => Some(Self::Abstract(address.to_owned())),
            _ => None,
        }
    }
}

fn after<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    Some(text.split_once(what)?.1.trim_start())
}

#[cfg(test)]
mod tests {
    use wire::protobuf::Writer;

    use super::*;

    #[track_caller]
    fn check(printed: &[u8], expect: Option<(u64, At)>) {
        let read = Bootstrap::read(printed).map(|bootstrap| (bootstrap.version, bootstrap.at));
        assert_eq!(read, expect, "{}", printed.escape_ascii());
    }

    #[test]
    fn reads_what_shims_of_all_releases_print() {
        let path = || At::Path("/run/containerd/s/1b85".into());
        check(
            b"/containerd-shim/1b85.sock",
            Some((2, At::Abstract("/containerd-shim/1b85.sock".to_owned()))),
        );
        check(b"unix:///run/containerd/s/1b85\n", Some((2, path())));
        let json = br#"{"version":3,"address":"unix:///run/containerd/s/1b85","protocol":"ttrpc"}"#;
        check(json, Some((3, path())));
        check(br#"{"version":2,"address":"unix:///run/containerd/s/1b85"}"#, Some((2, path())));
        let result =
            Writer::new().uint(1, 3).text(2, "unix:///run/containerd/s/1b85").text(3, "ttrpc").finish();
        check(&result, Some((3, path())));
        for odd in [&b""[..], b"{}", b"tcp://127.0.0.1:1", b"unix://relative", b"\xff", b"\x08\x03"] {
            check(odd, None);
        }
    }
}
