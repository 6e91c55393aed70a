mod alike;

use super::*;

const SOON: Duration = Duration::from_millis(500);

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Plays a conversation on both transports.
#[track_caller]
fn check<F: Future<Output = ()>>(play: impl Fn(Connection, Connection) -> F) {
    for transport in [Transport::Memory, Transport::Unix] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(async {
            let (a, b) = Connection::pair(transport).expect("sockets can be made");
            play(a, b).await;
        });
    }
}

/// What came, with the number of descriptors.
async fn next(connection: &mut Connection, deadline: Duration) -> String {
    match connection.recv(deadline).await.expect("the socket is whole") {
        Received::Data(data, fds) => format!("{} {}", data.bytes.escape_ascii(), fds.len()),
        other => format!("{other:?}"),
    }
}

/// The kernel ends a read behind a descriptor, whatever else is there, and tells of it only once.
#[test]
fn takes_what_a_short_read_left() {
    check(async |a, mut b| {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        a.send(&bytes("one"), &[file.as_fd()], None, SOON).await.expect("there is room");
        a.send(&bytes("two"), &[file.as_fd()], None, SOON).await.expect("there is room");
        a.send(&bytes("three"), &[], None, SOON).await.expect("there is room");
        assert_eq!(next(&mut b, SOON).await, "one 1");
        assert_eq!(next(&mut b, SOON).await, "two 1");
        assert_eq!(next(&mut b, SOON).await, "three 0");
        drop(a);
        assert_eq!(next(&mut b, SOON).await, "Eof");
    });
}

#[test]
fn takes_what_comes_while_it_waits() {
    check(async |a, mut b| {
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                a.send(&bytes("late"), &[], None, SOON).await.expect("there is room");
            }
        };
        let listen = async {
            for _ in 0..3 {
                assert_eq!(next(&mut b, SOON).await, "late 0");
            }
        };
        tokio::join!(talk, listen);
    });
}

/// Over TCP parts of a message come apart, an end is an end, and unread bytes make a reset of a close.
#[test]
fn tcp_carries_bytes_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = Listener::bind(any, 1).expect("a port is free");
        assert!(!listener.address().to_string().ends_with(":0"));
        let mut client = Connection::connect(listener.address(), SOON).await.expect("it listens");
        let mut server = listener.accept().await.expect("somebody came");
        server.want_credentials().expect("none is no error");
        for part in ["one", "two"] {
            client.send(&bytes(part), &[], None, SOON).await.expect("there is room");
            assert_eq!(next(&mut server, SOON).await, format!("{part} 0"));
        }
        client.half_close().expect("it is open");
        assert_eq!(next(&mut server, SOON).await, "Eof");
        server.send(&bytes("late"), &[], None, SOON).await.expect("there is room");
        assert_eq!(next(&mut client, SOON).await, "late 0");
        let client = Connection::connect(listener.address(), SOON).await.expect("it listens");
        let mut server = listener.accept().await.expect("somebody came");
        server.send(&bytes("unread"), &[], None, SOON).await.expect("there is room");
        drop(client);
        assert_eq!(next(&mut server, SOON).await, "Reset");
        let address = listener.address().clone();
        drop(listener);
        let refused = Connection::connect(&address, SOON).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// Who sends nothing wakes nobody, and leaves who waits to be woken.
#[test]
fn nothing_sent_is_nothing_lost() {
    check(async |a, mut b| {
        let talk = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            a.try_send(&Bytes::new(), &[]).expect("there is room");
            tokio::time::sleep(Duration::from_millis(5)).await;
            a.send(&bytes("late"), &[], None, SOON).await.expect("there is room");
        };
        // A task of its own: whoever shares one is asked again whenever the other is woken.
        let listen = tokio::spawn(async move { (next(&mut b, SOON).await, tokio::time::Instant::now()) });
        talk.await;
        let sent = tokio::time::Instant::now();
        let (came, when) = listen.await.expect("it does not panic");
        assert_eq!(came, "late 0");
        assert!(when < sent + SOON / 2, "it was not its deadline that woke it");
    });
}

