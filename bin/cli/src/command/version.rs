//! `gantry version`

use clap::Args;
use serde_json::{Value, json};

use crate::client::{API_VERSION, Client};
use crate::{error::CommandError, output};
use template::Template;

/// Shows both halves' versions.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry version -f '{{.Server.Version}}'")]
pub struct Version {
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

fn client_half() -> Value {
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": format!("{}.{}", API_VERSION.major_version, API_VERSION.minor_version),
        "Os": std::env::consts::OS,
        "Arch": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
    })
}

fn client_text(half: &Value) -> String {
    let text = |key: &str| half.get(key).and_then(Value::as_str).unwrap_or_default();
    format!(
        "Client: gantry\n Version:           {}\n API version:       {}\n OS/Arch:           {}/{}\n",
        text("Version"),
        text("ApiVersion"),
        text("Os"),
        text("Arch")
    )
}

fn server_text(half: &Value) -> String {
    let text = |key: &str| half.get(key).and_then(Value::as_str).unwrap_or_default();
    let platform = half.pointer("/Platform/Name").and_then(Value::as_str).unwrap_or("gantryd");
    let mut out = format!("\nServer: {platform}\n Engine:\n  Version:          {}\n", text("Version"));
    out.push_str(&format!(
        "  API version:      {} (minimum version {})\n",
        text("ApiVersion"),
        text("MinAPIVersion")
    ));
    for (label, key) in [("Git commit", "GitCommit"), ("Built", "BuildTime")] {
        if !text(key).is_empty() {
            out.push_str(&format!("  {:<17} {}\n", format!("{label}:"), text(key)));
        }
    }
    out.push_str(&format!("  OS/Arch:          {}/{}\n", text("Os"), text("Arch")));
    out.push_str(&format!("  Kernel:           {}\n", text("KernelVersion")));
    out
}

impl Version {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let own = client_half();
        if let Some(format) = self.format.filter(|format| !format.is_empty()) {
            let server = client.get("/version").await?;
            output::line(Template::from_flag(&format)?.render(&json!({"Client": own, "Server": server}))?);
            return Ok(0);
        }
        output::raw(client_text(&own));
        output::raw(server_text(&client.get("/version").await?));
        Ok(0)
    }
}
