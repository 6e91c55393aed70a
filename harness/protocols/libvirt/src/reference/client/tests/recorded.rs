//! Reference clients send what real ones were recorded to send.
//!
//! The server's side of each recording is played to the reference client of the same release: behind each
//! message of the client comes what came behind it then. What the client sends is compared byte by byte, and so
//! is what it says. Our own second connection is turned away, as nothing was recorded of it.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use session::{Address, BoxFuture, Connection, Listener, Received, Transport};
use transcript::evidence::Observation;
use transcript::fixture;
use wire::libvirt_rpc::MessageDecoder;

use super::*;

const OURS: ConnId = ConnId(1);

/// What was recorded of a client: its messages, and what the server sent before the first and behind each.
#[derive(Debug, Default)]
struct Recorded {
    asked: Vec<Bytes>,
    answered: Vec<BytesMut>,
    /// The number of messages behind which the server closed by itself.
    closed: Option<usize>,
    claims: Vec<(String, String)>,
}

impl Recorded {
    fn of(events: &[Event]) -> Self {
        let mut this = Self { answered: vec![BytesMut::new()], ..Self::default() };
        let (mut decoder, mut sent) = (MessageDecoder::towards(Direction::ToServer), BytesMut::new());
        let mut over = false;
        for event in events {
            match &event.kind {
                EventKind::Observe { key, value }
                    if matches!(Observation::parse(key), Observation::Claim(_)) =>
                {
                    this.claims.push((key.clone(), value.clone()));
                }
                EventKind::Data(data) if event.conn == OURS && event.dir == Direction::ToServer => {
                    sent.extend_from_slice(&data.bytes);
                    while let Ok(Some(frame)) = decoder.decode(&mut sent) {
                        this.asked.push(frame.bytes);
                        this.answered.push(BytesMut::new());
                    }
                }
                EventKind::Data(data) if event.conn == OURS => {
                    let last = this.answered.len() - 1;
                    this.answered[last].extend_from_slice(&data.bytes);
                }
                // What a server does behind a client that has gone is no answer.
                EventKind::Eof(_) | EventKind::Reset if event.conn == OURS => {
                    if !over && event.dir == Direction::ToClient {
                        this.closed = Some(this.asked.len());
                    }
                    over = true;
                }
                _ => {}
            }
        }
        this
    }

    /// Whether the client was still waiting when it was killed.
    fn hung(&self) -> bool {
        self.claims.iter().any(|(key, value)| key == "claim.exit" && value == "none")
    }

    /// Plays the server's side on the second connection that comes; gives what the client sent.
    async fn play(self, listener: Listener) -> Vec<Bytes> {
        drop(listener.accept().await.expect("our own connection"));
        let mut client = listener.accept().await.expect("the client");
        let (mut decoder, mut received) = (MessageDecoder::towards(Direction::ToServer), BytesMut::new());
        let mut asked = Vec::new();
        let say = async |client: &mut Connection, at: usize| {
            let bytes = self.answered.get(at).cloned().unwrap_or_default();
            // A client that has gone is seen by what it did not send.
            let _ = client.send(&bytes.into(), &[], None, START_DEADLINE).await;
        };
        say(&mut client, 0).await;
        while self.closed != Some(asked.len())
            && let Ok(Received::Data(data, _)) = client.recv(START_DEADLINE).await
        {
            received.extend_from_slice(&data.bytes);
            while let Ok(Some(frame)) = decoder.decode(&mut received) {
                asked.push(frame.bytes);
                say(&mut client, asked.len()).await;
            }
        }
        drop(client);
        asked
    }
}

/// Where the recording is played.
struct Player(Address);

impl Server for Player {
    fn address(&self) -> &Address {
        &self.0
    }

    fn watch(&mut self, _recorder: &Recorder) {}

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// What the reference client of that release sends and says where the recording is played.
fn played(release: &str, operation: &str, recorded: Recorded) -> (Vec<Bytes>, Vec<(String, String)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = Listener::open(Transport::Memory, 4).expect("a port");
        let address = listener.address().clone();
        // A client that waits for ever is not waited for as long.
        let patience = if recorded.hung() { PATIENCE / 8 } else { PATIENCE };
        let playing = tokio::spawn(recorded.play(listener));
        let client = super::super::client(&build(release, &[]), &[]).expect("a reference client");
        let recorder = Recorder::new();
        client.run(operation, &mut Player(address), &recorder, patience).await.expect("carried out");
        let claims = Recorded::of(&recorder.take()).claims;
        (playing.await.expect("played"), claims)
    })
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fixtures/libvirt-remote")
}

#[test]
fn sends_and_says_what_virsh_was_recorded_to() {
    let mut clients: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let recordings = fixture::list(fixtures()).expect("the fixtures are there");
    // Those of probes have no client; they are many and some are large.
    let of_client = |path: &&PathBuf| {
        !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("probe.."))
    };
    for path in recordings.iter().filter(of_client) {
        let id = path.display();
        let transcript = fixture::load(path).unwrap_or_else(|error| panic!("{id}: {error}"));
        let header = &transcript.provenance;
        let Some(operation) = header.case.strip_prefix("client/") else { continue };
        let release = header.client.version.clone().expect("clients have a version");
        let recorded = Recorded::of(&transcript.events);
        let (due, said) = (recorded.asked.clone(), recorded.claims.clone());
        let (sent, claims) = played(&release, operation, recorded);
        if sent != due {
            let heads = |messages: &[Bytes]| messages.iter().map(|m| words(m)).collect::<Vec<_>>().join(" ");
            wrong.push(format!("{id} sends {}, recorded {}", heads(&sent), heads(&due)));
        }
        if claims != said {
            wrong.push(format!("{id} says {claims:?}, recorded {said:?}"));
        }
        if ALL.contains(&header.server.id.as_str()) {
            *clients.entry(release).or_default() += 1;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // Every operation of four clients with four servers, as far as the client has it.
    let due = ALL.iter().map(|release| {
        let has = operations().filter(|operation| operation.lacking_in(release).is_none());
        ((*release).to_owned(), ALL.len() * has.count())
    });
    assert_eq!(clients, due.collect::<BTreeMap<String, usize>>());
}

fn words(message: &[u8]) -> String {
    let header = Header::read(message).expect("a message");
    format!("{}:{}:{}", header.serial, header.procedure, header.kind)
}
