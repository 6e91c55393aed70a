//! Calls about domains, and who is told what happens to them.

use wire::xdr::Writer;

use super::super::driver::{DOMAIN, DOMAIN_UUID, Domain, Lifecycle, TestDriver, domain_xml, screenshot};
use super::super::failure::Failure;
use super::{
    Answer, Arguments, Call, Callback, Function, Needs, Outcome, check_max, done, list_all, list_of,
};
use crate::names::{domain_state, error, error_domain, procedures as proc};

const DOMAIN_CODE: i32 = error_domain::DOMAIN;
/// Numbers of domain events that exist: those above are refused.
const EVENTS: std::ops::Range<i32> = 0..26;
/// The most virtual processors that one answer tells of.
const VCPUS_MAX: i32 = 16_384;

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::CONNECT_NUM_OF_DOMAINS, |call, _| count(call, true)),
    (proc::CONNECT_LIST_DOMAINS, |call, arguments| {
        list(call, arguments, "maxids", true, |list, domain| list.i32(domain.id))
    }),
    (proc::CONNECT_NUM_OF_DEFINED_DOMAINS, |call, _| count(call, false)),
    (proc::CONNECT_LIST_DEFINED_DOMAINS, |call, arguments| {
        list(call, arguments, "maxnames", false, |list, _| list.opaque(DOMAIN.as_bytes()))
    }),
    (proc::CONNECT_LIST_ALL_DOMAINS, |call, arguments| {
        let all = |driver: &mut TestDriver| Ok(vec![driver.domain]);
        let written = |list, which: &Domain| domain(list, which.id);
        list_all(call, arguments, (Needs::Hypervisor, 0xffff), all, list_flags, written)
    }),
    (proc::DOMAIN_LOOKUP_BY_ID, |call, arguments| {
        let id = arguments.i32()?;
        found(call, |domain| domain.is_active() && domain.id == id)
    }),
    (proc::DOMAIN_LOOKUP_BY_NAME, |call, arguments| {
        let name = arguments.string()?;
        found(call, |_| name == DOMAIN.as_bytes())
    }),
    (proc::DOMAIN_LOOKUP_BY_UUID, |call, arguments| {
        let uuid = arguments.uuid()?;
        found(call, |_| uuid == DOMAIN_UUID)
    }),
    (proc::DOMAIN_GET_INFO, |call, arguments| {
        // Maximum and present memory in KiB, processors, and a time that goes on as long as it runs.
        let info = |state| Writer::new().i32(state).u64(8 << 20).u64(2 << 20).u32(2).u64(1);
        says(call, arguments, |domain| info(domain.state))
    }),
    (proc::DOMAIN_GET_STATE, |call, arguments| {
        let named = arguments.domain()?;
        let flags = arguments.u32()?;
        call.driver(Needs::Hypervisor)?;
        call.check_flags(flags, 0)?;
        let domain = check(call, named)?;
        done(Writer::new().i32(domain.state).i32(domain.reason))
    }),
    (proc::DOMAIN_GET_XML_DESC, |call, arguments| {
        let named = arguments.domain()?;
        arguments.u32()?;
        call.driver(Needs::Hypervisor)?;
        let domain = check(call, named)?;
        done(Writer::new().opaque(domain_xml(domain).as_bytes()))
    }),
    (proc::DOMAIN_IS_ACTIVE, |call, arguments| says(call, arguments, |domain| flag(domain.is_active()))),
    (proc::DOMAIN_IS_PERSISTENT, |call, arguments| says(call, arguments, |_| flag(true))),
    (proc::DOMAIN_GET_AUTOSTART, |call, arguments| says(call, arguments, |_| flag(false))),
    (proc::DOMAIN_GET_MAX_VCPUS, |call, arguments| says(call, arguments, |_| Writer::new().i32(2))),
    (proc::DOMAIN_GET_OS_TYPE, |call, arguments| says(call, arguments, |_| Writer::new().opaque(b"linux"))),
    (proc::DOMAIN_HAS_MANAGED_SAVE_IMAGE, |call, arguments| says(call, arguments, |_| flag(false))),
    (proc::DOMAIN_GET_VCPUS, vcpus),
    (proc::DOMAIN_SUSPEND, |call, arguments| {
        let against = |now: Domain| (now.state != domain_state::RUNNING).then(|| not_in_state("running"));
        change(call, arguments, None, against, Domain::suspend).map(told)
    }),
    (proc::DOMAIN_RESUME, |call, arguments| {
        let against = |now: Domain| (now.state != domain_state::PAUSED).then(|| not_in_state("paused"));
        change(call, arguments, None, against, Domain::resume).map(told)
    }),
    (proc::DOMAIN_DESTROY, |call, arguments| destroy(call, arguments, None)),
    (proc::DOMAIN_DESTROY_FLAGS, |call, arguments| destroy(call, arguments, Some(1))),
    (proc::DOMAIN_CREATE, |call, arguments| create(call, arguments, None).map(told)),
    // The newer of the two gives the domain back, with its new id.
    (proc::DOMAIN_CREATE_WITH_FLAGS, |call, arguments| {
        let started = create(call, arguments, Some(0))?;
        done(domain(Writer::new(), started.domain_id))
    }),
    (proc::DOMAIN_SCREENSHOT, take_screenshot),
    (proc::DOMAIN_ABORT_JOB, |call, arguments| lacks(call, arguments, 0)),
    (proc::DOMAIN_ABORT_JOB_FLAGS, |call, arguments| lacks(call, arguments, 1)),
    (proc::DOMAIN_START_DIRTY_RATE_CALC, |call, arguments| lacks(call, arguments, 2)),
    (proc::DOMAIN_ANNOUNCE_INTERFACE, |call, arguments| {
        arguments.domain()?;
        let (_interface, _, _) = (arguments.optional()?, arguments.u32()?, arguments.u32()?);
        call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
        Err(Failure::no_support(DOMAIN_CODE, super::library_name(call.procedure)))
    }),
    (proc::CONNECT_DOMAIN_EVENT_REGISTER, |call, _| register(call, 0, true, false)),
    (proc::CONNECT_DOMAIN_EVENT_DEREGISTER, |call, _| deregister_legacy(call, 0)),
    (proc::CONNECT_DOMAIN_EVENT_REGISTER_ANY, |call, arguments| {
        let event = arguments.i32()?;
        register(call, event, true, false)
    }),
    (proc::CONNECT_DOMAIN_EVENT_DEREGISTER_ANY, |call, arguments| {
        let event = arguments.i32()?;
        deregister_legacy(call, event)
    }),
    (proc::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, |call, arguments| {
        let event = arguments.i32()?;
        let one_domain = arguments.u32()? != 0;
        if one_domain {
            arguments.domain()?;
        }
        register(call, event, false, one_domain)
    }),
    (proc::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, deregister),
];

