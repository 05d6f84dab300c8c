//! What the prune commands share.

use clap::Args;
use serde_json::Value;

use crate::client::{Client, query};
use crate::error::CommandError;
use crate::listing::{self, list, number};
use crate::{output, units};

/// Flags of every prune.
#[derive(Debug, Clone, Default, Args)]
pub struct PruneOptions {
    /// Provide filter values (e.g. "until=24h", "label=<key>=<value>", "label!=<key>")
    #[arg(long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    pub filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub force: bool,
}

/// What a prune removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// A line for each thing.
    pub lines: Vec<String>,
    /// Bytes won back.
    pub reclaimed: i64,
}

impl PruneOptions {
    /// Asks unless told not to; a no is an error, as in Docker.
    pub fn confirm(&self, warning: &str, what: &str) -> Result<(), CommandError> {
        match self.force || output::confirmed(warning) {
            true => Ok(()),
            false => Err(CommandError::Refused(format!("{what} prune has been cancelled"))),
        }
    }
}

async fn prune(client: &Client, kind: &str, filters: &[(String, String)]) -> Result<Value, CommandError> {
    let query = query(&[("filters", listing::filter_query(filters))]);
    Ok(client.post(&format!("/{kind}/prune?{query}"), None).await?)
}

fn names(answer: &Value, key: &str) -> Vec<String> {
    list(answer, key).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Removes stopped containers.
pub async fn containers(client: &Client, filters: &[(String, String)]) -> Result<Pruned, CommandError> {
    let answer = prune(client, "containers", filters).await?;
    let lines = names(&answer, "ContainersDeleted");
    Ok(Pruned { lines, reclaimed: number(&answer, "SpaceReclaimed") })
}

/// Removes networks without containers.
pub async fn networks(client: &Client, filters: &[(String, String)]) -> Result<Pruned, CommandError> {
    let answer = prune(client, "networks", filters).await?;
    Ok(Pruned { lines: names(&answer, "NetworksDeleted"), reclaimed: 0 })
}

/// Removes volumes without containers; anonymous ones only, unless `all`.
pub async fn volumes(
    client: &Client,
    filters: &[(String, String)],
    all: bool,
) -> Result<Pruned, CommandError> {
    let mut filters = filters.to_vec();
    if all {
        if filters.iter().any(|(name, _)| name == "all") {
            let text = "conflicting options: cannot specify both --all and --filter all=1";
            return Err(CommandError::Refused(text.to_owned()));
        }
        filters.push(("all".to_owned(), "true".to_owned()));
    }
    let answer = prune(client, "volumes", &filters).await?;
    Ok(Pruned { lines: names(&answer, "VolumesDeleted"), reclaimed: number(&answer, "SpaceReclaimed") })
}

/// Removes images without names, or with `all` without containers.
pub async fn images(
    client: &Client,
    filters: &[(String, String)],
    all: bool,
) -> Result<Pruned, CommandError> {
    let mut filters = filters.to_vec();
    filters.push(("dangling".to_owned(), (!all).to_string()));
    let answer = prune(client, "images", &filters).await?;
    let lines =
        list(&answer, "ImagesDeleted").map(|item| match item.get("Untagged").and_then(Value::as_str) {
            Some(name) => format!("untagged: {name}"),
            None => format!("deleted: {}", listing::text(item, "Deleted")),
        });
    Ok(Pruned { lines: lines.collect(), reclaimed: number(&answer, "SpaceReclaimed") })
}

impl Pruned {
    /// `Deleted Containers:` and the lines, if there are any.
    pub fn show(&self, what: &str) {
        if !self.lines.is_empty() {
            output::line(format!("Deleted {what}:\n{}\n", self.lines.join("\n")));
        }
    }

    /// The last line.
    pub fn show_total(reclaimed: i64) {
        output::line(format!("Total reclaimed space: {}", units::four_digits(reclaimed)));
    }
}
