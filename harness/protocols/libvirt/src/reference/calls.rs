//! What a call does: connections, features and events. What it does to objects is in the files beside this
//! one; each has a table of procedures and functions.

mod domains;
mod interfaces;
mod networks;
mod nodes;

use std::time::Duration;

use bytes::Bytes;
use wire::libvirt_rpc::STRING_MAX;
use wire::xdr::{Reader, Writer};

use protocol::defect::Switches;

use super::defects;
use super::driver::{self, Lifecycle, TestDriver};
use super::failure::{ARGUMENT_UNSUPPORTED, Failure};
use super::settings::{Auth, Settings};
use super::transaction::Owner;
use crate::dialect::{Dialect, FreePages, MachineDriver, SecondOpen, UnknownUri, XmlPlace, free_pages_wrap};
use crate::names::{self, error, error_domain, open_flag, procedures as proc, program};

pub(super) use domains::domain;

/// How a call ends.
pub(super) enum Answer {
    /// With a result.
    Result(Writer),
    /// With a result and a stream of bytes behind it.
    Stream(Writer, Bytes),
    /// With a result, and then the connection is closed.
    Close,
    /// With a refusal, after some time; other calls are answered meanwhile.
    Later(Duration, Failure),
    /// The process dies.
    Crash,
}

pub(super) type Outcome = Result<Answer, Failure>;

/// A call that is carried out with that result.
fn done(result: Writer) -> Outcome {
    Ok(Answer::Result(result))
}

type Function = fn(&mut Call<'_>, &mut Arguments<'_>) -> Outcome;

/// What a server has beside its connections.
#[derive(Debug)]
pub(super) struct Host {
    /// `test:///default`, while somebody uses it.
    pub(super) shared: Option<TestDriver>,
    /// How many opened it and have not closed it, those that leaked included.
    pub(super) users: u32,
    /// Makes the first one, and the private ones.
    pub(super) make: Maker,
}

/// Makes drivers.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) faults: super::interfaces::ListFaults,
    pub(super) rollback: crate::dialect::Rollback,
}

impl Maker {
    pub(super) fn make(&self) -> TestDriver {
        let first = driver::first_interface();
        TestDriver::new(Box::new(super::interfaces::Listed::new(first, self.rollback, self.faults)))
    }
}

/// Who registered for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Callback {
    pub(super) id: i32,
    pub(super) event: i32,
    /// Told without the number of the callback: registered with one of the two old procedures.
    pub(super) legacy: bool,
    /// For one domain alone.
    pub(super) one_domain: bool,
}

/// What a connection has opened.
#[derive(Debug, Default)]
pub(super) enum Opened {
    #[default]
    No,
    Shared,
    Private(Box<TestDriver>),
}

/// What a server keeps for one connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) owner: Owner,
    pub(super) opened: Opened,
    pub(super) read_only: bool,
    /// Whether it counts among the users of the shared driver.
    pub(super) uses_shared: bool,
    pub(super) callbacks: Vec<Callback>,
    /// Whether the server sends signs of life of its own.
    pub(super) keepalive: bool,
}

/// A call while it is carried out.
pub(super) struct Call<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) settings: &'a Settings,
    pub(super) switches: &'a Switches,
    pub(super) host: &'a mut Host,
    pub(super) session: &'a mut Session,
    pub(super) procedure: i32,
    /// What others have to be told.
    pub(super) events: Vec<Lifecycle>,
}

/// Reads arguments. What cannot be read is one refusal, whatever is wrong with it.
pub(super) struct Arguments<'a>(Reader<'a>);

impl<'a> Arguments<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self(Reader::new(payload))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Failure> {
        self.0.u32().map(|(_, value)| value).map_err(|_| Failure::undecodable())
    }

    pub(super) fn i32(&mut self) -> Result<i32, Failure> {
        self.0.i32().map(|(_, value)| value).map_err(|_| Failure::undecodable())
    }

    /// A string. An embedded NUL ends it.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Failure> {
        let opaque = self.0.opaque(STRING_MAX).map_err(|_| Failure::undecodable())?;
        Ok(opaque.bytes.split(|byte| *byte == 0).next().unwrap_or(&[]))
    }

    pub(super) fn optional(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        let (_, set) = self.0.flag().map_err(|_| Failure::undecodable())?;
        if set { self.string().map(Some) } else { Ok(None) }
    }

    pub(super) fn uuid(&mut self) -> Result<&'a [u8], Failure> {
        self.0.fixed(16).map(|fixed| fixed.bytes).map_err(|_| Failure::undecodable())
    }

    /// How many elements follow; each has four bytes at least.
    pub(super) fn count(&mut self, limit: u32) -> Result<u32, Failure> {
        self.0.count(limit).map(|(_, count)| count).map_err(|_| Failure::undecodable())
    }
}