impl Arguments<'_> {
    /// A domain as a call names it: name, identity and id. The driver goes by the identity; whether it has one such.
    fn domain(&mut self) -> Result<bool, Failure> {
        let (_name, uuid, _id) = (self.string()?, self.uuid()?, self.i32()?);
        Ok(uuid == DOMAIN_UUID)
    }
}

fn not_found() -> Failure {
    Failure::bare(error::NO_DOMAIN, error_domain::TEST, "Domain not found")
}

/// A domain as an answer names it.
pub(in super::super) fn domain(writer: Writer, id: i32) -> Writer {
    writer.opaque(DOMAIN.as_bytes()).fixed(&DOMAIN_UUID).i32(id)
}

fn found(call: &mut Call<'_>, is: impl FnOnce(Domain) -> bool) -> Outcome {
    let known = call.driver(Needs::Hypervisor)?.domain;
    if is(known) { done(domain(Writer::new(), known.id)) } else { Err(not_found()) }
}

fn check(call: &mut Call<'_>, known: bool) -> Result<Domain, Failure> {
    let domain = call.driver(Needs::Hypervisor)?.domain;
    if known { Ok(domain) } else { Err(not_found()) }
}

fn says(call: &mut Call<'_>, arguments: &mut Arguments<'_>, what: impl Fn(Domain) -> Writer) -> Outcome {
    let named = arguments.domain()?;
    done(what(check(call, named)?))
}

fn flag(flag: bool) -> Writer {
    Writer::new().i32(flag.into())
}

fn count(call: &mut Call<'_>, active: bool) -> Outcome {
    let domain = call.driver(Needs::Hypervisor)?.domain;
    done(Writer::new().i32((domain.is_active() == active).into()))
}

fn list(
    call: &mut Call<'_>,
    arguments: &mut Arguments<'_>,
    name: &str,
    active: bool,
    written: fn(Writer, &Domain) -> Writer,
) -> Outcome {
    let max = arguments.i32()?;
    let mut listed = vec![call.driver(Needs::Hypervisor)?.domain];
    let wanted = check_max(max, call.dialect.limits.list, name, "DOMAIN_LIST_MAX")?;
    listed.retain(|one| one.is_active() == active && wanted > 0);
    done(list_of(&listed, written))
}

/// What a domain has of the flags of lists, and of which group.
fn list_flags(which: &Domain) -> [(u32, u32); 6] {
    let active = if which.is_active() { 0x1 } else { 0x2 };
    let state = match which.state {
        domain_state::RUNNING => 0x10,
        domain_state::PAUSED => 0x20,
        domain_state::SHUTOFF => 0x40,
        _ => 0x80,
    };
    // Active, persistent, state, saved, autostart, snapshots, and none of what came later.
    [(0x3, active), (0xc, 0x4), (0xf0, state), (0x300, 0x200), (0xc00, 0x800), (0x3000, 0x2000)]
}

