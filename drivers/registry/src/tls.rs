//! Whose certificates are taken, and which is shown.

use crate::certificates::{Identity, Own};
use crate::endpoint::Trust;
use crate::fault::Fault;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// The system's authorities and those laid down for a registry. A system without any has none: whom that concerns is
/// told that nobody it knows vouches for the registry.
fn roots(own: &Own) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(own.authorities.iter().cloned());
    roots
}

/// How to speak TLS with a registry.
pub fn config(trust: Trust, own: &Own) -> Result<ClientConfig, Fault> {
    let failed = |e: Error| Fault::Content(format!("set up TLS: {e}"));
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anyone => Arc::new(Anyone),
        Trust::Authorities => Arc::new(Authorities::new(own)),
    };
    let builder = builder.map_err(failed)?.dangerous().with_custom_certificate_verifier(verifier);
    if own.identities.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let keys = own.identities.iter().map(certified).collect::<Result<_, _>>()?;
    Ok(builder.with_client_cert_resolver(Arc::new(Shown(keys))))
}

fn certified(identity: &Identity) -> Result<Arc<CertifiedKey>, Fault> {
    let key = CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider());
    // Go's words for a key of another certificate.
    key.map(Arc::new).map_err(|e| match e {
        Error::InconsistentKeys(_) => Fault::Content("tls: private key does not match public key".into()),
        e => Fault::Content(format!("tls: failed to parse private key: {e}")),
    })
}

/// The first client certificate that the server can check.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|k| k.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Those that an authority vouches for, and those laid down themselves.
#[derive(Debug)]
struct Authorities {
    /// None when there is no authority at all.
    known: Option<Arc<WebPkiServerVerifier>>,
    own: Vec<CertificateDer<'static>>,
}

impl Authorities {
    fn new(own: &Own) -> Self {
        let roots = Arc::new(roots(own));
        let known = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().ok();
        Self { known, own: own.authorities.clone() }
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(known) = &self.known else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        match known.verify_server_cert(certificate, chain, name, ocsp, now) {
            // `openssl req -x509` makes a certificate that is its own authority, and Docker's documentation lays just
            // that down for a registry. Its time has been checked by then, its name has not.
            Err(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.to_string().contains("CaUsedAsEndEntity")
                    && self.own.iter().any(|own| own == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Whoever answers.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
