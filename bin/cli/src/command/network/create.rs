//! `gantry network create`

use bollard::models::{ConfigReference, Ipam, NetworkCreateRequest};
use clap::Args;

use super::ipam;
use crate::options::value::{self, map};
use crate::{client::Client, error::CommandError, mistakes, output};

const EXAMPLES: &str = "\
Examples:
  gantry network create web
  gantry network create --subnet 10.5.0.0/16 --gateway 10.5.0.1 --ip-range 10.5.8.0/24 web
  gantry network create --internal -o com.docker.network.driver.mtu=1400 db";

/// Makes a network on which containers find each other by name.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Create {
    /// Driver to manage the Network
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Set driver specific options
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Set metadata on a network
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = value::label)]
    label: Vec<String>,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Enable or disable IPv4 address assignment [default: true]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "TRUTH", value_parser = mistakes::truth)]
    ipv4: Option<bool>,
    /// Enable or disable IPv6 address assignment [default: false]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "TRUTH", value_parser = mistakes::truth)]
    ipv6: Option<bool>,
    /// Enable manual container attachment (swarm)
    #[arg(long)]
    attachable: bool,
    /// Create swarm routing-mesh network
    #[arg(long)]
    ingress: bool,
    /// Control the network's scope
    #[arg(long)]
    scope: Option<String>,
    /// Create a configuration only network
    #[arg(long)]
    config_only: bool,
    /// The network from which to copy the configuration
    #[arg(long, value_name = "NETWORK")]
    config_from: Option<String>,
    /// IP Address Management Driver
    #[arg(long, default_value = "default", value_name = "DRIVER")]
    ipam_driver: String,
    /// Set IPAM driver specific options
    #[arg(long, value_name = "KEY=VALUE")]
    ipam_opt: Vec<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "SUBNET", value_delimiter = ',')]
    subnet: Vec<String>,
    /// Allocate container ip from a sub-range
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    ip_range: Vec<String>,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    gateway: Vec<String>,
    /// Auxiliary IPv4 or IPv6 addresses used by Network driver
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,
    /// The name
    #[arg(value_name = "NETWORK")]
    name: String,
}

impl Create {
    fn request(self) -> Result<NetworkCreateRequest, CommandError> {
        let reserved: Vec<(String, String)> = map(&self.aux_address).into_iter().collect();
        let config = ipam::configuration(&self.subnet, &self.ip_range, &self.gateway, &reserved)
            .map_err(CommandError::Refused)?;
        Ok(NetworkCreateRequest {
            name: self.name,
            driver: Some(self.driver),
            scope: self.scope,
            internal: Some(self.internal),
            attachable: Some(self.attachable),
            ingress: Some(self.ingress),
            config_only: Some(self.config_only),
            config_from: self.config_from.map(|network| ConfigReference { network: Some(network) }),
            ipam: Some(Ipam {
                driver: Some(self.ipam_driver),
                config: Some(config),
                options: Some(map(&self.ipam_opt)),
            }),
            enable_ipv4: self.ipv4,
            enable_ipv6: self.ipv6,
            options: Some(map(&self.opt)),
            labels: Some(map(&self.label)),
        })
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let made = client.docker()?.create_network(self.request()?).await;
        let made = made.map_err(|error| client.because(error))?;
        if !made.warning.is_empty() {
            output::error_line(format!("WARNING: {}", made.warning));
        }
        output::line(made.id);
        Ok(0)
    }
}
