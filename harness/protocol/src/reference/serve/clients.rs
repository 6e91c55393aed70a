//! The clients of a server, and what each of them is still owed.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use session::{Connection, Received, SendEnd};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};
use transcript::Data;

/// Tells the clients of one server apart, from 1 on, in the order in which they came.
pub type Peer = u64;

/// The clients of a server, and what it keeps of each.
#[derive(Debug)]
pub struct Clients<S> {
    open: BTreeMap<Peer, Client<S>>,
    /// Those who were told something, or goodbye, since everything was sent.
    touched: Vec<Peer>,
    gone: Vec<(Peer, Client<S>)>,
    /// Whether other tasks get their turn between messages.
    yields: bool,
}

#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) connection: Connection,
    kept: S,
    outgoing: VecDeque<Message>,
    /// Closed as soon as everything is sent.
    ending: bool,
    /// Told no more as soon as everything is sent, and heard until it goes.
    lingers: bool,
    /// It has ended its direction.
    said_all: bool,
    /// Said again and again.
    floods: Option<Bytes>,
}

/// A client whose turn it may be.
pub(super) struct Turn<'a> {
    pub(super) peer: Peer,
    pub(super) connection: &'a Connection,
    /// Something waits to be sent to it.
    pub(super) is_owed: bool,
    pub(super) has_said_all: bool,
}

#[derive(Debug)]
struct Message {
    bytes: Bytes,
    fds: Vec<OwnedFd>,
    sent: usize,
}

impl Message {
    fn new(bytes: Bytes, fds: Vec<OwnedFd>) -> Self {
        Self { bytes, fds, sent: 0 }
    }
}

impl<S> Clients<S> {
    pub(super) fn new(yields: bool) -> Self {
        Self { open: BTreeMap::new(), touched: Vec::new(), gone: Vec::new(), yields }
    }

    /// Keeps a new client.
    pub fn add(&mut self, peer: Peer, connection: Connection, kept: S) {
        let outgoing = VecDeque::new();
        self.open.insert(
            peer,
            Client {
                connection,
                kept,
                outgoing,
                ending: false,
                lingers: false,
                said_all: false,
                floods: None,
            },
        );
    }

    /// What is kept of a client, as long as it is there.
    pub fn get_mut(&mut self, peer: Peer) -> Option<&mut S> {
        self.open.get_mut(&peer).map(|client| &mut client.kept)
    }

    /// Everybody.
    pub fn iter(&self) -> impl Iterator<Item = (Peer, &S)> {
        self.open.iter().map(|(peer, client)| (*peer, &client.kept))
    }

