//! Where a driver keeps its interfaces and their transactions.
//!
//! Releases: the test driver's list in memory. A transaction is the driver's, whoever began it, and a rollback
//! gives back the list with everything in it inactive. `ideal`: a directory with real transactions, see
//! [`super::transaction`].

use std::collections::BTreeMap;

use super::description::Description;
use super::failure::Failure;
use super::transaction::{ConnectivityTest, Owner, TransactionError, Transactions};
use crate::dialect::Rollback;
use crate::names::{error, error_domain};

/// One interface as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) description: Description,
    pub(super) active: bool,
}

/// Interfaces by name.
pub(super) type Interfaces = BTreeMap<Vec<u8>, Interface>;

type Done = Result<(), Failure>;

/// A place where interfaces are kept; without functions of its own it changes nothing.
pub(super) trait Keeper: Send + Sync + std::fmt::Debug {
    /// All of them.
    fn all(&self) -> Result<Interfaces, Failure>;
    /// Adds one, or changes the one of that name.
    fn define(&mut self, _description: Description) -> Done {
        fixed()
    }
    /// Takes one away that is known.
    fn undefine(&mut self, _name: &[u8]) -> Done {
        fixed()
    }
    /// Starts or stops one that is known and in the other state.
    fn set_active(&mut self, _name: &[u8], _active: bool) -> Done {
        fixed()
    }
    /// Begins a transaction.
    fn begin(&mut self, _owner: Owner) -> Done {
        fixed()
    }
    /// Keeps its changes.
    fn commit(&mut self, _owner: Owner) -> Done {
        fixed()
    }
    /// Takes its changes back.
    fn rollback(&mut self, _owner: Owner) -> Done {
        fixed()
    }
    /// A client has gone; `last` if no other one uses the driver.
    fn client_gone(&mut self, _owner: Owner, _last: bool) {}
    /// Whether nothing can be changed here, because the driver has no functions for it.
    fn is_fixed(&self) -> bool {
        false
    }
    /// What is said of a name or address that nothing here has.
    fn not_found(&self, by: &str, value: &str) -> Failure {
        let detail = format!("no interface with matching {by} '{value}'");
        Failure::made(error::NO_INTERFACE, error_domain::TEST, detail)
    }
    /// The connectivity test that the open transaction still has to pass.
    fn test(&self) -> Option<ConnectivityTest> {
        None
    }
    /// It was passed, or its time is over.
    fn test_ended(&mut self, _reached: bool) {}
}

fn already_open() -> Failure {
    Failure::invalid(error_domain::TEST, "there is another transaction running.")
}

fn nothing(what: &str) -> Failure {
    Failure::invalid(error_domain::TEST, format!("no transaction running, nothing to {what}."))
}

/// The list of the test driver.
#[derive(Debug)]
pub(super) struct Listed {
    now: Interfaces,
    kept: Option<Interfaces>,
    rollback: Rollback,
    faults: ListFaults,
}

/// What is wrong with a list on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListFaults {
    pub(super) begin_twice: bool,
}

impl Listed {
    pub(super) fn new(first: Interface, rollback: Rollback, faults: ListFaults) -> Self {
        let now = BTreeMap::from([(first.description.name.clone(), first)]);
        Self { now, kept: None, rollback, faults }
    }
}

impl Keeper for Listed {
    fn all(&self) -> Result<Interfaces, Failure> {
        Ok(self.now.clone())
    }

    fn define(&mut self, description: Description) -> Done {
        let name = description.name.clone();
        let active = self.now.get(&name).is_some_and(|known| known.active);
        self.now.insert(name, Interface { description, active });
        Ok(())
    }

    fn undefine(&mut self, name: &[u8]) -> Done {
        self.now.remove(name);
        Ok(())
    }

    fn set_active(&mut self, name: &[u8], active: bool) -> Done {
        if let Some(interface) = self.now.get_mut(name) {
            interface.active = active;
        }
        Ok(())
    }

    fn begin(&mut self, _owner: Owner) -> Done {
        if self.kept.is_some() && !self.faults.begin_twice {
            return Err(already_open());
        }
        self.kept = Some(self.now.clone());
        Ok(())
    }

    fn commit(&mut self, _owner: Owner) -> Done {
        self.kept.take().map(|_kept| ()).ok_or_else(|| nothing("be committed"))
    }

    fn rollback(&mut self, _owner: Owner) -> Done {
        let mut kept = self.kept.take().ok_or_else(|| nothing("rollback"))?;
        if self.rollback == Rollback::AllInactive {
            for interface in kept.values_mut() {
                interface.active = false;
            }
        }
        self.now = kept;
        Ok(())
    }
}

