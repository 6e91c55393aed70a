//! What each release does, as data.
//!
//! A dialect is the release before it with changes applied. The table is kept by exact release, not by
//! major: point releases add commands, and 2.0.11 knows more of them than 2.1.1. Each change is one line
//! and carries its source: a tag of `lxc/lxc` and a file, or the release on which it was measured
//! (Debian builds on x86-64, `1:4.0.6-2+deb11u2`, `1:5.0.2-1+deb12u4`, `1:6.0.4-4+deb13u4`,
//! `1:7.0.0-2+b1`; 1.0.11, 2.0.11 and 3.0.4 built from their tags without seccomp).
//!
//! ```text
//! 1.0.0 - 1.0.6 - 1.0.8
//!           \- 1.1.0 - 1.1.4 - 2.0.9 - 2.0.10 - 3.0.0 - 3.0.4 - 4.0.0 - ... - 7.0.0
//!                                \- 2.1.0          \- 3.1.0 \- 3.2.0        \- ideal
//! ```

use std::collections::BTreeMap;

use protocol::dialect::{Facts, Table};
use wire::lxc::{Command, DATA_MAX, Layout, NameRule, Notifies, Rules};

use super::names::{self, CONSOLE_LOG, EACCES, EBADF, EINVAL, EMSGSIZE, ENODATA, ENOSYS, EPERM, MAX_STATE};
use super::releases::RELEASES;

/// One release's reading of the protocol, for servers and clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release that began it, or `ideal`.
    pub name: &'static str,
    /// The commands that are known, by number, with the name that the release gives them.
    pub commands: BTreeMap<u32, &'static str>,
    /// Lengths of heads and integers.
    pub layout: Layout,
    /// How names of sockets are made.
    pub name_rule: NameRule,
    /// Commands without a payload limit.
    pub exempt: &'static [Command],
    /// Length in bytes of the item of ADD_BPF_DEVICE_CGROUP.
    pub device_item_len: Option<usize>,
    /// What its servers do.
    pub server: ServerFacts,
    /// What its clients do; `None` where no client of the release was measured.
    pub client: Option<ClientFacts>,
}

/// What a server does where it can do no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Goes on as if nothing were wrong.
    Accept,
    /// Answers with that `ret`; what becomes of the connection is as after any answer.
    Refuse(i32),
    /// Answers with that `ret` and closes, whatever is done after other answers.
    RefuseAndClose(i32),
    /// Closes without a byte.
    Close,
    /// Neither answers nor closes.
    Silent,
    /// The process dies of `SIGSEGV`.
    Crash,
}

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It stays open for more requests.
    Many,
    /// It is closed, except after a tty was leased and a state client was added.
    One,
}

/// How a server reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// One loop for all clients; a head is one `recvmsg` and a payload one `recv` that waits without a
    /// deadline: a split message is refused, a missing payload stops everybody.
    OneCall,
    /// Messages are put together again; nobody waits for anybody else.
    Reassembles,
}

/// The cgroup file systems that a server sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Version 1 controllers next to a version 2 tree.
    Hybrid,
    /// Version 2 alone.
    Unified,
}

