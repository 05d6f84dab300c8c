//! `gantry network explain`

mod text;

use clap::Args;

use crate::client::{Client, query};
use crate::{error::CommandError, output};
use template::Template;

const EXAMPLES: &str = "\
Examples:
  gantry network explain          all networks, and what is left for new ones
  gantry network explain web      who is on it, what is reached from where, what is amiss
  gantry network explain --format '{{range .networks}}{{.name}} {{end}}'";

/// Explains networks: who holds which address, which ports are reached from where, whether the kernel has the rules.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Only this network
    network: Option<String>,
}

impl Explain {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let template = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Template::from_flag(text)?),
        };
        let path = format!("/gantry/networks/explain?{}", query(&[("network", self.network.clone())]));
        let explained = client.get_unversioned(&path).await?;
        match (template, self.format.as_deref()) {
            (Some(template), _) => output::line(template.render(&explained)?),
            (None, Some("json")) => output::line(explained.to_string()),
            (None, _) => output::raw(text::text(&explained, self.network.is_none())),
        }
        Ok(0)
    }
}
