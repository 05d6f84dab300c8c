//! What is done with networks.

use super::containers::whole;
use super::{ASK, Engine, away};
use crate::container::messages::{Connect, Disconnect};
use crate::events::Event;
use crate::network::actor::Doors;
use crate::network::directory::{Plan, open};
use crate::network::plan::Wanted;
use crate::network::{DEFAULT, Known, is_built_in};
use crate::random_id;
use contract::record::{Attachment, NetworkSpec};
use contract::{ContainerId, Kind, PortError};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

impl Engine {
    /// Makes a network. Goes on to its end when whoever asked leaves.
    pub async fn create_network(&self, wanted: Wanted) -> Result<String, PortError> {
        let this = self.clone();
        whole(async move { this.create_network_whole(wanted).await }).await
    }

    async fn create_network_whole(&self, mut wanted: Wanted) -> Result<String, PortError> {
        let ports = &self.shared.ports;
        (wanted.id, wanted.created_ns) = (random_id()?, crate::now_ns());
        let plan = Plan { wanted, taken: ports.networks.taken().await?, pools: Arc::clone(&self.pools) };
        let claim = self.networks.insist(|| plan.clone(), ASK).await.map_err(away)??;
        let network = &claim.network;
        let _turn = self.shared.segment_turns.begin(&network.segment.name).await;
        // The record first: what a daemon that ends here leaves is a network that the next one knows of.
        let made = async {
            ports.network_records.save(network).await?;
            self.ensure_segment(network).await
        };
        if let Err(error) = made.await {
            let bridge = self.remove_segment(network).await;
            for error in
                [bridge, ports.network_records.remove(&network.id).await].into_iter().flat_map(Result::err)
            {
                tracing::warn!(network = network.name, "undoing its creation: {}", error.chain());
            }
            return Err(error);
        }
        open(&self.shared, Arc::clone(network));
        self.network_event(network, "create");
        Ok(network.id.clone())
    }

    fn network_event(&self, network: &NetworkSpec, action: &str) {
        let kind = if network.configuration.is_some() { "null" } else { network.segment.kind.driver() };
        let attributes = [("name", network.name.as_str()), ("type", kind)];
        let attributes = attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        self.shared.event(Event::now("network", action, &network.id, attributes));
    }

    /// All bridge networks, the default one first.
    pub fn networks(&self) -> Vec<Arc<NetworkSpec>> {
        self.shared.networks.list().into_iter().map(|n| n.spec).collect()
    }

    /// One by id, name or prefix.
    pub fn find_network(&self, term: &str) -> Result<Arc<NetworkSpec>, PortError> {
        self.shared.networks.find(term).map(|n| n.spec)
    }

    /// Removes a network that nobody is on. Goes on to its end when whoever asked leaves.
    pub async fn remove_network(&self, term: &str) -> Result<(), PortError> {
        if is_built_in(term) {
            let text = format!("{term} is a pre-defined network and cannot be removed");
            return Err(PortError::new(Kind::Denied, text));
        }
        let network = self.shared.networks.find(term)?;
        if network.spec.name == DEFAULT {
            let text = format!("{DEFAULT} is a pre-defined network and cannot be removed");
            return Err(PortError::new(Kind::Denied, text));
        }
        let this = self.clone();
        whole(async move { this.remove_network_whole(&network).await }).await
    }

    async fn remove_network_whole(&self, network: &Known) -> Result<(), PortError> {
        let spec = &network.spec;
        if spec.configuration.is_some()
            && self.shared.networks.list().iter().any(|n| n.spec.config_from == spec.name)
        {
            let text =
                format!("error while removing network: configuration network {:?} is in use", spec.name);
            return Err(PortError::new(Kind::Denied, text));
        }
        let doors = |doors: Doors| async move { network.link.insist(|| doors, ASK).await.map_err(away) };
        let mut holders = doors(Doors::Close).await?;
        let gone = |id: &String| self.shared.board.get(id).is_none_or(|s| s.pid == 0);
        if holders.iter().any(gone) {
            // Their interfaces are on their way out, behind the answer to whoever stopped them.
            self.shared.departures.settled().await;
            holders = doors(Doors::Close).await?;
        }
        if !holders.is_empty() {
            let active: Vec<String> = holders.iter().map(|id| self.active(spec, id)).collect();
            let text = format!("network {} has active endpoints ({})", spec.name, active.join(", "));
            return Err(PortError::new(Kind::Denied, format!("error while removing network: {text}")));
        }
        let ports = &self.shared.ports;
        let _turn = self.shared.segment_turns.begin(&spec.segment.name).await;
        let removed = async {
            self.remove_segment(spec).await?;
            ports.network_records.remove(&spec.id).await
        };
        if let Err(error) = removed.await {
            doors(Doors::Open).await?;
            let text = format!("error while removing network: {}", error.chain());
            return Err(PortError::new(error.kind, text));
        }
        self.shared.networks.withdraw(&spec.id);
        network.link.stop();
        if spec.configuration.is_none() {
            self.network_event(spec, "destroy");
        }
        Ok(())
    }

