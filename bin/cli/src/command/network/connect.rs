//! `gantry network connect`

use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest};
use clap::Args;

use crate::options::{some, value};
use crate::{client::Client, error::CommandError};

/// Gives a container one more network, while it runs too.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network connect --alias db web database")]
pub struct Connect {
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]", value_parser = value::link)]
    link: Vec<String>,
    /// Add network-scoped alias for the container
    #[arg(long, value_delimiter = ',')]
    alias: Vec<String>,
    /// Add a link-local address for the container
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    link_local_ip: Vec<String>,
    /// Driver options for the network
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway; positive or negative [default: 0]
    #[arg(long, value_name = "PRIORITY", value_parser = value::int)]
    gw_priority: Option<i64>,
    network: String,
    container: String,
}

impl Connect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let malformed =
            |option: &&String| option.split_once('=').is_none_or(|(key, _)| key.trim().is_empty());
        if self.driver_opt.iter().any(|option| malformed(&option)) {
            let text = "invalid key/value pair format in driver options";
            return Err(CommandError::Refused(text.to_owned()));
        }
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: self.ip,
                ipv6_address: self.ip6,
                link_local_ips: some(self.link_local_ip),
            }),
            links: some(self.link),
            aliases: some(self.alias),
            driver_opts: (!self.driver_opt.is_empty()).then(|| value::map(&self.driver_opt)),
            gw_priority: self.gw_priority,
            ..Default::default()
        };
        let request = NetworkConnectRequest { container: self.container, endpoint_config: Some(endpoint) };
        let connected = client.docker()?.connect_network(&self.network, request).await;
        connected.map_err(|error| client.because(error))?;
        Ok(0)
    }
}
