//! What scripts do to servers.

use std::collections::BTreeSet;

use protocol::{Action, Hazard};
use session::{ServerAct, Step, Successor};

/// A plan makes no scripts. So the protocol says by which releases a case has its server replaced, and the case says that
/// its server is not to be shared.
#[test]
fn every_release_that_takes_a_servers_place_is_one_that_the_plan_knows_of() {
    for protocol in registry::all() {
        for case in protocol.cases() {
            let Action::Script(script) = &case.action else { continue };
            let steps = script.make().steps;
            let acts: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Server(_))).collect();
            let releases = acts.iter().filter_map(|step| match step {
                Step::Server(ServerAct::Replace(Successor::Release(release))) => Some(release.to_string()),
                _ => None,
            });
            let known: BTreeSet<_> = protocol.replaced_by(&case.id).into_iter().collect();
            assert_eq!(releases.collect::<BTreeSet<_>>(), known, "{} {}", protocol.name(), case.id);
            assert!(acts.is_empty() || case.hazard == Hazard::Disturbs, "{} {}", protocol.name(), case.id);
        }
    }
}

/// A case that nobody can run for want of a build would be red in every run.
#[test]
fn every_release_that_takes_a_servers_place_has_a_dialect() {
    for protocol in registry::all() {
        for case in protocol.cases() {
            for release in protocol.replaced_by(&case.id) {
                assert!(protocol.grammar(&release).is_some(), "{} {}: {release}", protocol.name(), case.id);
            }
        }
    }
}
