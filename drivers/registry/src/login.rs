//! `docker login`: whether a registry takes somebody for who they say, and what it gives them to show later.

use crate::auth::{Lasting, Whom};
use crate::client::RegistryClient;
use crate::endpoint::Mirrors;
use crate::fault::Fault;
use crate::session::{Request, Session};
use contract::image::Credentials;
use contract::{Kind, PortError};
use reqwest::{Method, StatusCode};

/// `host[:port]` of a server's address as clients write it: with or without a scheme, with or without a path.
fn host(address: &str) -> Result<String, PortError> {
    if address.is_empty() {
        return Ok("index.docker.io".into());
    }
    let whole = if ["https://", "http://"].iter().any(|s| address.starts_with(s)) {
        address.to_owned()
    } else {
        format!("https://{address}")
    };
    let host = whole.split('/').nth(2).unwrap_or_default();
    // A port that is the scheme's own would be lost if the URL's host were taken.
    match reqwest::Url::parse(&whole) {
        Ok(url) if url.username().is_empty() && url.has_host() => Ok(host.to_owned()),
        Ok(_) => Err(PortError::new(Kind::Invalid, format!("unable to parse server address: {address:?}"))),
        Err(e) => Err(PortError::new(Kind::Invalid, format!("unable to parse server address: {e}"))),
    }
}

impl RegistryClient {
    /// Shows credentials to a registry; answers the identity token to be kept, if it gives one.
    pub(crate) async fn show(&self, credentials: Credentials) -> Result<Option<String>, PortError> {
        let host = host(&credentials.serveraddress)?;
        let mut last = Fault::Content(format!("no endpoints found for {host}"));
        for endpoint in self.endpoints(&host, Mirrors::Never).await {
            let http = self.http(&endpoint).await;
            let http = http.map_err(|f| PortError::new(Kind::Invalid, f.to_string()))?;
            let whom = Whom { credentials: Some(credentials.clone()), lasting: Lasting::Wanted };
            let session = Session::with_registry(http, endpoint.base, Vec::new(), whom);
            if let Err(fault) = session.ping().await {
                last = fault;
                continue;
            }
            // Whoever spoke here is not asked again without TLS.
            return match accepted(&session).await {
                Ok(()) => {
                    let given = Some(credentials.identitytoken).filter(|t| !t.is_empty());
                    Ok(session.identity().or(given))
                }
                Err(fault) if fault.unknown_user() => {
                    Err(PortError::new(Kind::Unauthorized, fault.to_string()))
                }
                Err(fault) => Err(PortError::new(Kind::Unavailable, fault.to_string())),
            };
        }
        Err(PortError::new(Kind::Unavailable, last.to_string()))
    }
}

async fn accepted(session: &Session) -> Result<(), Fault> {
    let root = session.root();
    let status = session.send(Request::new(Method::GET, &root)).await?.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    Err(Fault::Denied(format!("login attempt to {root} failed with status: {status}")))
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn servers_are_found_in_every_way_clients_write_them() {
        for (address, wanted) in [
            ("", "index.docker.io"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("r.example:5000", "r.example:5000"),
            ("http://r.example:443/v2/", "r.example:443"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(host(address).unwrap(), wanted);
        }
        for bad in ["https://", "a b", "u:p@r"] {
            let text = host(bad).unwrap_err().text;
            assert!(text.starts_with("unable to parse server address: "), "{text}");
        }
    }
}
