//! The test driver behind a reference server: one domain, one interface, one network, one pool and four
//! node devices, as `test:///default` has them in every measured release.

use super::description::Description;
use super::interfaces::{Interface, Keeper};
use crate::dialect::Dialect;
use crate::names::{domain_state, lifecycle, number};

/// Name of the domain.
pub(super) const DOMAIN: &str = "test";
/// Identity of the domain.
pub(super) const DOMAIN_UUID: [u8; 16] =
    [0x66, 0x95, 0xeb, 0x01, 0xf6, 0xa4, 0x83, 0x04, 0x79, 0xaa, 0x97, 0xf2, 0x50, 0x2e, 0x19, 0x3f];
/// Name of the network.
pub(super) const NETWORK: &str = "default";
/// Identity of the network.
pub(super) const NETWORK_UUID: [u8; 16] =
    [0xdd, 0x8f, 0xe8, 0x84, 0x6c, 0x02, 0x60, 0x1e, 0x75, 0x51, 0xcc, 0xa9, 0x7d, 0xf1, 0xc5, 0xdf];
/// Name of the storage pool.
pub(super) const POOL: &str = "default-pool";
/// Identity of the storage pool.
pub(super) const POOL_UUID: [u8; 16] =
    [0xdf, 0xe2, 0x24, 0xcb, 0x28, 0xfb, 0x8d, 0xd0, 0xc4, 0xb2, 0x64, 0xeb, 0x3f, 0x0f, 0x45, 0x66];
/// The interface, as it is described.
pub(super) const FIRST_INTERFACE: &str = include_str!("driver/interface.xml");

/// A node device.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeDevice {
    pub(super) name: &'static str,
    pub(super) parent: Option<&'static str>,
    /// What it can do.
    pub(super) capabilities: &'static [&'static str],
    /// As releases describe it.
    pub(super) xml: &'static str,
}

impl NodeDevice {
    /// What it can do, as the flags of lists.
    pub(super) fn capability_flags(&self) -> u32 {
        let flag = |name: &&str| number("node_device_list_flag", &format!("CAP_{}", name.to_uppercase()));
        self.capabilities.iter().map(flag).sum()
    }
}

/// The node devices.
pub(super) const NODE_DEVICES: [NodeDevice; 4] = [
    NodeDevice {
        name: "computer",
        parent: None,
        capabilities: &["system"],
        xml: include_str!("driver/computer.xml"),
    },
    NodeDevice {
        name: "scsi_host1",
        parent: Some("computer"),
        capabilities: &["scsi_host", "fc_host", "vports"],
        xml: include_str!("driver/scsi_host1.xml"),
    },
    NodeDevice {
        name: "scsi_host2",
        parent: Some("computer"),
        capabilities: &["scsi_host", "fc_host", "vports"],
        xml: include_str!("driver/scsi_host2.xml"),
    },
    NodeDevice {
        name: "scsi_host11",
        parent: Some("scsi_host1"),
        capabilities: &["scsi_host", "fc_host"],
        xml: include_str!("driver/scsi_host11.xml"),
    },
];

/// A change of a domain's state, as clients that asked for it are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifecycle {
    pub(super) domain_id: i32,
    pub(super) event: i32,
    pub(super) detail: i32,
}

/// The domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Domain {
    /// -1 while it is shut off.
    pub(super) id: i32,
    pub(super) state: i32,
    pub(super) reason: i32,
    next_id: i32,
}

impl Domain {
    /// Running since the driver was opened.
    const FIRST: Self = Self { id: 1, state: domain_state::RUNNING, reason: 0, next_id: 2 };

    pub(super) fn is_active(self) -> bool {
        self.state != domain_state::SHUTOFF
    }

    fn change(&mut self, state: i32, reason: i32, event: i32, detail: i32) -> Lifecycle {
        (self.state, self.reason) = (state, reason);
        Lifecycle { domain_id: self.id, event, detail }
    }

    pub(super) fn suspend(&mut self) -> Lifecycle {
        self.change(domain_state::PAUSED, 1, lifecycle::SUSPENDED, 0)
    }

    pub(super) fn resume(&mut self) -> Lifecycle {
        self.change(domain_state::RUNNING, 5, lifecycle::RESUMED, 0)
    }

