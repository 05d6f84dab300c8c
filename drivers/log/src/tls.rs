//! TLS towards receivers: which certificates are believed, and with which one this side shows itself.

use contract::{Kind, PortError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Paths of PEM files, and whether any certificate is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Certificate authorities; the system's when not given.
    pub(crate) ca: Option<String>,
    /// This side's certificate with its key.
    pub(crate) pair: Option<(String, String)>,
    /// Whose certificates are believed.
    pub(crate) trust: Trust,
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of the authorities.
    #[default]
    Authorities,
    /// Everybody's.
    Anybody,
}

fn invalid(text: String, source: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::caused(Kind::Invalid, text, source)
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, PortError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|e| invalid(format!("could not read certificates from {path}"), e))
}

impl Identity {
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
            Trust::Authorities => builder.with_root_certificates(self.authorities()?),
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

    fn authorities(&self) -> Result<RootCertStore, PortError> {
        let mut store = RootCertStore::empty();
        let found = match &self.ca {
            Some(path) => certificates(path)?,
            // A machine without authorities trusts nobody: connecting tells so.
            None => rustls_native_certs::load_native_certs().certs,
        };
        store.add_parsable_certificates(found);
        Ok(store)
    }
}

/// Takes any certificate, but still wants the handshake signed by its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
