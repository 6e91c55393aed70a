//! A conversation as data.
//!
//! Probes and replays are scripts. A script says what is sent and what is waited for, never what a
//! right answer is; role marks between its steps tell the checks what each part is for. Where a client takes part that acts
//! by itself ([`crate::Actor`]), steps say what happens to it.

use std::sync::Arc;

use bytes::Bytes;
use transcript::evidence::{Capture, Role, ServerAct, Successor};
use transcript::{ConnId, Credentials, FdNote, Mark};

use crate::{Payload, Template};

/// Steps in the order in which they are played.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// The condition that the server must be in before; the words belong to the protocol.
    pub condition: Option<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Opens a connection.
    Connect(ConnId),
    /// Says what follows on this connection is for.
    Mark(ConnId, Mark),
    /// Sends bytes in one write, perhaps with descriptors and credentials.
    Send {
        /// On which connection.
        conn: ConnId,
        /// What. A template that quotes what could not be captured is not sent, which is observed.
        payload: Payload,
        /// Descriptors to open and pass with the first byte, by kind: `null`, `pipe`, `socket`, `dir`.
        fds: Vec<FdNote>,
        /// Credentials to attach.
        creds: Option<Credentials>,
    },
    /// Takes the value of a field from the last reply on a connection. Where that is not there, the variable has no value
    /// any more, which is observed.
    Capture(ConnId, Capture),
    /// Waits for one complete frame, the end of the stream, or the deadline.
    AwaitReply {
        /// On which connection.
        conn: ConnId,
        /// Milliseconds, before scaling.
        deadline_ms: u64,
    },
    /// Waits until every request of the last write that is due an answer has it, the end of the stream, or the
    /// deadline. Where the last write holds no such request, waits as [`Step::AwaitReply`] does.
    AwaitAnswers {
        /// On which connection.
        conn: ConnId,
        /// Milliseconds, before scaling.
        deadline_ms: u64,
    },
    /// Takes whatever comes until the stream ends or nothing came for this long.
    AwaitQuiet {
        /// On which connection.
        conn: ConnId,
        /// Milliseconds, before scaling.
        quiet_ms: u64,
    },
    /// Ends our sending half.
    HalfClose(ConnId),
    /// Closes the connection.
    Close(ConnId),
    /// Waits. A client that acts by itself goes on meanwhile.
    Pause {
        /// Milliseconds, not scaled.
        ms: u64,
    },
    /// Looks at the server's process: alive, descriptors, memory.
    Watch,
    /// Something happens to the server itself, by other means than its socket.
    Server(ServerAct),
    /// A client that otherwise acts by itself is told to do something.
    Client(ClientAct),
    /// The server is held, and something is written in its stead. It goes on with [`Step::Release`], or when it is started
    /// again.
    Inject(Injection),
    /// A server that is held goes on.
    Release,
}

/// What a client can be told to do that otherwise acts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAct {
    /// Its process starts and connects.
    Start {
        /// Which build that is.
        build: Successor,
        /// Whether it is told what the process before it had agreed on.
        handed_over: bool,
    },
    /// Its process is killed, and its connection ends.
    Kill,
    /// It ends its connection and goes on.
    Leave {
        /// Whether it writes the first half of a message before.
        in_mid_message: bool,
    },
    /// It connects again.
    Return,
    /// Its own interface is called. The words belong to the protocol.
    Call(Arc<str>),
}

/// What is written in the stead of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The writes, with time between them.
    pub writes: Vec<Bytes>,
    /// Whether the server's end is closed.
    pub closes: Closes,
}

/// When the server's end of a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closes {
    /// It stays open.
    Never,
    /// Together with the last write.
    AtOnce,
    /// When the client has had time to read.
    Later,
}

/// A mark with arguments.
#[must_use]
pub fn mark(label: &str, args: &[(&str, &str)]) -> Mark {
    Mark {
        label: label.to_owned(),
        args: args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    }
}

impl Script {
    /// An empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes it sends, those of what it quotes not counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sent = self.steps.iter().map(|step| match step {
            Step::Send { payload, .. } => payload.literal_len() as u64,
            _ => 0,
        });
        sent.sum()
    }

    /// Whether it claims credentials.
    #[must_use]
    pub fn claims(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Send { creds: Some(_), .. }))
    }

    /// Whether it passes descriptors.
    #[must_use]
    pub fn passes_descriptors(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Send { fds, .. } if !fds.is_empty()))
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Opens a connection and names its first role.
    #[must_use]
    pub fn open(self, conn: u32, role: Role, args: &[(&str, &str)]) -> Self {
        self.then(Step::Connect(ConnId(conn))).role(conn, role, args)
    }

    /// Starts a new role on an open connection.
    #[must_use]
    pub fn role(self, conn: u32, role: Role, args: &[(&str, &str)]) -> Self {
        self.then(Step::Mark(ConnId(conn), mark(role.word(), args)))
    }

    /// Sends bytes in one write.
    #[must_use]
    pub fn send(self, conn: u32, bytes: impl Into<Bytes>) -> Self {
        self.payload(conn, bytes.into().into())
    }

    /// Sends in one write what quotes the server.
    #[must_use]
    pub fn send_filled(self, conn: u32, template: Template) -> Self {
        self.payload(conn, template.into())
    }

    fn payload(self, conn: u32, payload: Payload) -> Self {
        self.then(Step::Send { conn: ConnId(conn), payload, fds: Vec::new(), creds: None })
    }

    /// Takes the value of a field from the last reply; from then on, a template may quote it by that name.
    #[must_use]
    pub fn capture(self, conn: u32, field: &str, var: &str) -> Self {
        let capture = Capture { field: field.to_owned(), var: var.to_owned(), short: None };
        self.then(Step::Capture(ConnId(conn), capture))
    }

    /// Waits for one reply.
    #[must_use]
    pub fn reply(self, conn: u32, deadline_ms: u64) -> Self {
        self.then(Step::AwaitReply { conn: ConnId(conn), deadline_ms })
    }

    /// Waits until the requests of the last write are answered.
    #[must_use]
    pub fn answers(self, conn: u32, deadline_ms: u64) -> Self {
        self.then(Step::AwaitAnswers { conn: ConnId(conn), deadline_ms })
    }

    /// Collects what comes unasked.
    #[must_use]
    pub fn quiet(self, conn: u32, quiet_ms: u64) -> Self {
        self.then(Step::AwaitQuiet { conn: ConnId(conn), quiet_ms })
    }

    /// Closes a connection.
    #[must_use]
    pub fn close(self, conn: u32) -> Self {
        self.then(Step::Close(ConnId(conn)))
    }

    /// Ends our sending half.
    #[must_use]
    pub fn half_close(self, conn: u32) -> Self {
        self.then(Step::HalfClose(ConnId(conn)))
    }

    /// Waits.
    #[must_use]
    pub fn pause(self, ms: u64) -> Self {
        self.then(Step::Pause { ms })
    }

    /// Does something to the server itself.
    #[must_use]
    pub fn server(self, act: ServerAct) -> Self {
        self.then(Step::Server(act))
    }

    /// Looks at the server's process.
    #[must_use]
    pub fn watch(self) -> Self {
        self.then(Step::Watch)
    }
}
