//! Where plugins are found (Docker's rules for plugins that are not managed): a socket `NAME.sock`, or a file that names an
//! address, `NAME.spec` or `NAME.json`; each in a plugins' folder itself or in a folder of its name there.

use super::spelling;
use crate::options::invalid;
use crate::tls::{Identity, Trust};
use contract::PortError;
use serde::Deserialize;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// How a plugin is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket's path.
    Unix(PathBuf),
    /// An address of HTTP, or of HTTPS with this side's identity.
    Web(String, Identity),
}

/// A `.json` file, in Docker's words.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    addr: String,
    #[serde(rename = "TLSConfig")]
    tls: Option<Tls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tls {
    insecure_skip_verify: bool,
    #[serde(rename = "CAFile")]
    ca_file: String,
    cert_file: String,
    key_file: String,
}

/// The names in a `.json` file.
const NAMES: [&str; 6] = ["Addr", "TLSConfig", "InsecureSkipVerify", "CAFile", "CertFile", "KeyFile"];

/// Whether a plugin may be called so: names are parts of paths.
pub(crate) fn named(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fine)
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// The address of the plugin of that name, if one of the folders knows it. As in Docker sockets come before files, in
/// whichever folder they are, and among files the folder counts more than the ending.
pub(crate) fn find(folders: &[PathBuf], name: &str) -> Result<Option<Address>, PortError> {
    if !named(name) {
        return Ok(None);
    }
    let both = |folder: &PathBuf, ending: &str| {
        let file = format!("{name}.{ending}");
        [folder.join(&file), folder.join(name).join(&file)]
    };
    let mut sockets = folders.iter().flat_map(|folder| both(folder, "sock"));
    if let Some(path) = sockets.find(|path| is_socket(path)) {
        return Ok(Some(Address::Unix(path)));
    }
    let files = folders.iter().flat_map(|folder| ["spec", "json"].map(|ending| both(folder, ending)));
    let file = files.flatten().find(|path| path.is_file());
    file.map(|path| read(&path)).transpose()
}

