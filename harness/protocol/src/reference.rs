//! What reference peers are made with: servers and clients of this process that behave as a release was measured to
//! behave.
//!
//! ```text
//! serve.rs    the launcher and the loop of servers: a protocol brings a machine that reads and answers
//! call.rs     clients: a connection that writes down what passes, and the operations that are carried out over it
//! ```

use matrix::{Build, Role};
use session::{LaunchError, LaunchErrorKind};
use transcript::Endpoint;

pub mod call;
pub mod serve;

/// Who a reference peer is, for the provenance of transcripts: its software, and the faults that are switched on.
pub fn endpoint(build: &Build, software: &str, faults: impl Iterator<Item = &'static str>) -> Endpoint {
    let faults: Vec<_> = faults.collect();
    let faults = (!faults.is_empty()).then(|| (verdict::FAULTS.to_owned(), faults.join(" ")));
    Endpoint {
        id: build.id.to_string(),
        name: format!("{software} (reference)"),
        version: Some(build.version.clone()),
        source: Some("reference".to_owned()),
        modified: faults.is_some(),
        details: build.settings.clone().into_iter().chain(faults).collect(),
        ..Endpoint::default()
    }
}

/// Why there is no reference peer of a build.
pub fn cannot(build: &Build, side: Role) -> impl Fn(String) -> LaunchError {
    let what = match side {
        Role::Server => format!("start reference server {}", build.id),
        Role::Client => format!("use reference client {}", build.id),
    };
    move |why| LaunchError::new(what.clone(), LaunchErrorKind::Setup(why))
}
