//! Which checks a case is judged by.
//!
//! | case | beside the generic checks of its kind |
//! |---|---|
//! | recorded elsewhere | calls and what became of them, streams, codes, events; it is complete where it ends |
//! | probe | canaries, bodies, limits; a probe that was recorded alone has nobody who looked at the shim |
//! | client | the conversation, and what a daemon says and leaves |
//! | client, with a program that a daemon starts | what runs and what is said: nobody sees the conversation |
//! | state | the conversation of whoever finds a shim, and what is left for others |

use matrix::{CaseId, CaseKind};
use ttrpc::checks::{
    CALLS_ANSWERED, CANARIES_ANSWERED, CODE_KEPT, NOTHING_SMUGGLED, OPEN_AFTER_OVERSIZE, READS_ON,
    RECORDED_COMPLETE, STREAMS_INCREASE, WITHIN_LIMIT,
};
use ttrpc::generic::BOTH_WRITE;
use ttrpc::probes::ALONE;
use verdict::Check;
use verdict::checks::{
    ALONE_COMPLETE, ANSWERED_AS_DUE, ANSWERED_ONCE, EFFECT_MATCHES_CLAIM, GIVES_BACK, READABLE_REPLIES,
    STATE_KEPT, STAYS_UP,
};

use super::recorded::{AS_RECORDED, CARRIED_OUT};
use super::{NO_BUNDLE, RELOAD, REPORTED, UNHEARD, checks, ends_shim, is_lifecycle, is_real, starts_program};

/// All checks of a case, but for those that are asked in every case.
pub(super) fn by(case: &CaseId) -> Vec<Check> {
    match case.kind {
        _ if case.is(CaseKind::Client, RELOAD) || case.is(CaseKind::Client, REPORTED) => recorded(),
        CaseKind::Probe if is_lifecycle(case) => recorded(),
        CaseKind::Probe => probe(case),
        CaseKind::Client if starts_program(case) => {
            vec![EFFECT_MATCHES_CLAIM, checks::SAYS_WHY, checks::START_COMPLETE]
        }
        CaseKind::Client => client(case),
        CaseKind::State => state(case),
        kind => verdict::checks::of(kind),
    }
}

/// What every conversation of a daemon is held to, but for which calls need no answer.
const SPOKEN: [Check; 4] = [STREAMS_INCREASE, WITHIN_LIMIT, checks::ONE_SERVICE, checks::SAME_PID];

fn recorded() -> Vec<Check> {
    let family = [CALLS_ANSWERED, CODE_KEPT, READABLE_REPLIES, RECORDED_COMPLETE];
    let own = [checks::EVENTS_IN_ORDER, AS_RECORDED];
    SPOKEN.into_iter().chain(family).chain(own).collect()
}

fn probe(case: &CaseId) -> Vec<Check> {
    let own = [CANARIES_ANSWERED, CODE_KEPT, NOTHING_SMUGGLED, OPEN_AFTER_OVERSIZE, WITHIN_LIMIT];
    let mut all: Vec<_> = own.into_iter().chain([checks::SAME_PID]).collect();
    if case.name.starts_with(ALONE) {
        all.extend([ANSWERED_AS_DUE, ANSWERED_ONCE, READABLE_REPLIES, ALONE_COMPLETE]);
        all.extend((!ends_shim(case)).then_some(STAYS_UP));
    } else {
        all.extend(case.name.ends_with(BOTH_WRITE).then_some(READS_ON));
        // Whoever has made a container holds it.
        let makes_one = case.name.ends_with(NO_BUNDLE);
        let of_kind = verdict::checks::of(case.kind).into_iter();
        all.extend(of_kind.filter(|check| !makes_one || check.name != GIVES_BACK.name));
    }
    all
}

fn client(case: &CaseId) -> Vec<Check> {
    let is_unheard = case.is(CaseKind::Client, UNHEARD);
    let answered = if is_real(case) || is_unheard { checks::ANSWERED_WHILE_IT_RUNS } else { CALLS_ANSWERED };
    let own = [answered, checks::AS_TOLD, checks::SAYS_WHY];
    // What runs is not to be killed by a daemon that comes, nor forgotten.
    let runs = [STATE_KEPT, checks::METADATA_KEPT].into_iter().filter(|_| is_real(case));
    let ends = is_unheard.then_some(checks::ENDS_IN_TIME);
    let done = (is_real(case) || is_unheard).then_some(CARRIED_OUT);
    let of_kind = verdict::checks::of(case.kind).into_iter();
    of_kind.chain(SPOKEN).chain(own).chain(runs).chain(ends).chain(done).collect()
}

/// A daemon that finds a shim talks with it as in any other case.
fn state(case: &CaseId) -> Vec<Check> {
    let spoken = [checks::ANSWERED_WHILE_IT_RUNS, READABLE_REPLIES, STAYS_UP, CARRIED_OUT];
    let own = [checks::LEFT_FOR_OTHERS, checks::AS_DUE, checks::WAS_MET];
    verdict::checks::of(case.kind).into_iter().chain(SPOKEN).chain(spoken).chain(own).collect()
}
