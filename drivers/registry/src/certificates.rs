//! What a user has laid down for one registry: `certs.d/<host[:port]>/` with authorities (`*.crt`) and client
//! certificates (`*.cert` beside `*.key`), as Docker's documentation describes it.

use crate::fault::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};

/// The folders, as a registry's host sees them: Docker's, and gantry's own.
pub const FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/gantry/certs.d"];

/// A client certificate with its chain, and its key.
#[derive(Debug, PartialEq)]
pub struct Identity {
    /// The certificate, then those that vouch for it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// What was laid down for a registry.
#[derive(Debug, Default, PartialEq)]
pub struct Own {
    /// Authorities besides the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Client certificates.
    pub identities: Vec<Identity>,
}

/// What a file of these folders is for.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    Authorities(String),
    Identity { certificate: String, key: String },
}

/// Sorts the files of one folder, in the order of their names; the texts are Docker's.
fn sort(mut names: Vec<String>) -> Result<Vec<Use>, Fault> {
    names.sort();
    let mut out = Vec::new();
    for name in &names {
        if let Some(stem) = name.strip_suffix(".cert") {
            let key = format!("{stem}.key");
            if !names.contains(&key) {
                return Err(Fault::Content(format!(
                    "missing key {key} for client certificate {name}. CA certificates must use the extension .crt"
                )));
            }
            out.push(Use::Identity { certificate: name.clone(), key });
        } else if let Some(stem) = name.strip_suffix(".key") {
            let certificate = format!("{stem}.cert");
            if !names.contains(&certificate) {
                return Err(Fault::Content(format!(
                    "missing client certificate {certificate} for key {name}"
                )));
            }
        } else if name.ends_with(".crt") {
            out.push(Use::Authorities(name.clone()));
        }
    }
    Ok(out)
}

impl Own {
    /// Reads what these folders hold for a host; a folder that is not there holds nothing.
    pub fn read(folders: &[PathBuf], host: &str) -> Result<Self, Fault> {
        let mut own = Self::default();
        // A host is part of a reference that was checked; this is for those of mirrors and redirects.
        if host.is_empty() || host.contains('/') || host.starts_with('.') {
            return Ok(own);
        }
        for folder in folders.iter().map(|f| f.join(host)) {
            own.add(&folder)?;
        }
        Ok(own)
    }

    fn add(&mut self, folder: &Path) -> Result<(), Fault> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed("open", folder, &e)),
        };
        let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        for file in sort(names)? {
            match file {
                Use::Authorities(name) => {
                    let path = folder.join(name);
                    let text = std::fs::read(&path).map_err(|e| failed("open", &path, &e))?;
                    // What is no certificate is passed over, as in Go.
                    self.authorities.extend(CertificateDer::pem_slice_iter(&text).flatten());
                }
                Use::Identity { certificate, key } => {
                    let (certificate, key) = (folder.join(certificate), folder.join(key));
                    let text = std::fs::read(&certificate).map_err(|e| failed("open", &certificate, &e))?;
                    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
                    if chain.is_empty() {
                        return Err(Fault::Content(
                            "tls: failed to find any PEM data in certificate input".into(),
                        ));
                    }
                    let text = std::fs::read(&key).map_err(|e| failed("open", &key, &e))?;
                    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
                        Fault::Content("tls: failed to find any PEM data in key input".into())
                    })?;
                    self.identities.push(Identity { chain, key });
                }
            }
        }
        Ok(())
    }
}

/// As Go tells of files.
fn failed(what: &str, path: &Path, error: &std::io::Error) -> Fault {
    let reason = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    };
    Fault::Content(format!("{what} {}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Result<Vec<Use>, String> {
        sort(names.iter().map(ToString::to_string).collect()).map_err(|f| f.to_string())
    }

    #[test]
    fn files_are_taken_by_their_endings() {
        let found = sorted(&["z.crt", "client.key", "client.cert", "notes.txt", "a.crt"]).unwrap();
        let identity = Use::Identity { certificate: "client.cert".into(), key: "client.key".into() };
        assert_eq!(found, [Use::Authorities("a.crt".into()), identity, Use::Authorities("z.crt".into())]);
    }

    #[test]
    fn a_certificate_without_its_key_and_a_key_without_its_certificate_are_named() {
        assert_eq!(
            sorted(&["a.cert"]).unwrap_err(),
            "missing key a.key for client certificate a.cert. CA certificates must use the extension .crt"
        );
        assert_eq!(sorted(&["a.key"]).unwrap_err(), "missing client certificate a.cert for key a.key");
    }

    #[test]
    fn a_host_without_a_folder_has_nothing_and_a_broken_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned(), folder.path().join("missing")];
        assert_eq!(Own::read(&folders, "r:5000").unwrap(), Own::default());
        assert_eq!(Own::read(&folders, "..").unwrap(), Own::default());
        let host = folder.path().join("r:5000");
        std::fs::create_dir(&host).unwrap();
        std::fs::write(host.join("c.cert"), "nothing").unwrap();
        std::fs::write(host.join("c.key"), "nothing").unwrap();
        let text = Own::read(&folders, "r:5000").unwrap_err().to_string();
        assert_eq!(text, "tls: failed to find any PEM data in certificate input");
    }
}
