//! Two releases of a protobuf schema, compared as data: what a linter that sees one release cannot see.
//!
//! The bytes of a message go from a writer to a reader. Which of both is the client depends on the message: one that a
//! request holds is written by clients, one that a response holds by servers, and of one that neither holds (what an
//! `Any` carries) nobody can say. So a change is first looked at as one of the bytes:
//!
//! | change | old writer, new reader | new writer, old reader |
//! |---|---|---|
//! | another field under a number | misread | misread |
//! | another wire type, another message, `sint32` for `int32` … | misread or lost | misread or lost |
//! | `int32` to `int64`, `bool` to `int32`, `string` to `bytes`, `enum` to `int64`: the new type holds more | fine | what the old one does not hold is cut or refused |
//! | the same the other way round | what the new one does not hold is cut or refused | fine |
//! | `int32` to `uint32`: each holds what the other does not | cut | cut |
//! | singular to repeated | fine, one element | all but one are lost; packed numbers all of them |
//! | repeated to singular | all but one are lost; packed numbers all of them | fine |
//! | `enum` to `int32`, a message to `bytes`, another enum | the same bytes | the same bytes |
//! | another name under the same number and type | the same bytes | the same bytes |
//! | a name under another number | lost | lost |
//! | a field is gone, from a request | the server leaves out what it was asked | the server misses it |
//! | a field is gone, from a response | fine, clients need it no longer | the client misses it |
//! | fields join a oneof | of two only the last is kept | fine |
//! | fields leave a oneof | fine | of two only the last is kept |
//! | a value of an enum is gone | not known | fine |
//! | a value has another number | misread | misread |
//!
//! and then turned into who is hurt: an old writer of requests is an old client with a new server, an old writer of
//! responses a new client with an old server. What is about calls says it itself:
//!
//! | change | hurts |
//! |---|---|
//! | a method or service is gone | an old client with a new server: the call is refused. A new client does not call it |
//! | a method takes or gives another message | both: neither reads what the other wrote |
//! | one message to a stream, or back | both: the frames are others |
//! | a message is gone that nothing holds | both: it goes where nobody declares it |
//!
//! Where the bytes are the same the break is not `certain`: it is one only if the meaning changed with the name, as when
//! `pciAddr` became `pciPath`. Types that moved to another name are compared as what they are. `optional` says nothing of the
//! bytes but whether a default is written, and is no break. What is only added is none.
//!
//! A message that is gone with all that held it is told once, by what held it. A field that is gone says whether its number is
//! reserved, because only then can nobody use it again; [`compare_history`] finds who did, however long ago it went.

mod compare;
mod fields;
mod flow;
mod history;
mod read;

pub use compare::compare_schemas;
pub use history::compare_history;
pub use read::ReadSchema;
