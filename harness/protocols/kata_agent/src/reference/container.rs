//! Sandboxes and containers as an agent keeps them. There are no processes: the first process of every container writes `hello` and
//! `oops`, has a handler for SIGTERM that exits with 7, and reads what it is given; what is executed beside it writes `hello` and
//! exits with 3. So the recorded container did, too.

use std::collections::BTreeMap;

use ttrpc::Values;
use ttrpc::reference::server::Ticket;

use crate::words;

/// Exit of a process that was executed in a container.
const EXEC_EXIT: i32 = 3;
/// Exit of a first process that got SIGTERM.
const TERM_EXIT: i32 = 7;
/// The set of all capabilities that a process may ever have.
const BOUNDING: u32 = 1;

/// What a signal does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// It kills it, with that status.
    Kill(i32),
    /// Its handler ends it.
    Term,
    /// Nothing.
    Other,
}

/// A container.
#[derive(Debug, Default)]
pub(super) struct Container {
    processes: BTreeMap<String, Process>,
    pub is_started: bool,
    pub is_paused: bool,
}

#[derive(Debug, Default)]
struct Process {
    exit: Option<i32>,
    /// Who waits for its end.
    waiting: Vec<Ticket>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Container {
    /// A container whose first process has the name of the container, or another one.
    pub(super) fn new(process: &str) -> Self {
        let first = Process { stdout: b"hello\n".to_vec(), stderr: b"oops\n".to_vec(), ..Process::default() };
        Self { processes: [(process.to_owned(), first)].into(), ..Self::default() }
    }

    /// Runs something beside the first process.
    pub(super) fn execute(&mut self, process: &str) {
        let run = Process { exit: Some(EXEC_EXIT), stdout: b"hello\n".to_vec(), ..Process::default() };
        self.processes.insert(process.to_owned(), run);
    }

    pub(super) fn has(&self, process: &str) -> bool {
        self.processes.contains_key(process)
    }

    /// Who waits for the end of a process that got a signal, and how it ended.
    pub(super) fn signal(&mut self, process: &str, signal: Signal) -> Option<(Vec<Ticket>, i32)> {
        let process = self.processes.get_mut(process)?;
        let exit = match signal {
            Signal::Kill(status) => status,
            Signal::Term => TERM_EXIT,
            Signal::Other => return None,
        };
        process.exit = Some(exit);
        Some((std::mem::take(&mut process.waiting), exit))
    }

    /// How a process ended; who asks waits until it has.
    pub(super) fn wait(&mut self, process: &str, ticket: Ticket) -> Option<i32> {
        let process = self.processes.get_mut(process)?;
        if process.exit.is_none() {
            process.waiting.push(ticket);
        }
        process.exit
    }

    /// Who waits for the end of any of its processes.
    pub(super) fn waiting(self) -> impl Iterator<Item = Ticket> {
        self.processes.into_values().flat_map(|process| process.waiting)
    }

    /// Up to that many bytes of what a process wrote.
    pub(super) fn read(&mut self, process: &str, len: u64, is_stderr: bool) -> Vec<u8> {
        let Some(process) = self.processes.get_mut(process) else { return Vec::new() };
        let output = if is_stderr { &mut process.stderr } else { &mut process.stdout };
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(output.len());
        output.drain(..len).collect()
    }
}

/// What is wrong with a specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// There is something in it that has to be there and is not.
    Incomplete(&'static str),
    /// A word that is not known.
    Word,
}

/// Where the rules of seccomp are in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeccompLayout {
    /// Rules in field 3.
    Of2_0,
    /// Flags in field 3, rules in field 4.
    Of2_1,
}

/// What an agent makes of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vocabulary {
    /// Whether flags of seccomp are known, or passed over.
    pub knows_flags: bool,
    /// Whether capabilities that are not known are passed over.
    pub passes_over_capabilities: bool,
}

/// What a container gets of its specification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Granted {
    /// How many rules of seccomp.
    pub rules: usize,
    /// Which capabilities at most.
    pub capabilities: Vec<String>,
}

/// Looks through a specification.
pub(super) fn look_through(
    spec: Values<'_>,
    layout: SeccompLayout,
    vocabulary: Vocabulary,
) -> Result<Granted, Wrong> {
    let process = spec.message(2);
    look_through_process(process, vocabulary)?;
    let linux = spec.bytes(8).map(Values).ok_or(Wrong::Incomplete("linux"))?;
    let are_known = linux.all(7).all(|device| words::is_device(&Values(device).text(2)));
    let seccomp = linux.bytes(8).map(|seccomp| look_through_seccomp(Values(seccomp), layout, vocabulary));
    let rules = seccomp.transpose()?.unwrap_or(0);
    if !are_known {
        return Err(Wrong::Word);
    }
    if spec.message(3).text(1).is_empty() {
        return Err(Wrong::Incomplete("root"));
    }
    if process.bytes(7).is_none() {
        return Err(Wrong::Incomplete("capabilities"));
    }
    let mut capabilities = process.message(7).texts(BOUNDING);
    capabilities.retain(|word| words::is_capability(word));
    Ok(Granted { rules, capabilities })
}

/// Looks through what is to be run.
pub(super) fn look_through_process(process: Values<'_>, vocabulary: Vocabulary) -> Result<(), Wrong> {
    let capabilities = process.message(7);
    let are_known = vocabulary.passes_over_capabilities
        || (1..=5).all(|set| capabilities.texts(set).iter().all(|word| words::is_capability(word)));
    let limits = process.all(8).all(|limit| words::is_limit(&Values(limit).text(1)));
    if are_known && limits { Ok(()) } else { Err(Wrong::Word) }
}

fn look_through_seccomp(
    seccomp: Values<'_>,
    layout: SeccompLayout,
    vocabulary: Vocabulary,
) -> Result<usize, Wrong> {
    let (flags, rules) = match layout {
        SeccompLayout::Of2_0 => (Vec::new(), 3),
        SeccompLayout::Of2_1 => (seccomp.texts(3), 4),
    };
    let mut actions = seccomp.all(rules).map(|rule| Values(rule).text(2)).chain([seccomp.text(1)]);
    let are_known = actions.all(|word| words::is_action(&word));
    if !are_known || (vocabulary.knows_flags && !flags.iter().all(|word| words::is_flag(word))) {
        return Err(Wrong::Word);
    }
    Ok(seccomp.all(rules).count())
}
