//! Who somebody is to one registry: which challenges were seen, which tokens were given.

use super::challenge::Challenge;
use super::token::{self, Ask, Lasting, Token};
use crate::fault::Fault;
use crate::session::{bounded, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::Credentials;
use reqwest::{Client, StatusCode};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Largest token answer taken, bytes.
const LIMIT: usize = 1 << 20;
/// A token server that takes longer is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// Somebody, and what they are after.
#[derive(Debug, Clone)]
pub struct Whom {
    /// Nobody, if there are none.
    pub credentials: Option<Credentials>,
    /// Whether an identity token is wanted too.
    pub lasting: Lasting,
}

/// Somebody at one registry.
pub struct Authorizer {
    whom: Whom,
    state: Mutex<State>,
    /// Many layers need one token.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    challenges: Vec<Challenge>,
    /// By the scopes they are for.
    tokens: HashMap<Vec<String>, Token>,
    /// The newest that was given: some are good for once.
    identity: Option<String>,
}

impl Authorizer {
    /// Nothing was asked yet.
    pub fn new(whom: Whom) -> Self {
        Self { whom, state: Mutex::default(), asking: tokio::sync::Mutex::new(()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the registry wants to see, from a refusal; whether that can be answered at all.
    pub fn learn(&self, challenges: Vec<Challenge>) -> bool {
        let known = !challenges.is_empty();
        if known {
            self.state().challenges = challenges;
        }
        known
    }

    /// What was shown was refused: it is not shown again.
    pub fn refused(&self, shown: &str) {
        self.state().tokens.retain(|_, token| bearer(&token.text) != shown);
    }

    /// The identity token that was given.
    pub fn identity(&self) -> Option<String> {
        self.state().identity.clone()
    }

    /// The `Authorization` header for these scopes; none while no registry has asked for one.
    pub async fn header(&self, http: &Client, scopes: &[String]) -> Result<Option<String>, Fault> {
        let challenges = self.state().challenges.clone();
        let mut why = None;
        let credentials = self.whom.credentials.as_ref();
        for challenge in &challenges {
            match challenge.scheme.as_str() {
                "basic" => match credentials.filter(|c| !c.username.is_empty() && !c.password.is_empty()) {
                    Some(c) => {
                        let pair = STANDARD.encode(format!("{}:{}", c.username, c.password));
                        return Ok(Some(format!("Basic {pair}")));
                    }
                    None => {
                        why.get_or_insert_with(|| "no basic auth credentials".to_owned());
                    }
                },
                "bearer" => {
                    if let Some(given) = credentials.filter(|c| !c.registrytoken.is_empty()) {
                        return Ok(Some(bearer(&given.registrytoken)));
                    }
                    return self.token(http, challenge, scopes).await.map(|token| Some(bearer(&token)));
                }
                other => {
                    why.get_or_insert_with(|| {
                        format!("the registry asks for unsupported authentication {other:?}")
                    });
                }
            }
        }
        why.map_or(Ok(None), |why| Err(Fault::Denied(why)))
    }

    async fn token(&self, http: &Client, challenge: &Challenge, scopes: &[String]) -> Result<String, Fault> {
        let known = || {
            let state = self.state();
            state.tokens.get(scopes).filter(|t| t.holds(SystemTime::now())).map(|t| t.text.clone())
        };
        if let Some(token) = known() {
            return Ok(token);
        }
        let _alone = self.asking.lock().await;
        if let Some(token) = known() {
            return Ok(token);
        }
        let token = self.ask(http, challenge, scopes).await?;
        let mut state = self.state();
        if let Some(identity) = &token.identity {
            state.identity = Some(identity.clone());
        }
        let text = token.text.clone();
        state.tokens.insert(scopes.to_vec(), token);
        Ok(text)
    }

    async fn ask(&self, http: &Client, challenge: &Challenge, scopes: &[String]) -> Result<Token, Fault> {
        let credentials = self.whom.credentials.as_ref();
        let own = credentials.map(|c| c.identitytoken.clone()).filter(|i| !i.is_empty());
        if let Some(identity) = self.identity().or(own) {
            let response = send(http, token::refresh(challenge, scopes, &identity)?).await?;
            // Some know GET alone.
            if !matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                return read(response).await;
            }
        }
        read(send(http, token::present(challenge, scopes, credentials, self.whom.lasting)?).await?).await
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn send(http: &Client, ask: Ask) -> Result<reqwest::Response, Fault> {
    let (request, url, method) = match ask {
        Ask::Get { url, basic } => {
            let request = http.get(url.clone());
            let request = match basic {
                Some((user, password)) => request.basic_auth(user, Some(password)),
                None => request,
            };
            (request, url, reqwest::Method::GET)
        }
        Ask::Post { url, form } => (http.post(url.clone()).form(&form), url, reqwest::Method::POST),
    };
    let outcome = request.timeout(PATIENCE).send().await;
    outcome.map_err(|e| Fault::unsent(&method, url.as_str(), &e))
}

async fn read(response: reqwest::Response) -> Result<Token, Fault> {
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    Token::read(&bounded(response, LIMIT).await?, SystemTime::now())
}
