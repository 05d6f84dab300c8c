//! Requests to one repository at one address of a registry: challenges answered, and calls to slow down heeded.

use crate::auth::{Authorizer, Lasting, Whom, challenges};
use crate::fault::Fault;
use bytes::{Bytes, BytesMut};
use contract::image::{Credentials, RemoteName};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE,
    RETRY_AFTER,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use std::time::Duration;

/// Largest error body read, bytes.
const ERROR_LIMIT: usize = 64 << 10;
/// A registry that says when it may be asked again is waited for that long at most, and so often.
const PATIENCE: Duration = Duration::from_secs(30);
const WAITS: u32 = 3;

/// What is done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

impl Access {
    /// The scope a token server is asked for (distribution's token specification, "Requesting a Token").
    fn scope(self, repository: &str) -> String {
        let actions = if self == Self::Push { "pull,push" } else { "pull" };
        format!("repository:{repository}:{actions}")
    }
}

/// A body.
pub enum Content {
    /// Can be sent as often as it takes.
    Bytes(Bytes),
    /// Passes once.
    Stream(reqwest::Body),
}

/// A request.
pub struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    content: Content,
    from: Option<String>,
}

impl Request {
    /// Without a body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        let content = Content::Bytes(Bytes::new());
        Self { method, url: url.into(), headers: HeaderMap::new(), content, from: None }
    }

    /// What is to be done.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Where.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// With this header; one that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With this body.
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// Reads another repository too.
    pub fn from(mut self, repository: &str) -> Self {
        self.from = Some(repository.to_owned());
        self
    }
}

/// A conversation with a registry about one repository, or about none.
pub struct Session {
    http: Client,
    base: String,
    repository: String,
    scopes: Vec<String>,
    authorizer: Authorizer,
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

/// What an answer that is no success says.
pub async fn refusal(response: Response) -> Fault {
    let status = response.status();
    let asked = challenges(response.headers());
    let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let plain = kind.starts_with("text/plain");
    let body = bounded(response, ERROR_LIMIT).await.unwrap_or_default();
    let bearer = asked.iter().filter(|c| c.scheme == "bearer");
    let reasons = bearer.filter_map(|c| Fault::challenged(c.field("error")?, c.field("error_description")));
    match reasons.into_iter().next().filter(|_| status.is_client_error()) {
        Some(fault) => fault,
        None if plain => Fault::told(status, &body),
        None => Fault::answer(status, &body),
    }
}

impl Session {
    /// Nothing is asked yet.
    pub fn new(
        http: Client,
        base: String,
        name: &RemoteName,
        access: Access,
        credentials: Option<Credentials>,
    ) -> Self {
        let repository = name.repository.clone();
        let scopes = vec![access.scope(&repository)];
        let authorizer = Authorizer::new(Whom { credentials, lasting: Lasting::Unwanted });
        Self { http, base, repository, scopes, authorizer }
    }

    /// About no repository: these scopes, which may be none, are what tokens are asked for.
    pub fn with_registry(http: Client, base: String, scopes: Vec<String>, whom: Whom) -> Self {
        Self { http, base, repository: String::new(), scopes, authorizer: Authorizer::new(whom) }
    }

    /// Whether a registry answers at this address at all, and what it wants to see.
    pub async fn ping(&self) -> Result<(), Fault> {
        let request = Request::new(Method::GET, self.root());
        let response = self.once(&request, Content::Bytes(Bytes::new()), None).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.authorizer.learn(challenges(response.headers()));
        }
        Ok(())
    }

    /// The address of the protocol itself.
    pub fn root(&self) -> String {
        format!("{}/v2/", self.base)
    }

    /// The identity token that a token server gave.
    pub fn identity(&self) -> Option<String> {
        self.authorizer.identity()
    }

    /// The address of a path in this repository.
    pub fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// GETs a path in this repository from a byte on; answers challenges. Anything but success is an error, except that
    /// a registry need not know ranges.
    pub async fn get(&self, path: &str, accept: Option<&str>, from: u64) -> Result<Response, Fault> {
        let mut request = Request::new(Method::GET, self.url(path));
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if from > 0 {
            request = request.header(RANGE, &format!("bytes={from}-"));
        }
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() || (from > 0 && status == StatusCode::RANGE_NOT_SATISFIABLE) {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    /// Sends a request and answers challenges, whatever the outcome. A body that passes only once is not sent again:
    /// then a challenge is the outcome, and the next request has the answer to it.
    pub async fn send(&self, mut request: Request) -> Result<Response, Fault> {
        let mut waits = 0;
        let mut answered = false;
        loop {
            let again = match &request.content {
                Content::Bytes(bytes) => Some(Content::Bytes(bytes.clone())),
                Content::Stream(_) => None,
            };
            let replayable = again.is_some();
            let content = std::mem::replace(&mut request.content, Content::Bytes(Bytes::new()));
            if let Some(again) = again {
                request.content = again;
            }
            let shown = self.header(&request).await?;
            let response = self.once(&request, content, shown.clone()).await?;
            if response.status() == StatusCode::UNAUTHORIZED && !answered && self.is_home(&request.url) {
                answered = true;
                if !self.authorizer.learn(challenges(response.headers())) {
                    return Ok(response);
                }
                if let Some(shown) = &shown {
                    self.authorizer.refused(shown);
                }
                // The same again would be refused again.
                if self.header(&request).await? == shown {
                    return Ok(response);
                }
                if replayable {
                    continue;
                }
            }
            match pause(&response).filter(|_| replayable && waits < WAITS) {
                Some(pause) => {
                    waits += 1;
                    tokio::time::sleep(pause).await;
                }
                None => return Ok(response),
            }
        }
    }

    /// What a request shows.
    async fn header(&self, request: &Request) -> Result<Option<String>, Fault> {
        if !self.is_home(&request.url) {
            // Another host's business is not to know what this one is shown.
            return Ok(None);
        }
        let mut scopes = self.scopes.clone();
        // A token for this repository alone does not open the other.
        scopes.extend(request.from.iter().map(|r| Access::Pull.scope(r)));
        let header = self.authorizer.header(&self.http, &scopes).await;
        header.map_err(|fault| fault.before(&request.method, &request.url))
    }

    /// Whether an address is the registry's own.
    fn is_home(&self, url: &str) -> bool {
        match (Url::parse(url), Url::parse(&self.base)) {
            (Ok(url), Ok(base)) => url.origin() == base.origin(),
            _ => false,
        }
    }

    async fn once(
        &self,
        request: &Request,
        content: Content,
        authorization: Option<String>,
    ) -> Result<Response, Fault> {
        // Digests are of what the registry has, not of what could be made of it on the way.
        let mut out = self.http.request(request.method.clone(), &request.url);
        out = out.headers(request.headers.clone()).header(ACCEPT_ENCODING, "identity");
        out = match content {
            Content::Bytes(bytes) if bytes.is_empty() && request.method == Method::GET => out,
            Content::Bytes(bytes) => out.body(bytes),
            Content::Stream(body) => out.body(body),
        };
        if let Some(authorization) = authorization {
            out = out.header(AUTHORIZATION, authorization);
        }
        out.send().await.map_err(|e| Fault::unsent(&request.method, &request.url, &e))
    }
}

/// How long a registry that is asked too much wants to be left alone, if that can be waited for (RFC 6585, RFC 9110).
fn pause(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok())?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?)).filter(|pause| *pause <= PATIENCE)
}
