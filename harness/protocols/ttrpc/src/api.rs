//! What a protocol over ttrpc is to its family.

use wire::protobuf::Schema;
use wire::protobuf::schema::Method;

/// One dialect of a protocol over ttrpc.
pub trait Api: Copy + Send + Sync + 'static {
    /// Its name.
    fn dialect(&self) -> &'static str;

    /// The services, with their messages.
    fn schema(&self) -> &'static Schema;

    /// The mask of a field of an argument or of a result, if no comparison may look at it. The name of the field is that of
    /// [`wire::protobuf::dissect`].
    fn mask(&self, method: &Method, side: Side, field: &str) -> Option<&'static str>;

    /// The mask of a result of which no part can be compared, not even which parts it has.
    fn whole_mask(&self, method: &Method) -> Option<&'static str>;

    /// Lists of a result whose order says nothing.
    fn unordered(&self, method: &Method) -> &'static [&'static str];
}

/// The argument of a method, or its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What it is called with.
    Argument,
    /// What it returns.
    Result,
}
