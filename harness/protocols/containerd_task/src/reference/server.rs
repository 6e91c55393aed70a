//! Starts reference shims.

use matrix::{Build, Role};
use protocol::defect::Switches;
use protocol::reference::Part;
use protocol::reference::serve::{self, Servers, Site};
use protocol::{Bench, Made};
use session::{LaunchErrorKind, Launcher};
use ttrpc::reference::server::TtrpcServer;

use super::defects::DEFECTS;
use super::shim::Shim;
use crate::bootstrap;
use crate::dialect::{DIALECTS, Dialect};

/// What a shim says of where it listens; whoever calls a reference shim is told otherwise.
const ADDRESS: &str =
    "unix:///run/containerd/s/0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// A launcher of shims of a build with defects switched on.
///
/// # Errors
/// No dialect of that version, or no defect of that name.
pub(crate) fn server(build: &Build, switched_on: &[String], bench: &Bench) -> Made<dyn Launcher> {
    let part = Part::of(build, Role::Server, &DIALECTS, &DEFECTS, switched_on)?;
    let shims = Shims { dialect: part.dialect, switches: part.switches.clone() };
    Ok(serve::launcher(part.endpoint("containerd-shim-runc-v2"), &bench.work_dir, shims))
}

struct Shims {
    dialect: &'static Dialect,
    switches: Switches,
}

impl Servers for Shims {
    type Machine = TtrpcServer<Shim>;

    async fn make(&self, site: &Site) -> Result<Self::Machine, LaunchErrorKind> {
        bootstrap::write(&site.directory, self.dialect, ADDRESS)?;
        let shim = Shim::new(self.dialect, self.switches.clone(), site.directory.clone());
        Ok(TtrpcServer::new(self.dialect.family, self.dialect.schema(), shim, self.switches.clone()))
    }
}
