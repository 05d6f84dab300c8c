//! `gantry volume ls`

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Client, query};
use crate::listing::{self, Headings, Listing, Row, list, number, text};
use crate::{error::CommandError, output, units};

/// Lists volumes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry volume ls -f dangling=true    those no container has\n  gantry volume ls --format '{{.Name}} {{.Mountpoint}}'"
)]
pub struct Ls {
    /// Provide filter values (dangling=true, driver=…, label=…, name=…)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

/// The columns a volume has.
pub const HEADINGS: &Headings = &[
    ("Name", "VOLUME NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Group", "GROUP"),
    ("Availability", "AVAILABILITY"),
    ("Status", "STATUS"),
];

/// One volume's row. Links and size are known to `system df` alone.
pub fn row(volume: &Value) -> Row {
    let usage = volume.get("UsageData").filter(|usage| usage.is_object());
    let fields = json!({
        "Name": text(volume, "Name"),
        "Driver": text(volume, "Driver"),
        "Scope": text(volume, "Scope"),
        "Mountpoint": text(volume, "Mountpoint"),
        "Labels": listing::joined_labels(volume),
        "Links": usage.map_or("N/A".to_owned(), |usage| number(usage, "RefCount").to_string()),
        "Size": usage.map_or("N/A".to_owned(), |usage| units::four_digits(number(usage, "Size"))),
        "Group": "N/A",
        "Availability": "N/A",
        "Status": "N/A",
    });
    Row::new(fields, volume)
}

impl Ls {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let query = query(&[("filters", listing::filter_query(&self.filter))]);
        let listed = client.get(&format!("/volumes?{query}")).await?;
        let mut volumes: Vec<&Value> = list(&listed, "Volumes").collect();
        volumes.sort_by_key(|volume| listing::natural(&text(volume, "Name")));
        let listing = Listing {
            format: self.format.as_deref(),
            configured: client.configuration().volumes_format.as_deref(),
            quiet: self.quiet.then_some("{{.Name}}"),
            table: "{{.Driver}}\t{{.Name}}",
            headings: HEADINGS,
        };
        output::raw(listing.render(volumes.into_iter().map(row).collect())?);
        Ok(0)
    }
}
