//! The loopback device of a fresh network namespace, which is down.
//!
//! ```text
//! nlmsghdr    len u32, type u16, flags u16, seq u32, pid u32       include/uapi/linux/netlink.h
//! ifinfomsg   family u8, pad u8, type u16, index i32, flags u32, change u32       rtnetlink.h
//! ```

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

/// `NETLINK_ROUTE` is 0.
const ROUTE: Option<Protocol> = None;
const RTM_NEWLINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK`
const FLAGS: u16 = 0x1 | 0x4;
const MESSAGE_LEN: u32 = 32;
/// Loopback is the first device of every namespace.
const LOOPBACK: i32 = 1;
const IFF_UP: u32 = 1;
/// Where an acknowledgement has its error: behind its `nlmsghdr`.
const ERROR: std::ops::Range<usize> = 16..20;

/// Takes it up, for peers that speak TCP.
pub(super) fn up() -> io::Result<()> {
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, ROUTE)?;
    let mut message = Vec::new();
    message.extend(MESSAGE_LEN.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    // Number of the request, port of the sender, family, padding and type of the device.
    message.extend([0; 12]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    sendto(&netlink, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 128];
    recv(&netlink, &mut answer, RecvFlags::empty())?;
    match answer.get(ERROR).and_then(|error| error.try_into().ok()).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error.unwrap_or_default())),
    }
}
