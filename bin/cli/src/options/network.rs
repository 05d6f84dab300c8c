//! How a container is reached, and what it reaches by which name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bollard::models::{EndpointIpamConfig, EndpointSettings};
use clap::Args;

use super::value::attachment::{self, Attachment};
use super::value::{self, ports};
use super::{Draft, OptionError, some};

/// Flags about networks and names.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// Publish a container's port(s) to the host ([[IP:]HOST:]CONTAINER[/PROTOCOL], ranges too)
    #[arg(short, long, value_name = "PORT")]
    pub publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<String>,
    /// Connect a container to a network (NAME, bridge, host, none, container:NAME, or name=NAME,alias=…,ip=…,…)
    #[arg(long, alias = "net", value_parser = attachment::attachment)]
    pub network: Vec<Attachment>,
    /// Add network-scoped alias for the container
    #[arg(long, alias = "net-alias", value_name = "ALIAS")]
    pub network_alias: Vec<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]", value_parser = value::link)]
    pub link: Vec<String>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ADDRESS", value_parser = value::ip)]
    pub ip: Option<IpAddr>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ADDRESS", value_parser = value::ip)]
    pub ip6: Option<IpAddr>,
    /// Container IPv4/IPv6 link-local addresses
    #[arg(long, value_name = "ADDRESS")]
    pub link_local_ip: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<String>,
    /// Container host name
    #[arg(short = 'h', long)]
    pub hostname: Option<String>,
    /// Container NIS domain name
    #[arg(long)]
    pub domainname: Option<String>,
    /// Add a custom host-to-IP mapping (host:ip, or host:host-gateway)
    #[arg(long, value_name = "HOST:IP", value_parser = value::extra_host)]
    pub add_host: Vec<String>,
    /// Set custom DNS servers
    #[arg(long, value_name = "ADDRESS", value_parser = value::dns_server)]
    pub dns: Vec<String>,
    /// Set DNS options
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN", value_parser = value::dns_search)]
    pub dns_search: Vec<String>,
}

/// Whether `mode` names a network rather than a way to do without one.
fn user_defined(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none" | "nat") && !mode.starts_with("container:")
}

fn refuse(text: impl Into<String>) -> OptionError {
    OptionError::Value(text.into())
}

