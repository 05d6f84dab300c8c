//! Requests to one repository of one registry, with the credentials its challenges ask for (RFC 6750, RFC 7617 and the
//! distribution token specification).

use contract::image::{Credentials, RemoteName};
use contract::{Kind, PortError};
use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use std::sync::{Mutex, PoisonError};

/// A conversation with a registry about one repository.
pub struct Session {
    http: Client,
    base: String,
    repository: String,
    familiar: String,
    credentials: Option<Credentials>,
    token: Mutex<Option<String>>,
}

impl Session {
    /// Nothing is asked yet.
    pub fn new(http: Client, base: String, name: &RemoteName, credentials: Option<Credentials>) -> Self {
        let (repository, familiar) = (name.repository.clone(), name.familiar.clone());
        Self { http, base, repository, familiar, credentials, token: Mutex::new(None) }
    }

    /// The repository as the user knows it.
    pub fn familiar(&self) -> &str {
        &self.familiar
    }

    /// GETs `/v2/<repository>/<path>`; answers a challenge once.
    pub async fn get(&self, path: &str, accept: Option<&str>, from: u64) -> Result<Response, PortError> {
        let url = format!("{}/v2/{}/{path}", self.base, self.repository);
        let mut tries = 0;
        loop {
            let mut request = self.http.get(&url);
            if let Some(accept) = accept {
                request = request.header(ACCEPT, accept);
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, token);
            }
            let response = request.send().await.map_err(|e| unreachable(&url, e))?;
            if response.status() != StatusCode::UNAUTHORIZED || tries > 0 {
                return Ok(response);
            }
            tries += 1;
            let challenge =
                response.headers().get(WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let answer = self.answer(challenge).await?;
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    }

    /// The text for a refused or missing repository.
    pub fn denied(&self) -> PortError {
        let text = format!(
            "pull access denied for {}, repository does not exist or may require 'docker login'",
            self.familiar
        );
        PortError::new(Kind::NotFound, text)
    }

    async fn answer(&self, challenge: &str) -> Result<String, PortError> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            let c = self.credentials.as_ref().ok_or_else(|| self.denied())?;
            return Ok(format!("Basic {}", base64(&format!("{}:{}", c.username, c.password))));
        }
        let field = |name: &str| {
            let start = rest.find(&format!("{name}=\""))? + name.len() + 2;
            rest.get(start..)?.split('"').next()
        };
        let realm =
            field("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(|| self.denied())?;
        let scope =
            field("scope").map_or_else(|| format!("repository:{}:pull", self.repository), str::to_owned);
        let mut url = reqwest::Url::parse(realm).map_err(|e| {
            PortError::caused(Kind::Invalid, format!("the registry names a wrong token server {realm}"), e)
        })?;
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = field("service") {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut request = self.http.get(url.clone());
        if let Some(c) = self.credentials.as_ref().filter(|c| !c.username.is_empty()) {
            request = request.basic_auth(&c.username, Some(&c.password));
        }
        let response = request.send().await.map_err(|e| unreachable(url.as_str(), e))?;
        if !response.status().is_success() {
            return Err(self.denied());
        }
        let body: serde_json::Value = response.json().await.map_err(|e| unreachable(url.as_str(), e))?;
        let token =
            body.get("token").or_else(|| body.get("access_token")).and_then(serde_json::Value::as_str);
        token.map(|t| format!("Bearer {t}")).ok_or_else(|| self.denied())
    }
}

/// A registry that cannot be reached, in the words of Docker's client library.
pub fn unreachable(url: &str, error: reqwest::Error) -> PortError {
    PortError::caused(Kind::Unavailable, format!("Get \"{url}\""), error.without_url())
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_rfc_4648() {
        assert_eq!(["", "f", "fo", "foo", "a:b"].map(super::base64), ["", "Zg==", "Zm8=", "Zm9v", "YTpi"]);
    }
}
