//! Files behind URLs that users name, for builds.

use crate::client::RegistryClient;
use crate::fault::Fault;
use crate::session::bounded;
use async_trait::async_trait;
use contract::build::{Download, Downloads};
use contract::{Kind, PortError};
use futures::TryStreamExt;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, LAST_MODIFIED};
use tokio_util::io::StreamReader;

/// Bytes of a server's own words that are passed on.
const WORDS: usize = 16 << 10;

#[async_trait]
impl Downloads for RegistryClient {
    async fn get(&self, url: &str) -> Result<Download, PortError> {
        let transport =
            |e: reqwest::Error| PortError::new(Kind::Unavailable, Fault::transport(url, &e).to_string());
        // A redirection may lead from http to https.
        let http = self.plain().await.map_err(|e| PortError::new(Kind::Unavailable, e.to_string()))?;
        let response = http.get(url).send().await.map_err(transport)?;
        let status = response.status();
        if status.as_u16() >= 400 {
            let said = bounded(response, WORDS).await.unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let kind = match status {
                StatusCode::NOT_FOUND => Kind::NotFound,
                StatusCode::BAD_REQUEST => Kind::Invalid,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
                _ => Kind::Unavailable,
            };
            let text = format!("failed to GET {url} with status {status}: {}", said.trim());
            return Err(PortError::new(kind, text));
        }
        let header = |name: HeaderName| {
            let value = response.headers().get(name).and_then(|v| v.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (kind, disposition, modified) =
            (header(CONTENT_TYPE), header(CONTENT_DISPOSITION), header(LAST_MODIFIED));
        let content = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
        Ok(Download { kind, disposition, modified, content: Box::new(content) })
    }
}
