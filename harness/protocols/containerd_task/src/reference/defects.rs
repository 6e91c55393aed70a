//! Faults that can be switched on, the case that finds each, and what must be found there.

use std::sync::LazyLock;

use protocol::Defect;
use transcript::evidence::Shape;
use ttrpc::reference::faults::FAULTS;

use crate::shapes;

/// The faults of all servers over ttrpc, and those of shims and daemons.
pub(crate) static DEFECTS: LazyLock<Vec<Defect>> = LazyLock::new(|| [FAULTS, OWN].concat());

protocol::defects! { pub(super) OWN;
    NO_BUNDLE, "no-bundle", Server, "ideal", "probe/create-without-bundle", Shape::WRONG_SUCCESS,
        "A container may be made without a bundle.";
    OTHER_STATUS, "other-status", Server, "ideal", "client/lifecycle", Shape::SILENT_WRONG,
        "The exit status of a container is another one.";
    INVENTS_STATUS, "invents-status", Client, "ideal", "client/lifecycle", shapes::NOT_AS_TOLD,
        "The exit status of a container is always 0.";
    WAITS_TO_REPORT, "waits-to-report", Server, "ideal", "client/unheard", shapes::LATE_EXIT,
        "A shim that is told to end waits for whoever does not answer where it reports events.";
    OTHER_PID, "other-pid", Server, "ideal", "client/reload", shapes::OTHER_PID,
        "The process of a container is another one whenever it is paused.";
    SPEAKS_TWO, "speaks-two", Client, "ideal", "client/reload", shapes::OTHER_SERVICE,
        "Half of the calls of a connection are of another task service.";
    REUSES_STREAMS, "reuses-streams", Client, "ideal", "client/reload", ttrpc::checks::shapes::STREAM_REUSED,
        "Streams are numbered anew within a connection.";
    OWN_SERVICE, "own-service", Client, "1.7", "client/reload", Shape::LOUD_FAIL,
        "A shim is asked for the service of the daemon's own release.";
    READS_TEXT, "reads-text", Client, "2.1", "client/lifecycle", shapes::UNCLEAR_ERROR,
        "What a shim of 2.x prints is taken for an address.";
    CLEANS_UP, "cleans-up", Client, "ideal", "state/cut", Shape::STATE_DESTROYED,
        "A container whose shim cannot be reached is killed.";
    REFUSES_KEYS, "refuses-keys", Client, "2.1", "state/unknown-key", Shape::STATE_REFUSED,
        "A bootstrap.json with a key that is not known is not loaded.";
    MOVES_ADDRESS, "moves-address", Client, "1.7", "state/bundle", shapes::WAY_BACK_LOST,
        "An `address` is gone when a bootstrap.json was written for it.";
    MIGRATES_AS_OWN, "migrates-as-own", Client, "1.7", "state/bundle", shapes::WRONG_VERSION,
        "A bootstrap.json that is written next to an `address` has the version of the daemon's own shims.";
    TAKES_ITS_WORD, "takes-its-word", Client, "1.7", "state/bootstrap-3", Shape::STATE_DESTROYED,
        "A container is killed whose shim has not the task service of its version.";
}
