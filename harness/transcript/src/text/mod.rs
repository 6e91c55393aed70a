//! The `.wire` text form, format 1: a transcript as readable, diffable, byte-exact text.
//!
//! ```text
//! # wireskew-wire 1 written by "wireskew 0.1.0"      format, and who wrote it
//! # protocol = "lxc-command"                         provenance: TOML in comment lines
//! # case = "client/info"
//! #
//! # [client]
//! # id = "4.0.6"
//! # name = "lxc-info"
//!                                                    an empty line ends it
//! # 0.000000 c2s conn=1 connect                      an event that is no data
//! O 0.000312 c2s conn=1 len=18 creds=4711:0:0        a block of data: O to the server, I to the client
//! 000000 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
//! 000010 6f 6b                                            |ok|
//! # 0.004100 s2c conn=1 eof
//! # end events=3 bytes=18                            what must have been read by here
//! ```
//!
//! # Grammar
//!
//! Lines end in `\n`, also the last one; the text is UTF-8. `{ }` repeats, `[ ]` may be absent.
//!
//! ```text
//! file     = first { "# " toml | "#" } "" { "" | event | data } end
//! first    = "# wireskew-wire " format " written by " quoted
//! event    = "# " where " " what
//! data     = ( "O " | "I " ) where " len=" number [ " fds=" word { "," word } ]
//!            [ " creds=" pid ":" uid ":" gid ]  and below it the dump
//! dump     = offset { " " byte } spaces "  |" text "|"        16 bytes a line, six digits of offset
//!          | "# repeat " number          a full line of 16 bytes, that many times more; from 1024 times on
//! where    = time " " ( "c2s" | "s2c" ) " conn=" number       seconds with six decimals
//! what     = "connect"                   c2s: the client connected; s2c: a new server took over
//!          | "connect-failed " word      the name of the error
//!          | "eof" [ " " word ]          that side ended its direction; how
//!          | "reset"
//!          | "timeout ms=" number        nothing came from that side for so long
//!          | "exit code=" number | "exit signal=" number | "exit gone"
//!          | "mark " word { " " word "=" word }
//!          | "observe " word "=" word    not on the wire; comparison passes over it
//! end      = "# end events=" number " bytes=" number
//! word     = plain { plain } | quoted    plain: a-z A-Z 0-9 _ - . / : + ~ @ %
//! quoted   = '"' { character | escape } '"'
//! escape   = \" \\ \n \r \t \uXXXX       for what cannot be seen; and in a `data` line for a space
//! ```
//!
//! Front matter has the keys of [`Provenance`](crate::Provenance), nothing else; `recorder` is on the
//! first line. Masks stand there, apart from the bytes.
//! One block of data is one [`Data`](crate::Data) event: one read or write. Rules across lines (time
//! never goes back, no bytes behind an end, …) are in [`Broken`](crate::Broken).
//!
//! # One text
//!
//! A transcript has exactly one canonical text, that of [`render`]. [`parse`] also reads TOML that is
//! laid out in another way, escapes that were not necessary and additional empty lines between events,
//! so that a fixture can be edited by hand; [`is_canonical`] tells whether that is so. There is no checksum over the
//! bytes, for the same reason: damage shows in counts, offsets, lengths and the text column, and
//! what is under version control is under its checksums already.
//!
//! # text2pcap
//!
//! Wireshark's stock `text2pcap` reads such a file as it is. It passes over `#` lines; to it, the
//! lines with `O` and `I` are preambles with direction and time:
//!
//! ```text
//! text2pcap -D -t '%s.%f' -T 1,1024 fixture.wire fixture.pcapng       one TCP connection, server on port 1
//! text2pcap -D -t '%s.%f' -l 147 fixture.wire fixture.pcapng          plain payload, link type USER0
//! ```
//!
//! It passes over folded lines, too, so that a block with some comes out short. It cuts blocks above 256 KiB into several packets and puts all connections into one; [`export::pcapng`](crate::export::pcapng) keeps them apart.
//!
//! # Versions
//!
//! The first line reads the same in every format. A reader that meets a later format answers
//! [`ParseErrorKind::NewerFormat`] with the writer's name and does not try.

mod error;
mod front;
mod parse;
mod render;
mod words;

pub use error::{Found, ParseError, ParseErrorKind};
pub(crate) use front::render as render_front_matter;
pub(crate) use parse::header_len;
pub use parse::{parse, parse_bytes, parse_header};
pub(crate) use render::event_line;
pub use render::render;

/// The format that is written, and the newest that can be read.
pub const FORMAT: u32 = 1;

/// Longest text that is read, in bytes.
pub const FILE_LEN_MAX: usize = 256 << 20;

/// Longest line that is read, in bytes.
pub const LINE_LEN_MAX: usize = 1 << 20;

/// That many repetitions of a dump line, 16 KiB, are folded into one line.
const FOLD_FROM: usize = 1024;

/// Most bytes that a text with folded lines may stand for: what a recorder keeps at most.
pub const FOLDED_BYTES_MAX: usize = 96 << 20;

/// Bytes in a full dump line.
const DUMP_WIDTH: usize = 16;

/// Whether `text` can be read and is the one text of its transcript.
#[must_use]
pub fn is_canonical(text: &str) -> bool {
    parse(text).is_ok_and(|transcript| render(&transcript) == text)
}
