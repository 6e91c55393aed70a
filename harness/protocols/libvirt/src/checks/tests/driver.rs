//! A driver of interfaces with real transactions, and with one habit.

use std::collections::{BTreeMap, BTreeSet};

use session::ServerAct;
use wire::libvirt_rpc::Header;
use wire::xdr::{Reader, Writer};

use super::toy::{Answers, Server, answers, fails, plain};
use crate::names::{error, error_domain, procedures as p};

/// What it does other than a driver that keeps its word on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Nothing.
    Ideal,
    /// As the test driver: gives everything back inactive, and keeps state in memory while a client is there.
    TestDriver,
    /// As a driver without transactions.
    NoTransactions,
    /// As a driver that lacks what it needs for them.
    CannotBegin,
    /// It is not there.
    Absent,
    /// As a server that does not know the procedures of transactions.
    Older,
    /// A rollback leaves what was added.
    KeepsAdded,
    /// A rollback gives back what was stopped, stopped, but leaves alone what it finds as it was.
    LeavesStopped,
    /// A commit rolls back.
    CommitRollsBack,
    /// A refused second begin drops what was changed.
    RefusalDrops,
    /// Begins a second time.
    BeginsTwice,
    /// Forgets transactions with their client, and keeps the changes.
    ForgetsWithClient,
    /// Rolls back when the client of a transaction dies.
    RollsBackWithClient,
    /// Rolls back half when the client of a transaction dies: `eth1` stays undefined.
    HalfWithClient,
    /// Forgets transactions at a restart, and keeps the changes.
    ForgetsAtRestart,
    /// Does not roll back at boot.
    NoBoot,
    /// Forgets what was committed, at a restart.
    LosesCommitted,
    /// Shows each client what it changed alone.
    Private,
    /// Rolls back who is gone, and who does not connect anew within a second.
    Promises,
    /// The same, but for who does not connect anew.
    ForgivesSilence,
    /// Rolls back who did connect anew, too.
    Deaf,
}

type Interfaces = BTreeMap<Vec<u8>, (bool, Vec<u8>)>;

#[derive(Debug, Clone)]
pub(super) struct Driver {
    habit: Habit,
    now: Interfaces,
    /// As at begin, and who began.
    snapshot: Option<(Interfaces, u32)>,
    clients: BTreeSet<u32>,
    /// Whether a client has come since begin.
    heard: bool,
    readers: BTreeSet<u32>,
}

fn start() -> Interfaces {
    [(b"eth1".to_vec(), (true, b"<interface name='eth1'/>".to_vec()))].into()
}

impl Driver {
    pub(super) fn new(habit: Habit) -> Self {
        Self {
            habit,
            now: start(),
            snapshot: None,
            clients: BTreeSet::new(),
            heard: false,
            readers: BTreeSet::new(),
        }
    }

