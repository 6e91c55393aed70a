//! Calls about networks and storage pools.

use wire::xdr::Writer;

use super::super::defects;
use super::super::description::Element;
use super::super::driver::{DhcpHost, NETWORK, NETWORK_UUID, Network, POOL, POOL_UUID, POOL_XML};
use super::super::failure::{Failure, NO_NETWORK, NO_STORAGE_POOL};
use super::{Arguments, Call, Function, Needs, Outcome, check_max, done, list_all, list_of};
use crate::dialect::UpdateOrder;
use crate::names::{error, error_domain, procedures as proc, update_command, update_section};

const OBJECTS: Needs = Needs::Objects;
const NETWORK_DOMAIN: i32 = error_domain::NETWORK;

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::CONNECT_NUM_OF_NETWORKS, |call, _| integer(call, 1)),
    (proc::CONNECT_NUM_OF_DEFINED_NETWORKS, |call, _| integer(call, 0)),
    (proc::CONNECT_LIST_NETWORKS, |call, arguments| list(call, arguments, "NETWORK_LIST_MAX", Some(NETWORK))),
    (proc::CONNECT_LIST_DEFINED_NETWORKS, |call, arguments| list(call, arguments, "NETWORK_LIST_MAX", None)),
    (proc::CONNECT_LIST_ALL_NETWORKS, |call, arguments| {
        // Active, persistent, autostart.
        let own = |_: &&str| [(0x3, 0x2), (0xc, 0x4), (0x30, 0x20)];
        let written = |list: Writer, name: &&str| list.opaque(name.as_bytes()).fixed(&NETWORK_UUID);
        list_all(call, arguments, (OBJECTS, 0x3f), |_| Ok(vec![NETWORK]), own, written)
    }),
    (proc::NETWORK_LOOKUP_BY_NAME, |call, arguments| {
        let name = arguments.string()?;
        network(call, name)?;
        done(Writer::new().opaque(name).fixed(&NETWORK_UUID))
    }),
    (proc::NETWORK_LOOKUP_BY_UUID, |call, arguments| {
        let uuid = arguments.uuid()?;
        call.driver(OBJECTS)?;
        if uuid != NETWORK_UUID {
            return Err(no_network(&[]));
        }
        done(Writer::new().opaque(NETWORK.as_bytes()).fixed(&NETWORK_UUID))
    }),
    (proc::NETWORK_GET_XML_DESC, |call, arguments| {
        let name = named(arguments)?;
        let flags = arguments.u32()?;
        call.driver(OBJECTS)?;
        call.check_flags(flags, 0)?;
        let xml = network(call, name)?.xml();
        done(Writer::new().opaque(&xml))
    }),
    (proc::NETWORK_GET_BRIDGE_NAME, |call, arguments| {
        let name = named(arguments)?;
        network(call, name)?;
        done(Writer::new().opaque(b"virbr0"))
    }),
    (proc::NETWORK_IS_ACTIVE, |call, arguments| asked(call, arguments, 1)),
    (proc::NETWORK_IS_PERSISTENT, |call, arguments| asked(call, arguments, 1)),
    (proc::NETWORK_GET_AUTOSTART, |call, arguments| asked(call, arguments, 0)),
    (proc::NETWORK_UPDATE, update),
    (proc::NETWORK_SET_METADATA, set_metadata),
    (proc::NETWORK_GET_METADATA, get_metadata),
    (proc::CONNECT_NUM_OF_STORAGE_POOLS, |call, _| integer(call, 1)),
    (proc::CONNECT_NUM_OF_DEFINED_STORAGE_POOLS, |call, _| integer(call, 0)),
    (proc::CONNECT_LIST_STORAGE_POOLS, |call, arguments| {
        list(call, arguments, "STORAGE_POOL_LIST_MAX", Some(POOL))
    }),
    (proc::CONNECT_LIST_DEFINED_STORAGE_POOLS, |call, arguments| {
        list(call, arguments, "STORAGE_POOL_LIST_MAX", None)
    }),
    (proc::CONNECT_LIST_ALL_STORAGE_POOLS, |call, arguments| {
        // Active, persistent, autostart, kind.
        let own = |_: &&str| [(0x3, 0x2), (0xc, 0x4), (0x30, 0x20), (0xf_ffc0, 0x40)];
        let written = |list: Writer, name: &&str| list.opaque(name.as_bytes()).fixed(&POOL_UUID);
        list_all(call, arguments, (OBJECTS, 0xf_ffff), |_| Ok(vec![POOL]), own, written)
    }),
    (proc::STORAGE_POOL_LOOKUP_BY_NAME, |call, arguments| {
        let name = arguments.string()?;
        call.driver(OBJECTS)?;
        check_pool(name)?;
        done(Writer::new().opaque(name).fixed(&POOL_UUID))
    }),
    (proc::STORAGE_POOL_GET_INFO, |call, arguments| {
        pool(call, arguments)?;
        // Running; capacity, allocation and what is left in bytes.
        done(Writer::new().i32(2).u64(POOL_LEN).u64(0).u64(POOL_LEN))
    }),
    (proc::STORAGE_POOL_GET_XML_DESC, |call, arguments| {
        pool(call, arguments)?;
        arguments.u32()?;
        done(Writer::new().opaque(POOL_XML.as_bytes()))
    }),
    (proc::STORAGE_POOL_IS_ACTIVE, |call, arguments| pool_says(call, arguments, 1)),
    (proc::STORAGE_POOL_IS_PERSISTENT, |call, arguments| pool_says(call, arguments, 1)),
    (proc::STORAGE_POOL_GET_AUTOSTART, |call, arguments| pool_says(call, arguments, 0)),
    (proc::STORAGE_POOL_NUM_OF_VOLUMES, |call, arguments| pool_says(call, arguments, 0)),
];

