//! `gantry inspect`

use clap::Args;
use serde_json::Value;

use crate::client::{Client, ClientError, encode};
use crate::{error::CommandError, output, template::Template};

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
    /// Return JSON for this type only
    #[arg(long = "type", value_parser = ["container", "image", "network", "volume"])]
    kind: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

impl Inspect {
    async fn find(&self, client: &Client, name: &str) -> Result<Option<Value>, ClientError> {
        let size = if self.size { "?size=1" } else { "" };
        let name = encode(name);
        let places = [
            ("container", format!("/containers/{name}/json{size}")),
            ("image", format!("/images/{name}/json")),
            ("network", format!("/networks/{name}")),
            ("volume", format!("/volumes/{name}")),
        ];
        for (kind, path) in places {
            if self.kind.as_deref().is_some_and(|wanted| wanted != kind) {
                continue;
            }
            match client.get(&path).await {
                Ok(found) => return Ok(Some(found)),
                Err(ClientError::Daemon { status: 404 | 501, message }) => {
                    if self.kind.is_some() {
                        return Err(ClientError::Daemon { status: 404, message });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let template = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Template::parse(&text.replace("\\t", "\t").replace("\\n", "\n"))?),
        };
        let (mut found, mut code) = (Vec::new(), 0);
        for name in &self.names {
            let missing = match self.find(client, name).await {
                Ok(Some(value)) => {
                    match &template {
                        Some(template) => output::line(template.render(&value)?),
                        None => found.push(value),
                    }
                    continue;
                }
                Ok(None) => format!("Error: No such object: {name}"),
                Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
                Err(error) => error.to_string(),
            };
            output::error_line(missing);
            code = 1;
        }
        if template.is_none() {
            let all = Value::Array(found);
            output::line(match self.format.as_deref() {
                Some("json") => all.to_string(),
                _ => pretty(&all),
            });
        }
        Ok(code)
    }
}

fn pretty(value: &Value) -> String {
    use serde_json::ser::{PrettyFormatter, Serializer};
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => value.to_string(),
    }
}