    /// Everybody, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Peer, &mut S)> {
        self.open.iter_mut().map(|(peer, client)| (*peer, &mut client.kept))
    }

    /// Queues a message. Who was told goodbye gets no more.
    pub fn push(&mut self, peer: Peer, bytes: impl Into<Bytes>) {
        self.push_with(peer, bytes, Vec::new());
    }

    /// Queues a message with descriptors.
    pub fn push_with(&mut self, peer: Peer, bytes: impl Into<Bytes>, fds: Vec<OwnedFd>) {
        if let Some(client) = self.open.get_mut(&peer).filter(|client| !client.ending) {
            client.outgoing.push_back(Message::new(bytes.into(), fds));
            self.touched.push(peer);
        }
    }

    /// From now on the client is sent this again and again, and is not read any more.
    pub fn flood(&mut self, peer: Peer, bytes: Bytes) {
        if let Some(client) = self.open.get_mut(&peer) {
            client.floods = Some(bytes);
            self.touched.push(peer);
        }
    }

    /// Closes a connection once everything is sent.
    pub fn end(&mut self, peer: Peer) {
        if let Some(client) = self.open.get_mut(&peer) {
            client.ending = true;
            self.touched.push(peer);
        }
    }

    /// Says nothing more to a client than what is queued, and hears it until it goes: what it still sends is no reason to reset
    /// the connection, which would take what is queued with it.
    pub fn linger(&mut self, peer: Peer) {
        if let Some(client) = self.open.get_mut(&peer) {
            client.lingers = true;
            self.touched.push(peer);
        }
    }

    /// Takes a connection out without closing it: the client is not served any more.
    pub fn detach(&mut self, peer: Peer) -> Option<Connection> {
        self.open.remove(&peer).map(|client| client.connection)
    }

    /// Closes a connection at once.
    pub fn remove(&mut self, peer: Peer) {
        self.gone.extend(self.open.remove_entry(&peer));
    }

    /// Waits for what this one client sends, whoever else wants something; `None` for its end.
    pub async fn wait_for(&mut self, peer: Peer, len_max: usize) -> Option<(Data, Vec<OwnedFd>)> {
        let connection = self.connection(peer)?;
        loop {
            poll_fn(|cx| connection.poll_readable(cx)).await.ok()?;
            match connection.try_recv(len_max) {
                Ok(None) => {}
                Ok(Some(Received::Data(data, fds))) => return Some((data, fds)),
                _ => return None,
            }
        }
    }

    /// How many bytes a client is still owed, as long as it is there.
    pub fn owed(&self, peer: Peer) -> Option<usize> {
        self.open.get(&peer).map(Client::owed)
    }

    /// Waits until a client has taken everything or is gone, whoever else wants something; false if that takes too long.
    pub async fn drain(&mut self, peer: Peer, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        loop {
            self.flush().await;
            let Some(client) = self.open.get(&peer).filter(|client| client.owed() > 0) else { return true };
            if timeout_at(until, poll_fn(|cx| client.connection.poll_writable(cx))).await.is_err() {
                return false;
            }
            self.touched.push(peer);
        }
    }

    pub(super) fn connection(&mut self, peer: Peer) -> Option<&mut Connection> {
        self.open.get_mut(&peer).map(|client| &mut client.connection)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Clients from the one behind the last one on.
    pub(super) fn in_turn(&self, last: Peer) -> impl Iterator<Item = Turn<'_>> {
        let all = self.open.range(last + 1..).chain(self.open.range(..=last));
        all.map(|(peer, client)| Turn {
            peer: *peer,
            connection: &client.connection,
            is_owed: !client.outgoing.is_empty(),
            has_said_all: client.said_all,
        })
    }

    /// A client has ended its direction: there is nothing more to read.
    pub(super) fn heard_all(&mut self, peer: Peer) {
        if let Some(client) = self.open.get_mut(&peer) {
            client.said_all = true;
        }
    }

    /// Whether the next message of a client is to be looked at.
    pub(super) fn listens_to(&self, peer: Peer) -> bool {
        self.open.get(&peer).is_some_and(|client| !client.ending && client.outgoing.is_empty())
    }

    pub(super) fn wait_to_send(&self) -> bool {
        self.open.values().any(|client| !client.outgoing.is_empty())
    }

    /// How many bytes are to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.open.values().map(Client::owed).sum()
    }

    /// A client takes something again.
    pub(super) fn touch(&mut self, peer: Peer) {
        self.touched.push(peer);
    }

    /// Sends whatever is taken, and closes what is to be closed.
    pub(super) async fn flush(&mut self) {
        for peer in mem::take(&mut self.touched) {
            let Some(client) = self.open.get_mut(&peer) else { continue };
            let sent = client.send_all(self.yields).await;
            if mem::take(&mut client.lingers) {
                client.lingers = !client.outgoing.is_empty();
                // It may be gone already, which is seen when it is read.
                let _ = (!client.lingers).then(|| client.connection.half_close());
            }
            if sent.is_err() || (client.ending && client.outgoing.is_empty()) {
                self.remove(peer);
            }
        }
    }

    /// Those who have gone.
    pub(super) fn take_gone(&mut self) -> Vec<(Peer, Client<S>)> {
        mem::take(&mut self.gone)
    }
}

impl<S> Client<S> {
    fn owed(&self) -> usize {
        self.outgoing.iter().map(|message| message.bytes.len() - message.sent).sum()
    }

    /// Closes the connection: what was kept, and what it was still owed.
    pub(super) fn left(self) -> (S, Vec<Bytes>) {
        (self.kept, self.outgoing.into_iter().map(|message| message.bytes).collect())
    }

    async fn send_all(&mut self, yields: bool) -> Result<(), SendEnd> {
        loop {
            if self.outgoing.is_empty() {
                self.outgoing.extend(self.floods.clone().map(|bytes| Message::new(bytes, Vec::new())));
            }
            let Some(message) = self.outgoing.front_mut() else { return Ok(()) };
            if yields {
                consume_budget().await;
            }
            let fds: Vec<_> = message.fds.iter().map(AsFd::as_fd).collect();
            let sent = self.connection.try_send(&message.bytes.slice(message.sent..), &fds)?;
            message.sent += sent;
            if message.sent >= message.bytes.len() {
                self.outgoing.pop_front();
            } else if sent > 0 {
                message.fds.clear();
            } else {
                return Ok(());
            }
        }
    }
}