fn vcpus(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = arguments.domain()?;
    let (max, _map_len) = (arguments.i32()?, arguments.i32()?);
    call.driver(Needs::Hypervisor)?;
    if max < 0 {
        return Err(Failure::internal("maxinfo must be non-negative"));
    }
    if max > VCPUS_MAX {
        return Err(Failure::internal("maxinfo > REMOTE_VCPUINFO_MAX"));
    }
    check(call, named)?;
    Err(Failure::no_support(DOMAIN_CODE, "virDomainGetVcpus"))
}

fn told(_event: Lifecycle) -> Answer {
    Answer::Result(Writer::new())
}

fn not_in_state(what: &str) -> Failure {
    Failure::made(error::INTERNAL_ERROR, error_domain::TEST, format!("domain 'test' not {what}"))
}

/// Changes the state of the domain, where nothing speaks against it. `known` are the flags, where some follow.
fn change(
    call: &mut Call<'_>,
    arguments: &mut Arguments<'_>,
    known: Option<u32>,
    against: fn(Domain) -> Option<Failure>,
    act: fn(&mut Domain) -> Lifecycle,
) -> Result<Lifecycle, Failure> {
    let named = arguments.domain()?;
    let flags = if known.is_some() { arguments.u32()? } else { 0 };
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    call.check_flags(flags, known.unwrap_or(0))?;
    if let Some(failure) = against(check(call, named)?) {
        return Err(failure);
    }
    let event = act(&mut call.driver(Needs::Hypervisor)?.domain);
    call.events.push(event);
    Ok(event)
}

fn destroy(call: &mut Call<'_>, arguments: &mut Arguments<'_>, known: Option<u32>) -> Outcome {
    let against =
        |now: Domain| (!now.is_active()).then(|| Failure::invalid(DOMAIN_CODE, "domain is not running"));
    change(call, arguments, known, against, Domain::destroy).map(told)
}

fn create(
    call: &mut Call<'_>,
    arguments: &mut Arguments<'_>,
    known: Option<u32>,
) -> Result<Lifecycle, Failure> {
    const RUNNING: &str = "Domain 'test' is already running";
    let against = |now: Domain| {
        now.is_active().then(|| Failure::made(error::INTERNAL_ERROR, error_domain::TEST, RUNNING))
    };
    change(call, arguments, known, against, Domain::start)
}

fn take_screenshot(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = arguments.domain()?;
    let (_screen, flags) = (arguments.u32()?, arguments.u32()?);
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    call.check_flags(flags, 0)?;
    check(call, named)?;
    Ok(Answer::Stream(Writer::new().optional(Some(b"image/png")), screenshot().into()))
}

/// A function that the driver lacks; `integers` are the arguments behind the domain.
fn lacks(call: &mut Call<'_>, arguments: &mut Arguments<'_>, integers: usize) -> Outcome {
    arguments.domain()?;
    for _ in 0..integers {
        arguments.u32()?;
    }
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    Err(Failure::no_support(DOMAIN_CODE, super::library_name(call.procedure)))
}

fn register(call: &mut Call<'_>, event: i32, legacy: bool, one_domain: bool) -> Outcome {
    call.driver(Needs::Hypervisor)?;
    if !EVENTS.contains(&event) {
        return Err(Failure::internal(format!("unsupported event ID {event}")));
    }
    // The two old procedures and the new one share a list: the same wish a second time is refused.
    let same = |known: &Callback| known.event == event && known.one_domain == one_domain;
    if call.session.callbacks.iter().any(same) {
        let detail = "event callback already tracked";
        return Err(Failure::made(error::INVALID_ARG, error_domain::NONE, detail));
    }
    let id = call.driver(Needs::Hypervisor)?.callback();
    call.session.callbacks.push(Callback { id, event, legacy, one_domain });
    done(match (legacy, call.procedure) {
        (false, _) => Writer::new().i32(id),
        (true, proc::CONNECT_DOMAIN_EVENT_REGISTER) => Writer::new().i32(0),
        (true, _) => Writer::new(),
    })
}

fn deregister(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let id = arguments.i32()?;
    call.driver(Needs::Hypervisor)?;
    let before = call.session.callbacks.len();
    call.session.callbacks.retain(|known| known.id != id);
    if call.session.callbacks.len() == before {
        return Err(Failure::internal(format!("domain event callback {id} not registered")));
    }
    done(Writer::new())
}

fn deregister_legacy(call: &mut Call<'_>, event: i32) -> Outcome {
    call.driver(Needs::Hypervisor)?;
    let found = call.session.callbacks.iter().position(|known| known.event == event);
    let Some(at) = found else {
        return Err(Failure::internal(format!("domain event {event} not registered")));
    };
    call.session.callbacks.remove(at);
    let old = call.procedure == proc::CONNECT_DOMAIN_EVENT_DEREGISTER;
    done(if old { Writer::new().i32(0) } else { Writer::new() })
}