/// What the pool of the test driver holds, in bytes.
const POOL_LEN: u64 = 107_374_182_400;

fn integer(call: &mut Call<'_>, value: i32) -> Outcome {
    call.driver(OBJECTS)?;
    done(Writer::new().i32(value))
}

fn list(call: &mut Call<'_>, arguments: &mut Arguments<'_>, objects: &str, one: Option<&str>) -> Outcome {
    let max = arguments.i32()?;
    call.driver(OBJECTS)?;
    let wanted = check_max(max, call.dialect.limits.list, "maxnames", objects)?;
    let listed: Vec<&str> = one.into_iter().take(wanted).collect();
    done(list_of(&listed, |list, name| list.opaque(name.as_bytes())))
}

/// A network or pool as a call names it: name and identity. The driver goes by the name.
fn named<'a>(arguments: &mut Arguments<'a>) -> Result<&'a [u8], Failure> {
    let (name, _uuid) = (arguments.string()?, arguments.uuid()?);
    Ok(name)
}

fn no_network(name: &[u8]) -> Failure {
    Failure::unknown(NO_NETWORK, "network", name)
}

fn network<'a>(call: &'a mut Call<'_>, name: &[u8]) -> Result<&'a mut Network, Failure> {
    let driver = call.driver(OBJECTS)?;
    if name == NETWORK.as_bytes() { Ok(&mut driver.network) } else { Err(no_network(name)) }
}

fn asked(call: &mut Call<'_>, arguments: &mut Arguments<'_>, value: i32) -> Outcome {
    let name = named(arguments)?;
    network(call, name)?;
    done(Writer::new().i32(value))
}

fn check_pool(name: &[u8]) -> Result<(), Failure> {
    let known = name == POOL.as_bytes();
    known.then_some(()).ok_or_else(|| Failure::unknown(NO_STORAGE_POOL, "storage pool", name))
}

