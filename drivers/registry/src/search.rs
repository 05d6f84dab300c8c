//! `docker search`: the search of Docker's first registry protocol, which Docker Hub and few others still have.

use crate::auth::{Lasting, Whom};
use crate::client::RegistryClient;
use crate::endpoint::{Endpoint, Mirrors};
use crate::fault::Fault;
use crate::session::{Request, Session, bounded};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::{Credentials, FoundImage};
use contract::{Kind, PortError};
use reqwest::header::{AUTHORIZATION, HeaderName};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;

/// Docker Hub's index.
const INDEX: &str = "https://index.docker.io";
/// Largest answer taken, bytes.
const LIMIT: usize = 4 << 20;
/// The scope in which an identity token is worth something here.
const SCOPE: &str = "registry:catalog:search";

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<FoundImage>,
}

fn invalid(text: String) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// A term's registry, `docker.io` if it names none, and what is searched for there.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (if first == "index.docker.io" { "docker.io" } else { first }, rest)
        }
        _ => ("docker.io", term),
    }
}

impl RegistryClient {
    /// The images a registry finds for a term; 0 is the default limit.
    pub(crate) async fn find(
        &self,
        term: &str,
        limit: u32,
        auth: Option<Credentials>,
    ) -> Result<Vec<FoundImage>, PortError> {
        if term.contains("://") {
            let text = format!("invalid repository name: repository name ({term}) should not have a scheme");
            return Err(invalid(text));
        }
        let (host, term) = split(term);
        let (base, http) = self.index(host).await?;
        let limit = if limit == 0 { 25 } else { limit };
        if limit > 100 {
            return Err(invalid(format!("limit {limit} is outside the range of [1, 100]")));
        }
        let term = if host == "docker.io" { term.strip_prefix("library/").unwrap_or(term) } else { term };
        let url =
            Url::parse_with_params(&format!("{base}/v1/search"), [("q", term), ("n", &limit.to_string())])
                .map_err(|e| invalid(format!("error building request: {e}")))?;
        let failed = |f: Fault| PortError::new(Kind::Unavailable, f.to_string());
        let response = answer(http, base, url, auth).await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            let text = format!("Unexpected status code {}", response.status().as_u16());
            return Err(PortError::new(Kind::Unavailable, text));
        }
        let body = bounded(response, LIMIT).await.map_err(failed)?;
        let found: Results = serde_json::from_slice(&body).map_err(|e| {
            PortError::new(Kind::Unavailable, format!("error decoding registry search results: {e}"))
        })?;
        Ok(found.results)
    }

    /// Where a registry's index is.
    async fn index(&self, host: &str) -> Result<(String, Client), PortError> {
        let failed = |f: Fault| invalid(f.to_string());
        if host == "docker.io" {
            let trust = crate::endpoint::Trust::Authorities;
            let index = Endpoint { base: INDEX.into(), trust, mirror: false };
            return Ok((index.base.clone(), self.http(&index).await.map_err(failed)?));
        }
        let mut why = Vec::new();
        for endpoint in self.endpoints(host, Mirrors::Never).await {
            let http = self.http(&endpoint).await.map_err(failed)?;
            let url = format!("{}/v1/_ping", endpoint.base);
            match http.get(&url).send().await {
                // As Docker: whatever it answers, somebody is there.
                Ok(_) => return Ok((endpoint.base, http)),
                Err(e) => why.push(Fault::transport(&url, &e).to_string()),
            }
        }
        Err(invalid(match why.as_slice() {
            [secure, plain] => format!(
                "invalid registry endpoint \"http://{host}/v1/\". HTTPS attempt: {secure}. HTTP attempt: {plain}"
            ),
            _ => format!(
                "invalid registry endpoint https://{host}/v1/: {}. If this private registry supports only HTTP or HTTPS \
                 with an unknown CA certificate, please add `--insecure-registry {host}` to the daemon's arguments. In \
                 the case of HTTPS, if you have access to the registry's CA certificate, no need for the flag; simply \
                 place the CA certificate at /etc/docker/certs.d/{host}/ca.crt",
                why.join("; ")
            ),
        }))
    }
}

async fn answer(
    http: Client,
    base: String,
    url: Url,
    auth: Option<Credentials>,
) -> Result<reqwest::Response, Fault> {
    let auth = auth.filter(|a| !a.username.is_empty());
    let mut request = Request::new(Method::GET, url.as_str());
    let mut scopes = Vec::new();
    match &auth {
        Some(auth) if !auth.identitytoken.is_empty() => scopes.push(SCOPE.to_owned()),
        Some(auth) => {
            let pair = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
            request = request.header(AUTHORIZATION, &format!("Basic {pair}"));
        }
        None => {}
    }
    let known = !scopes.is_empty();
    // Docker Hub answers this with a cookie's predecessor; others ignore it.
    request = request.header(HeaderName::from_static("x-docker-token"), "true");
    let whom = Whom { credentials: auth.filter(|_| known), lasting: Lasting::Unwanted };
    let session = Session::with_registry(http, base, scopes, whom);
    if known {
        session.ping().await?;
    }
    session.send(request).await
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_term_may_begin_with_a_registry() {
        for (term, wanted) in [
            ("busybox", ("docker.io", "busybox")),
            ("user/app", ("docker.io", "user/app")),
            ("index.docker.io/app", ("docker.io", "app")),
            ("localhost/app", ("localhost", "app")),
            ("r.example:5000/a/b", ("r.example:5000", "a/b")),
        ] {
            assert_eq!(split(term), wanted);
        }
    }
}