    pub(super) fn destroy(&mut self) -> Lifecycle {
        self.id = -1;
        self.change(domain_state::SHUTOFF, 2, lifecycle::STOPPED, 1)
    }

    pub(super) fn start(&mut self) -> Lifecycle {
        self.id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        self.change(domain_state::RUNNING, 1, lifecycle::STARTED, 0)
    }
}

/// A host that has an address in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DhcpHost {
    pub(super) mac: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) ip: Option<Vec<u8>>,
}

/// What of the network can change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) title: Option<Vec<u8>>,
    pub(super) description: Option<Vec<u8>>,
    pub(super) hosts: Vec<DhcpHost>,
}

impl Network {
    /// As releases write it.
    pub(super) fn xml(&self) -> Vec<u8> {
        let around = |before: String, value: &Option<Vec<u8>>, behind: &str| match value {
            Some(value) => [before.as_bytes(), value, behind.as_bytes()].concat(),
            None => Vec::new(),
        };
        let texts = [("title", &self.title), ("description", &self.description)]
            .map(|(tag, text)| around(format!("  <{tag}>"), text, &format!("</{tag}>\n")));
        let hosts = self.hosts.iter().flat_map(|host| {
            let values = [("mac", &host.mac), ("name", &host.name), ("ip", &host.ip)]
                .map(|(tag, value)| around(format!(" {tag}='"), value, "'"));
            [b"      <host", &values.concat()[..], b"/>\n"].concat()
        });
        let (head, rest) = NETWORK_XML.split_once("{texts}").unwrap_or_default();
        let (range, end) = rest.split_once("{hosts}").unwrap_or_default();
        let hosts: Vec<u8> = hosts.collect();
        [head.as_bytes(), &texts.concat(), range.as_bytes(), &hosts, end.as_bytes()].concat()
    }
}

/// One driver instance: `test:///default` of a server, or the private one of a connection.
#[derive(Debug)]
pub(super) struct TestDriver {
    pub(super) interfaces: Box<dyn Keeper>,
    pub(super) domain: Domain,
    pub(super) network: Network,
    next_callback: i32,
}

impl TestDriver {
    /// As it is when it is opened first.
    pub(super) fn new(interfaces: Box<dyn Keeper>) -> Self {
        Self { interfaces, domain: Domain::FIRST, network: Network::default(), next_callback: 0 }
    }

    /// A number for who wants to be told; each is given once.
    pub(super) fn callback(&mut self) -> i32 {
        let id = self.next_callback;
        self.next_callback = self.next_callback.saturating_add(1);
        id
    }
}

/// The interface that every driver begins with.
pub(super) fn first_interface() -> Interface {
    #[expect(clippy::expect_used, reason = "a constant, which a test reads")]
    let description = Description::parse(FIRST_INTERFACE.as_bytes()).expect("well formed");
    Interface { description, active: true }
}

/// The description of the network, as releases write it.
const NETWORK_XML: &str = include_str!("driver/network.xml");
/// The description of the pool, as releases write it.
pub(super) const POOL_XML: &str = include_str!("driver/pool.xml");

/// The description of the domain: what it is and no more.
pub(super) fn domain_xml(domain: Domain) -> String {
    let id = if domain.id < 0 { String::new() } else { format!(" id='{}'", domain.id) };
    include_str!("driver/domain.xml").replace("{id}", &id)
}

/// How many bytes a screenshot has, in every measured release.
pub(super) const SCREENSHOT_LEN: usize = 33_443;

/// A picture of that length. It begins as a PNG does and has nothing in it.
pub(super) fn screenshot() -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0".to_vec();
    picture.resize(SCREENSHOT_LEN, 0);
    picture
}

/// The numbers that the driver makes up for NODE_GET_FREE_PAGES, measured on 11.3.0 and 12.8.0 for the first
/// two sizes of page and cells -1 to 9.
pub(super) fn free_pages(size_index: usize, cell: i32) -> u64 {
    let index = i64::try_from(size_index).unwrap_or(i64::MAX);
    let per_cell = index.saturating_add(1).saturating_mul(12).saturating_mul(cell.into());
    index.saturating_mul(14).saturating_add(7).saturating_add(per_cell).cast_unsigned()
}

/// Whether a dialect's driver has a function for a procedure that the dialect knows.
pub(super) fn lacks(dialect: &Dialect, procedure: i32) -> bool {
    dialect.server.driver_lacks.contains(&procedure)
}
