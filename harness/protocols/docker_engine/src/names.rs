//! What requests are for: which endpoint, and what its answers are.
//!
//! ```text
//! GET /v1.41/containers/aa/json
//!            ^^^^^^^^^^ ^^ ^^^^    an endpoint is told by its method and the parts of its path that are no names
//! ```

use crate::version::Asked;

/// What the body of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An object, whose values say something: it is compared value by value.
    Object,
    /// What is there, of the machine and at that moment: it is compared by its keys and the types of their values. Elements of a
    /// list are taken together.
    Listing,
    /// JSON values, one behind the other, as events and what a build says: compared as a listing.
    Lines,
    /// What processes wrote: multiplexed, or of a terminal.
    Streams,
    /// HTTP/2.
    Http2,
    /// An archive.
    Archive,
    /// Text, or nothing.
    Text,
}

/// What the answer to a request is when all is well.
pub(crate) fn answer(method: &str, target: &str) -> Answer {
    let asked = Asked::of(target);
    let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
    match (method, &parts[..]) {
        (
            "GET",
            ["version"]
            | ["info"]
            | ["system", "df"]
            | ["images", "json"]
            | ["networks"]
            | ["volumes"]
            | ["containers", "json"],
        ) => Answer::Listing,
        ("GET", ["containers", _, "stats" | "top"] | ["images", _, "json"]) => Answer::Listing,
        ("GET", ["events"]) => Answer::Lines,
        ("POST", ["build"] | ["images", "create" | "load"] | ["images", _, "push"]) => Answer::Lines,
        ("GET", ["containers", _, "logs"]) | ("POST", ["containers", _, "attach"] | ["exec", _, "start"]) => {
            Answer::Streams
        }
        ("POST", ["session"] | ["grpc"]) => Answer::Http2,
        ("GET", ["containers", _, "archive" | "export"] | ["images", "get"]) => Answer::Archive,
        (_, ["_ping"]) => Answer::Text,
        _ => Answer::Object,
    }
}

/// A container's name or id, where a path is about one.
pub(crate) fn container(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix("/containers/")?.split('/');
    parts.next().filter(|name| !matches!(*name, "" | "json" | "create" | "prune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_by_their_requests() {
        #[track_caller]
        fn check(request: &str, expect: Answer) {
            let (method, target) = request.split_once(' ').expect("a method and a target");
            assert_eq!(answer(method, target), expect, "{request}");
        }
        check("GET /v1.41/containers/aa/json", Answer::Object);
        check("GET /v1.41/containers/json?all=1", Answer::Listing);
        check("GET /containers/aa/logs?stdout=1", Answer::Streams);
        check("POST /v1.51/exec/0f/start", Answer::Streams);
        check("GET /v1.51/exec/0f/json", Answer::Object);
        check("GET /v1.51/images/tiny:1/json", Answer::Listing);
        check("GET /v1.51/events?since=1", Answer::Lines);
        check("POST /v1.51/grpc", Answer::Http2);
        check("HEAD /_ping", Answer::Text);
        check("GET /v1.51/containers/aa/archive?path=%2F", Answer::Archive);
    }

    #[test]
    fn containers_have_names() {
        assert_eq!(container("/containers/aa/json"), Some("aa"));
        assert_eq!(container("/containers/aa"), Some("aa"));
        assert_eq!(container("/containers/json"), None);
        assert_eq!(container("/containers/create"), None);
        assert_eq!(container("/exec/aa/json"), None);
    }
}
