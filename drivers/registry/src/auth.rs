//! What a registry wants to see before it answers (RFC 7235, RFC 6750, RFC 7617, distribution token specification).

use crate::fault::Fault;
use crate::session::bounded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::Credentials;
use reqwest::{Client, Url};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest token answer taken, bytes.
const LIMIT: usize = 1 << 20;

/// One challenge of a `WWW-Authenticate` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    fields: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads `Bearer realm="…",service="…",scope="…"`; several header lines make several challenges.
    pub fn read(text: &str) -> Self {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut fields = BTreeMap::new();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, left) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => after.split_once(',').unwrap_or((after, "")),
            };
            fields.insert(key.trim().trim_start_matches(',').trim().to_lowercase(), value.to_owned());
            rest = left;
        }
        Self { scheme: scheme.to_lowercase(), fields }
    }

    fn field(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// Whether a token is asked for.
    pub fn is_bearer(&self) -> bool {
        self.scheme == "bearer"
    }

    /// The `Authorization` header that answers, for these scopes.
    pub async fn answer(
        &self,
        http: &Client,
        url: &str,
        scopes: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<String, Fault> {
        match (self.scheme.as_str(), credentials) {
            ("basic", Some(c)) => {
                Ok(format!("Basic {}", STANDARD.encode(format!("{}:{}", c.username, c.password))))
            }
            ("basic", None) => Err(Fault::Denied(format!("Get \"{url}\": no basic auth credentials"))),
            ("bearer", credentials) => self.token(http, scopes, credentials).await,
            (other, _) => {
                Err(Fault::Denied(format!("the registry asks for unsupported authentication {other:?}")))
            }
        }
    }

    async fn token(
        &self,
        http: &Client,
        scopes: &[String],
        credentials: Option<&Credentials>,
    ) -> Result<String, Fault> {
        let realm = self.field("realm").unwrap_or_default();
        let mut url = Url::parse(realm)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"))
            .ok_or_else(|| Fault::Denied(format!("the registry names a wrong token server {realm:?}")))?;
        // As Docker, what this conversation is about, whatever the challenge says.
        let scope = scopes.join(" ");
        let service = self.field("service").unwrap_or_default().to_owned();
        let shown = url.to_string();
        let identity = credentials.filter(|c| !c.identitytoken.is_empty());
        let request = if let Some(identity) = identity {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "gantry"),
                ("service", service.as_str()),
                ("scope", scope.as_str()),
                ("refresh_token", identity.identitytoken.as_str()),
            ];
            http.post(url).form(&form)
        } else {
            let mut pairs = url.query_pairs_mut();
            for scope in scopes {
                pairs.append_pair("scope", scope);
            }
            if !service.is_empty() {
                pairs.append_pair("service", &service);
            }
            if let Some(c) = credentials {
                pairs.append_pair("account", &c.username);
            }
            drop(pairs);
            match credentials {
                Some(c) => http.get(url).basic_auth(&c.username, Some(&c.password)),
                None => http.get(url),
            }
        };
        let response = request.send().await.map_err(|e| Fault::transport(&shown, &e))?;
        let status = response.status();
        let body = bounded(response, LIMIT).await?;
        if !status.is_success() {
            return Err(Fault::answer(status, &body));
        }
        let body: Value = serde_json::from_slice(&body)
            .map_err(|e| Fault::Denied(format!("unable to decode token response: {e}")))?;
        let token = ["token", "access_token"].iter().find_map(|k| body.get(k).and_then(Value::as_str));
        let token = token.ok_or_else(|| {
            Fault::Denied("authorization server did not include a token in the response".into())
        })?;
        Ok(format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn challenges_are_read_with_commas_inside_quotes() {
        let read = Challenge::read(
            r#"Bearer realm="https://a/token",service="s, t",scope="repository:x:pull,push", error=no"#,
        );
        assert_eq!(read.scheme, "bearer");
        assert_eq!(read.field("service"), Some("s, t"));
        assert_eq!(read.field("scope"), Some("repository:x:pull,push"));
        assert_eq!(read.field("error"), Some("no"));
        assert_eq!(Challenge::read("Basic").scheme, "basic");
    }
}
