//! A muxer that lets us through, and each way in which one does not.

use std::path::Path;
use std::time::Duration;

use crate::{Address, Listener, errno_name};

use super::*;

const SOON: Duration = Duration::from_millis(500);

/// What a muxer does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Writes, and lets that arrive.
    Say(&'static [u8]),
    /// Ends its direction.
    End,
    /// Closes with what it was asked left unread, where it stands first: the kernel makes a reset of that.
    Close,
    /// Keeps the connection and does nothing.
    Keep,
}
use Act::{Close, End, Keep, Say};

fn behind(path: &Path) -> Address {
    Address::HybridVsock { path: path.to_owned(), port: 1024 }
}

/// Plays a muxer to a client on virtual time: what the client reads to the end of the stream, or the name of its error.
#[track_caller]
fn met(acts: &'static [Act]) -> (Result<String, String>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("muxer.sock");
        let listener = Listener::bind(Address::Path(path.clone()), 1).expect("a place");
        let muxer = tokio::spawn(async move {
            let mut client = listener.accept().await.expect("somebody came");
            if !matches!(acts, [Close]) {
                let Received::Data(asked, _) = client.recv(SOON).await.expect("whole") else {
                    panic!("a line")
                };
                assert_eq!(*asked.bytes, *b"CONNECT 1024\n");
            }
            for act in acts {
                match act {
                    Say(text) => {
                        client.send(&Bytes::from_static(text), &[], None, SOON).await.expect("taken");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    End => client.half_close().expect("it is open"),
                    Close => return,
                    Keep => std::future::pending().await,
                }
            }
        });
        let start = Instant::now();
        let connected = Connection::connect(&behind(&path), SOON).await;
        let took = start.elapsed();
        let heard = match connected {
            Ok(mut connection) => Ok(heard(&mut connection).await),
            Err(error) => Err(errno_name(&error).into_owned()),
        };
        muxer.abort();
        (heard, took)
    })
}

/// All that comes, read by read.
async fn heard(connection: &mut Connection) -> String {
    let mut all = Vec::new();
    while let Received::Data(data, _) = connection.recv(SOON).await.expect("the socket is whole") {
        all.push(data.bytes.escape_ascii().to_string());
    }
    all.join("|")
}

#[test]
fn a_muxer_that_answers_ok_is_not_in_the_way() {
    #[track_caller]
    fn check(acts: &'static [Act], expect: &str) {
        assert_eq!(met(acts).0.as_deref(), Ok(expect), "{acts:?}");
    }
    check(&[Say(b"OK 1073741824\n"), End], "");
    check(&[Say(b"OK 0\n"), Say(b"hello"), End], "hello");
    check(&[Say(b"OK 4294967295\n"), Close], "");
    // Whatever stands behind the line belongs to the protocol, also a second line.
    check(&[Say(b"OK 1\nhello"), Say(b"again"), End], "hello|again");
    check(&[Say(b"OK 1\nOK 2\n\n"), End], "OK 2\\n\\n");
    // The longest line there may be.
    check(&[Say(b"OK 0000000000000000000000000001\nx"), End], "x");
    // However it comes apart.
    check(&[Say(b"O"), Say(b"K"), Say(b" "), Say(b"1"), Say(b"2"), Say(b"\n"), Say(b"x"), End], "x");
    check(&[Say(b"OK 12"), Say(b"\nhello"), End], "hello");
}

#[test]
fn what_a_muxer_does_wrong_has_a_word() {
    #[track_caller]
    fn check(acts: &'static [Act], expect: MuxerFault) {
        assert_eq!(met(acts).0, Err(expect.word().to_owned()), "{acts:?}");
    }
    check(&[End], MuxerFault::Eof);
    check(&[Say(b"OK 10"), End], MuxerFault::Cut);
    check(&[Say(b"OK 00000000000000000000000000000\n"), Keep], MuxerFault::Endless);
    check(&[Say(b"ERROR 1\n"), Keep], MuxerFault::Word);
    check(&[Say(b"OKAY 1\n"), Keep], MuxerFault::Word);
    check(&[Say(b"ok 1\n"), Keep], MuxerFault::Word);
    check(&[Say(b"\n"), Keep], MuxerFault::Word);
    for line in [&[Say(b"OK\n"), Keep], &[Say(b"OK \n"), Keep], &[Say(b"OK +1\n"), Keep]] {
        check(line, MuxerFault::Number);
    }
    for line in [&[Say(b"OK 4294967296\n"), Keep], &[Say(b"OK 1\r\n"), Keep], &[Say(b"OK 1 \n"), Keep]] {
        check(line, MuxerFault::Number);
    }
    check(&[Keep], MuxerFault::Silent);
    check(&[Close], MuxerFault::Reset);
}

/// A muxer that always says a little more is not waited for beyond the deadline of the connection.
#[test]
fn a_line_has_one_deadline() {
    let slow = &[Say(b"O"), Say(b"K"), Say(b" "), Keep];
    for acts in [&[Keep][..], slow] {
        let (met, took) = met(acts);
        assert_eq!(met, Err(MuxerFault::Silent.word().to_owned()));
        assert_eq!(took, SOON, "{acts:?}");
    }
}

#[test]
fn nobody_can_listen_behind_a_muxer() {
    let refused = Listener::bind(behind(Path::new("/run/vm.sock")), 1).expect_err("it is the muxer's");
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    let expect = "vsock port 1024 behind /run/vm.sock: only a machine behind the muxer can listen there";
    assert_eq!(refused.to_string(), expect);
}
