//! What a script can do to a server, and the mark that says so.
//!
//! ```text
//! mark conn=0  server act=restart
//! mark conn=0  server act=replace build=1.2.3
//! mark conn=0  server act=configure config=other-arguments
//! observe s2c  replaced-by 1.2.3
//! ```

use std::fmt;
use std::sync::Arc;

use super::Role;
use crate::Mark;

/// What can happen to a server in mid-conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAct {
    /// It is killed, and stays away.
    Kill,
    /// It is told to end, ends, and is started again.
    Restart,
    /// It is killed and started again.
    CrashRestart,
    /// The machine loses power and starts again: the server is killed, whatever runs at boot runs, and the
    /// server is started.
    Reboot,
    /// It is told to read its configuration again, and goes on.
    Reload,
    /// It is told to end, ends, and another build is started in its place, with its address and its state.
    Replace(Successor),
    /// Its configuration is written anew, and nobody tells it. Which one that is, the protocol knows by its name.
    Configure(Arc<str>),
}

/// By what a server is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Successor {
    /// The build that was met first.
    First,
    /// Another release. Whoever runs the script knows which build that is.
    Release(Arc<str>),
}

impl Successor {
    const FIRST: &'static str = "first";

    /// The release of that name.
    pub fn release(name: impl Into<Arc<str>>) -> Self {
        Self::Release(name.into())
    }

    /// The word in marks.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::First => Self::FIRST,
            Self::Release(name) => name,
        }
    }

    /// The successor of that word.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "" => None,
            Self::FIRST => Some(Self::First),
            name => Some(Self::release(name)),
        }
    }
}

impl ServerAct {
    /// Every act that is no more than its word.
    pub const PLAIN: [Self; 5] = [Self::Kill, Self::Restart, Self::CrashRestart, Self::Reboot, Self::Reload];
    const REPLACE: &'static str = "replace";
    const CONFIGURE: &'static str = "configure";
    /// The arguments of marks.
    const ACT: &'static str = "act";
    const BUILD: &'static str = "build";
    const CONFIG: &'static str = "config";

    /// The word in marks.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::CrashRestart => "crash-restart",
            Self::Reboot => "reboot",
            Self::Reload => "reload",
            Self::Replace(_) => Self::REPLACE,
            Self::Configure(_) => Self::CONFIGURE,
        }
    }

    /// The act of that text: its word, and behind `replace` the release, behind `configure` the configuration.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((Self::REPLACE, by)) => Successor::parse(by).map(Self::Replace),
            Some((Self::CONFIGURE, name)) => Self::configure(name),
            Some(_) => None,
            None => Self::PLAIN.into_iter().find(|act| act.word() == text),
        }
    }

    fn configure(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self::Configure(name.into()))
    }

    /// The mark that says that it happens: `server act=replace build=1.2.3`.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let by = match self {
            Self::Replace(by) => Some((Self::BUILD, by.word())),
            Self::Configure(name) => Some((Self::CONFIG, &**name)),
            _ => None,
        };
        let args = [(Self::ACT, self.word())].into_iter().chain(by);
        let args = args.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Mark { label: Role::Server.word().to_owned(), args }
    }

    /// What a mark says that happened; `None` where it says nothing of that, or nothing that is known.
    #[must_use]
    pub fn of_mark(mark: &Mark) -> Option<Self> {
        let word = mark.args.get(Self::ACT).filter(|_| mark.role() == Some(Role::Server))?;
        match (mark.args.get(Self::BUILD), mark.args.get(Self::CONFIG)) {
            (Some(by), None) if word == Self::REPLACE => Successor::parse(by).map(Self::Replace),
            (None, Some(name)) if word == Self::CONFIGURE => Self::configure(name),
            (None, None) => Self::PLAIN.into_iter().find(|act| act.word() == word),
            _ => None,
        }
    }

    /// Whether the server runs afterwards.
    #[must_use]
    pub fn comes_back(&self) -> bool {
        *self != Self::Kill
    }
}

impl fmt::Display for ServerAct {
    /// As [`ServerAct::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(by) => write!(f, "{} {}", self.word(), by.word()),
            Self::Configure(name) => write!(f, "{} {name}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acts() -> impl Strategy<Value = ServerAct> {
        let release =
            "[0-9a-z][0-9a-z.:+~-]{0,20}".prop_filter("it is a word", |name| name != Successor::FIRST);
        let by = prop_oneof![Just(Successor::First), release.prop_map(Successor::release)];
        let configuration = "[a-z][a-z-]{0,20}".prop_map(|name| ServerAct::Configure(name.into()));
        prop_oneof![
            proptest::sample::select(&ServerAct::PLAIN),
            by.prop_map(ServerAct::Replace),
            configuration
        ]
    }

    proptest! {
        #[test]
        fn acts_are_read_as_they_are_written(act in acts()) {
            prop_assert_eq!(ServerAct::parse(&act.to_string()), Some(act.clone()));
            prop_assert_eq!(ServerAct::of_mark(&act.mark()), Some(act.clone()));
            prop_assert_eq!(act.comes_back(), act != ServerAct::Kill);
        }
    }

    #[test]
    fn what_says_no_act_is_none() {
        for text in ["", "kills", "replace", "replace ", "kill 1.0", "reload now", "configure", "configure "]
        {
            assert_eq!(ServerAct::parse(text), None, "{text}");
        }
        let mark = |label: &str, args: &[(&str, &str)]| Mark {
            label: label.to_owned(),
            args: args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        for mark in [
            mark("subject", &[("act", "kill")]),
            mark("server", &[]),
            mark("server", &[("act", "replace")]),
            mark("server", &[("act", "replace"), ("build", "")]),
            mark("server", &[("act", "reload"), ("build", "1.0")]),
            mark("server", &[("act", "replace 1.0")]),
            mark("server", &[("act", "configure")]),
            mark("server", &[("act", "configure"), ("config", "")]),
            mark("server", &[("act", "configure"), ("build", "1.0")]),
            mark("server", &[("act", "replace"), ("build", "1.0"), ("config", "a")]),
        ] {
            assert_eq!(ServerAct::of_mark(&mark), None, "{mark:?}");
        }
    }
}
