//! Calls about interfaces and their transactions.

use wire::xdr::Writer;

use super::super::description::Description;
use super::super::driver::TestDriver;
use super::super::failure::{Failure, MULTIPLE_INTERFACES};
use super::super::interfaces::{Interface, Interfaces};
use super::{
    Arguments, Call, Function, Needs, Outcome, check_max, counted, done, library_name, list_all, list_of,
};
use crate::names::{error, error_domain, interface_list_flag, procedures as proc};

const OBJECTS: Needs = Needs::Objects;
const INTERFACE: i32 = error_domain::INTERFACE;

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::CONNECT_NUM_OF_INTERFACES, |call, _| count(call, true)),
    (proc::CONNECT_NUM_OF_DEFINED_INTERFACES, |call, _| count(call, false)),
    (proc::CONNECT_LIST_INTERFACES, |call, arguments| list(call, arguments, true)),
    (proc::CONNECT_LIST_DEFINED_INTERFACES, |call, arguments| list(call, arguments, false)),
    (proc::CONNECT_LIST_ALL_INTERFACES, list_all_interfaces),
    (proc::INTERFACE_LOOKUP_BY_NAME, |call, arguments| {
        let name = arguments.string()?;
        let (_, interface) = known(call, name)?;
        done(written(Writer::new(), &interface))
    }),
    (proc::INTERFACE_LOOKUP_BY_MAC_STRING, by_mac),
    (proc::INTERFACE_GET_XML_DESC, |call, arguments| {
        let (name, flags) = named(arguments, true)?;
        call.driver(OBJECTS)?;
        call.check_flags(flags, 0)?;
        let (_, interface) = known(call, name)?;
        done(Writer::new().opaque(&interface.description.format()))
    }),
    (proc::INTERFACE_IS_ACTIVE, |call, arguments| {
        let (name, _) = named(arguments, false)?;
        let (_, interface) = known(call, name)?;
        done(Writer::new().i32(interface.active.into()))
    }),
    (proc::INTERFACE_DEFINE_XML, define),
    (proc::INTERFACE_UNDEFINE, |call, arguments| {
        let (name, _) = named(arguments, false)?;
        check_change(call)?;
        let (name, _) = known(call, name)?;
        call.driver(OBJECTS)?.interfaces.undefine(&name)?;
        done(Writer::new())
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

fn count(call: &mut Call<'_>, active: bool) -> Outcome {
    let count = all(call)?.values().filter(|interface| interface.active == active).count();
    done(Writer::new().u32(counted(count)))
}

fn list(call: &mut Call<'_>, arguments: &mut Arguments<'_>, active: bool) -> Outcome {
    let max = arguments.i32()?;
    call.driver(OBJECTS)?;
    let wanted = check_max(max, call.dialect.limits.list, "maxnames", "INTERFACE_LIST_MAX")?;
    let interfaces = all(call)?;
    let listed = interfaces.iter().filter(|(_, interface)| interface.active == active);
    let names: Vec<&Vec<u8>> = listed.map(|(name, _)| name).take(wanted).collect();
    done(list_of(&names, |list, name| list.opaque(name)))
}

fn list_all_interfaces(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (inactive, active) = (interface_list_flag::INACTIVE, interface_list_flag::ACTIVE);
    let own = |one: &Interface| [(inactive | active, if one.active { active } else { inactive })];
    let all = |driver: &mut TestDriver| Ok(driver.interfaces.all()?.into_values().collect());
    list_all(call, arguments, (OBJECTS, inactive | active), all, own, written)
}

fn by_mac(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let mac = arguments.string()?;
    let interfaces = all(call)?;
    let mut found = interfaces.values().filter(|known| known.description.mac.eq_ignore_ascii_case(mac));
    match (found.next(), found.next()) {
        (None, _) => Err(not_found(call, "mac", mac)),
        (Some(interface), None) => done(written(Writer::new(), interface)),
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
    done(result)
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
    done(Writer::new())
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
    done(Writer::new())
}
