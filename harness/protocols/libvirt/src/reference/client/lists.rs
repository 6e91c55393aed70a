//! Lists, each with the calls that it is made of where the server does not know the one that gives it whole.
//!
//! ```text
//! domains       273, else 51 37 25 21, then 22 or 23 each;  212, else 16, each
//! interfaces    284, else 126 127 137 138, then 128 each;   156 each
//! networks      283, else 52 50 38 36, then 46 each;        44 153 152 each
//! pools         281, else 71 73 72 74, then 84 each;        89 87 154 each
//! node devices  285, else 111 112, then 113 each
//! ```
//!
//! Measured with all four releases and a server that knew nothing above 222; with nothing above 70 the
//! domains are listed and the interfaces are not. With nothing above 148, where the questions whether
//! something is active are not known, all four releases print that everything is.

use wire::xdr::Writer;

use super::defects;
use super::virsh::{Attempt, Complaint, Done, Virsh};
use crate::beside::state_text;
use crate::names::{error, interface_list_flag, procedures as call};
use crate::rpc::Failure;
use crate::values::{self, Calls, Kind, Object};

/// How a kind of object is listed by a server that cannot list it whole.
struct Old {
    /// How many there are, active ones and others.
    counts: [i32; 2],
    /// Their names.
    names: [i32; 2],
    /// One by its name.
    lookup: i32,
    /// Whether all are counted before the first is listed, and listed even if there is none.
    counts_first: bool,
}

const INTERFACES: Old = Old {
    counts: [call::CONNECT_NUM_OF_INTERFACES, call::CONNECT_NUM_OF_DEFINED_INTERFACES],
    names: [call::CONNECT_LIST_INTERFACES, call::CONNECT_LIST_DEFINED_INTERFACES],
    lookup: call::INTERFACE_LOOKUP_BY_NAME,
    counts_first: false,
};
const NETWORKS: Old = Old {
    counts: [call::CONNECT_NUM_OF_NETWORKS, call::CONNECT_NUM_OF_DEFINED_NETWORKS],
    names: [call::CONNECT_LIST_NETWORKS, call::CONNECT_LIST_DEFINED_NETWORKS],
    lookup: call::NETWORK_LOOKUP_BY_NAME,
    counts_first: true,
};
const POOLS: Old = Old {
    counts: [call::CONNECT_NUM_OF_STORAGE_POOLS, call::CONNECT_NUM_OF_DEFINED_STORAGE_POOLS],
    names: [call::CONNECT_LIST_STORAGE_POOLS, call::CONNECT_LIST_DEFINED_STORAGE_POOLS],
    lookup: call::STORAGE_POOL_LOOKUP_BY_NAME,
    counts_first: true,
};

/// What is printed where the server does not say, by a client that does not make it up.
const UNKNOWN: &str = "unknown";
/// Active and inactive ones.
const ALL: u32 = interface_list_flag::ACTIVE | interface_list_flag::INACTIVE;

