//! What is to be run, as data: builds, matrices, cells, expectations, known bugs, selection and
//! partition. Nothing here starts a process or opens a socket; errors point at file, line and column.

mod cell;
mod model;

pub use cell::{BuildId, CaseId, CaseKind, CellId, ParseCellError};
pub use model::{Build, DebianSource, Role, Source, Verdict};
