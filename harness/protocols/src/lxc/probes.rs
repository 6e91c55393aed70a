//! What is asked of every server.

use bytes::Bytes;

use super::names::{self, GET_CONFIG_ITEM, GET_INIT_PID, GET_STATE};
use super::request;
use crate::Case;
use crate::probe::{Description, generic};

/// What the generic probes have to know.
#[must_use]
pub fn description() -> Description {
    Description {
        canary: request::plain(GET_STATE, 0),
        second: request::plain(GET_INIT_PID, 0),
        with_payload: request::text(GET_CONFIG_ITEM, "lxc.uts.name"),
        unknown: |len| request::with_payload(names::UNKNOWN, &vec![0xa5; len]),
        announcing: |len| request::lying(GET_STATE, saturated(len), 0, b""),
        payload_max: 8192,
        head_len: request::LAYOUT.head_len(),
        length_max: i32::MAX.into(),
        length_min: i32::MIN.into(),
        // `-ENOSYS`: read as a request, a number that no release knows.
        reply: Bytes::from_static(&[0xda, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        trailing_bytes: request::with_payload(GET_STATE, &[0xa5; 16]),
        missing_bytes: request::with_payload(names::ADD_STATE_CLIENT, &[0; 28]),
        unknown_fields: request::with_payload(names::GET_CGROUP_FD, &request::cgroup_fd("devices", 88)),
        text: |bytes| request::with_payload(GET_CONFIG_ITEM, bytes),
    }
}

fn saturated(len: i64) -> i32 {
    i32::try_from(len).unwrap_or(if len < 0 { i32::MIN } else { i32::MAX })
}

/// All probes, the generic ones first.
#[must_use]
pub fn all() -> Vec<Case> {
    generic(&description())
}
