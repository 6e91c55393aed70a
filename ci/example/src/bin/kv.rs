//! The client: `kv --socket <path> <operation>` or `kv --address <host:port> <operation>`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match &args[..] {
        [how, place, operation] if how == "--socket" => carry_out(operation, UnixStream::connect(place)?),
        [how, place, operation] if how == "--address" => carry_out(operation, TcpStream::connect(place)?),
        _ => Err(io::Error::other("usage: kv --socket <path> | --address <host:port> <operation>")),
    }
}

/// Fails unless each answer is the one that is due.
fn carry_out(operation: &str, mut daemon: impl Read + Write) -> io::Result<()> {
    let steps: &[(&str, &str)] = match operation {
        "version" => &[(r#"{"op":"version"}"#, r#"{"version":"1.0"}"#)],
        "echo" => &[(r#"{"op":"echo","text":"hello"}"#, r#"{"text":"hello"}"#)],
        "put-get" => &[
            (r#"{"op":"put","key":"k","value":"v"}"#, "{}"),
            (r#"{"op":"get","key":"k"}"#, r#"{"value":"v"}"#),
        ],
        _ => return Err(io::Error::other(format!("no operation `{operation}`"))),
    };
    for (request, due) in steps {
        daemon.write_all(&[&(request.len() as u32).to_be_bytes(), request.as_bytes()].concat())?;
        let mut head = [0; 4];
        daemon.read_exact(&mut head)?;
        let mut answer = vec![0; u32::from_be_bytes(head) as usize];
        daemon.read_exact(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        println!("{answer}");
        if answer != *due {
            return Err(io::Error::other(format!("`{due}` is due")));
        }
    }
    Ok(())
}
