//! Who signs, and for which region. Credentials come from AWS's own chain: environment, profile, web identity, the task's
//! endpoint, the machine's metadata.

use super::options::Wanted;
use crate::tls::Identity;
use bytes::Bytes;
use contract::{Kind, PortError};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, ECSCredentialProvider, RequestSigner};
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, Result, Signer};
use reqwest::{Client, Method};
use std::time::Duration;

/// Metadata is near, or not there at all.
const LIMIT: Duration = Duration::from_secs(5);
const METADATA: &str = "http://169.254.169.254";

fn client() -> std::result::Result<Client, PortError> {
    let tls = Identity::default().client()?;
    let builder = Client::builder().tls_backend_preconfigured((*tls).clone()).timeout(LIMIT);
    builder.build().map_err(|e| PortError::caused(Kind::Bug, "set up a client for credentials", e))
}

/// Signs for a region.
pub(super) fn signer(wanted: &Wanted, region: &str) -> std::result::Result<Signer<Credential>, PortError> {
    let context = Context::new().with_file_read(Files).with_http_send(Metadata(client()?)).with_env(OsEnv);
    let signer = RequestSigner::new("logs", region);
    Ok(match &wanted.credentials {
        // Docker asks nobody else then.
        Some(path) => Signer::new(context, ECSCredentialProvider::new().with_relative_uri(path), signer),
        None => Signer::new(context, DefaultCredentialProvider::new(), signer),
    })
}

/// The region: as given, of the environment, or where the machine is.
pub(super) async fn region(wanted: &Wanted) -> std::result::Result<String, PortError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let known = wanted.region.clone().or_else(|| variable("AWS_REGION"));
    if let Some(region) = known.or_else(|| variable("AWS_DEFAULT_REGION")) {
        return Ok(region);
    }
    let unknown = |e: reqwest::Error| {
        PortError::caused(Kind::Unavailable, "Cannot determine region for awslogs driver", e)
    };
    let client = client()?;
    let base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| METADATA.to_owned());
    let ask = |method: Method, path: &str, header: (&'static str, String)| {
        let request = client.request(method, format!("{base}/latest/{path}")).header(header.0, header.1);
        async move { request.send().await?.error_for_status()?.text().await }
    };
    // Version 2 of the instance metadata service wants a token first.
    let token = ask(Method::PUT, "api/token", ("x-aws-ec2-metadata-token-ttl-seconds", "60".into()));
    let token = token.await.map_err(unknown)?;
    let region = ask(Method::GET, "meta-data/placement/region", ("x-aws-ec2-metadata-token", token));
    Ok(region.await.map_err(unknown)?.trim().to_owned())
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        tokio::fs::read(path).await.map_err(|e| Error::unexpected(format!("read {path}: {e}")))
    }
}

#[derive(Debug)]
struct Metadata(Client);

impl HttpSend for Metadata {
    async fn http_send(&self, request: ::http::Request<Bytes>) -> Result<::http::Response<Bytes>> {
        let failed = |e: reqwest::Error| Error::unexpected(e.without_url().to_string());
        let request = reqwest::Request::try_from(request.map(reqwest::Body::from)).map_err(failed)?;
        let answer = self.0.execute(request).await.map_err(failed)?;
        let mut out = ::http::Response::builder().status(answer.status());
        if let Some(headers) = out.headers_mut() {
            *headers = answer.headers().clone();
        }
        let body = answer.bytes().await.map_err(failed)?;
        out.body(body).map_err(|e| Error::unexpected(e.to_string()))
    }
}
