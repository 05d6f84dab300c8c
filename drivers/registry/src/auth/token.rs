//! Token servers: how they are asked, and what they answer (distribution, "Token Authentication" and "OAuth2").

use super::challenge::Challenge;
use crate::fault::Fault;
use contract::image::Credentials;
use reqwest::Url;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Docker's name as a client: identity tokens it was given are good for those who say the same.
const CLIENT: &str = "docker";
/// No token lives shorter, whatever its server says, as with Docker: old servers say nothing.
const LEAST: Duration = Duration::from_secs(60);
/// Shorter than that before its end a token is not begun with.
const MARGIN: Duration = Duration::from_secs(5);

/// What a token is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// By GET, with a user's name and password if there are any.
    Get {
        /// With its question.
        url: Url,
        /// Name and password.
        basic: Option<(String, String)>,
    },
    /// By POST, with an identity token.
    Post {
        /// Where to.
        url: Url,
        /// Fields.
        form: Vec<(&'static str, String)>,
    },
}

/// Whether a token that outlives this conversation is asked for as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// `docker login` keeps it instead of the password.
    Wanted,
    /// Nothing is kept.
    Unwanted,
}

/// The token server that a challenge names.
fn realm(challenge: &Challenge) -> Result<Url, Fault> {
    let realm = challenge
        .field("realm")
        .ok_or_else(|| Fault::Denied("no realm specified for token auth challenge".into()))?;
    let url = Url::parse(realm).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    url.ok_or_else(|| Fault::Denied(format!("invalid token auth challenge realm: {realm:?}")))
}

/// Asks with an identity token.
pub fn refresh(challenge: &Challenge, scopes: &[String], identity: &str) -> Result<Ask, Fault> {
    let form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("service", challenge.field("service").unwrap_or_default().to_owned()),
        ("client_id", CLIENT.to_owned()),
        ("scope", scopes.join(" ")),
        ("refresh_token", identity.to_owned()),
    ];
    Ok(Ask::Post { url: realm(challenge)?, form })
}

/// Asks with a name and password, or as nobody.
pub fn present(
    challenge: &Challenge,
    scopes: &[String],
    credentials: Option<&Credentials>,
    lasting: Lasting,
) -> Result<Ask, Fault> {
    let mut url = realm(challenge)?;
    let basic = credentials.and_then(|c| {
        // Where identity tokens are not exchanged, they stand in for the password.
        let secret = if c.password.is_empty() { &c.identitytoken } else { &c.password };
        let whole = !c.username.is_empty() && !secret.is_empty();
        whole.then(|| (c.username.clone(), secret.clone()))
    });
    {
        let mut pairs = url.query_pairs_mut();
        if let Some((user, _)) = &basic {
            pairs.append_pair("account", user);
        }
        if lasting == Lasting::Wanted {
            pairs.append_pair("client_id", CLIENT).append_pair("offline_token", "true");
        }
        for scope in scopes {
            pairs.append_pair("scope", scope);
        }
        if let Some(service) = challenge.field("service").filter(|s| !s.is_empty()) {
            pairs.append_pair("service", service);
        }
    }
    Ok(Ask::Get { url, basic })
}

/// What a token server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// To be shown to the registry.
    pub text: String,
    /// From then on it is worth nothing.
    pub until: SystemTime,
    /// An identity token, if there was one.
    pub identity: Option<String>,
}

impl Token {
    /// Reads an answer that came at this time.
    pub fn read(body: &[u8], now: SystemTime) -> Result<Self, Fault> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|e| Fault::Denied(format!("unable to decode token response: {e}")))?;
        let field =
            |key: &str| body.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        let text = field("access_token").or_else(|| field("token"));
        let text = text.ok_or_else(|| {
            Fault::Denied("authorization server did not include a token in the response".into())
        })?;
        let seconds = body.get("expires_in").and_then(Value::as_u64).unwrap_or_default();
        let lifetime = Duration::from_secs(seconds).max(LEAST);
        let issued = field("issued_at").and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let issued = issued.map_or(now, SystemTime::from);
        let until = issued.checked_add(lifetime).unwrap_or(now + LEAST);
        Ok(Self { text, until, identity: field("refresh_token") })
    }

    /// Whether it may still be shown.
    pub fn holds(&self, now: SystemTime) -> bool {
        now + MARGIN < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::challenges;
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

    fn challenge(text: &str) -> Challenge {
        let header = (WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap());
        challenges(&HeaderMap::from_iter([header])).remove(0)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_password_goes_by_get_and_nobody_shows_none() {
        let challenge = challenge(r#"Bearer realm="https://t/token?x=1",service="s""#);
        let me = Credentials { username: "u".into(), password: "p".into(), ..Default::default() };
        let scopes = ["repository:a:pull".to_owned(), "repository:b:pull".to_owned()];
        let Ask::Get { url, basic } = present(&challenge, &scopes, Some(&me), Lasting::Wanted).unwrap()
        else {
            panic!("not a GET")
        };
        assert_eq!(
            url.query(),
            Some(
                "x=1&account=u&client_id=docker&offline_token=true&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull&service=s"
            )
        );
        assert_eq!(basic, Some(("u".into(), "p".into())));
        let Ask::Get { url, basic } = present(&challenge, &[], None, Lasting::Unwanted).unwrap() else {
            panic!("not a GET")
        };
        assert_eq!((url.query(), basic), (Some("x=1&service=s"), None));
    }

    #[test]
    fn a_realm_that_is_no_address_is_refused() {
        for text in ["Bearer service=x", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"nothing\""] {
            assert!(present(&challenge(text), &[], None, Lasting::Unwanted).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_ends_when_its_server_says_but_not_within_the_minute() {
        let read = |text: &str| Token::read(text.as_bytes(), at(1000)).unwrap();
        let plain = read(r#"{"token": "a", "expires_in": 300}"#);
        assert_eq!((plain.text.as_str(), plain.until, plain.identity), ("a", at(1300), None));
        assert_eq!(read(r#"{"token": "a", "access_token": "b"}"#).text, "b");
        assert_eq!(read(r#"{"token": "a", "expires_in": 1}"#).until, at(1060));
        let dated =
            read(r#"{"token":"a","expires_in":100,"issued_at":"1970-01-01T00:15:00Z","refresh_token":"r"}"#);
        assert_eq!((dated.until, dated.identity.as_deref()), (at(1000), Some("r")));
        assert!(!dated.holds(at(996)) && dated.holds(at(994)));
        for none in ["{}", "[]", "", r#"{"token": ""}"#, r#"{"token": 1}"#] {
            assert!(Token::read(none.as_bytes(), at(0)).is_err(), "{none}");
        }
    }
}
