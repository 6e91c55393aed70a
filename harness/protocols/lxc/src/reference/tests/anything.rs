//! Whatever a client sends, the ideal server lives, serves others and keeps little of it.

use proptest::prelude::*;
use session::{READ_LEN_MAX, Recorder};
use transcript::EventKind;
use wire::lxc::Command;

use super::{DEADLINE, collect, connect, hex, runtime, start};
use crate::{names, request};

/// What one client does.
#[derive(Debug, Clone)]
enum Act {
    /// Sends bytes that mean nothing.
    Noise(Vec<u8>),
    /// Sends a request that may lie about its length.
    Request { command: u32, len: i32, data: i64, payload: Vec<u8> },
    /// Ends its sending half.
    HalfClose,
    /// Waits a little, so that what comes next is a piece of its own.
    Pause,
}

fn act() -> impl Strategy<Value = Act> {
    // STOP ends the container, and the server with it, as it should.
    let command =
        prop_oneof![8 => 0_u32..30, 1 => any::<u32>()].prop_filter("no STOP", |c| *c != names::STOP.0);
    let len =
        prop_oneof![4 => 0_i32..100, 1 => any::<i32>(), 1 => Just(8192), 1 => Just(8193), 1 => Just(-1)];
    let payload = prop::collection::vec(any::<u8>(), 0..120);
    let request = (command, len, any::<i64>(), payload, any::<bool>()).prop_map(
        |(command, len, data, payload, honest)| {
            let len = if honest { i32::try_from(payload.len()).unwrap_or(0) } else { len };
            Act::Request { command, len, data, payload }
        },
    );
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 1..200).prop_map(Act::Noise),
        8 => request,
        1 => Just(Act::HalfClose),
        2 => Just(Act::Pause),
    ]
}

/// Plays the acts of several clients at once, then asks for the state on a new connection.
fn serves_after(clients: &[Vec<Act>]) -> Result<(), TestCaseError> {
    runtime().block_on(async {
        let mut server = start("ideal", &[]).await;
        let mut connections = Vec::new();
        for acts in clients {
            let connection = connect(&*server).await;
            for act in acts {
                // A server that has closed is no failure; one that does not serve others is.
                let sent = match act {
                    Act::Noise(bytes) => connection.send(&bytes.clone().into(), &[], None, DEADLINE).await,
                    Act::Request { command, len, data, payload } => {
                        let bytes = request::lying(Command(*command), *len, *data, payload);
                        connection.send(&bytes, &[], None, DEADLINE).await
                    }
                    Act::HalfClose => {
                        let _ = connection.half_close();
                        Ok(())
                    }
                    Act::Pause => {
                        tokio::task::yield_now().await;
                        Ok(())
                    }
                };
                if sent.is_err() {
                    break;
                }
            }
            connections.push(connection);
        }
        let mut fresh = connect(&*server).await;
        fresh.send(&request::plain(names::GET_STATE, 0), &[], None, DEADLINE).await.ok();
        let (bytes, ..) = collect(&mut fresh).await;
        prop_assert_eq!(bytes.get(..8), Some(&hex("0*8")[..]), "GET_STATE is not answered");
        let recorder = Recorder::new();
        server.watch(&recorder);
        for event in recorder.take() {
            match event.kind {
                EventKind::Observe { key, value } if key == "buffered_max" => {
                    let kept: usize = value.parse().expect("a number");
                    prop_assert!(kept <= READ_LEN_MAX + 16 + 8192, "{kept} bytes were kept");
                }
                EventKind::Exit(status) => prop_assert!(false, "the server ended: {status:?}"),
                _ => {}
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_ideal_server_lives_and_serves(
        clients in prop::collection::vec(prop::collection::vec(act(), 0..12), 1..4),
    ) {
        serves_after(&clients)?;
    }
}

#[test]
fn what_is_announced_is_neither_reserved_nor_kept() {
    let huge = Act::Request { command: 7, len: i32::MAX, data: 0, payload: vec![b'a'; 1 << 20] };
    serves_after(&vec![vec![huge.clone()]; 4]).expect("served");
    let unknown = Act::Request { command: 200, len: i32::MAX, data: 0, payload: vec![b'a'; 1 << 20] };
    serves_after(&[vec![unknown, Act::HalfClose]]).expect("served");
}

#[test]
fn a_client_that_takes_no_answers_makes_only_itself_wait() {
    let ask = Act::Noise(request::plain(names::GET_STATE, 0).repeat(3000));
    serves_after(&[vec![ask.clone(); 3]]).expect("served");
}