/// What kind of driver function a call needs; they say differently that nothing is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The connection itself, and domains.
    Hypervisor,
    /// Interfaces, networks, storage, node devices.
    Objects,
}

impl Call<'_> {
    pub(super) fn driver(&mut self, needs: Needs) -> Result<&mut TestDriver, Failure> {
        let open = match &mut self.session.opened {
            Opened::Private(driver) => Some(&mut **driver),
            Opened::Shared => self.host.shared.as_mut(),
            Opened::No => None,
        };
        open.ok_or_else(|| {
            Failure::internal(match needs {
                Needs::Hypervisor => "hypervisor connection not open",
                Needs::Objects => "connection not open",
            })
        })
    }

    /// The same for who wants to change something.
    pub(super) fn writable(&mut self, needs: Needs, domain: i32) -> Result<&mut TestDriver, Failure> {
        self.driver(needs)?;
        if self.session.read_only {
            let detail = format!("read only access prevents {}", library_name(self.procedure));
            return Err(Failure::made(error::OPERATION_DENIED, domain, detail));
        }
        self.driver(needs)
    }

    /// Refuses flags that the dialect's driver does not know.
    pub(super) fn check_flags(&self, flags: u32, known: u32) -> Result<(), Failure> {
        let known = self.dialect.flags.get(&self.procedure).copied().unwrap_or(known);
        match flags & !known {
            0 => Ok(()),
            refused => Err(Failure::flags(refused, &driver_name(self.procedure))),
        }
    }
}

