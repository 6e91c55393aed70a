//! What each release does, as data.
//!
//! A dialect is the release before it with changes applied. There is no negotiation: what a build can do is what
//! guest-info lists as enabled, never what its version text makes one expect. Measured on the builds of four Debian
//! suites, x86-64; what upstream releases in between did is not known, so a version means the newest table entry that
//! is not newer.
//!
//! ```text
//! 5.2 (bullseye) - 7.2 (bookworm) - 10.0 (trixie) - 11.1 (forky) - ideal
//! ```

use protocol::dialect::{Facts, Table};

use super::names;
use super::releases::RELEASES;

/// Most arrays and objects inside each other, in every release (`MAX_NESTING`).
pub(crate) const DEPTH_MAX: usize = 1024;
/// Most bytes of one token, in every release (`MAX_TOKEN_SIZE`).
pub(crate) const TOKEN_MAX: usize = 64 << 20;

/// One release's reading of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Name of the release that began it, or `ideal`.
    pub name: &'static str,
    /// The commands that are known, in the order in which guest-info lists them.
    pub commands: Vec<&'static str>,
    /// What is said of a blocked command; `{}` is its name.
    pub blocked_text: &'static str,
    /// The class of that error.
    pub blocked_class: &'static str,
    /// How requests are parsed.
    pub parsing: Parsing,
    /// How numbers are written.
    pub numbers: Numbers,
    /// Whether errors of syntax begin with the place, `LINE:COLUMN: `.
    pub places: bool,
    /// Whether each client finds a parser that has read nothing yet.
    pub fresh_parser: bool,
    /// Whether numbers that are too large are taken for infinity.
    pub infinite: bool,
    /// Whether the bytes c0 80 are taken for NUL.
    pub overlong_nul: bool,
    /// Whether a client that does not read keeps the processor busy.
    pub spins: bool,
    /// Whether guest-get-fsinfo tells what is free for root.
    pub privileged_bytes: bool,
}

/// When an error in the syntax is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsing {
    /// When the braces of the request have closed: half a request is swallowed without a byte, whatever follows. What
    /// is too deep is thrown away, and the closing brackets behind it are errors of their own.
    WhenClosed,
    /// Where the request becomes wrong. Up to where its braces close, nothing more is told.
    AtOnce,
}

/// How numbers are written that are no integers of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Six places behind the point, as `%f` does, without zeros at the end.
    SixPlaces,
    /// Seventeen digits, as `%.17g` does.
    SeventeenDigits,
    /// As they came.
    AsSent,
}

/// The dialects of the protocol.
pub(crate) static DIALECTS: Table<Dialect> = Table::of(RELEASES);

impl Facts for Dialect {
    /// What 5.2 does.
    fn first() -> Self {
        Self {
            name: "",
            commands: names::commands("5.2"),
            blocked_text: "The command {} has been disabled for this instance",
            blocked_class: names::COMMAND_NOT_FOUND,
            parsing: Parsing::WhenClosed,
            numbers: Numbers::SixPlaces,
            places: false,
            fresh_parser: false,
            infinite: true,
            overlong_nul: true,
            spins: true,
            privileged_bytes: false,
        }
    }

    fn name(&mut self) -> &mut &'static str {
        &mut self.name
    }
}

impl Dialect {
    /// Whether the release knows a command.
    pub(crate) fn knows(&self, command: &str) -> bool {
        self.commands.contains(&command)
    }

    /// Adds commands, each in front of the list.
    pub(super) fn learn(&mut self, commands: &[&'static str]) {
        for command in commands {
            self.commands.insert(0, command);
        }
    }

    /// Takes a command from the list.
    pub(super) fn forget(&mut self, command: &str) {
        self.commands.retain(|known| *known != command);
    }
}

#[cfg(test)]
mod tests {
    use protocol::testing::check_table;

    use super::*;

    #[test]
    fn the_release_table_is_sound() {
        check_table(&DIALECTS);
    }

    #[test]
    fn releases_have_as_many_commands_as_were_counted() {
        for (name, count) in [("5.2", 40), ("7.2", 42), ("10.0", 43), ("11.1", 43), ("ideal", 44)] {
            assert_eq!(DIALECTS.named(name).map(|dialect| dialect.commands.len()), Some(count), "{name}");
        }
    }

    #[test]
    fn every_command_is_blocked_or_harmless() {
        for dialect in DIALECTS.all() {
            for command in &dialect.commands {
                let sorted = names::BLOCKED.contains(command) || names::READS.contains(command);
                assert!(sorted || *command == names::GET_DEVICES, "{}: {command}", dialect.name);
            }
            assert!(names::BLOCKED.iter().all(|blocked| dialect.knows(blocked)), "{}", dialect.name);
        }
    }
}
