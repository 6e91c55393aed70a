//! Calls about the machine and its devices.

use wire::xdr::Writer;

use super::super::driver::{NODE_DEVICES, NodeDevice, lacks};
use super::super::failure::{Failure, NO_NODE_DEVICE};
use super::{
    Arguments, Call, Function, Needs, Outcome, check_max, counted, done, library_name, list_all, list_of,
};
use crate::names::{error_domain, node_device_list_flag as flag, procedures as proc};

const OBJECTS: Needs = Needs::Objects;
/// The most bytes of the name of a processor.
const MODEL_LEN: usize = 32;
/// Memory of the two cells in KiB.
const CELLS: [u64; 2] = [2 << 20, 4 << 20];

pub(super) const TABLE: &[(i32, Function)] = &[
    (proc::NODE_GET_INFO, node_info),
    (proc::NODE_GET_FREE_MEMORY, |call, _| {
        call.driver(Needs::Hypervisor)?;
        done(Writer::new().u64(3 << 20))
    }),
    (proc::NODE_GET_CELLS_FREE_MEMORY, cells),
    (proc::NODE_NUM_OF_DEVICES, |call, arguments| {
        let (capability, _flags) = (arguments.optional()?, arguments.u32()?);
        call.driver(OBJECTS)?;
        let count = NODE_DEVICES.iter().filter(|device| can(device, capability)).count();
        done(Writer::new().u32(counted(count)))
    }),
    (proc::NODE_LIST_DEVICES, list),
    (proc::CONNECT_LIST_ALL_NODE_DEVICES, list_all_devices),
    (proc::NODE_DEVICE_LOOKUP_BY_NAME, |call, arguments| {
        let device = looked_up(call, arguments)?;
        done(Writer::new().opaque(device.name.as_bytes()))
    }),
    (proc::NODE_DEVICE_GET_XML_DESC, |call, arguments| {
        let device = looked_up(call, arguments)?;
        let flags = arguments.u32()?;
        call.check_flags(flags, 0)?;
        done(Writer::new().opaque(device.xml.as_bytes()))
    }),
    (proc::NODE_DEVICE_GET_PARENT, |call, arguments| {
        let device = looked_up(call, arguments)?;
        done(Writer::new().optional(device.parent.map(str::as_bytes)))
    }),
    (proc::NODE_DEVICE_NUM_OF_CAPS, |call, arguments| {
        let device = looked_up(call, arguments)?;
        done(Writer::new().u32(counted(device.capabilities.len())))
    }),
    (proc::NODE_DEVICE_LIST_CAPS, |call, arguments| {
        let device = looked_up(call, arguments)?;
        let max = usize::try_from(arguments.i32()?).unwrap_or(0);
        let listed = device.capabilities.get(..max).unwrap_or(device.capabilities);
        done(list_of(listed, |list, name| list.opaque(name.as_bytes())))
    }),
    (proc::NODE_DEVICE_IS_ACTIVE, state),
    (proc::NODE_DEVICE_IS_PERSISTENT, state),
    (proc::NODE_DEVICE_GET_AUTOSTART, state),
];

fn node_info(call: &mut Call<'_>, _arguments: &mut Arguments<'_>) -> Outcome {
    call.driver(Needs::Hypervisor)?;
    // One character of the name to an integer.
    let model = "i686".bytes().chain(std::iter::repeat(0)).take(MODEL_LEN);
    let info = model.fold(Writer::new(), |info, byte| info.u32(byte.into()));
    // Memory in KiB, processors, MHz, nodes, sockets, cores, threads.
    let counts = [16, 1400, 2, 2, 2, 2];
    done(counts.into_iter().fold(info.u64(3 << 20), Writer::i32))
}

fn cells(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (first, max) = (arguments.i32()?, arguments.i32()?);
    call.driver(Needs::Hypervisor)?;
    let wanted = check_max(max, call.dialect.limits.cells, "maxcells", "NODE_MAX_CELLS")?;
    let told = CELLS.into_iter().skip(usize::try_from(first).unwrap_or(0)).take(wanted);
    done(list_of(&told.collect::<Vec<_>>(), |list, cell| list.u64(*cell)))
}

fn can(device: &NodeDevice, capability: Option<&[u8]>) -> bool {
    capability.is_none_or(|wanted| device.capabilities.iter().any(|own| own.as_bytes() == wanted))
}

fn list(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let capability = arguments.optional()?;
    let (max, _flags) = (arguments.i32()?, arguments.u32()?);
    call.driver(OBJECTS)?;
    let limit = call.dialect.limits.node_devices;
    let wanted = check_max(max, limit, "maxnames", "NODE_DEVICE_LIST_MAX")?;
    let listed = NODE_DEVICES.iter().filter(|device| can(device, capability)).take(wanted);
    done(list_of(&listed.collect::<Vec<_>>(), |list, device| list.opaque(device.name.as_bytes())))
}

fn list_all_devices(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    // All of them are active and persistent.
    let (states, lasting) = (flag::ACTIVE | flag::INACTIVE, PERSISTENT | TRANSIENT);
    let own = |device: &NodeDevice| {
        let able = device.capability_flags();
        [(states, flag::ACTIVE), (lasting, PERSISTENT), (!(states | lasting), able)]
    };
    let written = |list: Writer, device: &NodeDevice| list.opaque(device.name.as_bytes());
    list_all(call, arguments, (OBJECTS, u32::MAX), |_| Ok(NODE_DEVICES.to_vec()), own, written)
}

/// Flags of lists since 10.1.0, measured on 11.3.0: both are known.
const PERSISTENT: u32 = 0x1000_0000;
const TRANSIENT: u32 = 0x2000_0000;

fn looked_up(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Result<&'static NodeDevice, Failure> {
    let name = arguments.string()?;
    call.driver(OBJECTS)?;
    let known = NODE_DEVICES.iter().find(|device| device.name.as_bytes() == name);
    known.ok_or_else(|| Failure::unknown(NO_NODE_DEVICE, "node device", name))
}

/// Whether a device is active, lasting, started by itself: as far as the dialect's driver says it.
fn state(call: &mut Call<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    if lacks(call.dialect, call.procedure) {
        arguments.string()?;
        call.driver(OBJECTS)?;
        return Err(Failure::no_support(error_domain::NODEDEV, library_name(call.procedure)));
    }
    looked_up(call, arguments)?;
    done(Writer::new().i32(1))
}
