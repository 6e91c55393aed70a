//! Starts reference servers.
//!
//! `ideal` keeps its interfaces in a directory of its own, which outlives the server: a restart or a crash
//! finds it as it was left, and a reboot runs what the machine would run at boot. Releases forget.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{self, Begins, Servers, Site};
use protocol::{Bench, Made};
use session::{Address, LaunchError, LaunchErrorKind, Launcher};
use transcript::Endpoint;

use super::calls::{Host, Maker};
use super::defects::{self, SERVER_DEFECTS};
use super::description::Description;
use super::driver::{self, FIRST_INTERFACE, TestDriver};
use super::engine::Daemon;
use super::interfaces::{Kept, ListFaults};
use super::settings::Settings;
use super::transaction::{ConnectivityTest, Fault, Owner, TransactionError, Transactions};
use crate::dialect::{DIALECTS, Dialect, LastClose, Rollback};

/// A launcher of servers of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, no such setting, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    Ok(Daemons::new(build, switched_on)?.launcher(bench))
}

/// Servers of one dialect.
#[derive(Debug)]
pub(super) struct Daemons {
    endpoint: Endpoint,
    dialect: Dialect,
    settings: Settings,
    switches: Switches,
    keepalive: Option<Duration>,
    test: Option<ConnectivityTest>,
}

impl Daemons {
    /// Servers of a build with defects switched on; for the errors see [`server`].
    pub(super) fn new(build: &Build, switched_on: &[String]) -> Result<Self, LaunchError> {
        let part = Part::of(build, Role::Server, &DIALECTS, SERVER_DEFECTS, switched_on)?;
        let settings = part.needs(Settings::read(&build.settings, part.dialect))?;
        Ok(Self {
            endpoint: part.endpoint("libvirtd"),
            dialect: settings.apply(part.dialect),
            settings,
            switches: part.switches,
            keepalive: None,
            test: None,
        })
    }

    pub(super) fn launcher(self, bench: &Bench) -> Arc<dyn Launcher> {
        serve::launcher(self.endpoint.clone(), &bench.work_dir, self)
    }

    /// The same with another time from one sign of life to the next, for tests that cannot wait.
    #[cfg(test)]
    pub(super) fn with_keepalive(self, interval: Duration) -> Self {
        Self { keepalive: Some(interval), ..self }
    }

    /// The same with a connectivity test for every transaction. The protocol has no way to ask for one, and
    /// a number of its own would be a number that upstream gives another meaning one day; so it is a
    /// setting of the server, which both ends know: whoever begins has to be heard at that address in time,
    /// and has to stay connected, or what it changed is rolled back.
    #[cfg(test)]
    pub(super) fn with_connectivity_test(self, test: ConnectivityTest) -> Self {
        Self { test: Some(test), ..self }
    }

    /// The test that every transaction is begun with. That of the settings is for the server's own address, so
    /// that any number of servers can run beside each other.
    fn test(&self, address: &Address) -> Option<ConnectivityTest> {
        let own = self.settings.connectivity_ms.map(|deadline_ms| ConnectivityTest {
            host: address.to_string(),
            port: 0,
            deadline_ms,
        });
        self.test.clone().or(own)
    }

    fn keeps(&self) -> bool {
        self.dialect.server.last_close == LastClose::Keeps
    }

    fn maker(&self) -> Maker {
        let leaves_inactive = self.switches.has(defects::ROLLBACK_LEAVES_INACTIVE);
        let rollback = if leaves_inactive { Rollback::AllInactive } else { self.dialect.server.rollback };
        let faults = ListFaults { begin_twice: self.switches.has(defects::BEGIN_TWICE_ACCEPTED) };
        Maker { faults, rollback }
    }

    /// The faults of the directory that go with the defects that are switched on.
    fn faults(&self) -> impl Iterator<Item = Fault> {
        [
            (defects::ROLLBACK_LEAVES_INACTIVE, Fault::RollbackLeavesInactive),
            (defects::ROLLBACK_FORGETS_ADDED, Fault::RollbackForgetsAdded),
            (defects::COMMIT_DISCARDS, Fault::CommitDiscards),
            (defects::BEGIN_TWICE_ACCEPTED, Fault::BeginTwiceAccepted),
            (defects::BOOT_KEEPS, Fault::BootKeepsTransaction),
            (defects::BOOT_KEEPS, Fault::GoneClientKeepsTransaction),
            (defects::GONE_CLIENT_KEEPS, Fault::GoneClientKeepsTransaction),
            (defects::LATE_CLIENT_KEEPS, Fault::LateClientKeepsTransaction),
            // The clients of a process that dies are gone too, maybe a moment before.
            (defects::CRASH_LOSES, Fault::GoneClientKeepsTransaction),
        ]
        .into_iter()
        .filter(|(defect, _)| self.switches.has(defect))
        .map(|(_, fault)| fault)
    }

    /// The directory of a server that starts. What is open there belonged to a client of the server before this
    /// one; it is gone.
    fn open(&self, site: &Site) -> Result<Kept, TransactionError> {
        let open = || Transactions::open(&site.directory).map(|kept| kept.with_faults(self.faults()));
        if site.begins == Begins::AtBoot {
            open()?.boot(starts_at_boot)?;
        }
        let mut transactions = open()?;
        if site.begins == Begins::First {
            let interface = driver::first_interface();
            transactions.define(&interface.description.name, FIRST_INTERFACE.as_bytes())?;
            transactions.set_running(&interface.description.name, true)?;
        }
        if self.switches.has(defects::CRASH_LOSES) && transactions.is_open() {
            transactions.commit(NOBODY)?;
        }
        transactions.end_orphan()?;
        Ok(Kept::new(transactions, self.test(&site.address)))
    }
}

/// Stands for a client that no server has: sessions count from 1.
const NOBODY: Owner = Owner(0);

fn starts_at_boot(definition: &[u8]) -> bool {
    Description::parse(definition).is_ok_and(|description| description.starts_at_boot())
}

impl Servers for Daemons {
    type Machine = Daemon;

    const COMES_BACK: bool = true;

    async fn make(&self, site: &Site) -> Result<Daemon, LaunchErrorKind> {
        let mut host = Host { shared: None, users: 0, make: self.maker() };
        if self.keeps() {
            host.shared = Some(TestDriver::new(Box::new(self.open(site).map_err(io::Error::other)?)));
        }
        let usual = Duration::from_secs(self.dialect.server.keepalive.interval_s.into());
        let (dialect, settings, switches) =
            (self.dialect.clone(), self.settings.clone(), self.switches.clone());
        Ok(Daemon::new(dialect, settings, switches, host, self.keepalive.unwrap_or(usual)))
    }
}
