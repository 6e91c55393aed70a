//! Reference peers of protocols over ttrpc: a protocol brings its services and operations, the calls and streams are here.
//!
//! ```text
//! server.rs    from frames to calls and back, as a family of servers does it
//! client.rs    calls, one after the other or several at once
//! faults.rs    faults that can be switched on in any server
//! ```

pub mod client;
pub mod faults;
pub mod server;
