//! What implementations of ttrpc do with what the specification leaves open: families of servers, as data.
//!
//! `containerd/ttrpc@v1.2.7:PROTOCOL.md` says that messages above 4 MiB should be rejected and that clients use odd numbers. It is
//! silent on unknown methods, on numbers that do not increase, on unknown types. All but one were measured: `go-*` on
//! containerd-shim-runc-v2 of Debian, `rs-async-*` and `rs-sync-0.3` on agents of Kata Containers, `rs-sync-0.8` on servers of the
//! crate. No release of a protocol here is of the last two, by which a server of one's own is told.
//!
//! | family | seen in |
//! |---|---|
//! | `go-1.0` | containerd 1.4.13 |
//! | `go-1.1` | containerd 1.6.20 |
//! | `go-1.2.0` | containerd 1.7.24 and 2.1.9 |
//! | `rs-sync-0.3` | kata-agent 2.0.0 |
//! | `rs-async-0.5.0` | kata-agent 2.1.0 |
//! | `rs-async-0.5.3` | kata-agent 2.5.0 and 3.0.0 |
//! | `rs-async-0.7` | kata-agent 3.2.0 |
//! | `rs-async-0.8` | kata-agent 4.0.0 |
//! | `rs-sync-0.8` | ttrpc-rust 0.8.4 and 0.10.0, synchronous; arguments that cannot be decoded were not measured |
//! | `go-1.2.8` | not measured: read in `containerd/ttrpc@v1.2.8:server.go` |

use wire::ttrpc::Oversize;

use crate::envelope::{Success, code};

/// What a family of servers does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How a success is written.
    pub success: Success,
    /// The code for a service that is not there.
    pub unknown_service: i64,
    /// The code for a method that is not there.
    pub unknown_method: i64,
    /// What becomes of a request without data.
    pub no_data: NoData,
    /// What becomes of a message above the limit, and the code where it is answered.
    pub oversize: (Oversize, Option<i64>),
    /// What becomes of a request whose data is no call.
    pub no_call: NoCallGets,
    /// Whether a name that is a number makes data no call. Otherwise there is no name.
    pub odd_is_no_call: bool,
    /// Whether it is said in words why.
    pub says_why_no_call: bool,
    /// What becomes of an argument that cannot be decoded.
    pub bad_payload: BadPayloadGets,
    /// What an argument is refused for.
    pub strictness: Strictness,
    /// Whether streams may have even numbers, and 0.
    pub even_streams: bool,
    /// Whether each number has to be larger than those before it.
    pub numbers_increase: bool,
    /// What becomes of data on a stream that is not open.
    pub stray_data: StrayData,
    /// Whether data that a call announced is taken with the call, and is not on a stream that is not open.
    pub takes_announced_data: bool,
    /// Whether the connection of a client that ends in mid-message is closed.
    pub closes_when_cut: bool,
    /// What becomes of requests of a client that does not read its answers.
    pub while_it_writes: WhileItWrites,
}

/// What becomes of a request without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// It calls no service, and is answered so.
    Answered,
    /// It is answered when the next message comes.
    AnsweredLate,
}

/// What becomes of a request whose data is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCallGets {
    /// INVALID_ARGUMENT.
    Refusal,
    /// The same twice.
    TwoRefusals,
}

/// What becomes of an argument that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPayloadGets {
    /// A failure with that code.
    Refusal(i64),
    /// Nothing.
    Silence,
    /// The end of the connection.
    Close,
}

/// What becomes of data on a stream that is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayData {
    /// Nothing.
    Ignored,
    /// INVALID_ARGUMENT.
    Refused,
    /// It kills the process, which may still say INVALID_ARGUMENT.
    Kills,
}

/// What becomes of requests of a client that does not read its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileItWrites {
    /// They are read.
    Reads,
    /// They wait until it has read.
    Waits,
    /// Nobody knows. A reference server reads them, of which nothing follows for the family.
    NotMeasured,
}

