//! Starts reference servers, and does to them what a machine or its administrator would.

use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{self, Outside, Servers, Site};
use protocol::{Bench, Made};
use session::{Address, BoxFuture, LaunchError, LaunchErrorKind, Launcher, Recorder, Stage};

use super::super::dialect::{DIALECTS, Dialect};
use super::super::effects::{self, Before};
use super::super::names;
use super::container::Container;
use super::defects::DEFECTS;
use super::engine::{Monitor, Shared};

/// A launcher of servers of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, DEFECTS, switched_on)?;
    let monitors = Monitors { dialect: part.dialect, switches: part.switches.clone() };
    Ok(serve::launcher(part.endpoint("lxc"), &bench.work_dir, monitors))
}

struct Monitors {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Servers for Monitors {
    type Machine = Monitor;

    async fn make(&self, site: &Site) -> Result<Monitor, LaunchErrorKind> {
        let container = Container::running(&self.dialect.server, site.directory.clone())?;
        Ok(Monitor::new(self.dialect, self.switches.clone(), Shared::new(container)))
    }
}

/// What can be done to a container other than through its socket.
pub(super) struct Control(pub(super) Shared);

impl Outside for Control {
    fn set_stage(&mut self, stage: &Stage) {
        self.0.container().set_stage(stage);
    }

    fn prepare<'a>(
        &'a mut self,
        _address: &'a Address,
        condition: &'a str,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        if condition == Before::Frozen.condition() {
            let mut container = self.0.container();
            container.set_frozen(true);
            container.enter(names::FROZEN);
        }
        Box::pin(async { Ok(()) })
    }

    fn effects(&mut self, is_gone: bool, recorder: &Recorder) {
        let container = self.0.container();
        if is_gone {
            effects::effect(recorder, effects::STATE, "STOPPED");
        } else {
            let state = names::state_text(container.state.into());
            effects::effect(recorder, effects::STATE, &state);
            effects::effect(recorder, effects::FROZEN, effects::yes_or_no(container.is_frozen()));
            effects::effect(recorder, effects::TTY, effects::yes_or_no(container.leases_granted > 0));
            effects::effect(recorder, effects::DEVICE_RULE, effects::yes_or_no(container.has_device_rule()));
        }
    }
}
