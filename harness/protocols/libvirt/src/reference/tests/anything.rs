//! No call takes a server down, whatever is in it.

use proptest::prelude::*;
use wire::xdr::Writer;

use protocol::defect::Switches;

use super::super::super::dialect::{DIALECTS, FreePages, Rollback};
use super::super::super::names::{procedures as proc, program};
use super::super::calls::{self, Answer, Call, Host, Maker, Session};
use super::super::interfaces::ListFaults;
use super::super::settings::Settings;
use super::super::transaction::Owner;
use super::URI;

/// Something that arguments begin with.
fn beginnings() -> impl Strategy<Value = Writer> {
    prop_oneof![
        Just(Writer::new()),
        Just(Writer::new().opaque(b"test").fixed(&super::super::driver::DOMAIN_UUID).i32(1)),
        Just(Writer::new().opaque(b"default").fixed(&super::super::driver::NETWORK_UUID)),
        Just(Writer::new().opaque(b"eth1").opaque(b"aa:bb:cc:dd:ee:ff")),
        Just(Writer::new().optional(Some(URI.as_bytes()))),
        "[<>/='a-z& ]{0,40}".prop_map(|text| Writer::new().opaque(text.as_bytes())),
    ]
}

fn words() -> impl Strategy<Value = Vec<u32>> {
    let word = prop_oneof![0u32..5, any::<u32>(), Just(u32::MAX), Just(1 << 31), Just(16_385)];
    proptest::collection::vec(word, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_comes_to_an_answer(
        at in 0usize..5,
        calls in proptest::collection::vec((-2i32..458, beginnings(), words(), 0usize..4), 1..12),
    ) {
        let dialect = &DIALECTS.all()[at];
        let (settings, switches) = (Settings::default(), Switches::default());
        let make = Maker { faults: ListFaults::default(), rollback: Rollback::AllInactive };
        let mut host = Host { shared: None, users: 0, make };
        let mut session = Session { owner: Owner(1), ..Session::default() };
        for (procedure, beginning, words, cut) in calls {
            let payload = words.into_iter().fold(beginning, Writer::u32).finish();
            let payload = &payload[..payload.len().saturating_sub(cut)];
            for served in [program::REMOTE, program::QEMU, program::LXC] {
                if !dialect.knows(served, procedure) {
                    continue;
                }
                let mut call = Call {
                    dialect,
                    settings: &settings,
                    switches: &switches,
                    host: &mut host,
                    session: &mut session,
                    procedure,
                    events: Vec::new(),
                };
                let limit = usize::try_from(dialect.limits.payload).expect("fits");
                match calls::answer(&mut call, served, payload) {
                    Ok(Answer::Result(result) | Answer::Stream(result, _)) => {
                        prop_assert!(result.finish().len() <= limit);
                    }
                    Ok(Answer::Close) => prop_assert_eq!(procedure, proc::CONNECT_CLOSE),
                    Ok(Answer::Crash) => {
                        prop_assert_eq!(dialect.server.free_pages, FreePages::Overflows);
                        prop_assert_eq!(procedure, proc::NODE_GET_FREE_PAGES);
                    }
                    Ok(Answer::Later(_, failure)) | Err(failure) => prop_assert!(failure.error(dialect).encode().len() <= limit),
                }
            }
        }
    }
}