/// What a decoder of arguments refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strictness {
    /// A known field of another wire type.
    pub wire_type: bool,
    /// A string that is not UTF-8.
    pub utf8: bool,
    /// Numbers that do not fit their type.
    pub numbers: bool,
    /// More groups inside each other than that.
    pub groups_max: usize,
}

const GO: Family = Family {
    name: "go-1.0",
    success: Success::Bare,
    unknown_service: code::NOT_FOUND,
    unknown_method: code::NOT_FOUND,
    no_data: NoData::Answered,
    oversize: (Oversize::Discarded, Some(code::RESOURCE_EXHAUSTED)),
    no_call: NoCallGets::Refusal,
    odd_is_no_call: false,
    says_why_no_call: true,
    bad_payload: BadPayloadGets::Refusal(code::INTERNAL),
    strictness: Strictness { wire_type: true, utf8: false, numbers: false, groups_max: usize::MAX },
    even_streams: false,
    numbers_increase: false,
    stray_data: StrayData::Ignored,
    takes_announced_data: false,
    closes_when_cut: false,
    while_it_writes: WhileItWrites::Waits,
};

/// Go, before 1.1.
pub const GO_1_0: Family = GO;
/// Go 1.1: what is not known is UNIMPLEMENTED.
pub const GO_1_1: Family = Family {
    name: "go-1.1",
    unknown_service: code::UNIMPLEMENTED,
    unknown_method: code::UNIMPLEMENTED,
    ..GO
};
/// Go 1.2.0 to 1.2.7: streams, another protobuf library.
pub const GO_1_2_0: Family = Family {
    name: "go-1.2.0",
    strictness: Strictness { wire_type: false, utf8: true, numbers: false, groups_max: usize::MAX },
    numbers_increase: true,
    stray_data: StrayData::Kills,
    closes_when_cut: true,
    ..GO_1_1
};
/// Go 1.2.8, as its source has it: data on a stream that is not open is refused, and the server goes on.
pub(crate) const GO_1_2_8: Family = Family { name: "go-1.2.8", stray_data: StrayData::Refused, ..GO_1_2_0 };

const RUST: Family = Family {
    name: "rs-sync-0.3",
    success: Success::EmptyStatus,
    unknown_service: code::INVALID_ARGUMENT,
    unknown_method: code::INVALID_ARGUMENT,
    no_data: NoData::AnsweredLate,
    oversize: (Oversize::Ignored, None),
    no_call: NoCallGets::Refusal,
    odd_is_no_call: false,
    says_why_no_call: true,
    bad_payload: BadPayloadGets::Close,
    strictness: Strictness { wire_type: true, utf8: true, numbers: false, groups_max: 100 },
    even_streams: true,
    numbers_increase: false,
    stray_data: StrayData::Ignored,
    takes_announced_data: false,
    closes_when_cut: true,
    while_it_writes: WhileItWrites::NotMeasured,
};

/// ttrpc-rust 0.3 and 0.4, synchronous.
pub const RS_SYNC_0_3: Family = RUST;
/// ttrpc-rust 0.5.0.
pub const RS_ASYNC_0_5_0: Family = Family {
    name: "rs-async-0.5.0",
    no_data: NoData::Answered,
    oversize: (Oversize::Refused, None),
    no_call: NoCallGets::TwoRefusals,
    odd_is_no_call: true,
    bad_payload: BadPayloadGets::Silence,
    ..RUST
};
/// ttrpc-rust 0.5.3 and 0.6.
pub const RS_ASYNC_0_5_3: Family = Family {
    name: "rs-async-0.5.3",
    no_call: NoCallGets::Refusal,
    says_why_no_call: false,
    bad_payload: BadPayloadGets::Refusal(code::UNKNOWN),
    ..RS_ASYNC_0_5_0
};
/// ttrpc-rust 0.7: streams, and another protobuf library.
pub const RS_ASYNC_0_7: Family = Family {
    name: "rs-async-0.7",
    unknown_method: code::UNIMPLEMENTED,
    odd_is_no_call: false,
    says_why_no_call: true,
    strictness: Strictness { wire_type: false, utf8: true, numbers: true, groups_max: usize::MAX },
    even_streams: false,
    stray_data: StrayData::Refused,
    ..RS_ASYNC_0_5_3
};
/// ttrpc-rust 0.8 and 0.9.
pub const RS_ASYNC_0_8: Family = Family {
    name: "rs-async-0.8",
    oversize: (Oversize::Discarded, Some(code::INVALID_ARGUMENT)),
    strictness: Strictness { groups_max: 100, ..RS_ASYNC_0_7.strictness },
    ..RS_ASYNC_0_7
};
/// ttrpc-rust 0.8.4 and 0.10, synchronous: what is not known is INVALID_ARGUMENT still, and streams may have any number.
pub(crate) const RS_SYNC_0_8: Family = Family {
    name: "rs-sync-0.8",
    unknown_method: code::INVALID_ARGUMENT,
    even_streams: true,
    stray_data: StrayData::Ignored,
    ..RS_ASYNC_0_8
};

