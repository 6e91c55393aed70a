//! What must be so of a daemon and of the world around it, whatever was done.
//!
//! | rule | |
//! |---|---|
//! | `Scripts` | a script to which a living container refers is there, and says what it said |
//! | `Handlers` | who took the configuration before a reload can still start a container by it |
//! | `Unit` | what the user has written and what follows from it change at once |
//! | `Stale` | behind a start there is no script that nobody needs |
//! | `Manageable` | every container that lives can be managed |
//! | `Truth` | what the daemon says and counts agrees with the processes, and no shim is without a container |
//! | `Claims` | what the daemon says that it has stopped, killed or removed does not live |
//! | `Refused` | behind a configuration that was refused everything is as it was |

use std::collections::BTreeSet;
use std::path::Path;

use super::files::FileError;
use super::runtimes::Snapshot;
use super::world::{Process, SCRIPTS};
use super::{Counts, Engine, Info, State};

/// What must be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Invariant {
    /// A script to which a living container refers is there, and says what it said.
    Scripts,
    /// Who took the configuration before a reload can still start a container by it.
    Handlers,
    /// What the user has written and what follows from it change at once.
    Unit,
    /// Behind a start there is no script that nobody needs.
    Stale,
    /// Every container that lives can be managed.
    Manageable,
    /// What the daemon says and counts agrees with the processes, and no shim is without a container.
    Truth,
    /// What the daemon says that it has stopped, killed or removed does not live.
    Claims,
    /// Behind a configuration that was refused everything is as it was.
    Refused,
}

/// Something that is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// What should be so.
    pub invariant: Invariant,
    /// What is instead.
    pub words: String,
}

fn push(found: &mut Vec<Broken>, invariant: Invariant, words: String) {
    found.push(Broken { invariant, words });
}

/// What is broken at any time while a daemon runs: [`Invariant::Scripts`], `Manageable`, `Truth` and `Unit`.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn broken(engine: &Engine) -> Result<Vec<Broken>, FileError> {
    let mut found = unit(engine, &engine.snapshot());
    processes(engine, &mut found)?;
    shims(engine, &mut found)?;
    let mut listed = Counts::default();
    for record in engine.list() {
        match record.state {
            State::Running => listed.running += 1,
            State::Paused => listed.paused += 1,
            State::Created | State::Exited(_) => listed.stopped += 1,
        }
    }
    let counted = engine.counts();
    if counted != listed {
        push(&mut found, Invariant::Truth, format!("{listed:?} are listed and {counted:?} counted"));
    }
    Ok(found)
}

/// What the daemon says of each container, and what its process does.
fn processes(engine: &Engine, found: &mut Vec<Broken>) -> Result<(), FileError> {
    for record in engine.list() {
        let process = engine.world().shim(&record.id)?.map(|shim| shim.process);
        let agrees = match record.state {
            State::Running => process == Some(Process::Running),
            State::Paused => process == Some(Process::Paused),
            State::Created | State::Exited(_) => !process.is_some_and(Process::lives),
        };
        if !agrees {
            let words = format!("{} is {:?}, and its process {process:?}", record.spec.name, record.state);
            push(found, Invariant::Truth, words);
        }
    }
    Ok(())
}

fn shims(engine: &Engine, found: &mut Vec<Broken>) -> Result<(), FileError> {
    for shim in engine.world().shims()? {
        let id = &shim.id;
        let Ok(record) = engine.inspect(id) else {
            push(
                found,
                Invariant::Truth,
                format!("a shim is left of {id}, with its process {:?}", shim.process),
            );
            continue;
        };
        let name = &record.spec.name;
        if let Process::Exited(status) = shim.process {
            push(
                found,
                Invariant::Truth,
                format!("a shim is left of {name}, which has exited with {status}"),
            );
        }
        if !shim.process.lives() {
            continue;
        }
        if !engine.world().reaches(&shim.runtime)? {
            push(found, Invariant::Manageable, format!("{name} cannot be managed by {}", shim.runtime));
        }
        let script = engine.world().script(&shim.runtime)?;
        if script != shim.script {
            let words = format!("{name} was started with {:?}, and there is {script:?} now", shim.script);
            push(found, Invariant::Scripts, words);
        }
    }
    Ok(())
}

/// [`Invariant::Unit`] of a configuration that a request has taken.
pub(crate) fn unit(engine: &Engine, snapshot: &Snapshot) -> Vec<Broken> {
    if snapshot.is_whole(engine.dialect().wrappers, engine.root()) {
        return Vec::new();
    }
    let names: Vec<&String> = snapshot.configuration.runtimes.keys().collect();
    let table = &snapshot.runtimes;
    let words = format!("a request sees the runtimes {names:?} with another table, {table:?}");
    vec![Broken { invariant: Invariant::Unit, words }]
}

/// [`Invariant::Handlers`] of a configuration that a request has taken since the daemon was started.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn taken_earlier(engine: &Engine, snapshot: &Snapshot) -> Result<Vec<Broken>, FileError> {
    let mut found = Vec::new();
    for (name, runtime) in &snapshot.runtimes {
        let Some(script) = &runtime.script else { continue };
        let is = engine.world().script(&runtime.path)?;
        if is.as_ref() != Some(&script.content) {
            let words = format!("{name} was {:?} when a request took it, and is {is:?}", script.content);
            push(&mut found, Invariant::Handlers, words);
        }
    }
    Ok(found)
}

/// [`Invariant::Stale`] of a daemon that has just been started.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn stale_scripts(engine: &Engine) -> Result<Vec<Broken>, FileError> {
    let snapshot = engine.snapshot();
    let mut needed: BTreeSet<String> = snapshot.scripts().map(|script| script.file.clone()).collect();
    for shim in engine.world().shims()?.iter().filter(|shim| shim.process.lives()) {
        let file = Path::new(&shim.runtime).strip_prefix(engine.root());
        needed.extend(file.ok().and_then(Path::to_str).map(str::to_owned));
    }
    let names = engine.world().files.names(SCRIPTS)?;
    let stale = names.into_iter().filter(|name| !needed.contains(&format!("{SCRIPTS}/{name}")));
    let words = |name| format!("nobody needs the script {name}, and it is there");
    Ok(stale.map(|name| Broken { invariant: Invariant::Stale, words: words(name) }).collect())
}

/// [`Invariant::Refused`] of what a daemon said before and behind a reload that it has refused.
pub(crate) fn refused_reload(before: &Info, behind: &Info) -> Vec<Broken> {
    if before == behind {
        return Vec::new();
    }
    let words = format!("a configuration was refused, and {before:?} became {behind:?}");
    vec![Broken { invariant: Invariant::Refused, words }]
}

/// [`Invariant::Claims`] of a container, by its id, of which the daemon has just said that it was stopped, killed or removed.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn claimed_to_have_ended(engine: &Engine, id: &str) -> Result<Vec<Broken>, FileError> {
    let process = engine.world().shim(id)?.map(|shim| shim.process);
    let lives = process.filter(|process| process.lives());
    let words = |process| format!("{id} was stopped, as the daemon says, and its process is {process:?}");
    let broken = |process| Broken { invariant: Invariant::Claims, words: words(process) };
    Ok(lives.map(broken).into_iter().collect())
}
