//! Faults that can be switched on, the case that finds each, and what must be found there.

use std::sync::LazyLock;

use protocol::Defect;
use transcript::evidence::Shape;
use ttrpc::reference::faults::FAULTS;

use crate::shapes;

/// The faults of all servers over ttrpc, and those of agents and runtimes.
pub(crate) static DEFECTS: LazyLock<Vec<Defect>> = LazyLock::new(|| [FAULTS, OWN].concat());

protocol::defects! { pub(super) OWN;
    HANGS_ON_WORDS, "hangs-on-words", Server, "ideal", "probe/enum-capability-unknown", Shape::HANG,
        "A word of a specification that is not known leaves the call without an answer.";
    SWAPS_FAMILIES, "swaps-families", Server, "ideal", "probe/health", shapes::OTHER_FAMILY,
        "IPv4 is called IPv6, and the other way round.";
    NAMES_END_IN_NUL, "names-end-in-nul", Server, "ideal", "probe/health", shapes::NAME_NOT_TEXT,
        "The name of an interface has a NUL behind it.";
    LISTS_NOTHING, "lists-nothing", Server, "ideal", "probe/health", shapes::NO_INTERFACE,
        "Nothing is listed where interfaces are.";
    SIGTERM_KILLS, "sigterm-kills", Server, "ideal", "client/lifecycle", shapes::KILLED_BY_TERM,
        "SIGTERM kills a process that has a handler for it.";
    NO_FALLBACK, "no-fallback", Client, "3.0", "client/resize-memory", Shape::LOUD_FAIL,
        "An agent that has not got a method is an error.";
    FORGETS_WAITING, "forgets-waiting", Server, "ideal", "client/kill", Shape::NO_REPLY,
        "Who waits for the end of a process is never told of it.";
    KILLED_EXITS_WELL, "killed-exits-well", Server, "ideal", "client/kill", shapes::NOT_KILLED,
        "A process that was killed is said to have ended with status 0.";
    FORGETS_MOUNTS, "forgets-mounts", Server, "ideal", "client/resize-memory", Shape::SILENT_WRONG,
        "Mounts are said to have more room, and have not.";
    NEVER_UPDATES_MOUNTS, "never-updates-mounts", Client, "ideal", "client/resize-memory", Shape::SILENT_WRONG,
        "Mounts in memory get no more room behind more memory.";
    ONE_LAYOUT, "one-layout", Client, "2.0", "client/seccomp", Shape::SILENT_WRONG,
        "Seccomp is written in the newest layout, whatever the agent.";
    OLD_LAYOUT, "old-layout", Client, "4.0", "client/seccomp", shapes::CONFUSES_AGENT,
        "Seccomp is written in the layout of 2.0, whatever the agent.";
    SENDS_ANY_WORD, "sends-any-word", Client, "4.0", "client/capability", shapes::CONFUSES_AGENT,
        "A capability of the future is passed on to an agent that never answers it.";
    SENDS_ANY_ADDRESS, "sends-any-address", Client, "3.3", "client/interface", shapes::CONFUSES_AGENT,
        "A device is called as the newest release calls it, whatever the agent.";
    FORGETS_INTERFACE, "forgets-interface", Server, "ideal", "client/interface", Shape::SILENT_WRONG,
        "An interface is said to be set up, and is not.";
    DROPS_CAPABILITIES, "drops-capabilities", Client, "ideal", "client/capability", Shape::SILENT_WRONG,
        "Of capabilities of which one is not known none is passed on.";
    LOSES_STATE, "loses-state", Client, "ideal", "state/persist", Shape::STATE_LOST,
        "A key of what was written down is lost.";
    REWRITES_UNREADABLE, "rewrites-unreadable", Client, "4.0", "state/persist", Shape::STATE_TOUCHED,
        "What is refused is written anew.";
    WRITES_BESIDE, "writes-beside", Client, "ideal", "state/persist-cut", Shape::STATE_TOUCHED,
        "Another file is put beside one that cannot be read.";
    ENDS_UNREADABLE, "ends-unreadable", Client, "ideal", "state/persist-cut", Shape::STATE_DESTROYED,
        "A sandbox whose file cannot be read is ended.";
    LOADS_ANYTHING, "loads-anything", Client, "ideal", "state/persist-newer-version", Shape::WRONG_SUCCESS,
        "What cannot be read is said to be loaded.";
    INVENTS_STATUS, "invents-status", Client, "ideal", "client/lifecycle", shapes::NOT_AS_TOLD,
        "The exit status of a container is always 0.";
}
