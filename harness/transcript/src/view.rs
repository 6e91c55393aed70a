//! Ways to look at a transcript.

use wire::Direction;

use crate::{ConnId, Data, Event, EventKind, Transcript};

impl Transcript {
    /// The numbers of all connections, in the order in which they first appear; not 0, which is none.
    #[must_use]
    pub fn conns(&self) -> Vec<ConnId> {
        let mut conns = Vec::new();
        let mut seen = std::collections::BTreeSet::from([ConnId::default()]);
        for event in &self.events {
            if seen.insert(event.conn) {
                conns.push(event.conn);
            }
        }
        conns
    }

    /// The events of one connection with their indices.
    pub fn on(&self, conn: ConnId) -> impl Iterator<Item = (usize, &Event)> {
        self.events.iter().enumerate().filter(move |(_, event)| event.conn == conn)
    }

    /// The blocks of data that one side sent on one connection, with the indices of their events.
    pub fn blocks(&self, conn: ConnId, dir: Direction) -> impl Iterator<Item = (usize, &Data)> {
        self.on(conn).filter_map(move |(index, event)| match &event.kind {
            EventKind::Data(data) if event.dir == dir => Some((index, data)),
            _ => None,
        })
    }

    /// All bytes that one side sent on one connection.
    #[must_use]
    pub fn stream(&self, conn: ConnId, dir: Direction) -> Vec<u8> {
        let mut stream = Vec::new();
        for (_, data) in self.blocks(conn, dir) {
            stream.extend_from_slice(&data.bytes);
        }
        stream
    }

    /// How many bytes passed, both ways and on all connections.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        let len =
            |kind: &EventKind| if let EventKind::Data(data) = kind { data.bytes.len() as u64 } else { 0 };
        self.events.iter().map(|event| len(&event.kind)).sum()
    }

    /// Time of the last event.
    #[must_use]
    pub fn end_us(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at_us)
    }
}

/// A text as a name of a file or folder: letters, digits and `._+~`, all else one `-` a run. Never empty, never
/// `.` or `..`, and without `..` inside, which separates client and server.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.chars() {
        let kept = c.is_ascii_alphanumeric() || "_+~".contains(c) || (c == '.' && !slug.ends_with('.'));
        if kept {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "unnamed".to_owned() } else { slug.to_owned() }
}