/// Which spelling of configuration keys is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// `lxc.utsname`.
    Legacy,
    /// `lxc.uts.name`.
    Current,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    /// How it reads.
    pub reads: Reads,
    /// What becomes of a connection after an answer.
    pub lifetime: Lifetime,
    /// The cgroup file systems in which the reference server of this dialect is modelled.
    pub view: View,
    /// An unknown command, its payload being read.
    pub unknown: Reaction,
    /// A payload above the limit.
    pub oversize: Reaction,
    /// A negative length.
    pub negative_length: Reaction,
    /// A client with neither root's nor the monitor's credentials.
    pub denied: Reaction,
    /// TERMINAL_WINCH.
    pub winch: Reaction,
    /// GET_TTY_FD with all terminals leased.
    pub tty_busy: Reaction,
    /// GET_CGROUP of a controller that is not there, or without a payload in the hybrid view.
    pub no_controller: Reaction,
    /// GET_CGROUP with a text that does not end in its only NUL.
    pub cgroup_text: Reaction,
    /// The answer to GET_CGROUP in the hybrid view; `{}` is the container.
    pub cgroup_hybrid: &'static str,
    /// The same in the unified view; a request without a controller gets it too.
    pub cgroup_unified: &'static str,
    /// Whether controllers without a file of their own are known by name in the unified view.
    pub cgroup_unified_names: bool,
    /// Whether `name=systemd` is one of the controllers in the hybrid view.
    pub systemd_controller: bool,
    /// GET_CONFIG_ITEM without a payload.
    pub config_without_key: Reaction,
    /// GET_CONFIG_ITEM with a text that has no NUL at its end, or several.
    pub config_text: Reaction,
    /// The spelling of keys.
    pub keys: Keys,
    /// ADD_STATE_CLIENT with another length than that of the list.
    pub state_list_len: Reaction,
    /// CONSOLE_LOG where the release names it only to refuse it.
    pub console_log_named: Option<Reaction>,
    /// CONSOLE_LOG without a payload.
    pub console_log_without_payload: Reaction,
    /// CONSOLE_LOG with a payload that is too short.
    pub console_log_short: Reaction,
    /// SERVE_STATE_CLIENTS with a number that is no state.
    pub any_state: Reaction,
    /// ADD_STATE_CLIENT while such a number is the state: it is used as an index.
    pub state_as_index: Reaction,
    /// SECCOMP_NOTIFY_ADD_LISTENER where the build has no seccomp: its second message is not awaited.
    pub seccomp_not_built: Option<Reaction>,
    /// SECCOMP_NOTIFY_ADD_LISTENER with its descriptor, no proxy being configured.
    pub seccomp_add: Reaction,
    /// The same when the client ends its direction instead of sending the descriptor.
    pub seccomp_add_ended: Reaction,
    /// ADD_BPF_DEVICE_CGROUP with another length than that of the item.
    pub device_item_size: Reaction,
    /// GET_LIMIT_CGROUP and GET_LIMIT_CGROUP2_FD without a directory of their own.
    pub no_limit_cgroup: Reaction,
    /// GET_SECCOMP_NOTIFY_FD without a listener.
    pub no_seccomp_fd: Reaction,
    /// GET_CGROUP_FD with a structure longer than the one that is known.
    pub longer_struct: Reaction,
    /// The answer to GET_CLONE_FLAGS.
    pub clone_flags: u32,
    /// Whether replies with a payload carry an address of the server's.
    pub leaks_addresses: bool,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientFacts {
    /// What a close without a byte reads as: zeros, or a preset `-ENOSYS`.
    pub no_answer: i32,
    /// How it gets an attached process into the container's cgroup.
    pub attach: Attach,
    /// How it freezes.
    pub freeze: Freeze,
    /// Whether it goes on without a terminal of the container's own devpts.
    pub host_pty: bool,
    /// The state that it takes for stopped when its wait was refused.
    pub wait_refused: WaitRefused,
    /// What it makes of a reply with a negative length.
    pub negative_length: Bad,
    /// What it makes of descriptors that it did not ask for.
    pub extra_fds: Bad,
    /// What lxc-console makes of a reply full of ones.
    pub all_ones_console: Bad,
    /// Whether it takes a reply that came in parts for a whole one.
    pub believes_cut_replies: bool,
}

/// How a client makes an attached process a member of the container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attach {
    /// GET_CGROUP2_FD, then GET_CGROUP for each controller.
    Cgroup2ThenPaths,
    /// GET_CGROUP_CTX; without it the process stays where it is, which counts as success.
    ContextOnly,
    /// Whatever the server knows, newest first; without any it fails.
    AnyWay,
}

/// How a client freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// FREEZE.
    ByCommand,
    /// By the descriptor of GET_LIMIT_CGROUP2_FD, then by the path of version 1; never FREEZE.
    ByDescriptor,
    /// By the descriptor or by FREEZE, whichever the server knows.
    AnyWay,
}

/// What a client makes of a refused ADD_STATE_CLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitRefused {
    /// It reads zero, which is STOPPED.
    ReadsStopped,
    /// It says so and fails.
    Fails,
    /// It asks for the state with GET_STATE instead.
    AsksState,
}

