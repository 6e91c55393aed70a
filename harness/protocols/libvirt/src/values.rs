//! What clients read in results, and hand back in later calls.

use bytes::Bytes;
use wire::libvirt_rpc::STRING_MAX;
use wire::xdr::{Reader, Writer, XdrError};

use super::names::procedures;
use super::rpc::Failure;

/// Most elements that are read of any list: the limit of the longest one.
const LIST_MAX: u32 = 65_536;
/// Length of a uuid in bytes.
const UUID_LEN: usize = 16;

/// What an object is; each kind is written another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Name, uuid, id.
    Domain,
    /// Name, uuid.
    Network,
    /// Name, hardware address.
    Interface,
    /// Name, uuid.
    Pool,
    /// Name.
    NodeDevice,
}

/// An object of the server: its name, and all that calls about it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) name: String,
    raw: Bytes,
    /// The id of a domain.
    pub(super) id: i32,
    /// The hardware address of an interface.
    pub(super) mac: String,
}

impl Object {
    /// The arguments of a call that is about it.
    pub(super) fn arguments(&self) -> Writer {
        Writer::new().raw(&self.raw)
    }

    fn read(reader: &mut Reader<'_>, payload: &Bytes, kind: Kind) -> Result<Self, XdrError> {
        let start = reader.at();
        let name = text_of(reader)?;
        let (mut id, mut mac) = (0, String::new());
        match kind {
            Kind::NodeDevice => {}
            Kind::Interface => mac = text_of(reader)?,
            Kind::Network | Kind::Pool => _ = reader.fixed(UUID_LEN)?,
            Kind::Domain => {
                reader.fixed(UUID_LEN)?;
                id = reader.i32()?.1;
            }
        }
        Ok(Self { name, raw: payload.slice(start..reader.at()), id, mac })
    }
}

/// Whoever calls procedures of a server.
pub(super) trait Calls {
    /// Calls a procedure of program `remote` and waits for its answer.
    async fn call(&mut self, procedure: i32, arguments: Writer) -> Result<Bytes, Failure>;

    /// The same; reads the result.
    async fn ask<T>(
        &mut self,
        procedure: i32,
        arguments: Writer,
        read: fn(&Bytes) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        read(&self.call(procedure, arguments).await?)
    }

    /// An object by its name.
    async fn lookup(&mut self, procedure: i32, name: &str, kind: Kind) -> Result<Object, Failure> {
        object(&self.call(procedure, Writer::new().opaque(name.as_bytes())).await?, kind)
    }

    /// A domain by its id.
    async fn domain_of(&mut self, id: i32) -> Result<Object, Failure> {
        object(&self.call(procedures::DOMAIN_LOOKUP_BY_ID, Writer::new().i32(id)).await?, Kind::Domain)
    }
}

fn text_of(reader: &mut Reader<'_>) -> Result<String, XdrError> {
    Ok(String::from_utf8_lossy(reader.opaque(STRING_MAX)?.bytes).into_owned())
}

pub(super) fn optional_text_of(reader: &mut Reader<'_>) -> Result<Option<String>, XdrError> {
    let (_, there) = reader.flag()?;
    there.then(|| text_of(reader)).transpose()
}

