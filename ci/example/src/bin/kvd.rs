//! The daemon: `kvd --socket <path>` or `kvd --address <host:port>`, and `--does-not-drain` for a fault: what does not
//! fit into the first 64 bytes of an unknown request is left in the stream.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

const PAYLOAD_MAX: usize = 64 << 10;
/// Enough of a request to know its op.
const BEGIN: usize = 64;

type Store = Arc<Mutex<HashMap<String, String>>>;

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let drains = !args.iter().any(|arg| arg == "--does-not-drain");
    let store = Store::default();
    match &args[..] {
        [how, place, ..] if how == "--socket" => serve(UnixListener::bind(place)?.incoming(), &store, drains),
        [how, place, ..] if how == "--address" => serve(TcpListener::bind(place)?.incoming(), &store, drains),
        _ => return Err(io::Error::other("usage: kvd --socket <path> | --address <host:port>")),
    }
    Ok(())
}

fn serve<S: Read + Write + Send + 'static>(
    clients: impl Iterator<Item = io::Result<S>>,
    store: &Store,
    drains: bool,
) {
    for mut client in clients.flatten() {
        let store = Arc::clone(store);
        // A client that goes in mid-message is gone, and that is all.
        std::thread::spawn(move || while matches!(answer(&mut client, &store, drains), Ok(true)) {});
    }
}

/// Answers one request; false when there is no more.
fn answer(client: &mut (impl Read + Write), store: &Store, drains: bool) -> io::Result<bool> {
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let len = u32::from_be_bytes(head) as usize;
    if len > PAYLOAD_MAX {
        return Ok(false);
    }
    let mut payload = vec![0; len.min(BEGIN)];
    client.read_exact(&mut payload)?;
    let known = ["echo", "get", "put", "version"].map(|op| format!("\"op\":\"{op}\"").into_bytes());
    let is_known = known.iter().any(|op| payload.windows(op.len()).any(|window| window == op));
    if is_known || drains {
        let begun = payload.len();
        payload.resize(len, 0);
        client.read_exact(&mut payload[begun..])?;
    }
    let reply = if is_known || drains { carry_out(&payload, store) } else { error("unsupported") };
    let reply = reply.to_string();
    client.write_all(&[&(reply.len() as u32).to_be_bytes(), reply.as_bytes()].concat())?;
    Ok(true)
}

fn carry_out(payload: &[u8], store: &Store) -> Value {
    let Ok(request) = serde_json::from_slice::<Value>(payload) else { return error("malformed") };
    let text = |name| request.get(name).and_then(Value::as_str);
    let Some(op) = text("op") else { return error("malformed") };
    let mut store = store.lock().expect("nobody panics while holding it");
    match (op, text("key"), text("value"), text("text")) {
        ("version", ..) => json!({ "version": "1.0" }),
        ("echo", _, _, Some(text)) => json!({ "text": text }),
        ("get", Some(key), ..) => match store.get(key) {
            Some(value) => json!({ "value": value }),
            None => error("not found"),
        },
        ("put", Some(key), Some(value), _) => {
            store.insert(key.to_owned(), value.to_owned());
            json!({})
        }
        ("echo" | "get" | "put", ..) => error("malformed"),
        _ => error("unsupported"),
    }
}

fn error(what: &str) -> Value {
    json!({ "error": what })
}