/// The timer of an earlier wait stays armed: neither a later nor an earlier deadline may take over its own.
#[test]
fn every_wait_has_its_own_deadline() {
    check(async |a, mut b| {
        a.send(&bytes("x"), &[], None, SOON).await.expect("there is room");
        assert_eq!(next(&mut b, SOON).await, "x 0");
        for deadline_ms in [600_000, 20, 60, 10] {
            let deadline = Duration::from_millis(deadline_ms);
            let start = Instant::now();
            let waited = tokio::time::timeout(SOON, next(&mut b, deadline)).await;
            match deadline_ms {
                600_000 => assert!(waited.is_err(), "{waited:?}"),
                _ => assert_eq!(waited.as_deref(), Ok("Timeout")),
            }
            assert!(start.elapsed() >= deadline.min(SOON), "{deadline_ms} ms: {:?}", start.elapsed());
        }
    });
}

#[test]
fn says_how_much_a_side_took_that_does_not_read() {
    check(async |a, b| {
        let flood = Bytes::from(vec![0; 16 << 20]);
        match a.send(&flood, &[], None, Duration::from_millis(20)).await {
            Err(SendEnd::Timeout { sent }) => assert!((1..flood.len()).contains(&sent), "{sent}"),
            other => panic!("{other:?}"),
        }
        drop(b);
        assert!(matches!(a.send(&bytes("x"), &[], None, SOON).await, Err(SendEnd::Closed { sent: 0 })));
    });
}

/// A sender that found no room goes on when the other side reads.
#[test]
fn goes_on_when_there_is_room_again() {
    check(async |a, mut b| {
        let flood = Bytes::from(vec![7; 4 << 20]);
        let read = async {
            let mut len = 0;
            while len < flood.len() {
                match b.recv(SOON).await.expect("the socket is whole") {
                    Received::Data(data, _) => len += data.bytes.len(),
                    other => panic!("{other:?} behind {len} bytes"),
                }
            }
        };
        let (sent, ()) = tokio::join!(a.send(&flood, &[], None, SOON), read);
        sent.expect("all of it is read");
    });
}

/// A server's end: who connects waits in the backlog, is served in turn, and is reset when the server goes.
#[test]
fn listens() {
    for transport in [Transport::Memory, Transport::Unix] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(async {
            let listener = Listener::open(transport, 1).expect("nobody listens there");
            let address = listener.address().clone();
            let mut first = Connection::connect(&address, SOON).await.expect("it listens");
            first.send(&bytes("first"), &[], None, SOON).await.expect("there is room");
            let mut second = Connection::connect(&address, SOON).await.expect("the backlog has room");
            let third = Connection::connect(&address, SOON).await.expect_err("the backlog is full");
            assert_eq!(third.kind(), io::ErrorKind::TimedOut);
            let mut served = listener.accept().await.expect("somebody waits");
            assert_eq!(next(&mut served, SOON).await, "first 0");
            served.send(&bytes("answer"), &[], None, SOON).await.expect("there is room");
            drop((served, listener));
            assert_eq!(next(&mut first, SOON).await, "answer 0");
            assert_eq!(next(&mut first, SOON).await, "Eof");
            assert_eq!(next(&mut second, SOON).await, "Reset");
            assert_eq!(next(&mut second, SOON).await, "Eof");
            let gone = Connection::connect(&address, SOON).await.expect_err("nobody listens");
            assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
            // The same address serves again.
            let listener = Listener::bind(address.clone(), 1).expect("nobody listens there");
            let _client = Connection::connect(&address, SOON).await.expect("it listens");
            listener.accept().await.expect("somebody waits");
        });
    }
}

/// Virtual time: a wait of a day is over at once, in order, and what comes meanwhile is seen first. This holds for
/// sockets too with the version of tokio that is used here: a task that input woke runs before the clock moves.
#[test]
fn waiting_takes_no_time_where_the_clock_is_virtual() {
    const DAY: Duration = Duration::from_secs(86_400);
    #[expect(clippy::disallowed_methods, reason = "what is compared with it is the virtual clock")]
    let start = std::time::Instant::now();
    for transport in [Transport::Memory, Transport::Unix] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime can be made").block_on(async {
            let (a, mut b) = Connection::pair(transport).expect("sockets can be made");
            let answer = tokio::spawn(async move {
                for _ in 0..200 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    a.send(&bytes("x"), &[], None, SOON).await.expect("there is room");
                }
                std::future::pending::<()>().await;
            });
            for _ in 0..200 {
                assert_eq!(next(&mut b, Duration::from_millis(31)).await, "x 0");
            }
            assert_eq!(next(&mut b, DAY).await, "Timeout");
            answer.abort();
        });
    }
    assert!(start.elapsed() < DAY / 2000, "{:?}", start.elapsed());
}
