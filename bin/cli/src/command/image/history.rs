//! `gantry history`

use clap::{ArgAction, Args};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::client::{Client, encode, query};
use crate::listing::{Listing, Row, number, text};
use crate::{error::CommandError, output, units};

/// Shows the layers an image is made of.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry history nginx\n  gantry history --no-trunc --format '{{.CreatedBy}}' nginx"
)]
pub struct History {
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history for the given platform
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    image: String,
}

// Images older than this have no real date.
const EPOCH: i64 = 946_684_800;

impl History {
    fn row(&self, step: &Value) -> Row {
        let created = number(step, "Created");
        let date = Timestamp::from_second(created)
            .map(|time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
            .unwrap_or_default();
        let since = match self.human {
            false => date.clone(),
            true if created <= EPOCH => "N/A".to_owned(),
            true => units::ago(created),
        };
        let size = number(step, "Size");
        let command = text(step, "CreatedBy").replace('\t', " ");
        let id = text(step, "Id");
        let fields = json!({
            "ID": if self.no_trunc { id.as_str() } else { output::short_id(&id) },
            "CreatedSince": since,
            "CreatedAt": date,
            "CreatedBy": if self.no_trunc { command } else { output::ellipsis(&command, 45) },
            "Size": if self.human { units::human_size(size) } else { size.to_string() },
            "Comment": text(step, "Comment"),
        });
        Row::new(fields, step)
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let query = query(&[("platform", self.platform.clone())]);
        let steps = client.get(&format!("/images/{}/history?{query}", encode(&self.image))).await?;
        let listing = Listing {
            format: self.format.as_deref(),
            configured: None,
            quiet: self.quiet.then_some("{{.ID}}"),
            table: match self.human {
                true => "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                false => "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
            },
            headings: &[
                ("ID", "IMAGE"),
                ("CreatedSince", "CREATED"),
                ("CreatedAt", "CREATED AT"),
                ("CreatedBy", "CREATED BY"),
                ("Size", "SIZE"),
                ("Comment", "COMMENT"),
            ],
        };
        let rows = steps.as_array().into_iter().flatten().map(|step| self.row(step)).collect();
        output::raw(listing.render(rows)?);
        Ok(0)
    }
}
