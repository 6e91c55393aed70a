//! Descriptions of interfaces: the small part of XML that they need, read and written as releases do.

use super::failure::Failure;
use crate::dialect::{Dialect, XmlFaults, XmlPlace};
use crate::names::{error, error_domain};

/// How deep elements may lie in each other.
const DEPTH_MAX: usize = 16;
/// The kinds of interface.
const KINDS: [&[u8]; 4] = [b"ethernet", b"bridge", b"bond", b"vlan"];

/// An element with what it holds. Texts between elements mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Vec<u8>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) children: Vec<Element>,
}

/// An interface as it was described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) name: Vec<u8>,
    /// Empty where none was given.
    pub(super) mac: Vec<u8>,
    element: Element,
}

/// Why a description cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// There is nothing.
    Empty,
    /// It is not XML, in that line.
    Malformed(usize),
    /// Its outermost element is another one.
    Root(Vec<u8>),
    /// It has no name.
    NoName,
    /// Its kind is not known.
    Kind(Vec<u8>),
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name.as_bytes())
    }

    /// Reads the one element of a text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let mut parser = Parser { text, at: 0 };
        parser.pass_over_misc();
        if parser.at == text.len() {
            return Err(Unreadable::Empty);
        }
        let element = parser.element(0).ok_or_else(|| parser.malformed())?;
        parser.pass_over_misc();
        if parser.at == text.len() { Ok(element) } else { Err(parser.malformed()) }
    }

    fn write(&self, depth: usize, out: &mut Vec<u8>) {
        let indent = " ".repeat(2 * depth);
        out.extend([indent.as_bytes(), b"<", &self.name].concat());
        for (name, value) in &self.attributes {
            out.extend([b" ", &name[..], b"='"].concat());
            escape(value, out);
            out.push(b'\'');
        }
        // Interfaces inside of interfaces are never written short.
        if self.children.is_empty() && self.name != b"interface" {
            return out.extend_from_slice(b"/>\n");
        }
        out.extend_from_slice(b">\n");
        self.children.iter().for_each(|child| child.write(depth + 1, out));
        out.extend([indent.as_bytes(), b"</", &self.name, b">\n"].concat());
    }
}

impl Description {
    /// Reads a description.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        // An embedded NUL cuts the text, as it does for real servers.
        let text = text.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let mut element = Element::parse(text)?;
        if element.name != b"interface" {
            return Err(Unreadable::Root(element.name));
        }
        let kind = element.attribute("type").unwrap_or(b"").to_vec();
        if !KINDS.contains(&kind.as_slice()) {
            return Err(Unreadable::Kind(kind));
        }
        let Some(name) = element.attribute("name").map(<[u8]>::to_vec) else {
            return Err(Unreadable::NoName);
        };
        let mac = element.child("mac").and_then(|mac| mac.attribute("address")).unwrap_or(b"").to_vec();
        // Written in the order in which releases write: what it is first, how it starts, what it speaks,
        // and the rest as it came.
        let order = |child: &Element| match child.name.as_slice() {
            b"start" => 0,
            b"mtu" => 1,
            b"protocol" => 2,
            _ => 3,
        };
        element.children.sort_by_key(order);
        let known = |(attribute, _): &(Vec<u8>, Vec<u8>)| attribute == b"type" || attribute == b"name";
        element.attributes.retain(known);
        element.attributes.sort_by(|(a, _), (b, _)| b.cmp(a));
        Ok(Self { name, mac, element })
    }

    /// As releases write it.
    pub(super) fn format(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.element.write(0, &mut out);
        out
    }

    /// Whether it comes up at boot.
    pub(super) fn starts_at_boot(&self) -> bool {
        self.element.child("start").and_then(|start| start.attribute("mode")) == Some(b"onboot")
    }
}

