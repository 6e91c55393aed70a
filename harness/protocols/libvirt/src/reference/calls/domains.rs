//! Calls about domains, and who is told what happens to them.

use wire::xdr::Writer;

use super::super::super::names::{domain_state, error, error_domain, procedures as proc};
use super::super::driver::{DOMAIN, DOMAIN_UUID, Domain, Lifecycle, domain_xml, screenshot};
use super::super::failure::Failure;
use super::{Answer, Arguments, Call, Callback, Function, Needs, Outcome};

const DOMAIN_CODE: i32 = error_domain::DOMAIN;
/// Numbers of domain events that exist: those above are refused.
const EVENTS: std::ops::Range<i32> = 0..26;
/// The most virtual processors that one answer tells of.
const VCPUS_MAX: i32 = 16_384;

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::CONNECT_NUM_OF_DOMAINS, |call, _| count(call, true)),
    (proc::CONNECT_LIST_DOMAINS, list_ids),
    (proc::CONNECT_NUM_OF_DEFINED_DOMAINS, |call, _| count(call, false)),
    (proc::CONNECT_LIST_DEFINED_DOMAINS, list_defined),
    (proc::CONNECT_LIST_ALL_DOMAINS, list_all),
    (proc::DOMAIN_LOOKUP_BY_ID, |call, arguments| {
        let id = arguments.i32()?;
        let domain = call.driver(Needs::Hypervisor)?.domain;
        if domain.is_active() && domain.id == id { found(domain) } else { Err(not_found()) }
    }),
    (proc::DOMAIN_LOOKUP_BY_NAME, |call, arguments| {
        let known = arguments.string()? == DOMAIN.as_bytes();
        let domain = call.driver(Needs::Hypervisor)?.domain;
        if known { found(domain) } else { Err(not_found()) }
    }),
    (proc::DOMAIN_LOOKUP_BY_UUID, |call, arguments| {
        let known = arguments.uuid()? == DOMAIN_UUID;
        let domain = call.driver(Needs::Hypervisor)?.domain;
        if known { found(domain) } else { Err(not_found()) }
    }),
    (proc::DOMAIN_GET_INFO, |call, arguments| {
        let domain = looked_up(call, arguments)?;
        // Maximum and present memory in KiB, processors, and a time that goes on as long as it runs.
        let info = Writer::new().i32(domain.state).u64(8 << 20).u64(2 << 20).u32(2).u64(1);
        Ok(Answer::Result(info))
    }),
    (proc::DOMAIN_GET_STATE, |call, arguments| {
        let domain = Arguments::domain(arguments)?;
        let flags = arguments.u32()?;
        call.driver(Needs::Hypervisor)?;
        call.check_flags(flags, 0)?;
        let domain = check(call, domain)?;
        Ok(Answer::Result(Writer::new().i32(domain.state).i32(domain.reason)))
    }),
    (proc::DOMAIN_GET_XML_DESC, |call, arguments| {
        let domain = Arguments::domain(arguments)?;
        arguments.u32()?;
        call.driver(Needs::Hypervisor)?;
        let domain = check(call, domain)?;
        Ok(Answer::Result(Writer::new().opaque(domain_xml(domain).as_bytes())))
    }),
    (proc::DOMAIN_IS_ACTIVE, |call, arguments| {
        let domain = looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().i32(domain.is_active().into())))
    }),
    (proc::DOMAIN_IS_PERSISTENT, |call, arguments| {
        looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().i32(1)))
    }),
    (proc::DOMAIN_GET_AUTOSTART, |call, arguments| {
        looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().i32(0)))
    }),
    (proc::DOMAIN_GET_MAX_VCPUS, |call, arguments| {
        looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().i32(2)))
    }),
    (proc::DOMAIN_GET_OS_TYPE, |call, arguments| {
        looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().opaque(b"linux")))
    }),
    (proc::DOMAIN_HAS_MANAGED_SAVE_IMAGE, |call, arguments| {
        looked_up(call, arguments)?;
        Ok(Answer::Result(Writer::new().i32(0)))
    }),
    (proc::DOMAIN_GET_VCPUS, vcpus),
    (proc::DOMAIN_SUSPEND, suspend),
    (proc::DOMAIN_RESUME, resume),
    (proc::DOMAIN_DESTROY, |call, arguments| destroy(call, arguments, false)),
    (proc::DOMAIN_DESTROY_FLAGS, |call, arguments| destroy(call, arguments, true)),
    (proc::DOMAIN_CREATE, |call, arguments| create(call, arguments, false)),
    (proc::DOMAIN_CREATE_WITH_FLAGS, |call, arguments| create(call, arguments, true)),
    (proc::DOMAIN_SCREENSHOT, take_screenshot),
    (proc::DOMAIN_ABORT_JOB, |call, arguments| lacks(call, arguments, 0)),
    (proc::DOMAIN_ABORT_JOB_FLAGS, |call, arguments| lacks(call, arguments, 1)),
    (proc::DOMAIN_START_DIRTY_RATE_CALC, |call, arguments| lacks(call, arguments, 2)),
    (proc::DOMAIN_ANNOUNCE_INTERFACE, |call, arguments| {
        Arguments::domain(arguments)?;
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
            Arguments::domain(arguments)?;
        }
        register(call, event, false, one_domain)
    }),
    (proc::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, deregister),
];

