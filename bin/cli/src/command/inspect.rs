//! `gantry inspect`, and what the inspect commands of the groups share.

use clap::Args;
use serde_json::Value;

use crate::client::{Client, ClientError, encode};
use crate::{error::CommandError, output};
use template::Template;

const EXAMPLES: &str = "\
Examples:
  gantry inspect web
  gantry inspect -f '{{.State.Status}}' web
  gantry inspect -f '{{json .Mounts}}' web
  gantry inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web";

/// Shows all there is to know.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Only inspect objects of the given type (container, image, network, volume)
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

/// One kind of thing, and where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container, perhaps with its sizes.
    Container {
        /// Ask for `SizeRw` and `SizeRootFs`.
        size: bool,
    },
    /// An image.
    Image,
    /// A network, perhaps with what a swarm knows of it.
    Network {
        /// Ask for services.
        verbose: bool,
    },
    /// A volume.
    Volume,
}

impl Kind {
    fn path(self, name: &str) -> String {
        let name = encode(name);
        match self {
            Self::Container { size: true } => format!("/containers/{name}/json?size=1"),
            Self::Container { size: false } => format!("/containers/{name}/json"),
            Self::Image => format!("/images/{name}/json"),
            Self::Network { verbose: true } => format!("/networks/{name}?verbose=true"),
            Self::Network { verbose: false } => format!("/networks/{name}"),
            Self::Volume => format!("/volumes/{name}"),
        }
    }
}

/// Looks for each name among `kinds` in turn and shows what was found.
pub async fn show(
    client: &Client,
    names: &[String],
    kinds: &[Kind],
    format: Option<&str>,
) -> Result<u8, CommandError> {
    let template = match format {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::from_flag(text)?),
    };
    let (mut found, mut code) = (Vec::new(), 0);
    for name in names {
        match find(client, name, kinds).await {
            Ok(value) => match &template {
                Some(template) => output::line(template.render(&value)?),
                None => found.push(value),
            },
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Forbidden { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                output::error_line(error.to_string());
                code = 1;
            }
        }
    }
    if template.is_none() {
        let all = Value::Array(found);
        output::line(if format == Some("json") { all.to_string() } else { output::pretty(&all) });
    }
    Ok(code)
}

async fn find(client: &Client, name: &str, kinds: &[Kind]) -> Result<Value, ClientError> {
    for kind in kinds {
        match client.get(&kind.path(name)).await {
            Err(ClientError::Daemon { status: 404 | 501, .. }) if kinds.len() > 1 => {}
            answer => return answer,
        }
    }
    Err(ClientError::Failed(format!("Error: No such object: {name}")))
}

impl Inspect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let refuse = |text: String| Err(CommandError::Refused(text));
        let size = self.size;
        let kinds: &[Kind] = match self.kind.as_deref() {
            None => &[Kind::Container { size }, Kind::Image, Kind::Network { verbose: false }, Kind::Volume],
            Some("container") => &[Kind::Container { size }],
            Some("image") => &[Kind::Image],
            Some("network") => &[Kind::Network { verbose: false }],
            Some("volume") => &[Kind::Volume],
            Some(kind @ ("config" | "node" | "plugin" | "secret" | "service" | "task")) => {
                return refuse(format!(
                    "--type {kind} is not supported: there are no swarms and plugins here"
                ));
            }
            Some("") => {
                return refuse(
                    "type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
                        .to_owned(),
                );
            }
            Some(other) => {
                return refuse(format!(
                    "unknown type: {other:?}: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
                ));
            }
        };
        if size && !kinds.contains(&Kind::Container { size }) {
            let kind = self.kind.as_deref().unwrap_or_default();
            output::error_line(format!("WARNING: --size ignored for {kind}s"));
        }
        show(client, &self.names, kinds, self.format.as_deref()).await
    }
}