fn read<T>(payload: &Bytes, with: impl FnOnce(&mut Reader<'_>) -> Result<T, XdrError>) -> Result<T, Failure> {
    // What follows a result is passed over, as in the library.
    with(&mut Reader::new(payload))
        .map_err(|_| Failure::Unreadable("Unable to decode message payload".to_owned()))
}

/// One object.
pub(super) fn object(payload: &Bytes, kind: Kind) -> Result<Object, Failure> {
    read(payload, |reader| Object::read(reader, payload, kind))
}

/// A list of objects.
pub(super) fn objects(payload: &Bytes, kind: Kind) -> Result<Vec<Object>, Failure> {
    read(payload, |reader| {
        let (_, count) = reader.count(LIST_MAX)?;
        (0..count).map(|_| Object::read(reader, payload, kind)).collect()
    })
}

/// A list of texts.
pub(super) fn texts(payload: &Bytes) -> Result<Vec<String>, Failure> {
    read(payload, |reader| {
        let (_, count) = reader.count(LIST_MAX)?;
        (0..count).map(|_| text_of(reader)).collect()
    })
}

/// A list of numbers.
pub(super) fn numbers(payload: &Bytes) -> Result<Vec<i32>, Failure> {
    read(payload, |reader| {
        let (_, count) = reader.count(LIST_MAX)?;
        (0..count).map(|_| Ok(reader.i32()?.1)).collect()
    })
}

/// A text.
pub(super) fn text(payload: &Bytes) -> Result<String, Failure> {
    read(payload, text_of)
}

/// A text that need not be there.
pub(super) fn optional_text(payload: &Bytes) -> Result<Option<String>, Failure> {
    read(payload, optional_text_of)
}

/// A number of 32 bits.
pub(super) fn number(payload: &Bytes) -> Result<i32, Failure> {
    read(payload, |reader| Ok(reader.i32()?.1))
}

/// A number of 64 bits.
pub(super) fn long(payload: &Bytes) -> Result<u64, Failure> {
    read(payload, |reader| Ok(reader.u64()?.1))
}

/// A version from its number: `major * 1_000_000 + minor * 1_000 + release`.
pub(super) fn version(number: u64) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_objects_back_as_they_came() {
        let check = |kind: Kind, written: Writer, id: i32, mac: &str| {
            let payload = written.clone().u32(7).finish();
            let read = object(&payload, kind).expect("complete");
            assert_eq!((read.name.as_str(), read.id, read.mac.as_str()), ("eth1x", id, mac), "{kind:?}");
            assert_eq!(read.arguments(), written, "{kind:?}");
            for len in 0..written.finish().len() {
                assert!(object(&payload.slice(..len), kind).is_err(), "{kind:?} cut at {len}");
            }
        };
        let name = || Writer::new().opaque(b"eth1x");
        check(Kind::NodeDevice, name(), 0, "");
        check(Kind::Interface, name().opaque(b"aa:bb"), 0, "aa:bb");
        check(Kind::Network, name().fixed(&[3; UUID_LEN]), 0, "");
        check(Kind::Pool, name().fixed(&[3; UUID_LEN]), 0, "");
        check(Kind::Domain, name().fixed(&[3; UUID_LEN]).i32(-1), -1, "");
    }

    #[test]
    fn refuses_counts_that_nothing_stands_behind() {
        let lying = Writer::new().u32(LIST_MAX).finish();
        assert!(texts(&lying).is_err());
        assert!(numbers(&Writer::new().u32(u32::MAX).finish()).is_err());
        assert_eq!(texts(&Writer::new().u32(1).opaque(b"a").finish()), Ok(vec!["a".to_owned()]));
    }

    #[test]
    fn writes_versions_as_virsh_does() {
        let written = [7_000_000, 11_003_000, 12_008_000, 1_002_003].map(version);
        assert_eq!(written, ["7.0.0", "11.3.0", "12.8.0", "1.2.3"]);
    }

    proptest::proptest! {
        /// Results that mean nothing are read without a panic, and nothing is read that is not there.
        #[test]
        fn reads_anything(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let payload = Bytes::from(bytes);
            for kind in [Kind::Domain, Kind::Network, Kind::Interface, Kind::Pool, Kind::NodeDevice] {
                if let Ok(object) = object(&payload, kind) {
                    let arguments = object.arguments().finish();
                    proptest::prop_assert!(payload.starts_with(&arguments));
                }
                if let Ok(all) = objects(&payload, kind) {
                    proptest::prop_assert!(all.len() * 4 <= payload.len());
                }
            }
            if let Ok(all) = texts(&payload) {
                proptest::prop_assert!(all.len() * 4 <= payload.len());
            }
            if let Ok(all) = numbers(&payload) {
                proptest::prop_assert_eq!(all.len(), payload[..4].iter().fold(0, |n, b| n << 8 | usize::from(*b)));
            }
        }
    }
}
