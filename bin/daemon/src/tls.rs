//! TLS of the API's TCP sockets: the daemon's certificate, and which clients are let in.

use anyhow::{Context as _, anyhow};
use config::Tls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Reads the files that a configuration names.
pub fn acceptor(tls: &Tls) -> anyhow::Result<TlsAcceptor> {
    build(tls).context("invalid TLS configuration")
}

fn build(tls: &Tls) -> anyhow::Result<TlsAcceptor> {
    let pair = || format!("could not load X509 key pair (cert: {:?}, key: {:?})", tls.certificate, tls.key);
    let chain = certificates(&tls.certificate).with_context(pair)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .with_context(|| format!("make sure the key is not encrypted: {}", tls.key.display()))
        .with_context(pair)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let read = || format!("could not read CA certificate {authorities:?}");
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authorities).with_context(read)? {
                roots.add(certificate).with_context(read)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).with_context(pair)?;
    // Sessions take the connection over, which HTTP/2 has no way for.
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("open {}", path.display()))?;
    if found.is_empty() {
        return Err(anyhow!("there is no certificate in {}", path.display()));
    }
    Ok(found)
}
