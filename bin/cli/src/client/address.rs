//! Where the daemon is, and how to be sure that it is the daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::ClientError;

/// Port of a daemon that speaks TLS, and of one that does not.
const PORTS: (u16, u16) = (2376, 2375);

/// An address taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and port.
    Tcp(String, u16),
}

impl Address {
    /// Reads `unix://PATH` or `tcp://HOST[:PORT]`; `secure` chooses the port when there is none.
    pub fn parse(host: &str, secure: bool) -> Result<Self, ClientError> {
        let bad = |why| ClientError::Host { host: host.to_owned(), why };
        let (scheme, rest) =
            host.split_once("://").ok_or_else(|| bad("it has no protocol, such as unix://"))?;
        match scheme {
            "unix" => Ok(Self::Unix(PathBuf::from(if rest.is_empty() { "/run/gantry.sock" } else { rest }))),
            "tcp" => {
                let rest = rest.trim_end_matches('/');
                if rest.contains('/') {
                    return Err(bad("a path is not supported in tcp:// addresses"));
                }
                let bare = |name: &str| name.trim_start_matches('[').trim_end_matches(']').to_owned();
                let default = if secure { PORTS.0 } else { PORTS.1 };
                let (name, port) = match rest.rsplit_once(':') {
                    Some((name, port)) if !port.ends_with(']') => {
                        (bare(name), port.parse().map_err(|_| bad("its port is not a number"))?)
                    }
                    _ => (bare(rest), default),
                };
                Ok(Self::Tcp(if name.is_empty() { "localhost".to_owned() } else { name }, port))
            }
            "ssh" => Err(bad("ssh:// is not supported; forward the socket with ssh -L and use unix://")),
            "npipe" => Err(bad("npipe:// is for Windows")),
            "fd" => Err(bad("fd:// is for the daemon")),
            _ => Err(bad("only unix:// and tcp:// are supported")),
        }
    }
}

/// Certificates and how far to trust the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Check the daemon's certificate against `authority`.
    pub verify: bool,
    /// Certificates of the authorities trusted.
    pub authority: PathBuf,
    /// This client's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Trusts whoever answers, as `--tls` without `--tlsverify` asks; signatures must still hold.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let unreadable = |why: String| ClientError::Tls(format!("{}: {why}", path.display()));
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(error.to_string()))?;
    match found.is_empty() {
        true => Err(unreadable("no certificate in it".to_owned())),
        false => Ok(found),
    }
}

impl Tls {
    /// Reads the certificates. Only a pair both of whose files are there is shown to the daemon.
    pub fn configuration(&self) -> Result<ClientConfig, ClientError> {
        let failed = |error: rustls::Error| ClientError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let builder = match self.verify {
            true => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&self.authority)? {
                    roots.add(certificate).map_err(failed)?;
                }
                builder.with_root_certificates(roots)
            }
            false => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        };
        if !self.certificate.exists() && !self.key.exists() {
            return Ok(builder.with_no_client_auth());
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| ClientError::Tls(format!("{}: {error}", self.key.display())))?;
        builder.with_client_auth_cert(certificates(&self.certificate)?, key).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_hosts() {
        let tcp = |name: &str, port| Address::Tcp(name.to_owned(), port);
        for (text, address) in [
            ("unix:///s", Address::Unix("/s".into())),
            ("tcp://box", tcp("box", 2375)),
            ("tcp://box:1/", tcp("box", 1)),
            ("tcp://[::1]:1", tcp("::1", 1)),
            ("tcp://[::1]", tcp("::1", 2375)),
            ("tcp://:99", tcp("localhost", 99)),
        ] {
            assert_eq!(Address::parse(text, false).unwrap(), address, "{text}");
        }
        assert_eq!(Address::parse("tcp://box", true).unwrap(), tcp("box", 2376));
        for text in ["box", "http://box", "tcp://box:x", "tcp://box/path"] {
            assert!(Address::parse(text, false).is_err(), "{text}");
        }
        let said = Address::parse("ssh://box", false).unwrap_err().to_string();
        assert!(said.contains("ssh:// is not supported"), "{said}");
    }
}