/// Carries out a call of a program that is served and a procedure that is known.
pub(super) fn answer(call: &mut Call<'_>, served: u32, payload: &[u8]) -> Outcome {
    let arguments = &mut Arguments::new(payload);
    if served != program::REMOTE {
        return other_program(call, served, arguments);
    }
    let tables = [CONNECTION, domains::TABLE, interfaces::TABLE, networks::TABLE, nodes::TABLE];
    let known = tables.into_iter().flatten().find(|(number, _)| *number == call.procedure);
    match known {
        Some((_, function)) => function(call, arguments),
        None => lacking(call, arguments),
    }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A list: how many elements there are, and each.
fn list_of<T>(all: &[T], written: impl Fn(Writer, &T) -> Writer) -> Writer {
    all.iter().fold(Writer::new().u32(counted(all.len())), written)
}

/// Refuses to list fewer than none or more than there can be; `limit` by its name.
fn check_max(max: i32, limit: u32, name: &str, limit_name: &str) -> Result<usize, Failure> {
    let Ok(wanted) = u32::try_from(max) else {
        return Err(Failure::rpc(format!("{name} must be non-negative")));
    };
    if wanted > limit {
        return Err(Failure::rpc(format!("{name} > REMOTE_{limit_name}")));
    }
    Ok(usize::try_from(wanted).unwrap_or(usize::MAX))
}

/// What flags ask for among everything: the elements, if they are wanted, and how many there are. Flags come in
/// groups, of which each element has one flag; a group of which none is set asks for nothing in particular.
fn list_all<T, const GROUPS: usize>(
    call: &mut Call<'_>,
    arguments: &mut Arguments<'_>,
    (needs, known): (Needs, u32),
    all: impl FnOnce(&mut TestDriver) -> Result<Vec<T>, Failure>,
    own: impl Fn(&T) -> [(u32, u32); GROUPS],
    written: impl Fn(Writer, &T) -> Writer,
) -> Outcome {
    let (wanted, flags) = (arguments.i32()?, arguments.u32()?);
    call.driver(needs)?;
    call.check_flags(flags, known)?;
    let mut all = all(call.driver(needs)?)?;
    all.retain(|one| own(one).iter().all(|(group, own)| flags & group == 0 || flags & own != 0));
    let count = counted(all.len());
    if wanted == 0 {
        all.clear();
    }
    done(list_of(&all, written).u32(count))
}

/// Whether a procedure can be called before authentication.
pub(super) fn needs_no_authentication(procedure: i32) -> bool {
    (proc::AUTH_LIST..=proc::AUTH_POLKIT).contains(&procedure)
}

const CONNECTION: &[(i32, Function)] = &[
    (proc::CONNECT_OPEN, open),
    (proc::CONNECT_CLOSE, |_, _| Ok(Answer::Close)),
    (proc::CONNECT_GET_TYPE, |call, _| says(call, Writer::new().opaque(b"TEST"))),
    (proc::CONNECT_GET_VERSION, |call, _| says(call, Writer::new().u64(2))),
    (proc::CONNECT_GET_LIB_VERSION, |call, _| says(call, Writer::new().u64(call.dialect.lib_version))),
    (proc::CONNECT_GET_HOSTNAME, |call, _| says(call, Writer::new().opaque(b"localhost"))),
    (proc::CONNECT_GET_URI, |call, _| says(call, Writer::new().opaque(b"test:///default"))),
    (proc::CONNECT_IS_SECURE, |call, _| says(call, Writer::new().i32(1))),
    (proc::CONNECT_GET_MAX_VCPUS, |call, arguments| {
        arguments.optional()?;
        says(call, Writer::new().i32(32))
    }),
    (proc::CONNECT_SUPPORTS_FEATURE, supports_feature),
    (proc::CONNECT_SET_IDENTITY, set_identity),
    (proc::CONNECT_REGISTER_CLOSE_CALLBACK, |call, _| says(call, Writer::new())),
    (proc::CONNECT_UNREGISTER_CLOSE_CALLBACK, |call, _| says(call, Writer::new())),
    (proc::AUTH_LIST, |call, _| {
        let list = match call.settings.auth {
            Auth::None => names::auth::NONE,
            Auth::Sasl => names::auth::SASL,
        };
        done(Writer::new().u32(1).i32(list))
    }),
    (proc::AUTH_SASL_INIT, |_, _| Err(not_authenticated())),
    (proc::AUTH_SASL_START, |_, arguments| arguments.string().and_then(|_| Err(not_authenticated()))),
    (proc::AUTH_SASL_STEP, |_, arguments| arguments.i32().and_then(|_| Err(not_authenticated()))),
    // Where polkit is not offered the reason is whatever the thread that answers failed with before; in one
    // that has not failed yet, none.
    (proc::AUTH_POLKIT, |_, _| Err(Failure::unset())),
    (proc::NODE_GET_FREE_PAGES, free_pages),
];

fn not_authenticated() -> Failure {
    Failure::made(error::AUTH_FAILED, error_domain::RPC, "authentication failed")
}

/// Answers the same to everybody who has opened a driver.
fn says(call: &mut Call<'_>, result: Writer) -> Outcome {
    call.driver(Needs::Hypervisor)?;
    done(result)
}

fn open(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let uri = arguments.optional()?;
    let flags = arguments.u32()?;
    if !matches!(call.session.opened, Opened::No) {
        if call.dialect.server.second_open == SecondOpen::DropsFirst {
            call.session.opened = Opened::No;
        }
        return Err(Failure::internal("connection already open"));
    }
    let Some(uri) = uri else { return Err(Failure::internal("connection not open")) };
    let uri = String::from_utf8_lossy(uri);
    let place = match place(call, &uri) {
        Ok(place) => place,
        Err(failure) if waits_for_socket(call, &uri) => return Ok(Answer::Later(SOCKET_WAIT, failure)),
        Err(failure) => return Err(failure),
    };
    call.session.read_only = flags & open_flag::RO != 0;
    let private = match place {
        Place::Shared => None,
        Place::Private => Some(call.host.make.make()),
        Place::Machine => Some(TestDriver::new(Box::new(super::interfaces::Machine))),
    };
    if let Some(driver) = private {
        call.session.opened = Opened::Private(Box::new(driver));
        return done(Writer::new());
    }
    call.host.shared.get_or_insert_with(|| call.host.make.make());
    // Opened for the third time on one connection, it is used twice and will be given back once (LV-06).
    call.host.users = call.host.users.saturating_add(1);
    call.session.uses_shared = true;
    call.session.opened = Opened::Shared;
    done(Writer::new())
}

/// Which driver an address means.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// The directory of interfaces, or the list of the test driver.
    Shared,
    Private,
    /// The interfaces of the machine; calls about anything else are answered as by the test driver.
    Machine,
}