/// The names that the folders know, in order.
pub(crate) fn names(folders: &[PathBuf]) -> Vec<String> {
    let mut out = Vec::new();
    for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        let path = entry.path();
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let Some(name) = stem.and_then(|stem| stem.to_str()) else { continue };
        if matches!(find(folders, name), Ok(Some(_))) {
            out.push(name.to_owned());
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

fn read(path: &Path) -> Result<Address, PortError> {
    let wrong = |text: String| invalid(format!("plugin file {}: {text}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    if path.extension().is_none_or(|ending| ending != "json") {
        // Docker takes any certificate where a file says nothing about them.
        let anybody = Identity { trust: Trust::Anybody, ..Identity::default() };
        return parse(text.trim(), anybody).ok_or_else(|| wrong("Unknown protocol".into()));
    }
    let described: Described = spelling::read(text.as_bytes(), &NAMES).map_err(|e| wrong(e.to_string()))?;
    let said = described.tls.is_some();
    let tls = described.tls.unwrap_or_default();
    let given = |text: String| Some(text).filter(|t| !t.is_empty());
    let pair = match (given(tls.cert_file), given(tls.key_file)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(wrong("CertFile and KeyFile belong together".into())),
    };
    let ca = given(tls.ca_file);
    // As in Docker: the machine's authorities where nothing is said about TLS, anybody where no authority is named.
    let anybody = said && (tls.insecure_skip_verify || ca.is_none());
    let trust = if anybody { Trust::Anybody } else { Trust::Authorities };
    parse(&described.addr, Identity { ca, pair, trust, name: None })
        .ok_or_else(|| wrong("Unknown protocol".into()))
}

fn parse(address: &str, identity: Identity) -> Option<Address> {
    let (scheme, rest) = address.split_once("://")?;
    let rest = rest.trim_end_matches('/');
    match scheme {
        "unix" => Some(Address::Unix(rest.into())),
        "tcp" | "http" => Some(Address::Web(format!("http://{rest}"), identity)),
        "https" => Some(Address::Web(format!("https://{rest}"), identity)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sockets_and_files_are_found_in_folders_and_in_folders_of_their_name() {
        let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let folders = [first.path().to_owned(), second.path().to_owned(), "/nosuch".into()];
        let _plain = UnixListener::bind(first.path().join("plain.sock")).unwrap();
        std::fs::create_dir(second.path().join("deep")).unwrap();
        let deep = second.path().join("deep/deep.sock");
        let _deep = UnixListener::bind(&deep).unwrap();
        std::fs::write(second.path().join("far.spec"), " tcp://10.0.0.1:9000\n").unwrap();
        let json = r#"{"Name":"x","Addr":"https://h:1/","TLSConfig":{"CAFile":"/ca","CertFile":"/c","KeyFile":"/k"}}"#;
        std::fs::write(second.path().join("safe.json"), json).unwrap();
        std::fs::write(second.path().join("notes.txt"), "unix:///x").unwrap();
        std::fs::write(first.path().join("file.sock"), "no socket").unwrap();
        assert_eq!(names(&folders), ["deep", "far", "plain", "safe"]);
        let at = |name: &str| find(&folders, name).unwrap();
        assert_eq!(at("plain"), Some(Address::Unix(first.path().join("plain.sock"))));
        assert_eq!(at("deep"), Some(Address::Unix(deep)));
        let anybody = Identity { trust: Trust::Anybody, ..Identity::default() };
        assert_eq!(at("far"), Some(Address::Web("http://10.0.0.1:9000".into(), anybody)));
        let known = Identity {
            ca: Some("/ca".into()),
            pair: Some(("/c".into(), "/k".into())),
            ..Identity::default()
        };
        assert_eq!(at("safe"), Some(Address::Web("https://h:1".into(), known)));
        for name in ["nosuch", "file", "", "../plain", "a/b", ".."] {
            assert_eq!(at(name), None, "{name}");
        }
    }

    #[test]
    fn a_description_in_an_earlier_folder_comes_before_an_address_in_a_later_one() {
        let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let folders = [first.path().to_owned(), second.path().to_owned()];
        let found = || match find(&folders, "far").unwrap() {
            Some(Address::Web(url, _)) => url,
            Some(Address::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        std::fs::write(second.path().join("far.spec"), "tcp://late:1").unwrap();
        assert_eq!(found(), "http://late:1");
        std::fs::create_dir(first.path().join("far")).unwrap();
        std::fs::write(first.path().join("far/far.json"), r#"{"Addr":"tcp://early:1"}"#).unwrap();
        assert_eq!(found(), "http://early:1");
        std::fs::write(first.path().join("far.spec"), "tcp://earliest:1").unwrap();
        assert_eq!(found(), "http://earliest:1");
        let socket = second.path().join("far.sock");
        let _socket = UnixListener::bind(&socket).unwrap();
        assert_eq!(found(), socket.display().to_string());
    }

    #[test]
    fn a_description_without_a_word_on_tls_believes_the_machines_authorities() {
        let folder = tempfile::tempdir().unwrap();
        for (text, trust) in [
            (r#"{"Addr":"https://h:1"}"#, Trust::Authorities),
            (r#"{"Addr":"https://h:1","TLSConfig":{}}"#, Trust::Anybody),
            (r#"{"addr":"https://h:1","TlsConfig":{"caFile":"/ca"}}"#, Trust::Authorities),
            (r#"{"Addr":"https://h:1","TLSConfig":{"CAFile":"/ca"}}"#, Trust::Authorities),
            (
                r#"{"Addr":"https://h:1","TLSConfig":{"CAFile":"/ca","InsecureSkipVerify":true}}"#,
                Trust::Anybody,
            ),
        ] {
            std::fs::write(folder.path().join("far.json"), text).unwrap();
            let found = find(&[folder.path().to_owned()], "far").unwrap();
            assert!(matches!(found, Some(Address::Web(_, own)) if own.trust == trust), "{text}");
        }
    }

    #[test]
    fn files_that_name_no_address_are_refused_with_their_path() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text, told) in [
            ("a.spec", "nothing", "Unknown protocol"),
            ("b.json", "{", "EOF"),
            ("c.json", r#"{"Addr":"ftp://x"}"#, "Unknown protocol"),
            ("d.json", r#"{"Addr":"tcp://x","TLSConfig":{"KeyFile":"k"}}"#, "CertFile and KeyFile"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
            let error = find(&[folder.path().to_owned()], &file[..1]).unwrap_err().chain();
            assert!(error.contains(told) && error.contains(file), "{error}");
        }
    }
}