    fn begin(&mut self, conn: u32) -> Result<(), Refusal> {
        if self.snapshot.is_some() && self.habit != Habit::BeginsTwice {
            if self.habit == Habit::RefusalDrops {
                self.now.remove(&b"eth9"[..]);
            }
            return Err(INVALID);
        }
        self.heard = false;
        self.snapshot = Some((self.now.clone(), conn));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let (before, _) = self.snapshot.take().ok_or(INVALID)?;
        if self.habit == Habit::CommitRollsBack {
            self.now = before;
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), Refusal> {
        let (mut before, _) = self.snapshot.take().ok_or(INVALID)?;
        let inactive = |interfaces: &mut Interfaces| interfaces.values_mut().for_each(|one| one.0 = false);
        match self.habit {
            Habit::KeepsAdded => before.extend(self.now.clone()),
            Habit::TestDriver => inactive(&mut before),
            Habit::LeavesStopped => {
                for (name, one) in &mut before {
                    one.0 &= self.now.get(name).is_some_and(|now| now.0);
                }
            }
            _ => {}
        }
        self.now = before;
        Ok(())
    }

    /// Rolls back, if there is anything to roll back.
    fn undo(&mut self) {
        let _nothing_to_roll_back = self.rollback();
    }

    fn call(&mut self, conn: u32, header: &Header, payload: &[u8]) -> Option<Result<Writer, Refusal>> {
        let flags = Reader::new(payload).u32().map_or(0, |(_, flags)| flags);
        let name = Reader::new(payload).opaque(1 << 20).map(|name| name.bytes.to_vec()).unwrap_or_default();
        let void = |done: Result<(), Refusal>| done.map(|()| Writer::new());
        let active =
            |one: Option<&(bool, Vec<u8>)>| one.map(|one| Writer::new().i32(i32::from(one.0))).ok_or(UNKNOWN);
        let seen = self.seen_by(conn);
        Some(match header.procedure {
            p::CONNECT_LIST_ALL_INTERFACES => {
                let list = Writer::new().u32(u32::try_from(seen.len()).unwrap_or(0));
                let list = seen.keys().fold(list, |list, name| list.opaque(name).opaque(b""));
                Ok(list.u32(u32::try_from(seen.len()).unwrap_or(0)))
            }
            p::INTERFACE_IS_ACTIVE => active(seen.get(&name)),
            p::INTERFACE_GET_XML_DESC => {
                seen.get(&name).map(|one| Writer::new().opaque(&one.1)).ok_or(UNKNOWN)
            }
            _ if self.readers.contains(&conn) && header.procedure != p::CONNECT_GET_TYPE => Err(DENIED),
            p::INTERFACE_CHANGE_BEGIN if self.habit == Habit::NoTransactions => Err(NO_SUPPORT),
            p::INTERFACE_CHANGE_BEGIN if self.habit == Habit::CannotBegin => Err(NO_SCRIPT),
            p::INTERFACE_CHANGE_BEGIN | p::INTERFACE_CHANGE_COMMIT | p::INTERFACE_CHANGE_ROLLBACK
                if self.habit == Habit::Older =>
            {
                Err(NOT_KNOWN)
            }
            p::INTERFACE_CHANGE_BEGIN | p::INTERFACE_CHANGE_COMMIT | p::INTERFACE_CHANGE_ROLLBACK
                if flags != 0 =>
            {
                Err(INVALID)
            }
            p::INTERFACE_CHANGE_BEGIN => void(self.begin(conn)),
            p::INTERFACE_CHANGE_COMMIT => void(self.commit()),
            p::INTERFACE_CHANGE_ROLLBACK => void(self.rollback()),
            p::INTERFACE_DEFINE_XML => {
                let name = name_in(&name);
                let active = self.now.get(&name).is_some_and(|one| one.0);
                let xml = Reader::new(payload).opaque(1 << 20).map(|xml| xml.bytes.to_vec());
                self.now.insert(name.clone(), (active, xml.unwrap_or_default()));
                Ok(Writer::new().opaque(&name).opaque(b""))
            }
            p::INTERFACE_UNDEFINE => void(self.now.remove(&name).map(drop).ok_or(UNKNOWN)),
            p::INTERFACE_CREATE => void(self.set_active(&name, true)),
            p::INTERFACE_DESTROY => void(self.set_active(&name, false)),
            _ => return None,
        })
    }

    fn set_active(&mut self, name: &[u8], active: bool) -> Result<(), Refusal> {
        self.now.get_mut(name).map(|one| one.0 = active).ok_or(UNKNOWN)
    }

    fn seen_by(&self, conn: u32) -> Interfaces {
        match &self.snapshot {
            Some((before, owner)) if self.habit == Habit::Private && *owner != conn => before.clone(),
            _ => self.now.clone(),
        }
    }
}

impl Server for Driver {
    fn answers(&mut self, conn: u32, header: &Header, payload: &[u8]) -> Answers {
        if header.procedure == p::CONNECT_OPEN {
            if self.habit == Habit::Absent && !payload.ends_with(b"test:///default\0\0\0\0\0") {
                return fails(
                    header,
                    error::NO_CONNECT,
                    error_domain::NONE,
                    "no connection driver available",
                );
            }
            self.clients.insert(conn);
            self.heard = true;
            if payload.ends_with(&[0, 0, 0, 1]) {
                self.readers.insert(conn);
            }
        }
        if !self.clients.contains(&conn) {
            return fails(header, error::INTERNAL_ERROR, error_domain::RPC, "connection not open");
        }
        match self.call(conn, header, payload) {
            Some(Ok(result)) => answers(header, result),
            Some(Err((code, domain, text))) => fails(header, code, domain, text),
            None => plain(header, payload),
        }
    }

    fn goes(&mut self, conn: u32) {
        self.clients.remove(&conn);
        self.readers.remove(&conn);
        let owner = self.snapshot.as_ref().is_some_and(|(_, owner)| *owner == conn);
        match self.habit {
            Habit::TestDriver if self.clients.is_empty() => *self = Self::new(self.habit),
            Habit::ForgetsWithClient if owner => self.snapshot = None,
            Habit::RollsBackWithClient | Habit::Promises | Habit::ForgivesSilence if owner => self.undo(),
            Habit::HalfWithClient if owner => {
                self.undo();
                self.now.remove(&b"eth1"[..]);
            }
            _ => {}
        }
    }

    fn waits(&mut self, ms: u64) {
        let deaf = self.habit == Habit::Deaf;
        let late = deaf || (self.habit == Habit::Promises && !self.heard);
        if late && ms >= SILENCE_MS {
            self.undo();
        }
    }

    fn act(&mut self, act: &ServerAct) {
        self.clients.clear();
        match (self.habit, act) {
            (Habit::TestDriver, _) => *self = Self::new(self.habit),
            (Habit::ForgetsAtRestart, _) => self.snapshot = None,
            (Habit::LosesCommitted, _) if self.snapshot.is_none() => drop(self.now.remove(&b"eth9"[..])),
            (Habit::NoBoot, _) => {}
            (_, ServerAct::Reboot) => self.undo(),
            _ => {}
        }
    }
}

/// How long [`Habit::Promises`] lets a client be silent, in milliseconds.
const SILENCE_MS: u64 = 1000;

/// The name in a description: what stands between `name='` and the next quote.
fn name_in(xml: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(xml);
    let name = text.split("name='").nth(1).and_then(|rest| rest.split('\'').next());
    name.unwrap_or_default().as_bytes().to_vec()
}

type Refusal = (i32, i32, &'static str);

const INVALID: Refusal =
    (error::OPERATION_INVALID, error_domain::TEST, "Requested operation is not valid: no transaction");
const UNKNOWN: Refusal = (error::NO_INTERFACE, error_domain::TEST, "Interface not found");
const DENIED: Refusal = (error::OPERATION_DENIED, error_domain::INTERFACE, "operation forbidden: read only");
const NO_SUPPORT: Refusal = (error::NO_SUPPORT, error_domain::INTERFACE, "this function is not supported");
const NOT_KNOWN: Refusal = (error::RPC, error_domain::RPC, "unknown procedure: 320");
const NO_SCRIPT: Refusal = (error::INTERNAL_ERROR, error_domain::INTERFACE, "failed to begin transaction");
