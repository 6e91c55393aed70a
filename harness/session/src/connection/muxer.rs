//! How a client gets through a muxer of hybrid vsock, a unix socket in front of all vsock ports of a virtual machine.
//!
//! ```text
//! client   CONNECT 1024\n
//! muxer    OK 1073741824\n      the port that it gave the client; the rest belongs to whoever listens at port 1024
//! ```
//!
//! Specified by `firecracker-microvm/firecracker`, `docs/vsock.md`, "Host-Initiated Connections". What passes here is no part
//! of the conversation and recorded nowhere.

use std::io;

use bytes::Bytes;
use tokio::time::Instant;
use transcript::evidence::MuxerFault;

use super::{Connection, Received, SendEnd, Timer, recv};

/// Most bytes of the muxer's line, with its end; `OK ` and a number of 32 bits take 14.
const LINE_LEN_MAX: usize = 32;

/// Asks for a port.
///
/// # Errors
/// A [`MuxerFault`], or what the operating system gives.
pub(super) async fn ask(connection: &mut Connection, port: u32, until: Instant) -> io::Result<()> {
    let request = Bytes::from(format!("CONNECT {port}\n"));
    let left = until.saturating_duration_since(Instant::now());
    match connection.send(&request, &[], None, left).await {
        Ok(()) => {}
        Err(SendEnd::Closed { .. }) => return Err(fault(MuxerFault::Reset)),
        Err(SendEnd::Timeout { .. }) => return Err(fault(MuxerFault::Silent)),
        Err(SendEnd::Io(error)) => return Err(error),
    }
    read(&line(connection, until).await?).map_err(fault)
}

/// The line without its end. One byte at a time: what stands behind it stays where it is.
async fn line(connection: &Connection, until: Instant) -> io::Result<Vec<u8>> {
    let (mut line, mut timer) = (Vec::new(), Timer::default());
    while line.len() < LINE_LEN_MAX {
        match recv(&connection.stream, &mut timer, until, 1).await? {
            Received::Data(data, _) if *data.bytes == *b"\n" => return Ok(line),
            Received::Data(data, _) => line.extend_from_slice(&data.bytes),
            Received::Eof if line.is_empty() => return Err(fault(MuxerFault::Eof)),
            Received::Eof => return Err(fault(MuxerFault::Cut)),
            Received::Reset => return Err(fault(MuxerFault::Reset)),
            Received::Timeout => return Err(fault(MuxerFault::Silent)),
        }
    }
    Err(fault(MuxerFault::Endless))
}

fn read(line: &[u8]) -> Result<(), MuxerFault> {
    let number = match line.strip_prefix(b"OK") {
        Some([b' ', number @ ..]) => number,
        Some([]) => return Err(MuxerFault::Number),
        _ => return Err(MuxerFault::Word),
    };
    let is_number = number.iter().all(u8::is_ascii_digit)
        && str::from_utf8(number).is_ok_and(|number| number.parse::<u32>().is_ok());
    if is_number { Ok(()) } else { Err(MuxerFault::Number) }
}

fn fault(fault: MuxerFault) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, fault)
}

#[cfg(test)]
mod tests;
