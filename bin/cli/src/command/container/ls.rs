//! `gantry ps`

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Client, query};
use crate::listing::{self, Headings, Listing, Row, list, text};
use crate::{error::CommandError, output, units};

const EXAMPLES: &str = "\
Examples:
  gantry ps -a
  gantry ps -f status=exited -f name=web -q
  gantry ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'
  gantry ps --format json";

/// Lists containers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ls {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = crate::options::value::int)]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

/// The columns a container has.
pub const HEADINGS: &Headings = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Networks", "NETWORKS"),
    ("Size", "SIZE"),
];

/// Published and exposed ports, runs of neighbours joined: `0.0.0.0:80-81->80-81/tcp, 9/udp`.
fn ports(container: &Value) -> String {
    let number = |port: &Value, key: &str| port.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut all: Vec<(u64, String, u64, String)> = list(container, "Ports")
        .map(|port| {
            (number(port, "PrivatePort"), text(port, "IP"), number(port, "PublicPort"), text(port, "Type"))
        })
        .collect();
    all.sort();
    all.dedup();
    // Runs are per address and protocol, and only where the number is kept.
    let mut runs: Vec<(u64, u64, String, u64, String)> = Vec::new();
    for (private, ip, public, protocol) in all {
        let follows = |run: &&mut (u64, u64, String, u64, String)| {
            let same_mapping = (run.3 == 0 && public == 0) || (run.3 == run.0 && public == private);
            run.1 + 1 == private && run.2 == ip && run.4 == protocol && same_mapping
        };
        match runs.iter_mut().find(follows) {
            Some(run) => run.1 = private,
            None => runs.push((private, private, ip, public, protocol)),
        }
    }
    let shown = runs.into_iter().map(|(first, last, ip, public, protocol)| {
        let range = |from: u64, to: u64| if from == to { from.to_string() } else { format!("{from}-{to}") };
        let inside = range(first, last);
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip };
        match public {
            0 => format!("{inside}/{protocol}"),
            _ => format!("{host}:{}->{inside}/{protocol}", range(public, public + last - first)),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// One container's row.
pub fn row(container: &Value, no_trunc: bool) -> Row {
    let cut = |value: String, width: usize| if no_trunc { value } else { output::ellipsis(&value, width) };
    let id = text(container, "Id");
    let created = container.get("Created").and_then(Value::as_i64).unwrap_or_default();
    let image = text(container, "Image");
    let image = match image.strip_prefix("sha256:") {
        Some(_) if !no_trunc => output::short_id(&image).to_owned(),
        _ => image,
    };
    let names: Vec<String> = list(container, "Names")
        .filter_map(|name| name.as_str()?.strip_prefix('/'))
        .filter(|name| no_trunc || !name.contains('/'))
        .map(str::to_owned)
        .collect();
    let mounts: Vec<String> = list(container, "Mounts")
        .map(|mount| if text(mount, "Name").is_empty() { text(mount, "Source") } else { text(mount, "Name") })
        .map(|name| cut(name, 15))
        .collect();
    let volumes = list(container, "Mounts").filter(|mount| text(mount, "Driver") == "local").count();
    let networks = container.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let networks: Vec<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let bytes = |key: &str| container.get(key).and_then(Value::as_i64).unwrap_or_default();
    let mut size = units::human_size(bytes("SizeRw"));
    if bytes("SizeRootFs") > 0 {
        size = format!("{size} (virtual {})", units::human_size(bytes("SizeRootFs")));
    }
    let fields = json!({
        "ID": if no_trunc { id.as_str() } else { output::short_id(&id) },
        "Image": if image.is_empty() { "<no image>".to_owned() } else { image },
        "Command": Value::from(cut(text(container, "Command"), 20)).to_string(),
        "CreatedAt": units::local_time(created),
        "RunningFor": units::ago(created),
        "Status": text(container, "Status"),
        "State": text(container, "State"),
        "Ports": ports(container),
        "Names": names.join(","),
        "Labels": listing::joined_labels(container),
        "LocalVolumes": volumes.to_string(),
        "Mounts": mounts.join(","),
        "Networks": networks.join(","),
        "Size": size,
    });
    Row::new(fields, container)
}

impl Ls {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let limit = if self.latest { Some(1) } else { self.last.filter(|count| *count > 0) };
        let flag = |yes: bool| yes.then(|| "1".to_owned());
        let sized = self.size || self.format.as_deref().is_some_and(|format| format.contains(".Size"));
        let query = query(&[
            ("all", flag(self.all)),
            ("limit", limit.map(|limit| limit.to_string())),
            ("size", flag(sized)),
            ("filters", listing::filter_query(&self.filter)),
        ]);
        let listed = client.get(&format!("/containers/json?{query}")).await?;
        let rows = listed.as_array().into_iter().flatten().map(|one| row(one, self.no_trunc)).collect();
        let mut table =
            "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
                .to_owned();
        if self.size {
            table.push_str("\t{{.Size}}");
        }
        let listing = Listing {
            format: self.format.as_deref(),
            configured: client.configuration().ps_format.as_deref(),
            quiet: self.quiet.then_some("{{.ID}}"),
            table: &table,
            headings: HEADINGS,
        };
        output::raw(listing.render(rows)?);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_are_joined_and_others_are_not() {
        let container = json!({"Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 81, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 443, "PublicPort": 8443, "Type": "tcp"},
            {"PrivatePort": 9000, "Type": "udp"}, {"PrivatePort": 9001, "Type": "udp"}]});
        assert_eq!(
            ports(&container),
            "0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 0.0.0.0:8443->443/tcp, 9000-9001/udp"
        );
    }

    #[test]
    fn a_row_is_cut_unless_told_not_to() {
        let container = json!({"Id": "0123456789abcdef", "Names": ["/web", "/db/web"], "Image": "nginx",
            "Command": "/docker-entrypoint.sh nginx -g", "Created": 0, "Status": "Up 2 minutes"});
        let found = row(&container, false);
        assert_eq!(found.fields["ID"], "0123456789ab");
        assert_eq!(found.fields["Names"], "web");
        assert_eq!(found.fields["Command"], "\"/docker-entrypoint.…\"");
        let found = row(&container, true);
        assert_eq!(found.fields["ID"], "0123456789abcdef");
        assert_eq!(found.fields["Names"], "web,db/web");
    }
}
