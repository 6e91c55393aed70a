//! Transactions over a directory of interface files, usable without any server.
//!
//! What the designers of interface transactions asked for (`src/libvirt-interface.c`,
//! virInterfaceChangeBegin, libvirt v11.3.0, and netcf's transaction script): begin keeps what is
//! there, changes act at once, commit forgets what was kept, rollback brings it back, and so does the next
//! boot. What was only proposed on the list in 2011 is here too: a client that is gone, or that cannot reach
//! an address that it named, has locked itself out, and its changes are rolled back for it.
//!
//! ```text
//! ROOT/transaction.new/      being filled; nothing counts yet
//! ROOT/transaction/          open: interfaces/, running/ and test as they were at begin
//! ROOT/transaction.back/     being rolled back; whoever comes next finishes it
//! ROOT/transaction.done/     over; only to be removed
//!
//! begin      remove .new and .done · fill .new · rename .new → transaction
//! commit     rename transaction → .done · remove .done
//! rollback   rename transaction → .back · each difference: down, file, up · rename .back → .done · remove it
//! recover    remove .new · finish .back · remove .done · remove half-written files and what is up undefined
//! boot       recover · roll back what is open · bring up what comes up at boot, nothing else
//! ```
//!
//! Each of the three ends with one rename that decides: a crash before it leaves the state before, a crash
//! after it the state behind, as soon as [`Transactions::open`] has recovered. Rolling back compares again each
//! time it is begun, so it may be cut off anywhere and as often as one likes. It touches only interfaces that
//! differ: one that is up and was not changed stays up throughout.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::store::{State, Store, StoreError};

const NEW: &str = "transaction.new";
const OPEN: &str = "transaction";
const BACK: &str = "transaction.back";
const DONE: &str = "transaction.done";
const TEST: &str = "test";
/// The longest name of a host that is kept.
const HOST_LEN_MAX: usize = 255;

/// Who began a transaction: a number that a client has for as long as it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner(pub u64);

/// What a client must be able to do, or it has locked itself out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectivityTest {
    /// The address that it must reach: a host, or the path of a socket.
    pub host: String,
    /// The TCP port there; 0 for the path of a socket.
    pub port: u16,
    /// How long it has, from begin on.
    pub deadline_ms: u64,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// Another transaction is open.
    #[error("another transaction is open")]
    AlreadyOpen,
    /// No transaction is open.
    #[error("no transaction is open")]
    NotOpen,
    /// The open transaction is somebody else's.
    #[error("the transaction belongs to another client")]
    NotOwner,
    /// No interface has that name.
    #[error("no interface has that name")]
    Unknown,
    /// The interface is up already, or down already.
    #[error("the interface is in that state already")]
    InThatState,
    /// The address of a connectivity test cannot be kept.
    #[error("the host of the connectivity test is empty or too long")]
    Host,
    /// The directory could not be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Faults that can be planted, to show that the property test and the checks find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A rollback leaves what was added.
    RollbackForgetsAdded,
    /// A rollback takes everything down.
    RollbackLeavesInactive,
    /// Begin fills the very directory whose presence means "open".
    SnapshotNotAtomic,
    /// A commit brings back what was kept.
    CommitDiscards,
    /// Begin while a transaction is open keeps the present state instead.
    BeginTwiceAccepted,
    /// A client that is gone is not missed.
    GoneClientKeepsTransaction,
    /// A client that does not reach its address in time is not missed.
    LateClientKeepsTransaction,
    /// Boot leaves open what is open.
    BootKeepsTransaction,
}

/// A directory of interfaces with transactions.
#[derive(Debug)]
pub(crate) struct Transactions {
    store: Store,
    owner: Option<Owner>,
    test: Option<(ConnectivityTest, bool)>,
    faults: BTreeSet<Fault>,
}

/// Which interfaces come up at boot, by their definitions.
pub(crate) type StartsAtBoot = fn(&[u8]) -> bool;

impl Transactions {
    /// Opens a directory and finishes what a crash left. A transaction that is open stays open and belongs
    /// to nobody.
    ///
    /// # Errors
    /// When the directory cannot be read or changed.
    pub(crate) fn open(root: impl Into<PathBuf>) -> Result<Self, TransactionError> {
        let store = Store::open(root)?;
        let mut this = Self { store, owner: None, test: None, faults: BTreeSet::new() };
        this.recover()?;
        Ok(this)
    }

