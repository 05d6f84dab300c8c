//! `gantry wait`

use clap::Args;
use hyper::Method;
use serde_json::Value;

use crate::client::{Body, Client, ClientError, encode, query};
use crate::error::CommandError;

/// Waits for containers to end.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry wait job    prints 0 when it ended well")]
pub struct Wait {
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Starts waiting; the daemon has noted the wish once this returns.
pub async fn begin(client: &Client, container: &str, condition: &str) -> Result<Body, ClientError> {
    let query = query(&[("condition", Some(condition.to_owned()).filter(|text| !text.is_empty()))]);
    client.stream(Method::POST, &format!("/containers/{}/wait?{query}", encode(container))).await
}

/// The exit status a wait brought.
pub async fn finish(mut body: Body) -> Result<i64, ClientError> {
    let answer = body.json().await?.unwrap_or(Value::Null);
    if let Some(message) =
        answer.pointer("/Error/Message").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        return Err(ClientError::Failed(message.to_owned()));
    }
    let code = answer.get("StatusCode").and_then(Value::as_i64);
    code.ok_or_else(|| ClientError::Failed("the daemon ended the wait without an exit status".to_owned()))
}

impl Wait {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        super::each(&self.containers, async |name| {
            Ok(finish(begin(client, &name, "").await?).await?.to_string())
        })
        .await
    }
}