/// The driver of the machine's own interfaces, for the session.
const MACHINE_URI: &str = "interface:///session";

/// Files below this directory stand for private drivers; no other file is there for the server.
const PRIVATE_DIR: &str = "/wireskew/";

fn place(call: &Call<'_>, uri: &str) -> Result<Place, Failure> {
    let no_driver = |detail: &str| Failure::made(error::NO_CONNECT, error_domain::NONE, detail);
    let Some((scheme, rest)) = uri.split_once("://") else {
        if uri.is_empty() {
            return Err(no_driver("<null>"));
        }
        return Err(no_driver(&format!("URI '{uri}' does not include a driver name")));
    };
    if scheme == "interface" && call.settings.machine {
        return Ok(Place::Machine);
    }
    let keeps_machine =
        call.dialect.server.machine == MachineDriver::Directory && !call.switches.has(defects::LACKS_MACHINE);
    if uri == MACHINE_URI && keeps_machine {
        return Ok(Place::Shared);
    }
    if scheme != "test" {
        return Err(match call.dialect.server.unknown_uri {
            UnknownUri::NoSocket => {
                let dir = if rest.starts_with("/session") { "/run" } else { "/var/run" };
                let socket = format!("Failed to connect socket to '{dir}/libvirt/virt{scheme}d-sock'");
                let text = format!("{socket}: No such file or directory");
                Failure::system(error_domain::RPC, &text, ENOENT)
            }
            UnknownUri::NoDriver => no_driver(uri),
        });
    }
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    match path {
        "/default" => Ok(Place::Shared),
        "" | "/" => {
            let detail = "testOpen: supply a path or use test:///default";
            Err(Failure::made(error::INVALID_ARG, error_domain::TEST, detail))
        }
        path if path.starts_with(PRIVATE_DIR) => Ok(Place::Private),
        path if call.dialect.server.xml_place == XmlPlace::Document => {
            Err(Failure::xml(error_domain::TEST, format!("failed to parse xml document '{path}'")))
        }
        path => {
            let text = format!("Failed to open file '{path}': No such file or directory");
            Err(Failure::system(error_domain::NONE, &text, ENOENT))
        }
    }
}

/// How long a server waits for the socket of another daemon that it has tried to start. Measured on 7.0.0.
const SOCKET_WAIT: Duration = Duration::from_millis(5100);

/// Whether a server tries to start the daemon that an address is for: only those of the session, which its
/// own user may start.
fn waits_for_socket(call: &Call<'_>, uri: &str) -> bool {
    call.dialect.server.unknown_uri == UnknownUri::NoSocket && uri.starts_with(MACHINE_URI)
}

const ENOENT: i32 = 2;

fn supports_feature(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let feature = arguments.i32()?;
    if !call.dialect.server.features_before_open.contains(&feature) {
        call.driver(Needs::Hypervisor)?;
    }
    let has = call.dialect.has_feature(feature);
    call.session.keepalive |= has && feature == names::feature::PROGRAM_KEEPALIVE;
    done(Writer::new().i32(has.into()))
}

fn set_identity(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let count = arguments.count(call.dialect.limits.identity)?;
    let name = if count > 0 { arguments.string()? } else { &[] };
    call.driver(Needs::Hypervisor)?;
    if count > 0 {
        let detail = format!("parameter '{}' not supported", String::from_utf8_lossy(name));
        return Err(Failure::made(ARGUMENT_UNSUPPORTED, error_domain::NONE, detail));
    }
    done(Writer::new())
}

