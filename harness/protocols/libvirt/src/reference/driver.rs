//! The test driver behind a reference server: one domain, one interface, one network, one pool and four
//! node devices, as `test:///default` has them in every measured release.

use super::super::dialect::Dialect;
use super::super::names::{domain_state, lifecycle};
use super::description::Description;
use super::interfaces::{Interface, Keeper};

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
pub(super) const FIRST_INTERFACE: &str = "<interface type='ethernet' name='eth1'>\n  <start mode='onboot'/>\n  \
    <mtu size='1492'/>\n  <protocol family='ipv4'>\n    <ip address='192.168.0.5' prefix='24'/>\n    \
    <route gateway='192.168.0.1'/>\n  </protocol>\n  <mac address='aa:bb:cc:dd:ee:ff'/>\n</interface>\n";

/// A node device.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeDevice {
    pub(super) name: &'static str,
    pub(super) parent: Option<&'static str>,
    /// What it can do, as a list of names and as the flags of lists.
    pub(super) capabilities: &'static [&'static str],
    pub(super) capability_flags: u32,
}

use super::super::names::node_device_list_flag as flag;

/// The node devices.
pub(super) const NODE_DEVICES: [NodeDevice; 4] = [
    NodeDevice {
        name: "computer",
        parent: None,
        capabilities: &["system"],
        capability_flags: flag::CAP_SYSTEM,
    },
    NodeDevice {
        name: "scsi_host1",
        parent: Some("computer"),
        capabilities: &["scsi_host", "fc_host", "vports"],
        capability_flags: flag::CAP_SCSI_HOST | flag::CAP_FC_HOST | flag::CAP_VPORTS,
    },
    NodeDevice {
        name: "scsi_host2",
        parent: Some("computer"),
        capabilities: &["scsi_host", "fc_host", "vports"],
        capability_flags: flag::CAP_SCSI_HOST | flag::CAP_FC_HOST | flag::CAP_VPORTS,
    },
    NodeDevice {
        name: "scsi_host11",
        parent: Some("scsi_host1"),
        capabilities: &["scsi_host", "fc_host"],
        capability_flags: flag::CAP_SCSI_HOST | flag::CAP_FC_HOST,
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
        let mut out = b"<network>\n  <name>default</name>\n".to_vec();
        out.extend_from_slice(b"  <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid>\n");
        for (tag, text) in [("title", &self.title), ("description", &self.description)] {
            if let Some(text) = text {
                out.extend_from_slice(format!("  <{tag}>").as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(format!("</{tag}>\n").as_bytes());
            }
        }
        out.extend_from_slice(b"  <forward mode='nat'/>\n  <bridge name='virbr0' stp='on' delay='0'/>\n");
        out.extend_from_slice(b"  <ip address='192.168.122.1' netmask='255.255.255.0'>\n    <dhcp>\n");
        out.extend_from_slice(b"      <range start='192.168.122.2' end='192.168.122.254'/>\n");
        for host in &self.hosts {
            out.extend_from_slice(b"      <host");
            for (tag, value) in [("mac", &host.mac), ("name", &host.name), ("ip", &host.ip)] {
                if let Some(value) = value {
                    out.extend_from_slice(format!(" {tag}='").as_bytes());
                    out.extend_from_slice(value);
                    out.push(b'\'');
                }
            }
            out.extend_from_slice(b"/>\n");
        }
        out.extend_from_slice(b"    </dhcp>\n  </ip>\n</network>\n");
        out
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

/// The description of a node device, as releases write it.
pub(super) fn node_device_xml(device: &NodeDevice) -> String {
    let Some(parent) = device.parent else {
        return "<device>\n  <name>computer</name>\n  <capability type='system'>\n    <hardware>\n      \
            <vendor>Libvirt</vendor>\n      <version>Test driver</version>\n      <serial>123456</serial>\n      \
            <uuid>11111111-2222-3333-4444-555555555555</uuid>\n    </hardware>\n    <firmware>\n      \
            <vendor>Libvirt</vendor>\n      <version>Test Driver</version>\n      \
            <release_date>01/22/2007</release_date>\n    </firmware>\n  </capability>\n</device>\n"
            .to_owned();
    };
    let (host, unique, id, fabric) = match device.name {
        "scsi_host1" => (1, 0, "12341234", "43214321"),
        "scsi_host2" => (2, 1, "56785678", "87658765"),
        _ => (11, 10, "34563456", "43214321"),
    };
    let mut xml = format!(
        "<device>\n  <name>{}</name>\n  <parent>{parent}</parent>\n  <capability type='scsi_host'>\n    \
         <host>{host}</host>\n    <unique_id>{unique}</unique_id>\n    <capability type='fc_host'>\n      \
         <wwnn>20000000{id}</wwnn>\n      <wwpn>10000000{id}</wwpn>\n      \
         <fabric_wwn>20000000{fabric}</fabric_wwn>\n    </capability>\n",
        device.name
    );
    if device.capabilities.contains(&"vports") {
        xml.push_str(
            "    <capability type='vport_ops'>\n      <max_vports>0</max_vports>\n      \
             <vports>0</vports>\n    </capability>\n",
        );
    }
    xml.push_str("  </capability>\n</device>\n");
    xml
}

/// The description of the pool, as releases write it.
pub(super) const POOL_XML: &str = "<pool type='dir'>\n  <name>default-pool</name>\n  \
    <uuid>dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566</uuid>\n  <capacity unit='bytes'>107374182400</capacity>\n  \
    <allocation unit='bytes'>0</allocation>\n  <available unit='bytes'>107374182400</available>\n  <source>\n  \
    </source>\n  <target>\n    <path>/default-pool</path>\n  </target>\n</pool>\n";

/// The description of the domain: what it is and no more.
pub(super) fn domain_xml(domain: Domain) -> String {
    let id = if domain.id < 0 { String::new() } else { format!(" id='{}'", domain.id) };
    format!(
        "<domain type='test'{id}>\n  <name>test</name>\n  <uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>\n  \
         <memory unit='KiB'>8388608</memory>\n  <currentMemory unit='KiB'>2097152</currentMemory>\n  \
         <vcpu placement='static'>2</vcpu>\n  <os>\n    <type arch='i686'>hvm</type>\n  </os>\n</domain>\n"
    )
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