    /// Plants faults.
    pub(crate) fn with_faults(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: faults.into_iter().collect(), ..self }
    }

    /// Everything that is defined and up.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn state(&self) -> Result<State, TransactionError> {
        Ok(self.store.state()?)
    }

    /// Whether a transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        self.store.has(OPEN)
    }

    /// The connectivity test of the open transaction, and whether it was passed.
    pub(crate) fn test(&self) -> Option<(&ConnectivityTest, bool)> {
        self.test.as_ref().map(|(test, reached)| (test, *reached))
    }

    /// Keeps what is there.
    ///
    /// # Errors
    /// [`TransactionError::AlreadyOpen`], or the directory.
    pub(crate) fn begin(
        &mut self,
        owner: Owner,
        test: Option<ConnectivityTest>,
    ) -> Result<(), TransactionError> {
        if self.is_open() && !self.has(Fault::BeginTwiceAccepted) {
            return Err(TransactionError::AlreadyOpen);
        }
        if test.as_ref().is_some_and(|test| test.host.is_empty() || test.host.len() > HOST_LEN_MAX) {
            return Err(TransactionError::Host);
        }
        self.store.remove_dir(Path::new(NEW))?;
        self.store.remove_dir(Path::new(DONE))?;
        if self.has(Fault::BeginTwiceAccepted) {
            self.store.remove_dir(Path::new(OPEN))?;
        }
        let into = if self.has(Fault::SnapshotNotAtomic) { OPEN } else { NEW };
        self.keep(Path::new(into), test.as_ref())?;
        if into == NEW {
            self.store.rename(Path::new(NEW), Path::new(OPEN))?;
        }
        self.owner = Some(owner);
        self.test = test.map(|test| (test, false));
        Ok(())
    }

    fn keep(&mut self, into: &Path, test: Option<&ConnectivityTest>) -> Result<(), TransactionError> {
        let state = self.store.state()?;
        self.store.make_dirs(into)?;
        for (name, definition) in &state.defined {
            self.store.write_definition(into, name, definition)?;
        }
        for name in &state.running {
            self.store.write_running(into, name, true)?;
        }
        if let Some(test) = test {
            let text = format!("{}\n{}\n{}\n", test.deadline_ms, test.port, test.host);
            self.store.write(into, TEST, text.as_bytes())?;
        }
        Ok(())
    }

    /// Forgets what was kept.
    ///
    /// # Errors
    /// No transaction is open, or it is somebody else's, or the directory.
    pub(crate) fn commit(&mut self, owner: Owner) -> Result<(), TransactionError> {
        self.check_owner(owner)?;
        if self.has(Fault::CommitDiscards) {
            return self.bring_back().map(|_touched| ());
        }
        self.store.rename(Path::new(OPEN), Path::new(DONE))?;
        self.over();
        Ok(self.store.remove_dir(Path::new(DONE))?)
    }

    /// Brings back what was kept, and says which interfaces had to be touched.
    ///
    /// # Errors
    /// No transaction is open, or it is somebody else's, or the directory.
    pub(crate) fn rollback(&mut self, owner: Owner) -> Result<BTreeSet<Vec<u8>>, TransactionError> {
        self.check_owner(owner)?;
        self.bring_back()
    }

    /// A client is gone. If the open transaction was its own and has a connectivity test, it is rolled back;
    /// without one it belongs to nobody from now on, and whoever is left may end it. Says whether it was
    /// rolled back.
    ///
    /// # Errors
    /// When the directory cannot be changed.
    pub(crate) fn client_gone(&mut self, owner: Owner) -> Result<bool, TransactionError> {
        if !self.is_open() || self.owner != Some(owner) {
            return Ok(false);
        }
        self.owner = None;
        if self.test.is_none() || self.has(Fault::GoneClientKeepsTransaction) {
            return Ok(false);
        }
        self.bring_back()?;
        Ok(true)
    }

    /// Nobody is left who could end a transaction that belongs to nobody: it is rolled back. Says whether
    /// there was one.
    ///
    /// # Errors
    /// When the directory cannot be changed.
    pub(crate) fn end_orphan(&mut self) -> Result<bool, TransactionError> {
        if !self.is_open() || self.owner.is_some() || self.has(Fault::GoneClientKeepsTransaction) {
            return Ok(false);
        }
        self.bring_back()?;
        Ok(true)
    }

    /// The client has reached the address that it named.
    pub(crate) fn reached(&mut self) {
        if let Some((_, reached)) = &mut self.test {
            *reached = true;
        }
    }

    /// So much time has passed since begin. If the client should have reached its address by now and has
    /// not, the transaction is rolled back; says whether it was.
    ///
    /// # Errors
    /// When the directory cannot be changed.
    pub(crate) fn elapsed(&mut self, since_begin: Duration) -> Result<bool, TransactionError> {
        let late = matches!(&self.test, Some((test, false))
            if since_begin >= Duration::from_millis(test.deadline_ms));
        if !late || !self.is_open() || self.has(Fault::LateClientKeepsTransaction) {
            return Ok(false);
        }
        self.bring_back()?;
        Ok(true)
    }

    /// What happens when the machine starts: what a crash left is finished, what is open is rolled back, and
    /// exactly the interfaces that come up at boot are up.
    ///
    /// # Errors
    /// When the directory cannot be changed.
    pub(crate) fn boot(&mut self, starts: StartsAtBoot) -> Result<(), TransactionError> {
        self.recover()?;
        if self.is_open() && !self.has(Fault::BootKeepsTransaction) {
            self.bring_back()?;
        }
        let state = self.store.state()?;
        for (name, definition) in &state.defined {
            let up = starts(definition);
            if up != state.running.contains(name) {
                self.store.set_running(name, up)?;
            }
        }
        Ok(())
    }

    /// Writes a definition. An interface that is up under that name stays up; it takes on what is new the next
    /// time it comes up.
    ///
    /// # Errors
    /// When the directory cannot be changed.
    pub(crate) fn define(&mut self, name: &[u8], definition: &[u8]) -> Result<(), TransactionError> {
        Ok(self.store.define(name, definition)?)
    }

    /// Takes an interface away, up or not.
    ///
    /// # Errors
    /// It is not there, or the directory.
    pub(crate) fn undefine(&mut self, name: &[u8]) -> Result<(), TransactionError> {
        self.check_known(name)?;
        Ok(self.store.undefine(name)?)
    }

    /// Brings an interface up, or takes it down.
    ///
    /// # Errors
    /// It is not there, or in that state already, or the directory.
    pub(crate) fn set_running(&mut self, name: &[u8], running: bool) -> Result<(), TransactionError> {
        if self.check_known(name)?.running.contains(name) == running {
            return Err(TransactionError::InThatState);
        }
        Ok(self.store.set_running(name, running)?)
    }

    fn recover(&mut self) -> Result<(), TransactionError> {
        self.store.remove_dir(Path::new(NEW))?;
        if self.store.has(BACK) {
            self.finish_back()?;
        }
        self.store.remove_dir(Path::new(DONE))?;
        self.store.sweep()?;
        let state = self.store.state()?;
        for name in state.running.iter().filter(|name| !state.defined.contains_key(*name)) {
            self.store.set_running(name, false)?;
        }
        self.test = self.read_test()?.map(|test| (test, false));
        Ok(())
    }

    fn read_test(&self) -> Result<Option<ConnectivityTest>, TransactionError> {
        let Some(bytes) = self.store.read(&Path::new(OPEN).join(TEST))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let deadline_ms = lines.next().and_then(|line| line.parse().ok());
        let port = lines.next().and_then(|line| line.parse().ok());
        let host = lines.next().map(str::to_owned);
        Ok(deadline_ms.zip(port).zip(host).map(|((deadline_ms, port), host)| ConnectivityTest {
            host,
            port,
            deadline_ms,
        }))
    }

    fn bring_back(&mut self) -> Result<BTreeSet<Vec<u8>>, TransactionError> {
        self.store.remove_dir(Path::new(DONE))?;
        self.store.rename(Path::new(OPEN), Path::new(BACK))?;
        self.over();
        self.finish_back()
    }

    fn finish_back(&mut self) -> Result<BTreeSet<Vec<u8>>, TransactionError> {
        let kept = self.store.state_in(Path::new(BACK))?;
        let now = self.store.state()?;
        let names: BTreeSet<_> = kept.defined.keys().chain(now.defined.keys()).chain(&now.running).collect();
        let mut touched = BTreeSet::new();
        for name in names {
            let (was, is) = (kept.defined.get(name), now.defined.get(name));
            let (was_up, is_up) = (kept.running.contains(name), now.running.contains(name));
            if was == is && was_up == is_up {
                continue;
            }
            touched.insert(name.clone());
            if is_up {
                self.store.set_running(name, false)?;
            }
            match was {
                Some(definition) if was != is => self.store.define(name, definition)?,
                Some(_) => {}
                None if self.has(Fault::RollbackForgetsAdded) => continue,
                None => self.store.undefine(name)?,
            }
            if was_up {
                self.store.set_running(name, true)?;
            }
        }
        if self.has(Fault::RollbackLeavesInactive) {
            for name in &kept.running {
                self.store.set_running(name, false)?;
            }
        }
        self.store.remove_dir(Path::new(DONE))?;
        self.store.rename(Path::new(BACK), Path::new(DONE))?;
        self.store.remove_dir(Path::new(DONE))?;
        Ok(touched)
    }

    fn over(&mut self) {
        self.owner = None;
        self.test = None;
    }

    fn check_owner(&self, owner: Owner) -> Result<(), TransactionError> {
        match (self.is_open(), self.owner) {
            (false, _) => Err(TransactionError::NotOpen),
            // Nobody's, after a crash: whoever comes may end it.
            (true, None) => Ok(()),
            (true, Some(whose)) if whose == owner => Ok(()),
            (true, Some(_)) => Err(TransactionError::NotOwner),
        }
    }

    fn check_known(&self, name: &[u8]) -> Result<State, TransactionError> {
        let state = self.store.state()?;
        if state.defined.contains_key(name) { Ok(state) } else { Err(TransactionError::Unknown) }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

#[cfg(test)]
mod tests;
