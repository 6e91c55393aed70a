//! `builds list`, `builds fetch` and `builds update`.

use matrix::{Build, Source};
use runner::Project;

use crate::args::{Builds, Global};
use crate::exit::Exit;
use crate::{Done, Failure, run, terminal};

pub(crate) fn builds(global: &Global, args: &Builds) -> Done {
    let _ = (global, args);
    let _: Option<(&Build, &Source, &Project)> = None;
    let _ = (run::cache_dir(), terminal::print);
    Err(Failure::text(Exit::Internal, "unfinished"))
}
