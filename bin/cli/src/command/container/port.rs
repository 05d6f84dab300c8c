//! `gantry port`

use clap::Args;
use serde_json::Value;

use crate::client::{Client, encode};
use crate::{error::CommandError, output};

/// Shows where a container's ports are published.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry port web         80/tcp -> 0.0.0.0:8080\n  gantry port web 80/tcp  0.0.0.0:8080"
)]
pub struct Port {
    container: String,
    /// Only this port of the container
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    private_port: Option<String>,
}

fn join(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// `(container port, host address)` of everything published, in order.
fn published(container: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let text =
        |binding: &Value, key: &str| binding.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (port, bindings) in
        container.pointer("/NetworkSettings/Ports").and_then(Value::as_object).into_iter().flatten()
    {
        for binding in bindings.as_array().into_iter().flatten() {
            found.push((port.clone(), join(&text(binding, "HostIp"), &text(binding, "HostPort"))));
        }
    }
    let number =
        |port: &str| port.split('/').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or_default();
    found.sort_by(|left, right| (number(&left.0), left).cmp(&(number(&right.0), right)));
    found
}

impl Port {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let container = client.get(&format!("/containers/{}/json", encode(&self.container))).await?;
        let found = published(&container);
        let Some(wanted) = self.private_port else {
            found.iter().for_each(|(port, host)| output::line(format!("{port} -> {host}")));
            return Ok(0);
        };
        let port = if wanted.contains('/') { wanted.clone() } else { format!("{wanted}/tcp") };
        let hosts: Vec<&String> =
            found.iter().filter(|(known, _)| *known == port).map(|(_, host)| host).collect();
        if hosts.is_empty() {
            let text = format!("Error: No public port '{wanted}' published for {}", self.container);
            return Err(CommandError::Refused(text));
        }
        hosts.into_iter().for_each(output::line);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_numeric_order() {
        let container = serde_json::json!({"NetworkSettings": {"Ports": {
            "443/tcp": [{"HostIp": "::", "HostPort": "8443"}], "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": null}}});
        let found = published(&container);
        assert_eq!(found, [("80/tcp".into(), "0.0.0.0:8080".into()), ("443/tcp".into(), "[::]:8443".into())]);
    }
}
