//! What each command of virsh calls, and what it prints of the answers.
//!
//! ```text
//! version --daemon        3 4 157              iface-dumpxml    128 130
//! nodedev-info            113 115 436 435 433  iface-begin      220
//! net-desc                46 445, else 43      iface-define     131
//! net-desc, writing       the same, then 444   iface-destroy    128 134
//! domjobabort --postcopy  23 442               iface-commit     221
//! domdirtyrate-calc       23 427               iface-rollback   222
//! domifannounce           23 60(9) 456
//! net-update              46, 60(16) since 7.2.0, 291
//! screenshot              23 211, the stream and its end
//! event                   23 316, an event, 317; without feature 14: 23 167, an event, 168
//! ```
//!
//! Measured with 7.0.0, 9.0.0, 11.3.0 and 12.8.0 against all four; lists are in [`super::lists`].

use std::time::Duration;

use wire::xdr::{Reader, Writer};

use super::defects;
use super::lists::yes_no;
use super::virsh::{Attempt, Complaint, Done, Virsh};
use crate::beside::element;
use crate::dialect::UpdateOrder;
use crate::names::{self, error, feature, lifecycle, procedures as call, update_command, update_section};
use crate::operations::{NEW_INTERFACE_XML, URI};
use crate::rpc::{Failure, Message};
use crate::values::{self, Calls, Kind, Object};

/// The part of the metadata that is the description. `include/libvirt/libvirt-network.h`.
const DESCRIPTION: i32 = 0;
/// Change the running network. `include/libvirt/libvirt-network.h`.
const AFFECT_LIVE: u32 = 1;
/// The post-copy phase. `include/libvirt/libvirt-domain.h`.
const POSTCOPY: u32 = 1;
/// The event of domains that start, stop, are paused and go on.
const LIFECYCLE: i32 = 0;
/// The bytes of a stream that a client keeps which throws the rest away.
const FIRST_PART_LEN: usize = 1000;

