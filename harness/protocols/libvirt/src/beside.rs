//! Our own second connection to the server that a client under test meets.
//!
//! It is open before the client comes and closed after the state was read: the test driver forgets
//! everything, an open transaction too, when its last connection goes. What it reads are the *effects* of an
//! operation, and what it is told is compared with the client's *answers*. It uses the oldest calls
//! that there are, so that it can look at a server that stands for an old release. Nothing of it is written
//! down as traffic.
//!
//! Whether a transaction is open cannot be asked. So it begins one: the driver refuses if one is open, and
//! if it was not, committing at once leaves everything as it was.
//!
//! A server that stands for a release older than interfaces, or than their transactions, cannot be asked at
//! all. After an operation that changes nothing that is written as [`UNTOLD`], which passes: what a server
//! has no procedure for, no client has changed there. An operation that changes something must be seen to
//! have changed it; there it is no effect, and what is expected does not pass. The same goes for an answer,
//! where the client says that it was not told either: one that makes an answer up is wrong.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use session::{Address, Recorder};
use tokio::time::sleep;
use wire::xdr::Writer;

use super::claims::{device_state, named, one_line, picture};
use super::names::{domain_state, error, procedures as call};
use super::operations::{
    AS_SAID, AS_SAID_YES, DAEMON, DESCRIPTION, DEVICE, DEVICE_NAME, DEVICES, DHCP_HOSTS, DOMAIN, DOMAINS,
    ERROR, INTERFACE, INTERFACES, Meanwhile, NETWORK, NETWORKS, NO_DESCRIPTION, Operation, POOLS, SCREENSHOT,
    TRANSACTION, URI, XML,
};
use super::rpc::{Failure, Habits, Rpc};
use super::values::{self, Calls, Kind, Object};
use protocol::effects::UNTOLD;

/// How long it waits for an answer. A server under test may not give any.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one change of a domain's state to the next.
const TOGGLE: Duration = Duration::from_millis(100);
/// What is written of a part that the server does not say.
const UNKNOWN: &str = "unknown";
/// What is written of a transaction that a server has no procedures for.
const UNSUPPORTED: &str = "unsupported";
/// Most elements that it asks for.
const LIST_MAX: i32 = 1024;

/// The second connection.
pub(crate) struct Beside {
    /// Without it nothing can be seen.
    rpc: Result<Rpc, Failure>,
}

type Told = Result<String, Failure>;

impl Calls for Beside {
    async fn call(&mut self, procedure: i32, arguments: Writer) -> Result<Bytes, Failure> {
        match &mut self.rpc {
            Ok(rpc) => rpc.call(procedure, arguments).await,
            Err(failure) => Err(failure.clone()),
        }
    }
}

impl Beside {
    /// Opens the driver, which is held until this is dropped. A server that does not take it cannot be looked
    /// at: then no effect is written down, and none that is expected passes.
    pub(crate) async fn open(server: &Address) -> Self {
        Self { rpc: Self::try_open(server).await }
    }

    async fn try_open(server: &Address) -> Result<Rpc, Failure> {
        let habits = Habits { patience: Some(PATIENCE), ..Habits::default() };
        let connected = Rpc::connect(server, None, habits).await;
        let mut rpc = connected.map_err(|error| Failure::Lost(error.to_string()))?;
        rpc.call(call::CONNECT_OPEN, Writer::new().optional(Some(URI.as_bytes())).u32(0)).await?;
        Ok(rpc)
    }

