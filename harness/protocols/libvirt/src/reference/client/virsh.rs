//! One session of virsh: how it opens and closes a connection, and what it makes of answers.
//!
//! Measured with 7.0.0, 9.0.0, 11.3.0 and 12.8.0, the same in all four:
//!
//! ```text
//! 66, 60(10), 1, 60(14), 60(15), 360  …commands…  361, 2
//! ```
//!
//! 360 goes out if feature 15 is there; a server that does not know it is complained about, and then 361
//! does not go out. A command that fails does not end the session; the exit code is that of the last one.

use std::fmt::Write as _;

use bytes::Bytes;
use wire::xdr::Writer;

use protocol::defect::Switches;

use super::defects;
use crate::dialect::Dialect;
use crate::names::{auth, feature, procedures as call};
use crate::operations::{Operation, URI};
use crate::rpc::{Failure, Rpc};
use crate::values::{self, Calls};

/// What a result of zeroes is read as by a client that takes a refusal for success.
const ZEROES: &[u8] = &[0; 64];

/// Why a command came to nothing: the lines that are printed behind `error: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint(pub(super) Vec<String>);

impl From<Failure> for Complaint {
    fn from(failure: Failure) -> Self {
        Self(vec![failure.to_string()])
    }
}

/// Puts what was attempted before why it failed.
pub(super) trait Attempt<T> {
    fn while_doing(self, what: &str) -> Result<T, Complaint>;
}

impl<T, E: Into<Complaint>> Attempt<T> for Result<T, E> {
    fn while_doing(self, what: &str) -> Result<T, Complaint> {
        self.map_err(|error| {
            let mut lines = vec![what.to_owned()];
            lines.extend(error.into().0);
            Complaint(lines)
        })
    }
}

pub(super) type Done = Result<(), Complaint>;

/// A session.
pub(super) struct Virsh<'a> {
    pub(super) rpc: Rpc,
    pub(super) dialect: &'static Dialect,
    pub(super) switches: &'a Switches,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What was written into the file that a command was given.
    pub(super) file: Option<Vec<u8>>,
    /// Whether the server lets a client register for the events of one domain.
    pub(super) has_event_callbacks: bool,
    /// Whether the server is to be told that nobody wants to know when it closes.
    has_close_callback: bool,
}

impl<'a> Virsh<'a> {
    pub(super) fn new(rpc: Rpc, dialect: &'static Dialect, switches: &'a Switches) -> Self {
        Self {
            rpc,
            dialect,
            switches,
            stdout: String::new(),
            stderr: String::new(),
            file: None,
            has_event_callbacks: false,
            has_close_callback: false,
        }
    }

    /// The whole session; its exit code.
    pub(super) async fn carry_out(&mut self, operation: &Operation) -> i32 {
        if let Err(complaint) = self.open().await.while_doing("failed to connect to the hypervisor") {
            self.complain(&complaint);
            return 1;
        }
        let mut exit = 0;
        for words in &operation.commands {
            exit = match self.command(words).await {
                Ok(()) => 0,
                Err(complaint) => {
                    self.complain(&complaint);
                    1
                }
            };
            // virsh since 9.0.0 says so of an iface-destroy that worked.
            if words.first() == Some(&"iface-destroy") && self.dialect.client.destroy_ends_badly {
                exit = 1;
            }
        }
        self.close().await;
        exit
    }

    async fn open(&mut self) -> Result<(), Failure> {
        let offered = self.ask(call::AUTH_LIST, Writer::new(), values::numbers).await?;
        if !offered.is_empty() && !offered.contains(&auth::NONE) {
            return Err(Failure::Unreadable("authentication failed: unsupported type".to_owned()));
        }
        self.supports(feature::PROGRAM_KEEPALIVE).await?;
        let arguments = Writer::new().optional(Some(URI.as_bytes())).u32(0);
        self.call(call::CONNECT_OPEN, arguments).await?;
        self.has_event_callbacks = self.supports(feature::REMOTE_EVENT_CALLBACK).await?;
        if self.supports(feature::REMOTE_CLOSE_CALLBACK).await? {
            match self.call(call::CONNECT_REGISTER_CLOSE_CALLBACK, Writer::new()).await {
                Ok(_) => self.has_close_callback = true,
                Err(Failure::Refused(_)) => {
                    self.complain(&Complaint(vec!["Unable to register disconnect callback".to_owned()]));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Nothing that goes wrong here changes how the session ended.
    async fn close(&mut self) {
        if self.has_close_callback {
            let _ = self.call(call::CONNECT_UNREGISTER_CLOSE_CALLBACK, Writer::new()).await;
        }
        let _ = self.call(call::CONNECT_CLOSE, Writer::new()).await;
    }

    /// Whether the server has a feature.
    pub(super) async fn supports(&mut self, feature: i32) -> Result<bool, Failure> {
        let arguments = Writer::new().i32(feature);
        Ok(self.ask(call::CONNECT_SUPPORTS_FEATURE, arguments, values::number).await? != 0)
    }

    /// Whether an older call is to be tried.
    pub(super) fn falls_back(&self, failure: &Failure) -> bool {
        failure.is_not_supported() && !self.switches.has(defects::IGNORES_UNKNOWN)
    }

    pub(super) fn complain(&mut self, complaint: &Complaint) {
        for line in &complaint.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(self.stderr, "error: {line}");
        }
    }

    /// Prints a line.
    pub(super) fn say(&mut self, line: &str) {
        self.stdout.push_str(line);
        self.stdout.push('\n');
    }

    /// Prints a table as virsh does: columns as wide as their widest cell and three blanks apart.
    pub(super) fn say_table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.stdout.push_str(&table(head, rows));
        self.stdout.push('\n');
    }
}

impl Calls for Virsh<'_> {
    /// As a client with the seeded defects does.
    async fn call(&mut self, procedure: i32, arguments: Writer) -> Result<Bytes, Failure> {
        match self.rpc.call(procedure, arguments).await {
            Err(failure)
                if failure.is_not_supported() && self.switches.has(defects::TAKES_REFUSAL_FOR_SUCCESS) =>
            {
                Ok(Bytes::from_static(ZEROES))
            }
            other => other,
        }
    }
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell_len = |cells: &Vec<String>, at: usize| cells.get(at).map_or(0, String::len);
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, word)| rows.iter().map(|row| cell_len(row, at)).fold(word.len(), usize::max))
        .collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!(" {}\n", padded.collect::<Vec<_>>().join("   ").trim_end())
    };
    let dashes = 3 + widths.iter().sum::<usize>() + 3 * widths.len().saturating_sub(1);
    let mut text = line(head) + &"-".repeat(dashes) + "\n";
    for row in rows {
        text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by virsh 12.8.0, without the blanks at the ends of lines.
    #[test]
    fn writes_tables_as_virsh_does() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            table(&["Id", "Name", "State"], &[row(&["1", "test", "running"])]),
            " Id   Name   State\n----------------------\n 1    test   running\n"
        );
        assert_eq!(
            table(&["Name", "State", "MAC Address"], &[row(&["eth1", "active", "aa:bb:cc:dd:ee:ff"])]),
            " Name   State    MAC Address\n------------------------------------\n eth1   active   aa:bb:cc:dd:ee:ff\n"
        );
    }
}
