//! `gantry network ls`

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Client, query};
use crate::listing::{self, Headings, Listing, Row, text};
use crate::{error::CommandError, output};

/// Lists networks.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network ls -f driver=bridge --format '{{.Name}}'")]
pub struct Ls {
    /// Provide filter values (driver=…, id=…, label=…, name=…, scope=…, type=custom|builtin, dangling=true)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

const HEADINGS: &Headings = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

/// A time the way Go prints one: `2025-01-02 15:04:05.123 +0000 UTC`.
fn created(network: &Value) -> String {
    let given = text(network, "Created");
    let Ok(time) = given.parse::<Timestamp>() else { return given };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M:%S%.f %z UTC").to_string()
}

fn row(network: &Value, no_trunc: bool) -> Row {
    let is = |key: &str| network.get(key).and_then(Value::as_bool).unwrap_or_default().to_string();
    let id = text(network, "Id");
    let fields = json!({
        "ID": if no_trunc { id.as_str() } else { output::short_id(&id) },
        "Name": text(network, "Name"),
        "Driver": text(network, "Driver"),
        "Scope": text(network, "Scope"),
        "IPv4": is("EnableIPv4"),
        "IPv6": is("EnableIPv6"),
        "Internal": is("Internal"),
        "Labels": listing::joined_labels(network),
        "CreatedAt": created(network),
    });
    Row::new(fields, network)
}

impl Ls {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let query = query(&[("filters", listing::filter_query(&self.filter))]);
        let listed = client.get(&format!("/networks?{query}")).await?;
        let mut networks: Vec<&Value> = listed.as_array().into_iter().flatten().collect();
        networks.sort_by_key(|network| listing::natural(&text(network, "Name")));
        let listing = Listing {
            format: self.format.as_deref(),
            configured: client.configuration().networks_format.as_deref(),
            quiet: self.quiet.then_some("{{.ID}}"),
            table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
            headings: HEADINGS,
        };
        output::raw(listing.render(networks.into_iter().map(|one| row(one, self.no_trunc)).collect())?);
        Ok(0)
    }
}