fn free_pages(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let limit = call.dialect.limits.cells;
    let pages = arguments.count(limit)?;
    for _ in 0..pages {
        arguments.u32()?;
    }
    let (first, cells, flags) = (arguments.i32()?, arguments.u32()?, arguments.u32()?);
    call.driver(Needs::Hypervisor)?;
    let wraps = free_pages_wrap(pages, cells, limit);
    if wraps && call.dialect.server.free_pages == FreePages::Overflows {
        return Ok(Answer::Crash);
    }
    if u64::from(pages) * u64::from(cells) > u64::from(limit) {
        return Err(Failure::internal(match call.dialect.server.free_pages {
            FreePages::Overflows => "the result won't fit into REMOTE_NODE_MAX_CELLS",
            FreePages::Refused => "npages * cellcount > REMOTE_NODE_MAX_CELLS (1024)",
        }));
    }
    for (count, name) in [(pages, "npages"), (cells, "cellCount")] {
        if count == 0 {
            let function = "virNodeGetFreePages";
            let message = format!("{name} in {function} must not be zero");
            return Err(Failure::argument(error_domain::DOMAIN, message, function, name));
        }
    }
    call.check_flags(flags, 0)?;
    if call.dialect.server.free_pages == FreePages::Overflows {
        // Measured on 7.0.0 and 9.0.0: what the driver counts is never told.
        return Err(Failure::unset());
    }
    let mut counts = Writer::new().u32(pages.saturating_mul(cells));
    for cell in 0..cells {
        let cell = first.saturating_add(i32::try_from(cell).unwrap_or(i32::MAX));
        for page in 0..usize::try_from(pages).unwrap_or(0) {
            counts = counts.u64(driver::free_pages(page, cell));
        }
    }
    done(counts)
}

/// What the programs beside `remote` say: that the test driver has none of it.
fn other_program(call: &mut Call<'_>, served: u32, arguments: &mut Arguments<'_>) -> Outcome {
    if (served, call.procedure) == (program::QEMU, names::qemu::CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER) {
        let id = arguments.i32()?;
        call.driver(Needs::Hypervisor)?;
        return Err(Failure::internal(format!("qemu monitor event callback {id} not registered")));
    }
    // Every one of them has an argument of four bytes at least.
    arguments.u32()?;
    call.driver(Needs::Hypervisor)?;
    let name = names::procedure_name(served, call.procedure).unwrap_or_default();
    let object = if served == program::QEMU { "DomainQemu" } else { "DomainLxc" };
    let function = function_name("vir", name).replace("Domain", object);
    Err(Failure::no_support(error_domain::NONE, function))
}

/// A procedure that is known and has no function here. Arguments are read first: every procedure of a domain has
/// some, and without them it cannot be called at all.
fn lacking(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    if name_of(call.procedure).starts_with("DOMAIN_") {
        arguments.u32()?;
    }
    let domain = error_domain_of(call.procedure);
    let objects = [error_domain::INTERFACE, error_domain::NETWORK].contains(&domain);
    call.driver(if objects { Needs::Objects } else { Needs::Hypervisor })?;
    Err(Failure::no_support(domain, library_name(call.procedure)))
}

fn name_of(procedure: i32) -> &'static str {
    names::procedure_name(program::REMOTE, procedure).unwrap_or_default()
}

/// The part of the library that a procedure belongs to, by its name.
fn error_domain_of(procedure: i32) -> i32 {
    let name = name_of(procedure);
    for (word, domain) in [
        ("INTERFACE", error_domain::INTERFACE),
        ("NODE_DEVICE", error_domain::NODEDEV),
        ("STORAGE", super::failure::STORAGE_DOMAIN),
        ("NWFILTER", error_domain::NWFILTER),
        ("SECRET", error_domain::SECRET),
        ("NETWORK", error_domain::NETWORK),
    ] {
        if name.starts_with(word) || name.starts_with("CONNECT_") && name.contains(word) {
            return domain;
        }
    }
    error_domain::DOMAIN
}

/// The name of a procedure as a function, behind a prefix.
fn function_name(prefix: &str, name: &str) -> String {
    let mut out = prefix.to_owned();
    for word in name.split('_') {
        match word {
            "XML" | "UUID" | "ID" | "CPU" | "MAC" => out.push_str(word),
            "NWFILTERS" => out.push_str("NWFilters"),
            _ => {
                let (first, rest) = word.split_at(word.len().min(1));
                out.push_str(first);
                out.push_str(&rest.to_ascii_lowercase());
            }
        }
    }
    out
}

/// The name of the library's function behind a procedure.
fn library_name(procedure: i32) -> String {
    function_name("vir", name_of(procedure))
}

/// The name of the test driver's function behind a procedure.
fn driver_name(procedure: i32) -> String {
    function_name("test", name_of(procedure))
}