    /// Waits for the client, and does meanwhile what the operation needs.
    pub(crate) async fn during<T>(&mut self, operation: &Operation, client: impl Future<Output = T>) -> T {
        let mut client = pin!(client);
        if operation.meanwhile == Meanwhile::Nothing {
            return client.await;
        }
        let mut working = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut client => return ended,
                () = sleep(TOGGLE) => {}
            }
            // A server that does not answer is the client's matter; it has its own deadline.
            working = working && self.toggle().await.is_ok();
        }
    }

    /// Suspends the domain and resumes it.
    async fn toggle(&mut self) -> Result<(), Failure> {
        let domain = self.domain().await?;
        self.call(call::DOMAIN_SUSPEND, domain.arguments()).await?;
        self.call(call::DOMAIN_RESUME, domain.arguments()).await?;
        Ok(())
    }

    /// Writes down what the client said, what is so, and whether the client's answers are true.
    pub(crate) async fn report(
        mut self,
        operation: &Operation,
        claims: &[(&'static str, String)],
        recorder: &Recorder,
    ) {
        for (word, said) in claims {
            protocol::effects::claim(recorder, word, said);
        }
        if let Err(failure) = &self.rpc {
            protocol::effects::detail(recorder, "beside", &failure.to_string());
        }
        let claimed = |word: &str| claims.iter().find(|(claim, _)| *claim == word).map(|(_, said)| said);
        for word in &operation.answers {
            let said = claimed(word).map(String::as_str);
            let as_said = match self.told(word).await {
                Ok(told) => {
                    protocol::effects::detail(recorder, word, &told);
                    as_said(said, &told)
                }
                Err(failure) if may_be_untold(operation, &failure) => {
                    as_untold(said, claimed(ERROR).is_some())
                }
                Err(_) => continue,
            };
            protocol::effects::effect(recorder, &format!("{AS_SAID}{word}"), &as_said);
        }
        // What a client was answered has happened: there is nothing to wait for.
        for (word, _) in &operation.effects {
            match self.told(word).await {
                Ok(seen) => protocol::effects::effect(recorder, word, &seen),
                Err(failure) if may_be_untold(operation, &failure) => {
                    protocol::effects::effect(recorder, word, UNTOLD);
                }
                // Written for people to see; no operation expects it.
                Err(failure) if *word == TRANSACTION && failure.is_not_supported() => {
                    protocol::effects::effect(recorder, word, UNSUPPORTED);
                }
                Err(_) => {}
            }
        }
    }

    /// What the server says under a word of [`super::operations`].
    async fn told(&mut self, word: &str) -> Told {
        match word {
            DAEMON => self.daemon().await,
            DOMAINS => self.domains().await,
            INTERFACES => {
                self.listed(call::CONNECT_LIST_INTERFACES, call::CONNECT_LIST_DEFINED_INTERFACES).await
            }
            NETWORKS => self.listed(call::CONNECT_LIST_NETWORKS, call::CONNECT_LIST_DEFINED_NETWORKS).await,
            POOLS => {
                let (active, inactive) =
                    (call::CONNECT_LIST_STORAGE_POOLS, call::CONNECT_LIST_DEFINED_STORAGE_POOLS);
                self.listed(active, inactive).await
            }
            TRANSACTION => self.transaction().await,
            DEVICES => self.devices().await,
            DEVICE => self.device().await,
            XML => self.xml().await,
            DESCRIPTION => {
                let xml = self.network_xml().await?;
                Ok(element(&xml, "description").unwrap_or_else(|| NO_DESCRIPTION.to_owned()))
            }
            DHCP_HOSTS => self.network_xml().await.map(|xml| hosts(&xml)),
            SCREENSHOT => self.screenshot().await,
            _ => Err(Failure::Unreadable(format!("nobody can be asked for `{word}`"))),
        }
    }

    async fn daemon(&mut self) -> Told {
        let version = self.ask(call::CONNECT_GET_LIB_VERSION, Writer::new(), values::long).await;
        version.map(values::version)
    }

    async fn domain(&mut self) -> Result<Object, Failure> {
        self.lookup(call::DOMAIN_LOOKUP_BY_NAME, DOMAIN, Kind::Domain).await
    }

    async fn domains(&mut self) -> Told {
        let most = Writer::new().i32(LIST_MAX);
        let mut all = Vec::new();
        for id in self.ask(call::CONNECT_LIST_DOMAINS, most.clone(), values::numbers).await? {
            let domain = self.domain_of(id).await?;
            let state = self.ask(call::DOMAIN_GET_INFO, domain.arguments(), values::number).await?;
            all.push(named(&domain.name, state_text(state)));
        }
        let names = self.ask(call::CONNECT_LIST_DEFINED_DOMAINS, most, values::texts).await?;
        all.extend(names.iter().map(|name| named(name, state_text(domain_state::SHUTOFF))));
        all.sort();
        Ok(all.join(" "))
    }

    /// Names from two lists, of what is active and of what is not.
    async fn listed(&mut self, active: i32, inactive: i32) -> Told {
        let mut all = Vec::new();
        for (procedure, state) in [(active, "active"), (inactive, "inactive")] {
            let names = self.ask(procedure, Writer::new().i32(LIST_MAX), values::texts).await?;
            all.extend(names.iter().map(|name| named(name, state)));
        }
        all.sort();
        Ok(all.join(" "))
    }

    async fn transaction(&mut self) -> Told {
        match self.call(call::INTERFACE_CHANGE_BEGIN, Writer::new().u32(0)).await {
            Ok(_) => {
                self.call(call::INTERFACE_CHANGE_COMMIT, Writer::new().u32(0)).await?;
                Ok("none".to_owned())
            }
            Err(Failure::Refused(refusal)) if refusal.code == error::OPERATION_INVALID => {
                Ok("open".to_owned())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn devices(&mut self) -> Told {
        let arguments = Writer::new().optional(None).i32(LIST_MAX).u32(0);
        let mut names = self.ask(call::NODE_LIST_DEVICES, arguments, values::texts).await?;
        names.sort();
        Ok(names.join(" "))
    }

    /// A server that cannot say one of the three leaves that one unknown.
    async fn device(&mut self) -> Told {
        let mut words = Vec::new();
        for procedure in
            [call::NODE_DEVICE_IS_ACTIVE, call::NODE_DEVICE_IS_PERSISTENT, call::NODE_DEVICE_GET_AUTOSTART]
        {
            let name = Writer::new().opaque(DEVICE_NAME.as_bytes());
            words.push(match self.ask(procedure, name, values::number).await {
                Ok(0) => "no",
                Ok(_) => "yes",
                Err(Failure::Refused(_)) => UNKNOWN,
                Err(failure) => return Err(failure),
            });
        }
        Ok(device_state(words[0], words[1], words[2]))
    }

    async fn xml(&mut self) -> Told {
        let interface = self.lookup(call::INTERFACE_LOOKUP_BY_NAME, INTERFACE, Kind::Interface).await?;
        let xml = self.ask(call::INTERFACE_GET_XML_DESC, interface.arguments().u32(0), values::text).await;
        xml.map(|xml| one_line(&xml))
    }

    async fn network_xml(&mut self) -> Told {
        let network = self.lookup(call::NETWORK_LOOKUP_BY_NAME, NETWORK, Kind::Network).await?;
        self.ask(call::NETWORK_GET_XML_DESC, network.arguments().u32(0), values::text).await
    }

    async fn screenshot(&mut self) -> Told {
        let arguments = self.domain().await?.arguments().u32(0).u32(0);
        let rpc = self.rpc.as_mut().map_err(|failure| failure.clone())?;
        let (serial, mime) = rpc.call_and_keep_serial(call::DOMAIN_SCREENSHOT, arguments).await?;
        let kind = values::optional_text(&mime)?.unwrap_or_default();
        let bytes = rpc.download(call::DOMAIN_SCREENSHOT, serial, true).await?;
        Ok(picture(&kind, &bytes))
    }
}

/// Whether it is no fault of the client that our own connection is not told something: nothing was to be
/// changed, and the server says that it has no procedure for it.
fn may_be_untold(operation: &Operation, failure: &Failure) -> bool {
    !operation.changes && failure.is_not_supported()
}

/// Whether a client is right about what the server cannot say.
fn as_untold(said: Option<&str>, failed: bool) -> String {
    match (said, failed) {
        (None, true) => UNTOLD.to_owned(),
        (None, false) => "nothing was said, not that it cannot be told either".to_owned(),
        (Some(said), _) => format!("no, the client says `{said}` of what the server cannot say"),
    }
}

/// Whether a client said what we are told.
fn as_said(said: Option<&str>, told: &str) -> String {
    match said {
        Some(said) if said == told => AS_SAID_YES.to_owned(),
        Some(_) => format!("no, it is `{told}`"),
        None => format!("nothing was said, it is `{told}`"),
    }
}

/// A state of a domain as virsh prints it.
pub(super) fn state_text(state: i32) -> &'static str {
    match state {
        domain_state::NOSTATE => "no state",
        domain_state::RUNNING => "running",
        domain_state::BLOCKED => "idle",
        domain_state::PAUSED => "paused",
        domain_state::SHUTDOWN => "in shutdown",
        domain_state::SHUTOFF => "shut off",
        domain_state::CRASHED => "crashed",
        domain_state::PMSUSPENDED => "pmsuspended",
        _ => UNKNOWN,
    }
}

/// The text of the first element of that name that has nothing but text in it.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

/// The hosts that a network has addresses for, sorted.
fn hosts(xml: &str) -> String {
    let attribute = |element: &str, name: &str| {
        let (_, rest) = element.split_once(&format!(" {name}='"))?;
        rest.split_once('\'').map(|(value, _)| value.to_owned())
    };
    let elements = xml.split("<host").skip(1).filter_map(|rest| rest.split_once('>').map(|(start, _)| start));
    let mut hosts: Vec<String> = elements
        .filter_map(|element| Some(format!("{}={}", attribute(element, "mac")?, attribute(element, "ip")?)))
        .collect();
    hosts.sort();
    hosts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_networks() {
        let xml = "<network>\n  <description>hello</description>\n  <dhcp>\n    <range start='1' end='2'/>\n    <host mac='00:11' ip='192.168.122.77'/>\n    <host ip='x' mac='00:10'/>\n    <host name='n'/>\n  </dhcp>\n</network>\n";
        assert_eq!(element(xml, "description").as_deref(), Some("hello"));
        assert_eq!(element("<network/>", "description"), None);
        assert_eq!(hosts(xml), "00:10=x 00:11=192.168.122.77");
        assert_eq!(hosts("<network/>"), "");
    }

    #[test]
    fn holds_answers_against_what_it_is_told() {
        assert_eq!(as_said(Some("a"), "a"), AS_SAID_YES);
        assert_eq!(as_said(Some("a"), "b"), "no, it is `b`");
        assert_eq!(as_said(None, "b"), "nothing was said, it is `b`");
    }

    #[test]
    fn lets_only_a_client_pass_that_says_it_was_not_told() {
        assert_eq!(as_untold(None, true), UNTOLD);
        assert_ne!(as_untold(None, false), UNTOLD);
        assert_ne!(as_untold(Some("eth1:active"), true), UNTOLD);
        assert_ne!(as_untold(Some("eth1:active"), false), UNTOLD);
    }
}
