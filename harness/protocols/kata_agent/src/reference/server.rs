//! Starts reference agents.

use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{self, Servers, Site};
use protocol::{Bench, Made};
use session::{LaunchErrorKind, Launcher};
use ttrpc::reference::server::TtrpcServer;

use super::agent::Agent;
use super::defects::DEFECTS;
use crate::dialect::{DIALECTS, Dialect};
use crate::persist;

/// A launcher of agents of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, &DEFECTS, switched_on)?;
    let agents = Agents { dialect: part.dialect, switches: part.switches.clone() };
    Ok(serve::launcher(part.endpoint("kata-agent"), &bench.work_dir, agents))
}

struct Agents {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Servers for Agents {
    type Machine = TtrpcServer<Agent>;

    async fn make(&self, site: &Site) -> Result<Self::Machine, LaunchErrorKind> {
        let files = persist::written_by(self.dialect.release().as_ref());
        persist::lay(&site.directory, &files)?;
        let agent = Agent::new(self.dialect, self.switches.clone(), site.directory.clone(), files);
        Ok(TtrpcServer::new(self.dialect.family, self.dialect.schema(), agent, self.switches.clone()))
    }
}
