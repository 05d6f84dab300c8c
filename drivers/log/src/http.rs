//! Receivers that take batches by HTTP: one endpoint with one connection that is kept, owned by the driver instance.

mod poster;

use crate::options::invalid;
use crate::tls::{Identity, Trust};
use bytes::Bytes;
use contract::PortError;
use contract::log::DeliverError;
pub(crate) use poster::{Poster, Protocol, Verdict};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Proxy, RequestBuilder, Response, StatusCode, Url};
use std::error::Error;
use std::time::{Duration, SystemTime};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are looked at.
const ANSWER: usize = 64 * 1024;

/// Where posts go and how.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) identity: Identity,
    /// Most time one post may take.
    pub(crate) timeout: Duration,
    /// Instead of what the daemon's environment names.
    pub(crate) proxy: Option<Url>,
    /// Whether `OPTIONS` must succeed before the first post.
    pub(crate) greeting: Greeting,
}

/// Whether a receiver is asked before it gets something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// `OPTIONS` must be answered by 200.
    Options,
    /// The first post comes unannounced.
    Nothing,
}

/// What a receiver says to a post.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It has it.
    Taken(Bytes),
    /// It will never take this.
    Refused(Bytes, String),
    /// It may take less at a time.
    TooLarge(String),
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    /// Earliest next try, if it names one.
    pub(crate) after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// An open endpoint.
pub(crate) struct Endpoint {
    client: Client,
    settings: Settings,
    greeted: bool,
    /// Whether the last request was given up because it took too long.
    timed_out: bool,
    /// Most lines of a post.
    most: usize,
}

impl Settings {
    /// Checks what can be checked without connecting, and prepares.
    pub(crate) fn open(mut self) -> Result<Endpoint, PortError> {
        if self.url.scheme() == "http" && self.proxy.as_ref().is_none_or(|p| p.scheme() == "http") {
            // No need to read the machine's authorities.
            self.identity.trust = Trust::Nobody;
        }
        let tls = self.identity.client()?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(self.timeout)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("gantry/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone());
        let failed = |e: reqwest::Error| invalid(reason(e));
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy.as_str()).map_err(failed)?);
        }
        let client = builder.build().map_err(failed)?;
        Ok(Endpoint { client, settings: self, greeted: false, timed_out: false, most: usize::MAX })
    }
}

impl Endpoint {
    /// Sends one body; an answer that says nothing about its content is a reason to try again.
    pub(crate) async fn post(&mut self, body: Vec<u8>) -> Result<Answer, DeliverError> {
        if self.settings.greeting == Greeting::Options && !self.greeted {
            let answer = self.ask(Method::OPTIONS, Vec::new()).await?;
            let status = answer.status();
            if status != StatusCode::OK {
                return Err(later(
                    format!("failed to verify connection - {status} - {}", text(answer).await),
                    None,
                ));
            }
            self.greeted = true;
        }
        let answer = self.ask(Method::POST, body).await?;
        let (status, after) = (answer.status(), pause(answer.headers(), SystemTime::now()));
        let body = whole(answer).await.map_err(unsent)?;
        let told = || format!("{status} - {}", String::from_utf8_lossy(&body).trim());
        match status {
            s if s.is_success() => Ok(Answer::Taken(body)),
            StatusCode::PAYLOAD_TOO_LARGE => Ok(Answer::TooLarge(told())),
            // These are about what was sent. The other 4xx are about who asks and where: a token or a path that is put
            // right later must not have cost a line.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                let told = told();
                Ok(Answer::Refused(body, told))
            }
            _ => Err(later(told(), after)),
        }
    }

    /// Sends a body to another place of the same receiver; its answer, whatever it is.
    pub(crate) async fn post_to(&self, url: Url, body: Vec<u8>) -> Result<(StatusCode, Bytes), DeliverError> {
        let answer = self.client.post(url).body(body).send().await.map_err(unsent)?;
        Ok((answer.status(), whole(answer).await.map_err(unsent)?))
    }

    /// Sends a body with headers of its own; the answer, whatever it is.
    pub(crate) async fn post_with(
        &mut self,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Said, DeliverError> {
        let request = self.client.post(self.settings.url.clone()).headers(headers).body(body);
        let answer = self.send(request).await?;
        let (status, after) = (answer.status(), pause(answer.headers(), SystemTime::now()));
        Ok(Said { status, after, body: whole(answer).await.map_err(unsent)? })
    }

    /// Whether the last request was given up because it took too long.
    pub(crate) fn has_timed_out(&self) -> bool {
        self.timed_out
    }

    async fn ask(&mut self, method: Method, body: Vec<u8>) -> Result<Response, DeliverError> {
        let mut request = self.client.request(method, self.settings.url.clone());
        if !body.is_empty() {
            request = request.body(body);
        }
        self.send(request).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Result<Response, DeliverError> {
        let answer = request.send().await;
        self.timed_out = answer.as_ref().is_err_and(|e| e.is_timeout() && !e.is_connect());
        answer.map_err(unsent)
    }
}

/// To be tried again.
pub(crate) fn later(text: String, after: Option<Duration>) -> DeliverError {
    DeliverError::Retry { source: text.into(), after }
}

async fn whole(mut answer: Response) -> Result<Bytes, reqwest::Error> {
    let mut body = Vec::new();
    // Read to its end, so that the connection can be used again; kept up to a bound.
    while let Some(piece) = answer.chunk().await? {
        let room = ANSWER.saturating_sub(body.len()).min(piece.len());
        body.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    Ok(body.into())
}

async fn text(answer: Response) -> String {
    let body = whole(answer).await.unwrap_or_default();
    String::from_utf8_lossy(&body).trim().to_owned()
}

/// To be tried again, with the host and port that were asked.
fn unsent(error: reqwest::Error) -> DeliverError {
    let to =
        error.url().and_then(|url| Some(format!("{}:{}: ", url.host_str()?, url.port_or_known_default()?)));
    later(to.unwrap_or_default() + &reason(error), None)
}

/// The causes in one line. Several layers of a client often say the same.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// The causes in one line, without the address, which may hold a password.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What `Retry-After` names: seconds or a date (RFC 9110 §10.2.3).
fn pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests;