/// A domain as a call names it: name, identity and id. The driver goes by the identity.
#[derive(Clone, Copy)]
pub(super) struct Named {
    known: bool,
}

impl Arguments<'_> {
    fn domain(arguments: &mut Self) -> Result<Named, Failure> {
        let (_name, uuid, _id) = (arguments.string()?, arguments.uuid()?, arguments.i32()?);
        Ok(Named { known: uuid == DOMAIN_UUID })
    }
}

fn not_found() -> Failure {
    Failure::bare(error::NO_DOMAIN, error_domain::TEST, "Domain not found")
}

/// A domain as an answer names it.
pub(in super::super) fn domain(writer: Writer, id: i32) -> Writer {
    writer.opaque(DOMAIN.as_bytes()).fixed(&DOMAIN_UUID).i32(id)
}

fn found(which: Domain) -> Outcome {
    Ok(Answer::Result(domain(Writer::new(), which.id)))
}

fn check(call: &mut Call<'_>, named: Named) -> Result<Domain, Failure> {
    let domain = call.driver(Needs::Hypervisor)?.domain;
    if named.known { Ok(domain) } else { Err(not_found()) }
}

fn looked_up(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Result<Domain, Failure> {
    let named = Arguments::domain(arguments)?;
    check(call, named)
}

fn count(call: &mut Call<'_>, active: bool) -> Outcome {
    let domain = call.driver(Needs::Hypervisor)?.domain;
    Ok(Answer::Result(Writer::new().i32((domain.is_active() == active).into())))
}

fn list_ids(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let max = arguments.i32()?;
    let domain = call.driver(Needs::Hypervisor)?.domain;
    check_max(call, max, "maxids", "DOMAIN")?;
    let list = Writer::new();
    let listed = domain.is_active() && max > 0;
    Ok(Answer::Result(if listed { list.u32(1).i32(domain.id) } else { list.u32(0) }))
}

fn list_defined(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let max = arguments.i32()?;
    let domain = call.driver(Needs::Hypervisor)?.domain;
    check_max(call, max, "maxnames", "DOMAIN")?;
    let listed = !domain.is_active() && max > 0;
    let list = Writer::new();
    Ok(Answer::Result(if listed { list.u32(1).opaque(DOMAIN.as_bytes()) } else { list.u32(0) }))
}

/// Refuses to list fewer than none or more than there can be.
pub(super) fn check_max(call: &Call<'_>, max: i32, name: &str, objects: &str) -> Result<(), Failure> {
    let Ok(wanted) = u32::try_from(max) else {
        return Err(Failure::rpc(format!("{name} must be non-negative")));
    };
    if wanted > call.dialect.limits.list {
        return Err(Failure::rpc(format!("{name} > REMOTE_{objects}_LIST_MAX")));
    }
    Ok(())
}

/// Whether something is among what flags ask for. Flags come in groups; a group of which none is set asks
/// for nothing in particular.
pub(super) fn selected(flags: u32, groups: &[(u32, u32)]) -> bool {
    groups.iter().all(|(group, own)| flags & group == 0 || flags & own != 0)
}

fn list_all(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (wanted, flags) = (arguments.i32()?, arguments.u32()?);
    call.driver(Needs::Hypervisor)?;
    call.check_flags(flags, 0xffff)?;
    let which = call.driver(Needs::Hypervisor)?.domain;
    let active = if which.is_active() { 0x1 } else { 0x2 };
    let state = match which.state {
        domain_state::RUNNING => 0x10,
        domain_state::PAUSED => 0x20,
        domain_state::SHUTOFF => 0x40,
        _ => 0x80,
    };
    // Active, persistent, state, saved, autostart, snapshots, and none of what came later.
    let own = [(0x3, active), (0xc, 0x4), (0xf0, state), (0x300, 0x200), (0xc00, 0x800), (0x3000, 0x2000)];
    let listed = selected(flags, &own);
    let list = Writer::new();
    let list = if listed && wanted != 0 { domain(list.u32(1), which.id) } else { list.u32(0) };
    Ok(Answer::Result(list.u32(listed.into())))
}

fn vcpus(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = Arguments::domain(arguments)?;
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

fn told(call: &mut Call<'_>, event: Lifecycle) -> Outcome {
    call.events.push(event);
    Ok(Answer::Result(Writer::new()))
}

fn not_in_state(what: &str) -> Failure {
    Failure::made(error::INTERNAL_ERROR, error_domain::TEST, format!("domain 'test' not {what}"))
}

fn suspend(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = Arguments::domain(arguments)?;
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    if check(call, named)?.state != domain_state::RUNNING {
        return Err(not_in_state("running"));
    }
    let event = call.driver(Needs::Hypervisor)?.domain.suspend();
    told(call, event)
}

fn resume(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = Arguments::domain(arguments)?;
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    if check(call, named)?.state != domain_state::PAUSED {
        return Err(not_in_state("paused"));
    }
    let event = call.driver(Needs::Hypervisor)?.domain.resume();
    told(call, event)
}

fn destroy(call: &mut Call<'_>, arguments: &mut Arguments<'_>, flags: bool) -> Outcome {
    let named = Arguments::domain(arguments)?;
    let flags = if flags { arguments.u32()? } else { 0 };
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    call.check_flags(flags, 1)?;
    if !check(call, named)?.is_active() {
        return Err(Failure::invalid(DOMAIN_CODE, "domain is not running"));
    }
    let event = call.driver(Needs::Hypervisor)?.domain.destroy();
    told(call, event)
}

fn create(call: &mut Call<'_>, arguments: &mut Arguments<'_>, flags: bool) -> Outcome {
    let named = Arguments::domain(arguments)?;
    let with_flags = flags;
    let flags = if flags { arguments.u32()? } else { 0 };
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    call.check_flags(flags, 0)?;
    if check(call, named)?.is_active() {
        let detail = "Domain 'test' is already running";
        return Err(Failure::made(error::INTERNAL_ERROR, error_domain::TEST, detail));
    }
    let event = call.driver(Needs::Hypervisor)?.domain.start();
    call.events.push(event);
    let result = Writer::new();
    // The newer of the two gives the domain back, with its new id.
    Ok(Answer::Result(if with_flags { domain(result, event.domain_id) } else { result }))
}

fn take_screenshot(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let named = Arguments::domain(arguments)?;
    let (_screen, flags) = (arguments.u32()?, arguments.u32()?);
    call.writable(Needs::Hypervisor, DOMAIN_CODE)?;
    call.check_flags(flags, 0)?;
    check(call, named)?;
    Ok(Answer::Stream(Writer::new().optional(Some(b"image/png")), screenshot().into()))
}

/// A function that the driver lacks; `integers` are the arguments behind the domain.
fn lacks(call: &mut Call<'_>, arguments: &mut Arguments<'_>, integers: usize) -> Outcome {
    Arguments::domain(arguments)?;
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
    Ok(Answer::Result(match (legacy, call.procedure) {
        (false, _) => Writer::new().i32(id),
        (true, proc::CONNECT_DOMAIN_EVENT_REGISTER) => Writer::new().i32(0),
        (true, _) => Writer::new(),
    }))
}

fn deregister(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let id = arguments.i32()?;
    call.driver(Needs::Hypervisor)?;
    let before = call.session.callbacks.len();
    call.session.callbacks.retain(|known| known.id != id);
    if call.session.callbacks.len() == before {
        return Err(Failure::internal(format!("domain event callback {id} not registered")));
    }
    Ok(Answer::Result(Writer::new()))
}

fn deregister_legacy(call: &mut Call<'_>, event: i32) -> Outcome {
    call.driver(Needs::Hypervisor)?;
    let found = call.session.callbacks.iter().position(|known| known.event == event);
    let Some(at) = found else {
        return Err(Failure::internal(format!("domain event {event} not registered")));
    };
    call.session.callbacks.remove(at);
    let old = call.procedure == proc::CONNECT_DOMAIN_EVENT_DEREGISTER;
    Ok(Answer::Result(if old { Writer::new().i32(0) } else { Writer::new() }))
}
