//! `gantry top`

use clap::Args;
use serde_json::Value;

use crate::client::{Client, encode, query};
use crate::listing::list;
use crate::{error::CommandError, output};

/// Lists a container's processes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry top web\n  gantry top web -o pid,comm    ps options follow the name"
)]
pub struct Top {
    /// The container, then options of ps
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["CONTAINER", "PS_OPTIONS"])]
    container_and_options: Vec<String>,
}

impl Top {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        processes(client, &self.container_and_options).await
    }
}

/// Prints the processes of the container named first, chosen by the options of ps behind it.
pub async fn processes(client: &Client, container_and_options: &[String]) -> Result<u8, CommandError> {
    let (container, options) = match container_and_options.split_first() {
        Some((container, options)) => (container.clone(), options.join(" ")),
        None => Default::default(),
    };
    let query = query(&[("ps_args", Some(options).filter(|options| !options.is_empty()))]);
    let listed = client.get(&format!("/containers/{}/top?{query}", encode(&container))).await?;
    let rows = listed.get("Titles").into_iter().chain(list(&listed, "Processes"));
    let lines: Vec<String> = rows
        .map(|row| {
            let cells = row.as_array().into_iter().flatten().filter_map(Value::as_str);
            cells.collect::<Vec<_>>().join("\t")
        })
        .collect();
    output::raw(output::align(&lines));
    Ok(0)
}