impl NetworkOptions {
    /// Writes these flags into `draft`, but for the endpoints.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), OptionError> {
        if let Some(mac) = self.mac_address.as_deref().filter(|mac| !value::is_mac(mac)) {
            return Err(refuse(format!("{mac} is not a valid mac address")));
        }
        let bindings = ports::bindings(&self.publish)?;
        let mut exposed: Vec<String> = bindings.keys().cloned().collect();
        for spec in &self.expose {
            exposed.extend(ports::expose(spec)?);
        }
        exposed.sort();
        exposed.dedup();
        draft.body.hostname = self.hostname.clone();
        draft.body.domainname = self.domainname.clone();
        draft.body.exposed_ports = some(exposed);
        let host = &mut draft.host;
        let first = self.network.first().map(|attachment| attachment.target.as_str());
        host.network_mode = Some(first.unwrap_or("default").to_owned());
        host.port_bindings = (!bindings.is_empty()).then_some(bindings);
        host.publish_all_ports = Some(self.publish_all);
        host.links = some(self.link.clone());
        host.extra_hosts = some(self.add_host.clone());
        host.dns = some(self.dns.clone());
        host.dns_options = some(self.dns_option.clone());
        host.dns_search = some(self.dns_search.clone());
        Ok(())
    }

    /// What each network is asked for, by its name.
    pub fn endpoints(&self) -> Result<HashMap<String, EndpointSettings>, OptionError> {
        let mut wanted = self.network.clone();
        if wanted.is_empty() {
            wanted.push(Attachment { target: "default".to_owned(), ..Default::default() });
        }
        let (defined, others): (Vec<bool>, Vec<bool>) =
            wanted.iter().map(|one| user_defined(&one.target)).partition(|defined| *defined);
        if !defined.is_empty() && !others.is_empty() {
            return Err(OptionError::Conflict(
                "cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        let alone = wanted.len() == 1;
        let mut endpoints = HashMap::new();
        for (position, mut attachment) in wanted.into_iter().enumerate() {
            if position == 0 {
                self.apply_to(&mut attachment)?;
            }
            let settings = settings(&attachment)?;
            if endpoints.contains_key(&attachment.target) {
                return Err(refuse(format!("network \"{}\" is specified multiple times", attachment.target)));
            }
            // One network without special wishes needs no words; the mode names it.
            if !(alone && settings == EndpointSettings::default()) {
                endpoints.insert(attachment.target, settings);
            }
        }
        Ok(endpoints)
    }

    /// The flags without a network of their own belong to the first one.
    fn apply_to(&self, attachment: &mut Attachment) -> Result<(), OptionError> {
        let both = |text: &'static str, theirs: bool, ours: bool| match theirs && ours {
            true => Err(OptionError::Conflict(text)),
            false => Ok(()),
        };
        both(
            "cannot specify both --network-alias and per-network alias",
            !attachment.aliases.is_empty(),
            !self.network_alias.is_empty(),
        )?;
        both(
            "cannot specify both --ip and per-network IPv4 address",
            attachment.ipv4.is_some(),
            self.ip.is_some(),
        )?;
        both(
            "cannot specify both --ip6 and per-network IPv6 address",
            attachment.ipv6.is_some(),
            self.ip6.is_some(),
        )?;
        both(
            "cannot specify both --mac-address and per-network MAC address",
            attachment.mac.is_some(),
            self.mac_address.is_some(),
        )?;
        both(
            "cannot specify both --link-local-ip and per-network link-local IP addresses",
            !attachment.link_local.is_empty(),
            !self.link_local_ip.is_empty(),
        )?;
        attachment.aliases.extend(self.network_alias.iter().cloned());
        if user_defined(&attachment.target) {
            attachment.links = self.link.clone();
        }
        attachment.ipv4 = attachment.ipv4.take().or(self.ip.map(|ip| ip.to_string()));
        attachment.ipv6 = attachment.ipv6.take().or(self.ip6.map(|ip| ip.to_string()));
        attachment.mac = attachment.mac.take().or_else(|| self.mac_address.clone());
        attachment.link_local.extend(self.link_local_ip.iter().cloned());
        Ok(())
    }
}

fn settings(attachment: &Attachment) -> Result<EndpointSettings, OptionError> {
    if attachment.target.trim().is_empty() {
        return Err(refuse("no name set for network"));
    }
    if !user_defined(&attachment.target) && !attachment.aliases.is_empty() {
        return Err(refuse("network-scoped aliases are only supported for user-defined networks"));
    }
    if let Some(ip) = attachment.ipv4.as_deref().filter(|ip| ip.parse::<Ipv4Addr>().is_err()) {
        return Err(refuse(format!("invalid IPv4 address: {ip}")));
    }
    if let Some(ip) = attachment.ipv6.as_deref().filter(|ip| ip.parse::<Ipv6Addr>().is_err()) {
        return Err(refuse(format!("invalid IPv6 address: {ip}")));
    }
    if let Some(mac) = attachment.mac.as_deref().filter(|mac| !value::is_mac(mac)) {
        return Err(refuse(format!("{mac} is not a valid mac address")));
    }
    let addressed =
        attachment.ipv4.is_some() || attachment.ipv6.is_some() || !attachment.link_local.is_empty();
    Ok(EndpointSettings {
        aliases: some(attachment.aliases.clone()),
        links: some(attachment.links.clone()),
        ipam_config: addressed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4.clone(),
            ipv6_address: attachment.ipv6.clone(),
            link_local_ips: some(attachment.link_local.clone()),
        }),
        mac_address: attachment.mac.clone(),
        driver_opts: (!attachment.driver_opts.is_empty()).then(|| attachment.driver_opts.clone()),
        gw_priority: attachment.gw_priority,
        ..Default::default()
    })
}
