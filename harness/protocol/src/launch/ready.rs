//! Waiting until something that was started is ready.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use session::{Connection, LaunchErrorKind, Received};

/// How often readiness is tried again.
const RETRY: Duration = Duration::from_millis(1);
/// How long one of our own questions may take.
pub const QUESTION_DEADLINE: Duration = Duration::from_secs(2);
/// Most bytes of an answer to one of our own questions.
const ANSWER_LEN_MAX: usize = 1 << 20;

/// Does something until the deadline.
///
/// # Errors
/// [`LaunchErrorKind::NotReady`] then.
pub async fn within<T>(
    deadline: Duration,
    up: impl Future<Output = Result<T, LaunchErrorKind>>,
) -> Result<T, LaunchErrorKind> {
    let late = |_| LaunchErrorKind::NotReady(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    tokio::time::timeout(deadline, up).await.map_err(late)?
}

/// Asks until there is an answer, or until what was started has ended: `ended` says how, and what it said.
///
/// # Errors
/// [`LaunchErrorKind::Ended`] then. The deadline is the caller's: see [`within`].
pub async fn ready<T, Asked: Future<Output = Option<T>>>(
    mut ask: impl FnMut() -> Asked,
    mut ended: impl FnMut() -> Option<String>,
) -> Result<T, LaunchErrorKind> {
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if let Some(why) = ended() {
            return Err(LaunchErrorKind::Ended(why));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Asks one of our own questions; `read` takes the answer out of what has come, when it is all there. Nobody records this.
///
/// # Errors
/// The connection fails, ends or stays silent before that; `read` fails; or more comes than an answer may be long.
pub async fn ask<T>(
    connection: &mut Connection,
    question: &Bytes,
    mut read: impl FnMut(&mut BytesMut) -> io::Result<Option<T>>,
) -> io::Result<T> {
    let sent = connection.send(question, &[], None, QUESTION_DEADLINE).await;
    sent.map_err(|end| io::Error::other(format!("{end:?}")))?;
    let mut received = BytesMut::new();
    loop {
        if let Some(answer) = read(&mut received)? {
            return Ok(answer);
        }
        if received.len() > ANSWER_LEN_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match connection.recv(QUESTION_DEADLINE).await? {
            Received::Data(data, _) => received.extend_from_slice(&data.bytes),
            Received::Eof | Received::Reset => return Err(io::ErrorKind::UnexpectedEof.into()),
            Received::Timeout => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
