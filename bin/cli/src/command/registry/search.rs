//! `gantry search`

use clap::Args;
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, ClientError, nothing, query};
use crate::credentials::key;
use crate::listing::{self, Listing, Row, number, text};
use crate::{error::CommandError, output};

/// Searches Docker Hub, or another registry that can be searched.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry search busybox\n  gantry search --limit 5 --filter is-official=true redis"
)]
pub struct Search {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// Pretty-print search using a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    term: String,
}

impl Search {
    fn row(&self, found: &Value) -> Row {
        let description = text(found, "description").replace(['\n', '\r'], " ");
        let official = found.get("is_official").and_then(Value::as_bool).unwrap_or(false);
        let fields = json!({
            "Name": text(found, "name"),
            "Description": if self.no_trunc { description } else { output::ellipsis(&description, 45) },
            "StarCount": number(found, "star_count").to_string(),
            "IsOfficial": if official { "[OK]" } else { "" },
        });
        Row::new(fields, found)
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let pairs = [
            ("filters", listing::filter_query(&self.filter).map(|_| filters(&self.filter))),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("term", Some(self.term.clone())),
        ];
        let credentials = client.configuration().credentials(&key(&self.term))?;
        let headers = [("X-Registry-Auth", credentials.header())];
        let path = format!("/images/search?{}", query(&pairs));
        let answer = client.call_with(Method::GET, &path, &headers, nothing()).await?;
        let body = answer.into_body().collect().await.map_err(ClientError::Connection)?.to_bytes();
        let found: Vec<Value> = serde_json::from_slice(&body).map_err(ClientError::Json)?;
        let listing = Listing {
            format: self.format.as_deref(),
            configured: None,
            quiet: None,
            table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
            headings: &[
                ("Name", "NAME"),
                ("Description", "DESCRIPTION"),
                ("StarCount", "STARS"),
                ("IsOfficial", "OFFICIAL"),
            ],
        };
        output::raw(listing.render(found.iter().map(|one| self.row(one)).collect())?);
        Ok(0)
    }
}

/// Filters in the form that Docker's client uses here: sets of values.
fn filters(all: &[(String, String)]) -> String {
    let mut map = serde_json::Map::new();
    for (name, value) in all {
        let set = map.entry(name.clone()).or_insert_with(|| json!({}));
        set.as_object_mut().map(|set| set.insert(value.clone(), json!(true)));
    }
    Value::Object(map).to_string()
}
