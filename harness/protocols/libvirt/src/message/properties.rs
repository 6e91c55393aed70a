//! Properties of the reading: payloads that follow a layout, and recorded messages that were changed.

use bytes::Bytes;
use proptest::prelude::*;
use wire::libvirt_rpc::{HEAD_LEN, Header, MESSAGE, MessageType, Status};
use wire::xdr::Writer;
use wire::{Direction, Dissection, Frame, Value};

use super::layouts::{self, Kind, Part, layout};
use super::{dissect, tests};
use crate::dialect::Limits;
use crate::dialect::{DIALECTS, Dialect};
use crate::names;
use crate::request;

/// Choices that are made one after the other; the same choices make the same payload.
struct Choices(u64);

impl Choices {
    /// A number below `end`. The generator is that of Knuth's MMIX; its upper bits are good enough.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn word(&mut self) -> u32 {
        u32::try_from(self.below(1 << 31)).unwrap_or(0)
    }

    fn text(&mut self) -> Vec<u8> {
        let len = self.below(9);
        (0..len).map(|_| b'a' + u8::try_from(self.below(26)).unwrap_or(0)).collect()
    }

    /// A payload that follows the layout.
    fn payload(&mut self, parts: &[Part], limits: &Limits) -> Writer {
        self.parts(Writer::new(), parts, limits)
    }

    fn parts(&mut self, writer: Writer, parts: &[Part], limits: &Limits) -> Writer {
        parts.iter().fold(writer, |writer, part| self.part(writer, &part.kind, limits))
    }

    fn part(&mut self, writer: Writer, kind: &Kind, limits: &Limits) -> Writer {
        match kind {
            Kind::Int => writer.i32(self.word().cast_signed().wrapping_neg()),
            Kind::Uint | Kind::Flags => writer.u32(self.word()),
            Kind::Hyper | Kind::UnsignedHyper => writer.u32(self.word()).u32(self.word()),
            Kind::Text => writer.opaque(&self.text()),
            Kind::OptionalText => {
                let text = (self.below(2) == 1).then(|| self.text());
                writer.optional(text.as_deref())
            }
            Kind::Uuid => (0..4).fold(writer, |writer, _| writer.u32(self.word())),
            Kind::Chars(count) => self.chars(writer, *count),
            Kind::CharList(bound) => {
                let count = u32::try_from(self.below(5)).unwrap_or(0).min(bound.of(limits));
                self.chars(writer.u32(count), count)
            }
            Kind::Opaque(_) => writer.opaque(&self.text()),
            Kind::Group(parts) => self.parts(writer, parts, limits),
            Kind::Optional(parts) => match self.below(2) {
                0 => writer.u32(0),
                _ => self.parts(writer.u32(1), parts, limits),
            },
            Kind::List(bound, _, item) => {
                let count = u32::try_from(self.below(4)).unwrap_or(0).min(bound.of(limits));
                (0..count).fold(writer.u32(count), |writer, _| self.parts(writer, item, limits))
            }
            Kind::Parameters(_) => {
                let count = u32::try_from(self.below(4)).unwrap_or(0);
                (0..count).fold(writer.u32(count), |writer, _| self.parameter(writer))
            }
            Kind::Rest => writer.raw(&self.text()),
        }
    }

    fn chars(&mut self, writer: Writer, count: u32) -> Writer {
        (0..count).fold(writer, |writer, _| writer.u32(u32::from(b'x')))
    }

    fn parameter(&mut self, writer: Writer) -> Writer {
        let writer = writer.opaque(&self.text());
        match self.below(7) + 1 {
            7 => writer.i32(7).opaque(&self.text()),
            kind @ 3..=5 => writer.u32(u32::try_from(kind).unwrap_or(0)).u32(self.word()).u32(self.word()),
            kind => writer.u32(u32::try_from(kind).unwrap_or(0)).u32(self.word()),
        }
    }
}

fn read(dialect: &Dialect, dir: Direction, bytes: Bytes) -> Dissection {
    let frame = Frame { kind: MESSAGE, head_len: HEAD_LEN, bytes };
    let dissection = dissect(dialect, dir, &frame, None);
    assert!(dissection.covers(frame.bytes.len()), "{dissection:?}");
    dissection
}

/// Whether everything was understood. Layouts that end in bytes without one may have such a field.
fn understood(dissection: &Dissection, parts: &[Part]) -> bool {
    let open = parts.iter().any(|part| matches!(part.kind, Kind::Rest));
    let odd = |name: &str| name == "trailing" || (name == "unknown" && !open);
    dissection.problems.is_empty() && !dissection.fields.iter().any(|field| odd(&field.name))
}

proptest! {
    /// What is written by a layout is read by it, whole, in every dialect and direction.
    #[test]
    fn payloads_that_follow_a_layout_are_understood(seed: u64, qemu: bool, procedure in 1..457_i32) {
        let program = if qemu { names::program::QEMU } else { names::program::REMOTE };
        for dialect in DIALECTS.all() {
            let Some(layout) = layout(dialect, program, procedure) else { continue };
            let header = Header { program: layout.program, ..request::header(layout.procedure, 1) };
            let event = !qemu && names::is_event(layout.procedure);
            let mut choices = Choices(seed);
            if !event {
                let arguments = choices.payload(&layout.arguments, &dialect.limits).finish();
                let call = read(dialect, Direction::ToServer, header.message(&arguments));
                prop_assert!(understood(&call, &layout.arguments), "{call:?}");
            }
            let kind = if event { MessageType::MESSAGE } else { MessageType::REPLY };
            let result = choices.payload(&layout.result, &dialect.limits).finish();
            let reply = read(dialect, Direction::ToClient, Header { kind, ..header }.message(&result));
            prop_assert!(understood(&reply, &layout.result), "{reply:?}");
        }
    }

    /// The same for errors, in the answer to any call and at the end of its stream.
    #[test]
    fn errors_are_understood(seed: u64, procedure in -1..460_i32, stream: bool) {
        let dialect = DIALECTS.named("12.8.0").expect("in the table");
        let kind = if stream { MessageType::STREAM } else { MessageType::REPLY };
        let header = Header { kind, status: Status::ERROR, ..request::header(procedure, 1) };
        let error = Choices(seed).payload(layouts::error(), &dialect.limits).finish();
        let reply = read(dialect, Direction::ToClient, header.message(&error));
        prop_assert!(understood(&reply, layouts::error()), "{reply:?}");
        prop_assert!(reply.field("code").is_some_and(|field| matches!(field.value, Value::Int(_))));
    }

    /// A recorded message with some bytes changed, put in or left out is still read whole.
    #[test]
    fn changed_recordings_are_read_whole(pick: prop::sample::Index, at: prop::sample::Index, cut in 0..9_usize, put in prop::collection::vec(any::<u8>(), 0..9)) {
        let golden = tests::golden();
        let golden = pick.get(&golden);
        let bytes = &golden.frame.bytes;
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        let changed: Bytes = [&bytes[..at], &put, &bytes[end..]].concat().into();
        for dialect in DIALECTS.all() {
            for dir in [Direction::ToServer, Direction::ToClient] {
                let dissection = read(dialect, dir, changed.clone());
                for problem in &dissection.problems {
                    prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= changed.len());
                }
            }
        }
    }
}