fn pool(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Result<(), Failure> {
    let name = named(arguments)?;
    call.driver(OBJECTS)?;
    check_pool(name)
}

fn pool_says(call: &mut Call<'_>, arguments: &mut Arguments<'_>, value: i32) -> Outcome {
    pool(call, arguments)?;
    done(Writer::new().i32(value))
}

/// Changes a part of the network. Which of the first two integers is which depends on the release.
fn update(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let name = named(arguments)?;
    let (first, second) = (arguments.u32()?, arguments.u32()?);
    let (index, xml, flags) = (arguments.i32()?, arguments.string()?, arguments.u32()?);
    call.writable(OBJECTS, NETWORK_DOMAIN)?;
    call.check_flags(flags, 0x3)?;
    let command_first = (call.dialect.update_order == UpdateOrder::CommandFirst)
        != call.switches.has(defects::UPDATE_SWAPPED);
    let (command, section) = if command_first { (first, second) } else { (second, first) };
    let dialect = call.dialect;
    let network = network(call, name)?;
    if section != update_section::IP_DHCP_HOST {
        return Err(section_refused(section, command));
    }
    let element =
        Element::parse(xml).map_err(|why| why.told(dialect, NETWORK_DOMAIN, "network_update_xml"))?;
    if element.name != b"host" {
        let detail = unexpected(&element.name, "host");
        return Err(Failure::xml(NETWORK_DOMAIN, detail));
    }
    if index > 0 {
        let detail = format!(
            "couldn't update dhcp host entry - no <ip> element found at index {index} in network 'default'"
        );
        return Err(Failure::invalid(NETWORK_DOMAIN, detail));
    }
    let value = |attribute| element.attribute(attribute).map(<[u8]>::to_vec);
    let host = DhcpHost { mac: value("mac"), name: value("name"), ip: value("ip") };
    if host.mac.is_none() && host.name.is_none() {
        let detail = "Static host definition in IPv4 network 'default' must have mac or name attribute";
        return Err(Failure::xml(NETWORK_DOMAIN, detail));
    }
    change_hosts(&mut network.hosts, host, command)?;
    done(Writer::new())
}

fn unexpected(element: &[u8], wanted: &str) -> String {
    let element = String::from_utf8_lossy(element);
    format!("unexpected element <{element}>, expecting <{wanted}>, while updating network 'default'")
}

/// What the driver says for sections of which this server keeps nothing.
fn section_refused(section: u32, command: u32) -> Failure {
    let cannot = |what: &str| Failure::made(error::OPERATION_UNSUPPORTED, NETWORK_DOMAIN, what);
    let section_of = |name: &str| cannot(&format!("can't update '{name}' section of network 'default'"));
    let element = |wanted: &str| Failure::xml(NETWORK_DOMAIN, unexpected(b"host", wanted));
    match section {
        update_section::BRIDGE => section_of("bridge"),
        update_section::DOMAIN => section_of("domain"),
        update_section::IP => section_of("ip"),
        update_section::FORWARD => section_of("forward"),
        update_section::FORWARD_PF => section_of("forward pf"),
        update_section::IP_DHCP_RANGE => element("range"),
        update_section::FORWARD_INTERFACE => element("interface"),
        update_section::PORTGROUP => element("portgroup"),
        update_section::DNS_TXT => element("txt"),
        update_section::DNS_SRV if command != update_command::MODIFY => element("srv"),
        update_section::DNS_SRV => cannot("DNS SRV records cannot be modified, only added or deleted"),
        update_section::DNS_HOST => {
            let text = "Missing hostname in network 'default' DNS HOST record";
            Failure::plain(error::XML_DETAIL, NETWORK_DOMAIN, text)
        }
        _ => cannot("can't update unrecognized section of network"),
    }
}

fn change_hosts(hosts: &mut Vec<DhcpHost>, host: DhcpHost, command: u32) -> Result<(), Failure> {
    let same = |a: &Option<Vec<u8>>, b: &Option<Vec<u8>>| a.is_some() && a == b;
    let matches = |known: &DhcpHost| {
        same(&known.mac, &host.mac) || same(&known.ip, &host.ip) || same(&known.name, &host.name)
    };
    let found = hosts.iter().position(matches);
    let refused = |what: &str| Err(Failure::invalid(NETWORK_DOMAIN, what));
    match (command, found) {
        (update_command::MODIFY, Some(at)) => {
            if let Some(known) = hosts.get_mut(at) {
                *known = host;
            }
        }
        (update_command::MODIFY, None) => {
            return refused("couldn't locate an existing dhcp host entry in network 'default'");
        }
        (update_command::DELETE, Some(at)) => {
            hosts.remove(at);
        }
        (update_command::DELETE, None) => {
            return refused("couldn't locate a matching dhcp host entry in network 'default'");
        }
        (update_command::ADD_FIRST | update_command::ADD_LAST, Some(_)) => {
            return refused("there is an existing dhcp host entry in network 'default' that matches");
        }
        (update_command::ADD_FIRST, None) => hosts.insert(0, host),
        (update_command::ADD_LAST, None) => hosts.push(host),
        (other, _) => {
            let detail = format!("unrecognized network update command code {other}");
            return Err(Failure::made(error::OPERATION_UNSUPPORTED, NETWORK_DOMAIN, detail));
        }
    }
    Ok(())
}

/// Metadata that is kept: the description, and the title.
const DESCRIPTION: i32 = 0;
const TITLE: i32 = 1;
const ELEMENT: i32 = 2;

fn unknown_metadata(kind: i32) -> Failure {
    Failure::made(error::INVALID_ARG, NETWORK_DOMAIN, format!("unknown metadata type '{kind}'"))
}

fn set_metadata(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let name = named(arguments)?;
    let kind = arguments.i32()?;
    let text = arguments.optional()?;
    let (_key, _uri, flags) = (arguments.optional()?, arguments.optional()?, arguments.u32()?);
    call.writable(OBJECTS, NETWORK_DOMAIN)?;
    call.check_flags(flags, 0x3)?;
    let network = network(call, name)?;
    let text = text.map(<[u8]>::to_vec);
    match kind {
        DESCRIPTION => network.description = text,
        TITLE => network.title = text,
        other => return Err(unknown_metadata(other)),
    }
    done(Writer::new())
}

fn get_metadata(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let name = named(arguments)?;
    let kind = arguments.i32()?;
    let (_uri, flags) = (arguments.optional()?, arguments.u32()?);
    call.driver(OBJECTS)?;
    call.check_flags(flags, 0x3)?;
    let network = network(call, name)?;
    let text = match kind {
        DESCRIPTION => &network.description,
        TITLE => &network.title,
        ELEMENT => &None,
        other => return Err(unknown_metadata(other)),
    };
    let Some(text) = text else {
        let detail = "Requested metadata element is not present";
        return Err(Failure::made(error::NO_NETWORK_METADATA, NETWORK_DOMAIN, detail));
    };
    done(Writer::new().opaque(text))
}
