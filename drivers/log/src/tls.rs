//! TLS towards receivers: which certificates are believed, and with which one this side shows itself.

mod options;
mod verify;

use contract::{Kind, PortError};
pub(crate) use options::Keys;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use verify::{Known, Unverified};

/// Paths of PEM files, and whether any certificate is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Certificate authorities; the system's when not given.
    pub(crate) ca: Option<String>,
    /// This side's certificate with its key.
    pub(crate) pair: Option<(String, String)>,
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
    /// The name that the receiver's certificate must have; that of its address when not given.
    pub(crate) name: Option<String>,
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of the authorities.
    #[default]
    Authorities,
    /// Everybody's.
    Anybody,
    /// Nobody's: TLS is not spoken.
    Nobody,
}

fn invalid(text: String, source: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::caused(Kind::Invalid, text, source)
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, PortError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|e| invalid(format!("could not read certificates from {path}"), e))
}

impl Identity {
    /// For where TLS is not spoken: the machine's authorities are not read.
    pub(crate) fn nobody() -> Self {
        Self { trust: Trust::Nobody, ..Self::default() }
    }

    /// What a connection is opened with.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, PortError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| invalid("choose TLS versions".into(), e))?;
        let trusting = match self.trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
            }
            Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
            Trust::Authorities => {
                let known = Known::new(self.authorities()?, self.expected()?, provider);
                builder.dangerous().with_custom_certificate_verifier(Arc::new(known))
            }
        };
        let config = match &self.pair {
            None => trusting.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|e| invalid(format!("could not read a key from {key}"), e))?;
                trusting
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| invalid(format!("certificate {certificate} does not fit its key"), e))?
            }
        };
        Ok(Arc::new(config))
    }

    fn expected(&self) -> Result<Option<ServerName<'static>>, PortError> {
        let parsed = self.name.clone().map(|name| {
            ServerName::try_from(name.clone())
                .map_err(|e| invalid(format!("invalid server name {name:?}"), e))
        });
        parsed.transpose()
    }

    fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, PortError> {
        match &self.ca {
            Some(path) => certificates(path),
            // A machine without authorities trusts nobody: connecting tells so.
            None => Ok(rustls_native_certs::load_native_certs().certs),
        }
    }
}