impl Unreadable {
    /// What a client is told, with the domain of who asked.
    pub(super) fn told(&self, dialect: &Dialect, domain: i32, document: &str) -> Failure {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let by_driver = dialect.server.xml_faults == XmlFaults::Driver;
        let old = dialect.server.xml_place == XmlPlace::Document;
        let detail = |line: usize, what: &str| {
            let place = if old { format!("({document}):{line}") } else { format!("at line {line}") };
            Failure::plain(error::XML_DETAIL, domain, format!("{place}: {what}\n"))
        };
        match self {
            Self::Empty => detail(1, "Document is empty"),
            Self::Malformed(line) => detail(*line, "not well-formed"),
            Self::Root(root) if by_driver => {
                let detail = format!("unexpected root element <{}>, expecting <interface>", text(root));
                Failure::xml(domain, detail)
            }
            Self::Root(root) => {
                let detail = format!("expecting root element of 'interface', not '{}'", text(root));
                Failure::xml(error_domain::XML, detail)
            }
            Self::NoName => Failure::xml(error_domain::INTERFACE, "interface has no name"),
            Self::Kind(kind) if by_driver => {
                let detail = format!("unknown interface type {}", text(kind));
                Failure::made(error::CONFIG_UNSUPPORTED, domain, detail)
            }
            Self::Kind(kind) => {
                let kind = text(kind);
                let detail = format!("Invalid value for attribute 'type' in element 'interface': '{kind}'.");
                Failure::xml(error_domain::XML, detail)
            }
        }
    }
}

/// The five entities that XML itself has.
const ENTITIES: [(u8, &str); 5] =
    [(b'&', "amp"), (b'<', "lt"), (b'>', "gt"), (b'\'', "apos"), (b'"', "quot")];

fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match ENTITIES.iter().find(|(known, _)| known == byte) {
            Some((_, name)) => out.extend(format!("&{name};").bytes()),
            None => out.push(*byte),
        }
    }
}