/// What the specification asks for, and where it is silent, what harms nobody: what is not known is UNIMPLEMENTED, what is refused
/// is read to its end, each request is answered once.
pub const IDEAL: Family = Family {
    name: "ideal",
    success: Success::Bare,
    unknown_service: code::UNIMPLEMENTED,
    unknown_method: code::UNIMPLEMENTED,
    no_data: NoData::Answered,
    oversize: (Oversize::Discarded, Some(code::RESOURCE_EXHAUSTED)),
    no_call: NoCallGets::Refusal,
    odd_is_no_call: false,
    says_why_no_call: true,
    bad_payload: BadPayloadGets::Refusal(code::INVALID_ARGUMENT),
    strictness: Strictness { wire_type: false, utf8: true, numbers: false, groups_max: 100 },
    even_streams: false,
    numbers_increase: false,
    stray_data: StrayData::Refused,
    takes_announced_data: true,
    closes_when_cut: true,
    while_it_writes: WhileItWrites::Reads,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fact sheet of the measurements has for each family, case by case.
    #[test]
    fn families_are_what_was_measured() {
        use code::{INVALID_ARGUMENT as INVALID, NOT_FOUND, RESOURCE_EXHAUSTED as EXHAUSTED, UNIMPLEMENTED};
        use {Oversize::*, StrayData::Kills};
        let refused = StrayData::Refused;
        let ignored = StrayData::Ignored;
        #[track_caller]
        fn check(
            family: Family,
            (service, method): (i64, i64),
            oversize: (Oversize, Option<i64>),
            (even, increase): (bool, bool),
            stray: StrayData,
        ) {
            assert_eq!((family.unknown_service, family.unknown_method), (service, method), "{}", family.name);
            assert_eq!(family.oversize, oversize, "{}", family.name);
            assert_eq!((family.even_streams, family.numbers_increase), (even, increase), "{}", family.name);
            assert_eq!(family.stray_data, stray, "{}", family.name);
        }
        let discards = |code| (Discarded, Some(code));
        let both = |code| (code, code);
        check(GO_1_0, both(NOT_FOUND), discards(EXHAUSTED), (false, false), ignored);
        check(GO_1_1, both(UNIMPLEMENTED), discards(EXHAUSTED), (false, false), ignored);
        check(GO_1_2_0, both(UNIMPLEMENTED), discards(EXHAUSTED), (false, true), Kills);
        check(GO_1_2_8, both(UNIMPLEMENTED), discards(EXHAUSTED), (false, true), refused);
        check(RS_SYNC_0_3, both(INVALID), (Ignored, None), (true, false), ignored);
        check(RS_ASYNC_0_5_0, both(INVALID), (Refused, None), (true, false), ignored);
        check(RS_ASYNC_0_5_3, both(INVALID), (Refused, None), (true, false), ignored);
        check(RS_ASYNC_0_7, (INVALID, UNIMPLEMENTED), (Refused, None), (false, false), refused);
        check(RS_ASYNC_0_8, (INVALID, UNIMPLEMENTED), discards(INVALID), (false, false), refused);
        check(RS_SYNC_0_8, both(INVALID), discards(INVALID), (true, false), ignored);
    }
}
