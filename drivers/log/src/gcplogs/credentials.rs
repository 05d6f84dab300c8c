//! Tokens by Google's own crate, from Application Default Credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names,
//! gcloud's, or the machine. Of the account of a service it signs tokens itself and asks nobody.

use crate::http::{chain, later, reason};
use ::http::Extensions;
use contract::log::DeliverError;
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use reqwest::header::HeaderMap;
use rustls::crypto::ring;
use std::time::Duration;
use tokio::time::timeout;

/// How long a token is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Where tokens come from. It keeps one until shortly before its end.
pub(super) struct Tokens(Credentials);

/// Docker's text for who cannot log in.
fn unable(why: &str) -> DeliverError {
    later(format!("unable to connect or authenticate with Google Cloud Logging: {why}"), None)
}

impl Tokens {
    /// Finds out whose tokens they are.
    pub(super) fn find() -> Result<Self, DeliverError> {
        // The crate signs with the process's provider. Without one it panics, as it does where no client can be made, so one is
        // made here before.
        let _chosen = ring::default_provider().install_default();
        reqwest::Client::builder().build().map_err(|e| unable(&reason(e)))?;
        Builder::default().build().map(Self).map_err(|e| unable(&chain(&e)))
    }

    /// The headers by which the service knows who writes.
    pub(super) async fn headers(&self) -> Result<HeaderMap, DeliverError> {
        match timeout(LIMIT, self.0.headers(Extensions::new())).await {
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Err(unable("there is no token")),
            Ok(Err(error)) => Err(unable(&chain(&error))),
            Err(_) => Err(unable("no token came in time")),
        }
    }
}
