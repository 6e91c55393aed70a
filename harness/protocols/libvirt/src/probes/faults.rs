//! What is known to have gone wrong, asked in a way that shows it for sure.

use transcript::evidence::{Expect, Role};

use super::*;
use crate::names::{node_device_list_flag, update_command, update_section};

pub(super) fn all(d: &Description) -> Vec<Case> {
    vec![
        second_open(d),
        third_open(d),
        free_pages_overflow(d),
        free_pages_too_many(d),
        network_update_orders(d),
        node_device_flag(d),
        xml_of_many_newlines(d),
    ]
}

/// LV-06: the first driver must still be there.
fn second_open(d: &Description) -> Case {
    let script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Refusal.arg()])
        .send(MAIN, request::open(SUBJECT, Some(URI), 0))
        .reply(MAIN, REPLY_MS);
    let args = [Expect::Any.arg(), ("behind", "second-open")];
    let script = asks(script, MAIN, Role::Subject, &args, call(p::CONNECT_GET_TYPE, SUBJECT + 1, b""));
    let about = "a second driver on one connection is refused, and the first stays (LV-06)";
    case(d, "second-open", about, Hazard::Disturbs, quiet(script, MAIN))
}

/// LV-06: what is opened a third time must not outlive its client. Another client defines an interface; when
/// both are gone, nobody holds the driver any more.
fn third_open(d: &Description) -> Case {
    let mut script = open(d, opening(d), MAIN, Role::Subject, &[Expect::Refusal.arg()]);
    script = script.send(MAIN, request::open(SUBJECT, Some(URI), 0)).reply(MAIN, REPLY_MS);
    let args = [Expect::Refusal.arg(), ("open", "third")];
    let script = asks(script, MAIN, Role::Subject, &args, request::open(SUBJECT + 1, Some(URI), 0));
    let script = open(d, script, OTHER, Role::Setup, &[("name", "define")]);
    let define = Writer::new().opaque(crate::operations::NEW_INTERFACE_XML.as_bytes()).u32(0);
    let script =
        script.send(OTHER, call_with(p::INTERFACE_DEFINE_XML, SUBJECT, define)).reply(OTHER, REPLY_MS);
    let script = script.close(OTHER).close(MAIN).pause(STALL_MS);
    let args = [Expect::Any.arg(), ("left-behind", "eth9")];
    let script = open(d, script, OTHER + 1, Role::Subject, &args);
    let lookup = call_with(p::INTERFACE_LOOKUP_BY_NAME, SUBJECT, Writer::new().opaque(b"eth9"));
    let script = quiet(script.send(OTHER + 1, lookup).reply(OTHER + 1, REPLY_MS), OTHER + 1);
    let about = "a third driver on one connection is refused, and none is left behind (LV-06)";
    case(d, "third-open", about, Hazard::Disturbs, script)
}

fn free_pages(pages: u32, cells: u32) -> Bytes {
    let sizes = (0..pages).fold(Writer::new().u32(pages), |writer, _| writer.u32(4));
    call_with(p::NODE_GET_FREE_PAGES, SUBJECT, sizes.i32(0).u32(cells).u32(0))
}

/// LV-02: the number of answers wraps to 1019 in 32 bits.
fn free_pages_overflow(d: &Description) -> Case {
    let about = "a number of answers that does not fit 32 bits is refused (LV-02, CVE-2026-18917)";
    disturbing(one(d, "free-pages-overflow", about, Expect::Refusal, free_pages(1023, 4_198_405)))
}

fn free_pages_too_many(d: &Description) -> Case {
    let about = "more answers than the limit are refused";
    disturbing(one(d, "free-pages-above-limit", about, Expect::Refusal, free_pages(1023, 2)))
}

/// LV-01: both orders of command and section, each with a host of its own. `add-last` and not `add-first`: that
/// is 4 as the section is, and shows nothing.
fn network_update_orders(d: &Description) -> Case {
    let update = |serial: u32, words: [u32; 2], host: u8| {
        let host = format!("<host mac='00:11:22:33:44:{host:02x}' ip='192.168.122.{host}'/>");
        let arguments = Writer::new().raw(&network().finish()).u32(words[0]).u32(words[1]);
        call_with(p::NETWORK_UPDATE, serial, arguments.i32(-1).opaque(host.as_bytes()).u32(0))
    };
    let (command, section) = (update_command::ADD_LAST, update_section::IP_DHCP_HOST);
    let feature = Writer::new().i32(feature::NETWORK_UPDATE_HAS_CORRECT_ORDER);
    let about = "arguments are read in the order that the server says it reads (LV-01)";
    disturbing(around(d, "network-update-order", about, Hazard::Disturbs, Expect::Answer, |s| {
        let s = s.send(MAIN, call_with(p::CONNECT_SUPPORTS_FEATURE, SUBJECT, feature)).reply(MAIN, REPLY_MS);
        let any = [Expect::Any.arg()];
        let s = asks(s, MAIN, Role::Subject, &any, update(SUBJECT + 1, [command, section], 0x55));
        asks(s, MAIN, Role::Subject, &any, update(SUBJECT + 2, [section, command], 0x56))
    }))
}

/// LV-05: clients since 9.0.0 send it to everybody.
fn node_device_flag(d: &Description) -> Case {
    let arguments = Writer::new().i32(1).u32(node_device_list_flag::ACTIVE);
    let request = call_with(p::CONNECT_LIST_ALL_NODE_DEVICES, SUBJECT, arguments);
    let about = "node devices are listed for a client that asks for the active ones (LV-05)";
    one(d, "node-device-list-active", about, Expect::Answer, request)
}

/// LV-16: the place of an error is far down.
fn xml_of_many_newlines(d: &Description) -> Case {
    let xml = [&[b'\n'; 100_000][..], b"<interface"].concat();
    let request = call_with(p::INTERFACE_DEFINE_XML, SUBJECT, Writer::new().opaque(&xml).u32(0));
    let about = "a document that breaks off behind 100,000 lines is refused (LV-16)";
    disturbing(one(d, "xml-of-many-newlines", about, Expect::Refusal, request))
}
