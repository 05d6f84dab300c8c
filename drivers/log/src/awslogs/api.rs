//! CloudWatch Logs' interface: posts of JSON, signed.

use super::credentials::signer;
use super::options::Wanted;
use crate::http::{Endpoint, later};
use contract::PortError;
use contract::log::DeliverError;
use reqsign_aws_v4::Credential;
use reqsign_core::Signer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An open service.
pub(super) struct Api {
    endpoint: Endpoint,
    signer: Signer<Credential>,
    metrics: bool,
}

/// Why a call failed.
pub(super) enum Failure {
    /// An exception of the service: its name and its text.
    Named(String, String),
    /// Anything else.
    Other(DeliverError),
}

impl From<DeliverError> for Failure {
    fn from(error: DeliverError) -> Self {
        Self::Other(error)
    }
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "__type")]
    name: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Api {
    pub(super) fn new(wanted: &Wanted, region: &str) -> Result<Self, PortError> {
        let endpoint = wanted.settings(region)?.open()?;
        Ok(Self { endpoint, signer: signer(wanted, region)?, metrics: wanted.metrics })
    }

    /// Calls `operation`.
    pub(super) async fn call(
        &mut self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<bytes::Bytes, Failure> {
        let wrong = |e: &dyn std::fmt::Display| later(format!("{operation}: {e}"), None);
        let body = serde_json::to_vec(input).map_err(|e| wrong(&e))?;
        let digest: String = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
        let mut request = ::http::Request::post(self.endpoint.url().as_str())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Logs_20140328.{operation}"))
            .header("x-amz-content-sha256", digest);
        if self.metrics {
            request = request.header("x-amzn-logs-format", "json/emf");
        }
        let (mut head, ()) = request.body(()).map_err(|e| wrong(&e))?.into_parts();
        // Credentials that are not there yet may come.
        self.signer.sign(&mut head, None).await.map_err(|e| wrong(&e))?;
        let answer = self.endpoint.call(head.headers, body).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        match serde_json::from_slice::<Exception>(&answer.body) {
            Ok(Exception { name, message }) => {
                let name = name.rsplit('#').next().unwrap_or_default().to_owned();
                Err(Failure::Named(name, message))
            }
            Err(_) => Err(Failure::Other(later(format!("{operation}: {}", answer.status), answer.after))),
        }
    }
}
