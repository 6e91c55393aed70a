//! Calls about interfaces and their transactions.

use wire::xdr::Writer;

use super::super::super::names::{error, error_domain, interface_list_flag, procedures as proc};
use super::super::description::Description;
use super::super::failure::{Failure, MULTIPLE_INTERFACES};
use super::super::interfaces::{Interface, Interfaces};
use super::domains::{check_max, selected};
use super::{Answer, Arguments, Call, Function, Needs, Outcome, library_name};

const OBJECTS: Needs = Needs::Objects;
const INTERFACE: i32 = error_domain::INTERFACE;

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::CONNECT_NUM_OF_INTERFACES, |call, _| count(call, true)),
    (proc::CONNECT_NUM_OF_DEFINED_INTERFACES, |call, _| count(call, false)),
    (proc::CONNECT_LIST_INTERFACES, |call, arguments| list(call, arguments, true)),
    (proc::CONNECT_LIST_DEFINED_INTERFACES, |call, arguments| list(call, arguments, false)),
    (proc::CONNECT_LIST_ALL_INTERFACES, list_all),
    (proc::INTERFACE_LOOKUP_BY_NAME, |call, arguments| {
        let name = arguments.string()?;
        let (_, interface) = known(call, name)?;
        Ok(Answer::Result(written(Writer::new(), &interface)))
    }),
    (proc::INTERFACE_LOOKUP_BY_MAC_STRING, by_mac),
    (proc::INTERFACE_GET_XML_DESC, |call, arguments| {
        let (name, flags) = named(arguments, true)?;
        call.driver(OBJECTS)?;
        call.check_flags(flags, 0)?;
        let (_, interface) = known(call, name)?;
        Ok(Answer::Result(Writer::new().opaque(&interface.description.format())))
    }),
    (proc::INTERFACE_IS_ACTIVE, |call, arguments| {
        let (name, _) = named(arguments, false)?;
        let (_, interface) = known(call, name)?;
        Ok(Answer::Result(Writer::new().i32(interface.active.into())))
    }),
    (proc::INTERFACE_DEFINE_XML, define),
    (proc::INTERFACE_UNDEFINE, |call, arguments| {
        let (name, _) = named(arguments, false)?;
        check_change(call)?;
        let (name, _) = known(call, name)?;
        call.driver(OBJECTS)?.interfaces.undefine(&name)?;
        Ok(Answer::Result(Writer::new()))
    }),
    (proc::INTERFACE_CREATE, |call, arguments| set_active(call, arguments, true)),
    (proc::INTERFACE_DESTROY, |call, arguments| set_active(call, arguments, false)),
    (proc::INTERFACE_CHANGE_BEGIN, transaction),
    (proc::INTERFACE_CHANGE_COMMIT, transaction),
    (proc::INTERFACE_CHANGE_ROLLBACK, transaction),
];

/// An interface as a call names it: name and address. The driver goes by the name.
fn named<'a>(arguments: &mut Arguments<'a>, flags: bool) -> Result<(&'a [u8], u32), Failure> {
    let (name, _mac) = (arguments.string()?, arguments.string()?);
    Ok((name, if flags { arguments.u32()? } else { 0 }))
}

fn not_found(call: &mut Call<'_>, by: &str, value: &[u8]) -> Failure {
    let value = String::from_utf8_lossy(value);
    match call.driver(OBJECTS) {
        Ok(driver) => driver.interfaces.not_found(by, &value),
        Err(failure) => failure,
    }
}

/// Refuses who may not change anything, and where nothing can be changed.
fn check_change(call: &mut Call<'_>) -> Result<(), Failure> {
    if call.writable(OBJECTS, INTERFACE)?.interfaces.is_fixed() {
        return Err(Failure::no_support(INTERFACE, library_name(call.procedure)));
    }
    Ok(())
}

fn all(call: &mut Call<'_>) -> Result<Interfaces, Failure> {
    call.driver(OBJECTS)?.interfaces.all()
}

fn known(call: &mut Call<'_>, name: &[u8]) -> Result<(Vec<u8>, Interface), Failure> {
    let found = all(call)?.remove_entry(name);
    found.ok_or_else(|| not_found(call, "name", name))
}