impl Virsh<'_> {
    pub(super) async fn list_domains(&mut self) -> Done {
        let listed = self.all(call::CONNECT_LIST_ALL_DOMAINS, ALL, Kind::Domain).await;
        let domains = match listed {
            Err(failure) if self.falls_back(&failure) => self.old_domains().await,
            other => other,
        };
        let mut rows = Vec::new();
        for domain in domains.while_doing("Failed to list domains")? {
            let state = self.domain_state(&domain).await?;
            let id = if domain.id < 0 { "-".to_owned() } else { domain.id.to_string() };
            rows.push(vec![id, domain.name, state.to_owned()]);
        }
        self.say_table(&["Id", "Name", "State"], &rows);
        Ok(())
    }

    pub(super) async fn list_interfaces(&mut self) -> Done {
        let all = call::CONNECT_LIST_ALL_INTERFACES;
        let mut rows = Vec::new();
        for interface in self.listed(all, Kind::Interface, &INTERFACES, "interfaces").await? {
            let active = self.flag(call::INTERFACE_IS_ACTIVE, &interface).await?;
            rows.push(vec![interface.name, activity(active), interface.mac]);
        }
        self.say_table(&["Name", "State", "MAC Address"], &rows);
        Ok(())
    }

    pub(super) async fn list_networks(&mut self) -> Done {
        let all = call::CONNECT_LIST_ALL_NETWORKS;
        let mut rows = Vec::new();
        for network in self.listed(all, Kind::Network, &NETWORKS, "networks").await? {
            let autostart = self.flag(call::NETWORK_GET_AUTOSTART, &network).await?;
            let persistent = self.flag(call::NETWORK_IS_PERSISTENT, &network).await?;
            let active = self.flag(call::NETWORK_IS_ACTIVE, &network).await?;
            rows.push(vec![network.name, activity(active), yes_no(autostart), yes_no(persistent)]);
        }
        self.say_table(&["Name", "State", "Autostart", "Persistent"], &rows);
        Ok(())
    }

    pub(super) async fn list_pools(&mut self) -> Done {
        let pools = self.listed(call::CONNECT_LIST_ALL_STORAGE_POOLS, Kind::Pool, &POOLS, "pools").await?;
        let mut rows = Vec::new();
        for pool in pools {
            let autostart = self.flag(call::STORAGE_POOL_GET_AUTOSTART, &pool).await?;
            self.call(call::STORAGE_POOL_GET_INFO, pool.arguments()).await?;
            let active = self.flag(call::STORAGE_POOL_IS_ACTIVE, &pool).await?;
            rows.push(vec![pool.name, activity(active), yes_no(autostart)]);
        }
        self.say_table(&["Name", "State", "Autostart"], &rows);
        Ok(())
    }

    pub(super) async fn list_devices(&mut self) -> Done {
        let facts = self.dialect.client;
        let procedure = call::CONNECT_LIST_ALL_NODE_DEVICES;
        let mut listed = self.all(procedure, facts.node_device_list_flags, Kind::NodeDevice).await;
        let flags_refused = |failure: &Failure| matches!(failure, Failure::Refused(refusal) if refusal.code == error::INVALID_ARG);
        if listed.as_ref().is_err_and(flags_refused)
            && facts.retries_without_flags
            && !self.switches.has(defects::INSISTS_ON_FLAGS)
        {
            listed = self.all(procedure, 0, Kind::NodeDevice).await;
        }
        let devices = match listed {
            Err(failure) if self.falls_back(&failure) => self.old_devices().await,
            other => other,
        };
        let devices = devices.while_doing("Failed to list node devices")?;
        let mut names: Vec<String> = devices.into_iter().map(|device| device.name).collect();
        names.sort();
        names.iter().for_each(|name| self.say(name));
        self.say("");
        Ok(())
    }

    async fn listed(
        &mut self,
        procedure: i32,
        kind: Kind,
        old: &Old,
        what: &str,
    ) -> Result<Vec<Object>, Complaint> {
        match self.all(procedure, ALL, kind).await {
            Err(failure) if self.falls_back(&failure) => {
                self.old(old, kind).await.while_doing(&format!("Failed to list active {what}"))
            }
            other => other.while_doing(&format!("Failed to list {what}")),
        }
    }

    /// The call that gives everything at once.
    async fn all(&mut self, procedure: i32, flags: u32, kind: Kind) -> Result<Vec<Object>, Failure> {
        let need_results = 1;
        values::objects(&self.call(procedure, Writer::new().i32(need_results).u32(flags)).await?, kind)
    }

    async fn old(&mut self, old: &Old, kind: Kind) -> Result<Vec<Object>, Failure> {
        let mut names = Vec::new();
        if old.counts_first {
            let counts = [self.count(old.counts[0]).await?, self.count(old.counts[1]).await?];
            for (procedure, count) in old.names.into_iter().zip(counts) {
                names.extend(self.names(procedure, count).await?);
            }
        } else {
            for (count, procedure) in old.counts.into_iter().zip(old.names) {
                let count = self.count(count).await?;
                if count > 0 {
                    names.extend(self.names(procedure, count).await?);
                }
            }
        }
        names.sort();
        self.each(old.lookup, &names, kind).await
    }

    /// Objects by their names.
    async fn each(&mut self, lookup: i32, names: &[String], kind: Kind) -> Result<Vec<Object>, Failure> {
        let mut objects = Vec::new();
        for name in names {
            objects.push(self.lookup(lookup, name, kind).await?);
        }
        Ok(objects)
    }

    async fn old_domains(&mut self) -> Result<Vec<Object>, Failure> {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        let running = self.count(call::CONNECT_NUM_OF_DOMAINS).await?;
        if running > 0 {
            let most = Writer::new().i32(running);
            ids = self.ask(call::CONNECT_LIST_DOMAINS, most, values::numbers).await?;
        }
        let defined = self.count(call::CONNECT_NUM_OF_DEFINED_DOMAINS).await?;
        if defined > 0 {
            names = self.names(call::CONNECT_LIST_DEFINED_DOMAINS, defined).await?;
        }
        let mut domains = Vec::new();
        for id in ids {
            domains.push(self.domain_of(id).await?);
        }
        domains.extend(self.each(call::DOMAIN_LOOKUP_BY_NAME, &names, Kind::Domain).await?);
        Ok(domains)
    }

    async fn old_devices(&mut self) -> Result<Vec<Object>, Failure> {
        let all = Writer::new().optional(None).u32(0);
        let count = self.ask(call::NODE_NUM_OF_DEVICES, all, values::number).await?;
        let arguments = Writer::new().optional(None).i32(count).u32(0);
        let names = self.ask(call::NODE_LIST_DEVICES, arguments, values::texts).await?;
        self.each(call::NODE_DEVICE_LOOKUP_BY_NAME, &names, Kind::NodeDevice).await
    }

    async fn domain_state(&mut self, domain: &Object) -> Result<&'static str, Failure> {
        // Both results begin with the state.
        let told = match self.ask(call::DOMAIN_GET_STATE, domain.arguments().u32(0), values::number).await {
            Err(failure) if self.falls_back(&failure) => {
                self.ask(call::DOMAIN_GET_INFO, domain.arguments(), values::number).await
            }
            other => other,
        };
        Ok(state_text(told?))
    }

    async fn count(&mut self, procedure: i32) -> Result<i32, Failure> {
        self.ask(procedure, Writer::new(), values::number).await
    }

    async fn names(&mut self, procedure: i32, most: i32) -> Result<Vec<String>, Failure> {
        self.ask(procedure, Writer::new().i32(most), values::texts).await
    }

    /// What the server says of an object: yes, no, or nothing. A careless client reads a refusal as yes: the library
    /// answers -1 for a failure, and virsh asks whether that is zero.
    pub(super) async fn flag(&mut self, procedure: i32, object: &Object) -> Result<Option<bool>, Failure> {
        match self.ask(procedure, object.arguments(), values::number).await {
            Ok(told) => Ok(Some(told != 0)),
            Err(Failure::Refused(_)) => Ok(self.is_careless().then_some(true)),
            Err(failure) => Err(failure),
        }
    }

    fn is_careless(&self) -> bool {
        self.dialect.client.prints_failures_as_values || self.switches.has(defects::PRINTS_ERROR_AS_VALUE)
    }
}

fn activity(active: Option<bool>) -> String {
    active.map_or(UNKNOWN, |active| if active { "active" } else { "inactive" }).to_owned()
}

pub(super) fn yes_no(yes: Option<bool>) -> String {
    yes.map_or(UNKNOWN, |yes| if yes { "yes" } else { "no" }).to_owned()
}
