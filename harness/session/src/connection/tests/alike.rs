//! The stream in memory is compared with the kernel's: whatever two peers do, both see the same on either.

use proptest::prelude::*;

use super::*;

/// What a peer can do with its end.
#[derive(Debug, Clone)]
enum Act {
    /// That many bytes with that many descriptors; credentials of somebody else where we may claim them.
    Send {
        len: usize,
        fds: usize,
        claims: bool,
    },
    Read {
        len_max: usize,
    },
    HalfClose,
    WantCredentials,
    Close,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let send = (1_usize..400, 0_usize..3, any::<bool>());
    let act = prop_oneof![
        6 => send.prop_map(|(len, fds, claims)| Act::Send { len, fds, claims }),
        6 => (1_usize..600).prop_map(|len_max| Act::Read { len_max }),
        1 => Just(Act::HalfClose),
        1 => Just(Act::WantCredentials),
        1 => Just(Act::Close),
    ];
    proptest::collection::vec((any::<bool>(), act), 1..60)
}

/// Long enough for the driver of sockets to have its turn; on a virtual clock it takes no time.
const A_MOMENT: Duration = Duration::from_millis(1);

/// Somebody else, of whom only root may speak; everybody may claim what is so.
fn claim(end: &Connection, claims: bool) -> Option<Credentials> {
    let may = rustix::process::geteuid().is_root();
    let claimed = Credentials { pid: 0, uid: 4242, gid: 4343 };
    claims.then(|| if may { claimed } else { end.own_credentials() })
}

/// One line for what each act came to: nothing of it tells which transport it was.
async fn seen(transport: Transport, acts: &[(bool, Act)]) -> Vec<String> {
    let listener = Listener::open(transport, 1).expect("nobody listens there");
    let client = Connection::connect(listener.address(), SOON).await.expect("it listens");
    let server = listener.accept().await.expect("somebody waits");
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let mut ends = [Some(client), Some(server)];
    let mut number = 0_u8;
    let mut lines = Vec::new();
    for (first, act) in acts {
        let slot = &mut ends[usize::from(*first)];
        let Some(end) = slot else { continue };
        let line = match act {
            Act::Send { len, fds, claims } => {
                number = number.wrapping_add(1);
                let bytes = Bytes::from(vec![number; *len]);
                let fds: Vec<_> = (0..*fds).map(|_| file.as_fd()).collect();
                // Never so much that there is no room: how much fits is the machine's affair.
                format!("{:?}", end.send(&bytes, &fds, claim(end, *claims), Duration::ZERO).await)
            }
            Act::Read { len_max } => {
                let own = end.own_credentials();
                // Tokio reads a socket only when it was told that there is something. It may be told for nothing.
                let readable = tokio::time::timeout(A_MOMENT, poll_fn(|cx| end.poll_readable(cx))).await;
                match end.try_recv(*len_max).expect("the socket is whole") {
                    Some(Received::Data(data, fds)) => {
                        let who = data.creds.map(|creds| match creds {
                            creds if creds == own => "own".to_owned(),
                            creds => format!("{}:{}", creds.uid, creds.gid),
                        });
                        format!("{} {} {:?} {who:?}", data.bytes.escape_ascii(), fds.len(), data.fds)
                    }
                    None => "None".to_owned(),
                    Some(end) => format!("{end:?} {}", readable.is_ok()),
                }
            }
            Act::HalfClose => format!("{:?}", end.half_close().is_ok()),
            Act::WantCredentials => format!("{:?}", end.want_credentials().is_ok()),
            Act::Close => {
                *slot = None;
                "closed".to_owned()
            }
        };
        let hung = ends.each_ref().map(|end| end.as_ref().map(Connection::is_hung_up));
        lines.push(format!("{first} {act:?}: {line} {hung:?}"));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn memory_is_like_the_kernel(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let (memory, kernel) = runtime.expect("a runtime can be made").block_on(async {
            (seen(Transport::Memory, &acts).await, seen(Transport::Unix, &acts).await)
        });
        prop_assert_eq!(memory, kernel);
    }

    /// However much is written in whatever pieces: what is read is what was written, and a writer that finds no
    /// room finds it again when enough was read.
    #[test]
    fn a_full_buffer_blocks_and_gives_way(
        writes in proptest::collection::vec(1_usize..300_000, 1..12),
        reads in proptest::collection::vec(1_usize..READ_LEN_MAX, 1..12),
    ) {
        let run = |transport| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.expect("a runtime can be made").block_on(async {
                let (a, mut b) = Connection::pair(transport).expect("sockets can be made");
                let total: usize = writes.iter().sum();
                let write = async {
                    for (at, len) in writes.iter().enumerate() {
                        let byte = u8::try_from(at).unwrap_or(0);
                        a.send(&Bytes::from(vec![byte; *len]), &[], None, SOON).await.expect("all of it is read");
                    }
                };
                let read = async {
                    let mut got = Vec::new();
                    let mut lens = reads.iter().cycle();
                    while got.len() < total {
                        poll_fn(|cx| b.poll_readable(cx)).await.expect("the socket is whole");
                        let len_max = lens.next().copied().unwrap_or(1);
                        if let Some(Received::Data(data, _)) = b.try_recv(len_max).expect("it is whole") {
                            assert!(data.bytes.len() <= len_max);
                            got.extend_from_slice(&data.bytes);
                        }
                    }
                    got
                };
                let both = async { tokio::join!(write, read).1 };
                tokio::time::timeout(SOON * 100, both).await.expect("nobody waits for ever")
            })
        };
        prop_assert_eq!(run(Transport::Memory), run(Transport::Unix));
    }
}