/// The machine's own interfaces as udev tells of them, on a machine that has none but `lo`.
#[derive(Debug)]
pub(super) struct Machine;

/// As libvirtd 9.0.0 to 12.8.0 describe it in a namespace of its own.
const LOOPBACK: &str = "<interface type='ethernet' name='lo'>\n  <mtu size='65536'/>\n  <link state='down'/>\n  \
    <mac address='00:00:00:00:00:00'/>\n</interface>\n";

impl Keeper for Machine {
    fn all(&self) -> Result<Interfaces, Failure> {
        let description = Description::parse(LOOPBACK.as_bytes()).ok();
        let named = description.map(|d| (d.name.clone(), Interface { description: d, active: false }));
        Ok(named.into_iter().collect())
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn not_found(&self, by: &str, value: &str) -> Failure {
        let what = if by == "mac" { "with MAC address" } else { "named" };
        let detail = format!("couldn't find interface {what} '{value}'");
        Failure::made(error::NO_INTERFACE, error_domain::INTERFACE, detail)
    }
}

/// What every change says; callers who look at [`Keeper::is_fixed`] first name the function.
fn fixed() -> Done {
    Err(Failure::no_support(error_domain::INTERFACE, "virInterface"))
}

/// A directory with transactions.
#[derive(Debug)]
pub(super) struct Kept {
    transactions: Transactions,
    /// The test that every transaction is begun with.
    test: Option<ConnectivityTest>,
}

impl Kept {
    pub(super) fn new(transactions: Transactions, test: Option<ConnectivityTest>) -> Self {
        Self { transactions, test }
    }
}

/// What a client is told when the directory says no.
fn told(what: &str, why: &TransactionError) -> Failure {
    match why {
        TransactionError::AlreadyOpen => already_open(),
        TransactionError::NotOpen => nothing(what),
        TransactionError::NotOwner => {
            Failure::invalid(error_domain::TEST, "the transaction belongs to another client.")
        }
        other => Failure::made(error::INTERNAL_ERROR, error_domain::INTERFACE, other.to_string()),
    }
}

impl Keeper for Kept {
    fn all(&self) -> Result<Interfaces, Failure> {
        let state = self.transactions.state().map_err(|why| told("list", &why))?;
        let read = |(name, text): (Vec<u8>, Vec<u8>)| {
            // A file that somebody else spoiled is passed over; what this server writes can be read.
            let description = Description::parse(&text).ok()?;
            let active = state.running.contains(&name);
            Some((name, Interface { description, active }))
        };
        Ok(state.defined.into_iter().filter_map(read).collect())
    }

    fn define(&mut self, description: Description) -> Done {
        let text = description.format();
        self.transactions.define(&description.name, &text).map_err(|why| told("define", &why))
    }

    fn undefine(&mut self, name: &[u8]) -> Done {
        self.transactions.undefine(name).map_err(|why| told("undefine", &why))
    }

    fn set_active(&mut self, name: &[u8], active: bool) -> Done {
        self.transactions.set_running(name, active).map_err(|why| told("start", &why))
    }

    fn begin(&mut self, owner: Owner) -> Done {
        self.transactions.begin(owner, self.test.clone()).map_err(|why| told("begin", &why))
    }

    fn commit(&mut self, owner: Owner) -> Done {
        self.transactions.commit(owner).map_err(|why| told("be committed", &why))
    }

    fn rollback(&mut self, owner: Owner) -> Done {
        let touched = self.transactions.rollback(owner).map_err(|why| told("rollback", &why))?;
        tracing::debug!(touched = touched.len(), "rolled back");
        Ok(())
    }

    fn client_gone(&mut self, owner: Owner, last: bool) {
        let mut ended = self.transactions.client_gone(owner);
        if last && matches!(ended, Ok(false)) {
            ended = self.transactions.end_orphan();
        }
        if let Err(error) = ended {
            tracing::error!(%error, "the transaction of a client that is gone was not rolled back");
        }
    }

    fn test(&self) -> Option<ConnectivityTest> {
        self.transactions.test().filter(|(_, reached)| !reached).map(|(test, _)| test.clone())
    }

    fn test_ended(&mut self, reached: bool) {
        if reached {
            self.transactions.reached();
        } else if let Err(error) = self.transactions.elapsed(std::time::Duration::MAX) {
            tracing::error!(%error, "the transaction of a client that locked itself out was not rolled back");
        }
    }
}