/// Reads elements and attributes; comments and processing instructions are passed over.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or(&[])
    }

    fn malformed(&self) -> Unreadable {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        Unreadable::Malformed(1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    fn eat(&mut self, what: &[u8]) -> Option<()> {
        self.rest().starts_with(what).then(|| self.at += what.len())
    }

    fn blanks(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// Passes over everything up to `end` and over that.
    fn until(&mut self, end: &[u8]) -> Option<&'a [u8]> {
        let rest = self.rest();
        let len = rest.windows(end.len()).position(|window| window == end)?;
        self.at += len + end.len();
        rest.get(..len)
    }

    fn pass_over_misc(&mut self) {
        loop {
            self.blanks();
            let (from, passed) = (self.at, self.pass_over_one());
            if passed.is_none() {
                self.at = from;
                return;
            }
        }
    }

    fn pass_over_one(&mut self) -> Option<()> {
        if self.eat(b"<!--").is_some() {
            return self.until(b"-->").map(|_comment| ());
        }
        self.eat(b"<?")?;
        self.until(b"?>").map(|_instruction| ())
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(byte) || *byte >= 0x80;
        let len = self.rest().iter().take_while(|byte| is_name(byte)).count();
        let name = self.rest().get(..len).filter(|name| !name.is_empty())?;
        self.at += len;
        Some(name.to_vec())
    }

    fn element(&mut self, depth: usize) -> Option<Element> {
        self.eat(b"<")?;
        let name = self.name()?;
        let mut attributes = Vec::new();
        loop {
            self.blanks();
            if self.eat(b"/>").is_some() {
                return Some(Element { name, attributes, children: Vec::new() });
            }
            if self.eat(b">").is_some() {
                break;
            }
            let attribute = self.name()?;
            self.blanks();
            self.eat(b"=")?;
            self.blanks();
            let quote = if self.eat(b"'").is_some() { b"'" } else { self.eat(b"\"").map(|()| b"\"")? };
            let value = self.until(quote)?;
            attributes.push((attribute, unescape(value)?));
        }
        let mut children = Vec::new();
        loop {
            self.pass_over_misc();
            self.at += self.rest().iter().take_while(|byte| **byte != b'<').count();
            if self.eat(b"</").is_some() {
                (self.name()? == name).then_some(())?;
                self.blanks();
                self.eat(b">")?;
                return Some(Element { name, attributes, children });
            }
            let from = self.at;
            self.pass_over_misc();
            if self.at != from {
                continue;
            }
            if depth >= DEPTH_MAX {
                return None;
            }
            children.push(self.element(depth + 1)?);
        }
    }
}

/// Resolves entities.
fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'<' => return None,
            b'&' => {
                let len = rest.iter().position(|byte| *byte == b';')?;
                let name = rest.get(..len)?;
                out.push(ENTITIES.iter().find(|(_, known)| known.as_bytes() == name)?.0);
                rest = rest.get(len + 1..)?;
            }
            _ => out.push(*byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DIALECTS;
    use proptest::prelude::*;

    /// As libvirtd 7.0.0 to 12.8.0 gave them back for what they were given.
    #[test]
    fn writes_what_real_servers_write() {
        #[track_caller]
        fn check(given: &str, name: &str, mac: &str, expect: &str) {
            let description = Description::parse(given.as_bytes()).expect("well formed");
            assert_eq!((&description.name[..], &description.mac[..]), (name.as_bytes(), mac.as_bytes()));
            assert_eq!(String::from_utf8_lossy(&description.format()), expect);
            assert_eq!(Description::parse(expect.as_bytes()), Ok(description));
        }
        check(
            "<interface type='ethernet' name='eth9'><start mode='none'/><mac address='aa:bb:cc:dd:ee:99'/>\
             <mtu size='1500'/><protocol family='ipv4'><ip address='10.9.9.9' prefix='24'/></protocol></interface>",
            "eth9",
            "aa:bb:cc:dd:ee:99",
            "<interface type='ethernet' name='eth9'>\n  <start mode='none'/>\n  <mtu size='1500'/>\n  \
             <protocol family='ipv4'>\n    <ip address='10.9.9.9' prefix='24'/>\n  </protocol>\n  \
             <mac address='aa:bb:cc:dd:ee:99'/>\n</interface>\n",
        );
        check(
            "<interface type='bridge' name='br0'><start mode='onboot'/><mtu size='9000'/>\
             <bridge stp='off'><interface type='ethernet' name='eth2'/></bridge></interface>",
            "br0",
            "",
            "<interface type='bridge' name='br0'>\n  <start mode='onboot'/>\n  <mtu size='9000'/>\n  \
             <bridge stp='off'>\n    <interface type='ethernet' name='eth2'>\n    </interface>\n  </bridge>\n\
             </interface>\n",
        );
    }

    #[test]
    fn refuses_what_real_servers_refuse() {
        #[track_caller]
        fn check(given: &str, release: &str, expect: (i32, i32)) {
            let dialect = DIALECTS.named(release).expect("in the table");
            let why = Description::parse(given.as_bytes()).expect_err("not a description");
            assert_eq!(why.told(dialect, 26, "interface_definition").code(), expect, "{given} on {release}");
        }
        for (given, old, new) in [
            ("", (35, 26), (35, 26)),
            ("<interface", (35, 26), (35, 26)),
            ("<interface type='ethernet' name='x'></interfac>", (35, 26), (35, 26)),
            ("<foo/>", (27, 26), (27, 5)),
            ("<interface type='ethernet'/>", (27, 26), (27, 26)),
            ("<interface type='nope' name='x'/>", (67, 26), (27, 5)),
        ] {
            check(given, "7.0.0", old);
            check(given, "9.0.0", new);
            check(given, "12.8.0", new);
        }
    }

    proptest! {
        #[test]
        fn reads_anything_without_falling_over(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(description) = Description::parse(&text) {
                prop_assert_eq!(Description::parse(&description.format()), Ok(description));
            }
        }

        #[test]
        fn reads_almost_xml_without_falling_over(text in "(<interface type='ethernet' name='a&amp;b'>|<a b='c'>|</a>|<d/>|</interface>|<!--|-->|[<>&' x]){0,30}") {
            if let Ok(description) = Description::parse(text.as_bytes()) {
                prop_assert_eq!(Description::parse(&description.format()), Ok(description));
            }
        }
    }
}
