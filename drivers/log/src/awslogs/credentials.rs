//! Credentials of one task (`awslogs-credentials-endpoint`), from where an agent of ECS hands them out. Without the
//! option, AWS's own chain is asked: environment, profiles, web identity, the task's or the machine's metadata.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use jiff::Timestamp;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// Where agents answer.
const AGENT: &str = "http://169.254.170.2";
/// It is on this machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Task {
    url: String,
}

/// What an agent answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    /// RFC 3339.
    expiration: Option<String>,
}

impl Task {
    pub(super) fn new(path: &str) -> Self {
        Self { url: format!("{AGENT}{path}") }
    }

    async fn ask(&self) -> Result {
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls()?).timeout(LIMIT).no_proxy();
        let client = client.build().map_err(CredentialsError::provider_error)?;
        let answer = client.get(&self.url).send().await.and_then(reqwest::Response::error_for_status);
        let said: Said = answer
            .map_err(CredentialsError::provider_error)?
            .json()
            .await
            .map_err(CredentialsError::provider_error)?;
        Ok(said.into())
    }
}

/// It is asked without TLS.
fn tls() -> std::result::Result<rustls::ClientConfig, CredentialsError> {
    let identity = crate::tls::Identity { trust: crate::tls::Trust::Nobody, ..Default::default() };
    identity.client().map(|tls| (*tls).clone()).map_err(CredentialsError::provider_error)
}

impl From<Said> for Credentials {
    fn from(said: Said) -> Self {
        let until = said.expiration.and_then(|text| text.parse::<Timestamp>().ok()).map(SystemTime::from);
        Self::new(
            said.access_key_id,
            said.secret_access_key,
            said.token,
            until,
            "awslogs-credentials-endpoint",
        )
    }
}

impl ProvideCredentials for Task {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_answers_is_read() {
        let text = r#"{"RoleArn":"r","AccessKeyId":"id","SecretAccessKey":"key","Token":"t","Expiration":"2024-01-02T03:04:05Z"}"#;
        let found: Credentials = serde_json::from_str::<Said>(text).unwrap().into();
        assert_eq!(
            (found.access_key_id(), found.secret_access_key(), found.session_token()),
            ("id", "key", Some("t"))
        );
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_164_645);
        assert_eq!(found.expiry(), Some(until));
        assert_eq!(Task::new("/v2/x").url, "http://169.254.170.2/v2/x");
    }
}