/// What a client makes of a bad reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It refuses it and fails.
    Rejected,
    /// It dies of `SIGSEGV`.
    Crash,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What all releases from 1.0.0 on have in common, before the table's first line.
    fn first() -> Self {
        Self {
            name: "",
            commands: BTreeMap::new(),
            layout: Layout::LP64_LE,
            name_rule: NameRule::NEVER_HASHED,
            exempt: &[],
            device_item_len: None,
            server: ServerFacts::FIRST,
            client: None,
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

impl Dialect {
    /// Whether the release knows a command.
    pub(crate) fn knows(&self, command: Command) -> bool {
        self.commands.contains_key(&command.0)
    }

    /// What the release calls a command; for one that it does not know, what 7.0.0 calls it.
    pub(crate) fn command_name(&self, command: Command) -> Option<&'static str> {
        let newest = || DIALECTS.all().last().and_then(|newest| newest.commands.get(&command.0)).copied();
        self.commands.get(&command.0).copied().or_else(newest)
    }

    /// The first number that the release does not know.
    #[cfg(test)]
    pub(crate) fn first_unknown(&self) -> u32 {
        (0..).find(|number| !self.commands.contains_key(number)).unwrap_or(u32::MAX)
    }

    /// The commands that bend the framing in this release.
    pub(crate) fn rules(&self) -> Rules {
        const TWO_PART: &[Command] = &[names::SECCOMP_NOTIFY_ADD_LISTENER];
        const NOTIFIES: &[Notifies] = &[Notifies { command: names::ADD_STATE_CLIENT, waiting: MAX_STATE }];
        const SILENT: &[Command] = &[names::STOP];
        Rules {
            payload_max: DATA_MAX,
            exempt: self.exempt,
            two_part: if self.knows(names::SECCOMP_NOTIFY_ADD_LISTENER) { TWO_PART } else { &[] },
            notifies: if self.knows(names::ADD_STATE_CLIENT) { NOTIFIES } else { &[] },
            silent_on_success: SILENT,
        }
    }

    /// Adds commands under the names that the release gives them.
    pub(super) fn learn(&mut self, commands: &[(u32, &'static str)]) {
        self.commands.extend(commands.iter().copied());
    }

    /// What the protocol's designers asked for: `src/lxc/commands.c` says since 80bcb0535 (2013-09-03)
    /// that meanings are fixed, and since ebc548a1e (2021-02-23) that the unknown is drained and refused.
    pub(super) fn make_ideal(&mut self) {
        self.exempt = &[];
        self.server = ServerFacts {
            reads: Reads::Reassembles,
            lifetime: Lifetime::Many,
            oversize: Reaction::Refuse(-EMSGSIZE),
            negative_length: Reaction::Refuse(-EINVAL),
            winch: Reaction::Refuse(-ENOSYS),
            no_controller: Reaction::Refuse(-names::ENOENT),
            config_without_key: Reaction::Refuse(-EINVAL),
            config_text: Reaction::Refuse(-EINVAL),
            console_log_without_payload: Reaction::Refuse(-EINVAL),
            console_log_short: Reaction::Refuse(-EINVAL),
            any_state: Reaction::Refuse(-EINVAL),
            state_as_index: Reaction::Accept,
            seccomp_add_ended: Reaction::Refuse(-ENODATA),
            longer_struct: Reaction::Accept,
            leaks_addresses: false,
            ..self.server
        };
        self.client = Some(ClientFacts {
            no_answer: -ENOSYS,
            attach: Attach::AnyWay,
            freeze: Freeze::AnyWay,
            host_pty: true,
            wait_refused: WaitRefused::AsksState,
            negative_length: Bad::Rejected,
            extra_fds: Bad::Rejected,
            all_ones_console: Bad::Rejected,
            believes_cut_replies: false,
        });
    }
}

impl ServerFacts {
    /// Servers of 1.0.0, and everything that no later line of the table changes.
    const FIRST: Self = Self {
        reads: Reads::OneCall,
        lifetime: Lifetime::Many,
        view: View::Hybrid,
        unknown: Reaction::Close,
        oversize: Reaction::Close,
        negative_length: Reaction::Accept,
        denied: Reaction::RefuseAndClose(-EACCES),
        winch: Reaction::Accept,
        tty_busy: Reaction::Close,
        no_controller: Reaction::Close,
        cgroup_text: Reaction::Accept,
        cgroup_hybrid: "",
        cgroup_unified: "//lxc.payload.{}",
        cgroup_unified_names: false,
        systemd_controller: false,
        config_without_key: Reaction::Crash,
        config_text: Reaction::Accept,
        keys: Keys::Legacy,
        state_list_len: Reaction::Accept,
        console_log_named: None,
        console_log_without_payload: Reaction::Crash,
        console_log_short: Reaction::Accept,
        any_state: Reaction::Accept,
        state_as_index: Reaction::Crash,
        seccomp_not_built: None,
        seccomp_add: Reaction::Refuse(-EINVAL),
        seccomp_add_ended: Reaction::Close,
        device_item_size: Reaction::Close,
        no_limit_cgroup: Reaction::Close,
        no_seccomp_fd: Reaction::Close,
        longer_struct: Reaction::Refuse(-EINVAL),
        clone_flags: 0x6c02_0000,
        leaks_addresses: true,
    };
}

/// Values that several lines of the release table set.
pub(super) mod values {
    use super::{Attach, Bad, CONSOLE_LOG, ClientFacts, Command, ENOSYS, Freeze, WaitRefused};

    /// CONSOLE_LOG has no payload limit.
    pub(crate) const EXEMPT: &[Command] = &[CONSOLE_LOG];

    /// The tools of 4.0.6.
    pub(crate) const CLIENT_4_0_6: ClientFacts = ClientFacts {
        no_answer: 0,
        attach: Attach::Cgroup2ThenPaths,
        freeze: Freeze::ByCommand,
        host_pty: false,
        wait_refused: WaitRefused::ReadsStopped,
        negative_length: Bad::Rejected,
        extra_fds: Bad::Crash,
        all_ones_console: Bad::Crash,
        believes_cut_replies: true,
    };

    /// The tools of 5.0.2, 6.0.4 and 7.0.0.
    pub(crate) const CLIENT_5_0_2: ClientFacts = ClientFacts {
        no_answer: -ENOSYS,
        attach: Attach::ContextOnly,
        freeze: Freeze::ByDescriptor,
        host_pty: true,
        wait_refused: WaitRefused::Fails,
        negative_length: Bad::Crash,
        extra_fds: Bad::Rejected,
        all_ones_console: Bad::Rejected,
        believes_cut_replies: true,
    };

    /// What a denied client of 3.0.4 and later gets.
    pub(crate) const DENIED: super::Reaction = super::Reaction::RefuseAndClose(-super::EPERM);
    /// No terminal is free.
    pub(crate) const NO_TTY: super::Reaction = super::Reaction::Refuse(-super::EBADF);
    /// A structure of the wrong size.
    pub(crate) const BAD_SIZE: super::Reaction = super::Reaction::Refuse(-super::EINVAL);
    /// The second message of a two-part request did not come.
    pub(crate) const NO_SECOND: super::Reaction = super::Reaction::Refuse(-super::ENODATA);
}

#[cfg(test)]
mod tests {
    use protocol::dialect::IDEAL;
    use protocol::testing::check_table;

    use super::*;

    #[test]
    fn knows_the_first_unknown_number_of_every_release() {
        #[track_caller]
        fn check(versions: &[&str], expect: u32) {
            for version in versions {
                let dialect = DIALECTS.for_version(version).expect("in the table");
                assert_eq!(dialect.first_unknown(), expect, "{version} is {}", dialect.name);
            }
        }
        check(&["1.0.0", "1.0.5"], 8);
        check(&["1.0.6", "1.0.11", "1.1.0", "1.1.5", "2.0.0", "2.0.8"], 10);
        check(&["2.0.9", "2.1.0", "2.1.1"], 11);
        check(&["2.0.10", "2.0.11", "3.0.0", "3.0.3", "3.1.0"], 13);
        check(&["3.0.4", "3.2.0", "3.2.1"], 14);
        check(&["4.0.0", "4.0.2"], 19);
        check(&["4.0.3", "4.0.4"], 21);
        check(&["4.0.5", "4.0.6", "1:4.0.6-2+deb11u2"], 23);
        check(&["4.0.7", "4.0.12", "5.0.0"], 26);
        check(&["5.0.1", "5.0.2", "6.0.4", "7.0.0", "7.1.0", "ideal"], 27);
    }

    #[test]
    fn the_release_table_is_sound() {
        check_table(&DIALECTS);
    }

    #[test]
    fn no_number_is_reused() {
        // Until 4.0.6 and 2.1.1 some commands had other names; the numbers did the same.
        const RENAMED: [&str; 4] =
            ["CONSOLE", "CONSOLE_WINCH", "GET_LIMITING_CGROUP", "GET_LIMITING_CGROUP2_FD"];
        let newest = DIALECTS.named(IDEAL).expect("in the table");
        for dialect in DIALECTS.all() {
            for (number, name) in &dialect.commands {
                let same = newest.commands.get(number) == Some(name);
                assert!(same || RENAMED.contains(name), "{}: {number} {name}", dialect.name);
            }
        }
    }
}
