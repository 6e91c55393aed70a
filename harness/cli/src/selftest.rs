//! `selftest`: proves that every check can fail, and need not.

use protocol::Bench;
use runner::Project;

use crate::args::{Global, Selftest};
use crate::exit::Exit;
use crate::{Done, Failure, run, terminal};

pub(crate) fn selftest(global: &Global, args: &Selftest) -> Done {
    let project = Project::load(&global.root, &registry::all(), &[])?;
    let work_dir = session::sandbox::WorkDir::make().map_err(Failure::setup)?;
    let bench = Bench::new(work_dir.path(), run::cache_dir());
    let name = args.name.as_deref().unwrap_or_default();
    let proofs = runner::selftest(&project, &bench, name);
    let mut out = String::new();
    for proof in &proofs {
        match &proof.refuted {
            None => out.push_str(&format!("proven   {}\n", report::escape(&proof.claim))),
            Some(seen) => out.push_str(&format!(
                "REFUTED  {}\n         instead: {}\n",
                report::escape(&proof.claim),
                report::escape(seen)
            )),
        }
    }
    let refuted = proofs.iter().filter(|proof| proof.refuted.is_some()).count();
    out.push_str(&format!("{} proven, {refuted} refuted\n", proofs.len() - refuted));
    terminal::print(&out);
    Ok(if proofs.is_empty() {
        Exit::NothingRan
    } else if refuted > 0 {
        Exit::Unexpected
    } else {
        Exit::AsExpected
    }
    .into())
}
