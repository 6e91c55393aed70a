//! The configurations of conditions and scenarios, by their names: `daemon.json`.

/// A runtime with arguments.
pub(crate) const ARGUMENTS: &str = "arguments";
/// The same runtime without any.
pub(crate) const NO_ARGUMENTS: &str = "no-arguments";
/// A runtime with arguments, of a daemon that lets containers live when it ends.
pub(crate) const LIVE: &str = "live";

/// No such runtime.
pub(crate) const DROPPED: &str = "dropped";

/// The text of a configuration.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        ARGUMENTS => r#"{"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug"]}}}"#,
        NO_ARGUMENTS => r#"{"runtimes":{"wrap":{"path":"runc"}}}"#,
        "other-arguments" => {
            r#"{"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug","--log-format","json"]}}}"#
        }
        DROPPED => r#"{"runtimes":{}}"#,
        LIVE => r#"{"live-restore":true,"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug"]}}}"#,
        "live-no-arguments" => r#"{"live-restore":true,"runtimes":{"wrap":{"path":"runc"}}}"#,
        "live-other-arguments" => {
            r#"{"live-restore":true,"runtimes":{"wrap":{"path":"runc","runtimeArgs":["--debug","--log-format","json"]}}}"#
        }
        "live-dropped" => r#"{"live-restore":true,"runtimes":{}}"#,
        "cut" => r#"{"labels":["a=b"],"runtimes":{"wrap":"#,
        "unknown-key" => r#"{"labels":["a=b"],"no-such-key":1}"#,
        "wrong-type" => r#"{"labels":"a=b"}"#,
        "reserved" => r#"{"labels":["a=b"],"runtimes":{"runc":{"path":"other"}}}"#,
        "no-default" => r#"{"labels":["a=b"],"default-runtime":"nope"}"#,
        _ => return None,
    })
}