    fn active(&self, network: &NetworkSpec, container: &str) -> String {
        let Some(snapshot) = self.shared.board.get(container) else { return format!("name:{container:?}") };
        let endpoint = snapshot.state.endpoints.iter().find(|e| e.network == network.id);
        let id = endpoint.map(contract::network::Endpoint::id).unwrap_or_default();
        format!("name:{:?} id:{:?}", snapshot.state.name, id.get(..12).unwrap_or_default())
    }

    /// Removes the networks among these that no container is on; answers their names.
    pub async fn prune_networks(&self, chosen: impl Fn(&NetworkSpec) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        for spec in self
            .networks()
            .into_iter()
            .filter(|n| n.name != DEFAULT && n.configuration.is_none() && chosen(n))
        {
            match self.remove_network(&spec.id).await {
                Ok(()) => gone.push(spec.name.clone()),
                Err(error) if error.kind == Kind::Denied => {}
                Err(error) => tracing::warn!(network = spec.name, "pruning: {}", error.chain()),
            }
        }
        let attributes = BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
        self.shared.event(Event::now("network", "prune", "", attributes));
        gone
    }

    /// The name under which a network is known; built-in ones have no other.
    pub(super) fn network_name(&self, term: &str) -> Result<String, PortError> {
        let by_id = |name: &&str| crate::network::id(name) == term;
        let built_in = ["host", "none"].into_iter().find(|name| *name == term || by_id(name));
        built_in.map_or_else(|| self.find_network(term).map(|n| n.name.clone()), |name| Ok(name.to_owned()))
    }

    /// Connects a container to a network.
    pub async fn connect(
        &self,
        id: &ContainerId,
        term: &str,
        mut attachment: Attachment,
    ) -> Result<(), PortError> {
        let name = self.network_name(term)?;
        let network = self.find_network(&name).ok();
        checked(network.as_deref(), &name, &attachment)?;
        attachment.network = network.map(|n| n.id.clone()).unwrap_or_default();
        self.call(id, |reply| Connect { name, attachment, reply }).await
    }

    /// Disconnects it again; with `force` also from one that is not there any more.
    pub async fn disconnect(&self, id: &ContainerId, term: &str, force: bool) -> Result<(), PortError> {
        let name = match self.network_name(term) {
            Ok(name) => name,
            Err(_) if force => term.to_owned(),
            Err(error) => return Err(error),
        };
        self.call(id, |reply| Disconnect { name, reply }).await
    }

    /// The networks a new container belongs to: those it names, under their full names, or that of its mode.
    pub(super) fn attachments(
        &self,
        mode: &str,
        asked: &BTreeMap<String, Attachment>,
    ) -> Result<BTreeMap<String, Attachment>, PortError> {
        let mut out = BTreeMap::new();
        if mode.starts_with("container:") {
            return Ok(out);
        }
        let mut asked = asked.clone();
        let is_mode = |term: &String| {
            term == mode
                || self.network_name(term).is_ok_and(|n| self.network_name(mode).is_ok_and(|m| m == n))
        };
        if !asked.keys().any(is_mode) {
            asked.insert(mode.to_owned(), Attachment::default());
        }
        for (term, mut attachment) in asked {
            let name = self.network_name(&term).unwrap_or(term);
            let network = self.find_network(&name).ok();
            checked(network.as_deref(), &name, &attachment).map_err(|e| {
                PortError::new(e.kind, format!("invalid config for network {name}: {}", e.chain()))
            })?;
            attachment.network = network.map(|n| n.id.clone()).unwrap_or_default();
            out.insert(name, attachment);
        }
        Ok(out)
    }
}

/// What may be asked of an attachment, in Docker's words; of a network not known yet, what does not depend on it.
fn checked(network: Option<&NetworkSpec>, name: &str, wanted: &Attachment) -> Result<(), PortError> {
    let invalid =
        |text: String| Err(PortError::new(Kind::Invalid, format!("invalid endpoint settings:\n{text}")));
    if is_built_in(name) {
        if wanted.address.is_some() || wanted.address6.is_some() {
            return invalid("user specified IP address is supported on user defined networks only".into());
        }
        if !wanted.aliases.is_empty() {
            let text = "network-scoped alias is supported only for containers in user defined networks";
            return invalid(text.into());
        }
    }
    let Some(network) = network else { return Ok(()) };
    let families = [
        (wanted.address.map(IpAddr::V4), network.asked[0], network.segment.subnet()),
        (wanted.address6.map(IpAddr::V6), network.asked6[0], network.segment.subnet6()),
    ];
    let mut wrong = Vec::new();
    for (address, asked, subnet) in families {
        match address {
            Some(_) if !asked => wrong.push(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
                    .to_owned(),
            ),
            Some(address) if !subnet.is_some_and(|s| s.contains(address)) => {
                wrong.push(format!("no configured subnet or ip-range contain the IP address {address}"));
            }
            _ => {}
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => invalid(one.clone()),
        several => invalid(format!("* {}", several.join("\n* "))),
    }
}
