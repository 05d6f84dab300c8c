//! Requests to one repository at one address of a registry.

use crate::auth::Challenge;
use crate::fault::Fault;
use bytes::{Bytes, BytesMut};
use contract::image::{Credentials, RemoteName};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, RANGE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use std::sync::{Mutex, PoisonError};

/// Largest error body read, bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// A conversation with a registry about one repository.
pub struct Session {
    http: Client,
    base: String,
    repository: String,
    credentials: Option<Credentials>,
    authorization: Mutex<Option<String>>,
}

/// The whole body, unless it is larger than that.
pub async fn bounded(mut response: Response, limit: usize) -> Result<Bytes, Fault> {
    let url = response.url().to_string();
    let mut out = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|e| Fault::transport(&url, &e))? {
        if out.len() + piece.len() > limit {
            return Err(Fault::Content(format!("the answer to {url} is larger than {limit} bytes")));
        }
        out.extend_from_slice(&piece);
    }
    Ok(out.freeze())
}

impl Session {
    /// Nothing is asked yet.
    pub fn new(http: Client, base: String, name: &RemoteName, credentials: Option<Credentials>) -> Self {
        let repository = name.repository.clone();
        Self { http, base, repository, credentials, authorization: Mutex::new(None) }
    }

    /// Whether a registry answers at this address at all, and what it wants to see.
    pub async fn ping(&self) -> Result<(), Fault> {
        self.send(&format!("{}/v2/", self.base), None, 0).await.map(|_| ())
    }

    /// The address of a path in this repository.
    pub fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// GETs a path in this repository from a byte on; answers challenges. Anything but success is an error, except that
    /// a registry need not know ranges.
    pub async fn get(&self, path: &str, accept: Option<&str>, from: u64) -> Result<Response, Fault> {
        let url = self.url(path);
        let mut response = self.send(&url, accept, from).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenges = response.headers().get_all(WWW_AUTHENTICATE);
            let challenge = challenges.iter().filter_map(|c| c.to_str().ok()).next().map(Challenge::read);
            if let Some(challenge) = challenge {
                let answer = challenge.answer(&self.http, &url, &self.repository, self.credentials.as_ref());
                let answer = answer.await?;
                *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                response = self.send(&url, accept, from).await?;
            }
        }
        let status = response.status();
        if status.is_success() || (from > 0 && status == StatusCode::RANGE_NOT_SATISFIABLE) {
            return Ok(response);
        }
        Err(Fault::answer(status, &bounded(response, ERROR_LIMIT).await?))
    }

    async fn send(&self, url: &str, accept: Option<&str>, from: u64) -> Result<Response, Fault> {
        // Digests are of what the registry has, not of what could be made of it on the way.
        let mut request = self.http.get(url).header(ACCEPT_ENCODING, "identity");
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            request = request.header(AUTHORIZATION, known);
        }
        request.send().await.map_err(|e| Fault::transport(url, &e))
    }
}