fn written(writer: Writer, interface: &Interface) -> Writer {
    writer.opaque(&interface.description.name).opaque(&interface.description.mac)
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count(call: &mut Call<'_>, active: bool) -> Outcome {
    let count = all(call)?.values().filter(|interface| interface.active == active).count();
    Ok(Answer::Result(Writer::new().u32(counted(count))))
}

fn list(call: &mut Call<'_>, arguments: &mut Arguments<'_>, active: bool) -> Outcome {
    let max = arguments.i32()?;
    call.driver(OBJECTS)?;
    check_max(call, max, "maxnames", "INTERFACE")?;
    let interfaces = all(call)?;
    let listed = interfaces.iter().filter(|(_, interface)| interface.active == active);
    let names: Vec<&Vec<u8>> = listed.map(|(name, _)| name).take(usize::try_from(max).unwrap_or(0)).collect();
    let list = Writer::new().u32(counted(names.len()));
    Ok(Answer::Result(names.into_iter().fold(list, |list, name| list.opaque(name))))
}

fn list_all(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (wanted, flags) = (arguments.i32()?, arguments.u32()?);
    call.driver(OBJECTS)?;
    let (inactive, active) = (interface_list_flag::INACTIVE, interface_list_flag::ACTIVE);
    call.check_flags(flags, inactive | active)?;
    let interfaces = all(call)?;
    let listed = |interface: &&Interface| {
        let own = if interface.active { active } else { inactive };
        selected(flags, &[(inactive | active, own)])
    };
    let listed: Vec<&Interface> = interfaces.values().filter(listed).collect();
    let count = counted(listed.len());
    let list = if wanted == 0 {
        Writer::new().u32(0)
    } else {
        listed.into_iter().fold(Writer::new().u32(count), written)
    };
    Ok(Answer::Result(list.u32(count)))
}

fn by_mac(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let mac = arguments.string()?;
    let interfaces = all(call)?;
    let mut found = interfaces.values().filter(|known| known.description.mac.eq_ignore_ascii_case(mac));
    match (found.next(), found.next()) {
        (None, _) => Err(not_found(call, "mac", mac)),
        (Some(interface), None) => Ok(Answer::Result(written(Writer::new(), interface))),
        (Some(_), Some(_)) => {
            let text = "multiple matching interfaces found";
            Err(Failure::bare(MULTIPLE_INTERFACES, error_domain::TEST, text))
        }
    }
}

fn define(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (xml, flags) = (arguments.string()?, arguments.u32()?);
    check_change(call)?;
    call.check_flags(flags, 0)?;
    let description =
        Description::parse(xml).map_err(|why| why.told(call.dialect, INTERFACE, "interface_definition"))?;
    let result = Writer::new().opaque(&description.name).opaque(&description.mac);
    call.driver(OBJECTS)?.interfaces.define(description)?;
    Ok(Answer::Result(result))
}

fn set_active(call: &mut Call<'_>, arguments: &mut Arguments<'_>, active: bool) -> Outcome {
    let (name, flags) = named(arguments, true)?;
    check_change(call)?;
    call.check_flags(flags, 0)?;
    let (name, interface) = known(call, name)?;
    if interface.active == active {
        let text = "Requested operation is not valid";
        return Err(Failure::bare(error::OPERATION_INVALID, error_domain::TEST, text));
    }
    call.driver(OBJECTS)?.interfaces.set_active(&name, active)?;
    Ok(Answer::Result(Writer::new()))
}

fn transaction(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let flags = arguments.u32()?;
    check_change(call)?;
    call.check_flags(flags, 0)?;
    let (procedure, owner) = (call.procedure, call.session.owner);
    let interfaces = &mut call.driver(OBJECTS)?.interfaces;
    match procedure {
        proc::INTERFACE_CHANGE_BEGIN => interfaces.begin(owner)?,
        proc::INTERFACE_CHANGE_COMMIT => interfaces.commit(owner)?,
        _ => interfaces.rollback(owner)?,
    }
    Ok(Answer::Result(Writer::new()))
}