impl Virsh<'_> {
    /// Carries out one command.
    pub(super) async fn command(&mut self, words: &[&str]) -> Done {
        match words {
            ["uri"] => {
                self.say(URI);
                self.say("");
                Ok(())
            }
            ["version", ..] => self.version().await,
            ["list", ..] => self.list_domains().await,
            ["iface-list", ..] => self.list_interfaces().await,
            ["net-list", ..] => self.list_networks().await,
            ["pool-list", ..] => self.list_pools().await,
            ["nodedev-list"] => self.list_devices().await,
            ["nodedev-info", device] => self.device(device).await,
            ["iface-dumpxml", name] => self.interface_xml(name).await,
            ["iface-define", file] => self.define(file).await,
            ["iface-destroy", name] => self.destroy(name).await,
            ["iface-begin"] => self.change(call::INTERFACE_CHANGE_BEGIN, "begin", "started").await,
            ["iface-commit"] => self.change(call::INTERFACE_CHANGE_COMMIT, "commit", "committed").await,
            ["iface-rollback"] => {
                self.change(call::INTERFACE_CHANGE_ROLLBACK, "rollback", "rolled back").await
            }
            ["net-desc", network] => self.describe(network, None).await,
            ["net-desc", network, text] => self.describe(network, Some(text)).await,
            ["net-update", network, "add", "ip-dhcp-host", xml, ..] => self.update(network, xml).await,
            ["screenshot", domain, file] => self.screenshot(domain, file).await,
            ["event", "--domain", domain, "--event", "lifecycle", "--timeout", seconds] => {
                let seconds = seconds.parse().unwrap_or(0);
                self.event(domain, Duration::from_secs(seconds)).await
            }
            ["domjobabort", domain, "--postcopy"] => {
                let domain = self.domain(domain).await?;
                self.call(call::DOMAIN_ABORT_JOB_FLAGS, domain.arguments().u32(POSTCOPY)).await?;
                Ok(())
            }
            ["domdirtyrate-calc", domain, "--seconds", seconds] => {
                let seconds = seconds.parse().unwrap_or(0);
                let arguments = self.domain(domain).await?.arguments().i32(seconds).u32(0);
                self.call(call::DOMAIN_START_DIRTY_RATE_CALC, arguments).await?;
                Ok(())
            }
            ["domifannounce", domain] => self.announce(domain).await,
            _ => Err(Complaint(vec![format!("unknown command: '{}'", words.join(" "))])),
        }
    }

    async fn version(&mut self) -> Done {
        let own = values::version(self.dialect.lib_version);
        self.say(&format!("Compiled against library: libvirt {own}"));
        self.say(&format!("Using library: libvirt {own}"));
        let kind = self.ask(call::CONNECT_GET_TYPE, Writer::new(), values::text).await?;
        self.say(&format!("Using API: {kind} {own}"));
        let version = self.ask(call::CONNECT_GET_VERSION, Writer::new(), values::long).await?;
        self.say(&format!("Running hypervisor: {kind} {}", values::version(version)));
        // A failure here does not make the command fail.
        match self.call(call::CONNECT_GET_LIB_VERSION, Writer::new()).await {
            Ok(version) => {
                let version = values::version(values::long(&version)?);
                self.say(&format!("Running against daemon: {version}"));
            }
            Err(_) => self.complain(&Complaint(vec!["failed to get the daemon version".to_owned()])),
        }
        self.say("");
        Ok(())
    }

    async fn domain(&mut self, name: &str) -> Result<Object, Failure> {
        self.lookup(call::DOMAIN_LOOKUP_BY_NAME, name, Kind::Domain).await
    }

    async fn network(&mut self, name: &str) -> Result<Object, Failure> {
        self.lookup(call::NETWORK_LOOKUP_BY_NAME, name, Kind::Network).await
    }

    async fn interface(&mut self, name: &str) -> Result<Object, Complaint> {
        let found = self.lookup(call::INTERFACE_LOOKUP_BY_NAME, name, Kind::Interface).await;
        found.while_doing(&format!("failed to get interface '{name}'"))
    }

    async fn interface_xml(&mut self, name: &str) -> Done {
        let arguments = self.interface(name).await?.arguments().u32(0);
        let xml = self.ask(call::INTERFACE_GET_XML_DESC, arguments, values::text).await?;
        self.say(&xml);
        Ok(())
    }

    async fn define(&mut self, file: &str) -> Done {
        let arguments = Writer::new().opaque(NEW_INTERFACE_XML.as_bytes()).u32(0);
        let defined = self.call(call::INTERFACE_DEFINE_XML, arguments).await;
        let defined = defined.and_then(|interface| values::object(&interface, Kind::Interface));
        let interface = defined.while_doing(&format!("Failed to define interface from {file}"))?;
        self.say(&format!("Interface {} defined from {file}\n", interface.name));
        Ok(())
    }

    async fn destroy(&mut self, name: &str) -> Done {
        let arguments = self.interface(name).await?.arguments().u32(0);
        let destroyed = self.call(call::INTERFACE_DESTROY, arguments).await;
        destroyed.while_doing(&format!("Failed to destroy interface {name}"))?;
        self.say(&format!("Interface {name} destroyed\n"));
        Ok(())
    }

    async fn change(&mut self, procedure: i32, verb: &str, done: &str) -> Done {
        let changed = self.call(procedure, Writer::new().u32(0)).await;
        changed.while_doing(&format!("Failed to {verb} network config change transaction"))?;
        self.say(&format!("Network config change transaction {done}\n"));
        Ok(())
    }

    async fn device(&mut self, name: &str) -> Done {
        let facts = self.dialect.client;
        let device = self.lookup(call::NODE_DEVICE_LOOKUP_BY_NAME, name, Kind::NodeDevice).await;
        let device = device.while_doing(&format!("Could not find matching device '{name}'"))?;
        let parent =
            self.ask(call::NODE_DEVICE_GET_PARENT, device.arguments(), values::optional_text).await?;
        let parent = parent.unwrap_or_default();
        let active = self.flag(call::NODE_DEVICE_IS_ACTIVE, &device).await?;
        let persistent = self.flag(call::NODE_DEVICE_IS_PERSISTENT, &device).await?;
        // This one releases do not take for yes.
        let autostart = self.ask(call::NODE_DEVICE_GET_AUTOSTART, device.arguments(), values::number).await;
        let autostart = match autostart {
            Ok(told) => yes_no(Some(told != 0)),
            Err(Failure::Refused(_)) => facts.unknown_autostart.to_owned(),
            Err(failure) => return Err(failure.into()),
        };
        let values = [yes_no(active), yes_no(persistent), autostart];
        self.say(&format!("Name:           {name}\nParent:         {parent}"));
        for (word, value) in ["Active:", "Persistent:", "Autostart:"].into_iter().zip(values) {
            self.say(&format!("{word:<16}{value}"));
        }
        self.say("");
        Ok(())
    }

    /// Reads the description, and writes another one if there is one to write.
    async fn describe(&mut self, name: &str, new: Option<&str>) -> Done {
        let network = self.network(name).await?;
        let text = self.description(&network).await?;
        let Some(new) = new else {
            match text {
                Some(text) => self.say(&format!("{text}\n")),
                None => self.say(&format!("No description for network: {name}")),
            }
            return Ok(());
        };
        let arguments = network.arguments().i32(DESCRIPTION).optional(Some(new.as_bytes()));
        let arguments = arguments.optional(None).optional(None).u32(0);
        let written = self.call(call::NETWORK_SET_METADATA, arguments).await;
        written.while_doing("Failed to set new network description")?;
        self.say("Network description updated successfully");
        Ok(())
    }

    async fn description(&mut self, network: &Object) -> Result<Option<String>, Failure> {
        let arguments = network.arguments().i32(DESCRIPTION).optional(None).u32(0);
        let text = match self.ask(call::NETWORK_GET_METADATA, arguments, values::text).await {
            Ok(text) => Some(text),
            Err(Failure::Refused(refusal)) if refusal.code == error::NO_NETWORK_METADATA => None,
            Err(failure) if self.falls_back(&failure) => {
                let arguments = network.arguments().u32(0);
                let xml = self.ask(call::NETWORK_GET_XML_DESC, arguments, values::text).await?;
                element(&xml, "description")
            }
            Err(failure) => return Err(failure),
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    async fn update(&mut self, name: &str, xml: &str) -> Done {
        let network = self.network(name).await?;
        let order = self.update_order().await?;
        let (command, section) = (update_command::ADD_LAST, update_section::IP_DHCP_HOST);
        let (first, second) = match order {
            UpdateOrder::CommandFirst => (command, section),
            UpdateOrder::SectionFirst => (section, command),
        };
        let arguments = network.arguments().u32(first).u32(second).i32(-1).opaque(xml.as_bytes());
        let updated = self.call(call::NETWORK_UPDATE, arguments.u32(AFFECT_LIVE)).await;
        updated.while_doing(&format!("Failed to update network {name}"))?;
        self.say(&format!("Updated network {name} live state"));
        Ok(())
    }

    /// The order in which the server reads the two integers, as far as the client cares.
    async fn update_order(&mut self) -> Result<UpdateOrder, Failure> {
        if self.switches.has(defects::SWAPS_UPDATE) {
            return Ok(UpdateOrder::SectionFirst);
        }
        if self.switches.has(defects::FORGETS_FEATURE) {
            return Ok(UpdateOrder::CommandFirst);
        }
        if !self.dialect.client.asks_update_order {
            return Ok(self.dialect.update_order);
        }
        let correct = self.supports(feature::NETWORK_UPDATE_HAS_CORRECT_ORDER).await?;
        Ok(if correct { UpdateOrder::CommandFirst } else { UpdateOrder::SectionFirst })
    }

    async fn screenshot(&mut self, domain: &str, file: &str) -> Done {
        let arguments = self.domain(domain).await?.arguments().u32(0).u32(0);
        let shot = self.rpc.call_and_keep_serial(call::DOMAIN_SCREENSHOT, arguments).await;
        let (serial, mime) = shot.while_doing(&format!("could not take a screenshot of {domain}"))?;
        let mime = values::optional_text(&mime)?.unwrap_or_default();
        let confirm = !self.switches.has(defects::LEAVES_STREAM_OPEN);
        let bytes = self.rpc.download(call::DOMAIN_SCREENSHOT, serial, confirm).await;
        let mut bytes = bytes.while_doing(&format!("could not receive data from domain {domain}"))?;
        if self.switches.has(defects::CUTS_STREAM) {
            bytes.truncate(FIRST_PART_LEN.min(bytes.len().saturating_sub(1)));
        }
        self.file = Some(bytes);
        self.say(&format!("Screenshot saved to {file}, with type of {mime}\n"));
        Ok(())
    }

    async fn event(&mut self, name: &str, within: Duration) -> Done {
        let domain = self.domain(name).await?;
        let (events, callback) = self.register(&domain).await?;
        let event = self.rpc.event(events.lifecycle, within).await?;
        let seen = event.as_ref().and_then(|event| happened(event, events.with_callback));
        match &seen {
            Some(what) => self.say(&format!("event 'lifecycle' for domain '{name}': {what}")),
            None => self.say("event loop timed out"),
        }
        self.say(&format!("events received: {}\n", usize::from(seen.is_some())));
        self.call(events.deregister, Writer::new().i32(callback)).await?;
        if seen.is_some() { Ok(()) } else { Err(Complaint(Vec::new())) }
    }

    /// Registers for the events of a domain, or for those of all domains where feature 14 is not there.
    async fn register(&mut self, domain: &Object) -> Result<(&'static Events, i32), Failure> {
        if !self.has_event_callbacks {
            self.call(OF_ALL.register, Writer::new().i32(LIFECYCLE)).await?;
            return Ok((&OF_ALL, LIFECYCLE));
        }
        let arguments = Writer::new().i32(LIFECYCLE).u32(1).raw(&domain.arguments().finish());
        Ok((&OF_ONE, self.ask(OF_ONE.register, arguments, values::number).await?))
    }

    async fn announce(&mut self, domain: &str) -> Done {
        let domain = self.domain(domain).await?;
        self.supports(feature::TYPED_PARAM_STRING).await?;
        // No device, no parameters, no flags.
        let arguments = domain.arguments().u32(0).u32(0).u32(0);
        self.call(call::DOMAIN_ANNOUNCE_INTERFACE, arguments).await?;
        Ok(())
    }
}

/// One of the two ways to register for events.
struct Events {
    register: i32,
    lifecycle: i32,
    deregister: i32,
    /// Whether an event names the callback that it is for.
    with_callback: bool,
}

const OF_ONE: Events = Events {
    register: call::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
    lifecycle: call::DOMAIN_EVENT_CALLBACK_LIFECYCLE,
    deregister: call::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY,
    with_callback: true,
};
const OF_ALL: Events = Events {
    register: call::CONNECT_DOMAIN_EVENT_REGISTER_ANY,
    lifecycle: call::DOMAIN_EVENT_LIFECYCLE,
    deregister: call::CONNECT_DOMAIN_EVENT_DEREGISTER_ANY,
    with_callback: false,
};

/// What an event of a domain says: `{i32 callback, domain, i32 event, i32 detail}`, or the same without the
/// callback.
fn happened(event: &Message, with_callback: bool) -> Option<String> {
    let mut reader = Reader::new(&event.payload);
    if with_callback {
        reader.i32().ok()?;
    }
    reader.opaque(wire::libvirt_rpc::STRING_MAX).ok()?;
    reader.fixed(16).ok()?;
    reader.i32().ok()?;
    let ((_, what), (_, detail)) = (reader.i32().ok()?, reader.i32().ok()?);
    Some(match (what, detail) {
        (lifecycle::SUSPENDED, 0) => "Suspended Paused".to_owned(),
        (lifecycle::RESUMED, 0) => "Resumed Unpaused".to_owned(),
        _ => format!("{} {detail}", names::name("lifecycle", what.into()).unwrap_or("unknown")),
    })
}
