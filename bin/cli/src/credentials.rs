//! Who the user is to registries: `auths`, `credsStore` and `credHelpers` of Docker's `config.json`.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::error::CommandError;

/// The name under which Docker Hub's credentials stand.
pub const HUB: &str = "https://index.docker.io/v1/";
/// The user name by which helpers tell a token from a password.
const TOKEN: &str = "<token>";
/// What helpers say of names they do not know.
const UNKNOWN: &str = "credentials not found in native keychain";

/// Credentials for one registry, as `X-Registry-Auth` carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// User.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// Both in base64, as the file has them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth: String,
    /// The registry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serveraddress: String,
    /// A token in place of a password.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identitytoken: String,
    /// A token for the registry itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registrytoken: String,
}

/// What a helper is told and tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

/// The key of a registry's credentials: its host, or Docker Hub's old address.
pub fn key(reference: &str) -> String {
    let first = reference.split('/').next().unwrap_or_default();
    let host = reference.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    match first {
        "docker.io" | "index.docker.io" if host => HUB.to_owned(),
        first if host => first.to_owned(),
        _ => HUB.to_owned(),
    }
}

/// A registry's name without scheme and path: older files have URLs.
fn bare(server: &str) -> &str {
    let server = server.strip_prefix("https://").or(server.strip_prefix("http://")).unwrap_or(server);
    server.split('/').next().unwrap_or_default()
}

impl Credentials {
    /// As a header's value.
    pub fn header(&self) -> String {
        header(self)
    }

    /// With user and password out of `auth`.
    fn decoded(mut self, server: &str) -> Self {
        let pair = STANDARD.decode(&self.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((user, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            self.username = user.to_owned();
            self.password = password.trim_end_matches('\0').to_owned();
        }
        self.auth = String::new();
        self.serveraddress = server.to_owned();
        self
    }

    fn is_empty(&self) -> bool {
        self.username.is_empty() && self.identitytoken.is_empty() && self.registrytoken.is_empty()
    }
}

/// JSON in the base64 that headers have.
pub fn header(value: &impl Serialize) -> String {
    URL_SAFE.encode(serde_json::to_vec(value).unwrap_or_default())
}

/// Asks a helper; `None` is one that does not know the name.
fn ask(helper: &str, verb: &str, input: &str) -> Result<Option<Vec<u8>>, CommandError> {
    let program = format!("docker-credential-{helper}");
    let failed =
        |text: String| CommandError::Refused(format!("error {verb} credentials - err: {text}, out: ``"));
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command
        .spawn()
        .map_err(|_| failed(format!("exec: \"{program}\": executable file not found in $PATH")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not listen says why.
        let _unread = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match said.as_str() {
        UNKNOWN => Ok(None),
        _ => Err(CommandError::Refused(format!(
            "error {verb} credentials - err: exit status {}, out: `{said}`",
            output.status.code().unwrap_or(-1)
        ))),
    }
}

impl Configuration {
    fn helper(&self, server: &str) -> Option<&str> {
        let own = self.cred_helpers.get(server).or(self.cred_helpers.get(bare(server)));
        own.or(self.creds_store.as_ref()).map(String::as_str).filter(|helper| !helper.is_empty())
    }

    fn in_file(&self, server: &str) -> Option<Credentials> {
        let exact = self.auths.get(server);
        let alike = || self.auths.iter().find(|(key, _)| bare(key) == bare(server)).map(|(_, auth)| auth);
        exact.or_else(alike).cloned().map(|found| found.decoded(server)).filter(|found| !found.is_empty())
    }

    /// What is known of a registry; nothing is no error.
    pub fn credentials(&self, server: &str) -> Result<Credentials, CommandError> {
        if let Some(helper) = self.helper(server) {
            let Some(answer) = ask(helper, "get", server)? else { return Ok(Credentials::default()) };
            let secret: Secret = serde_json::from_slice(&answer)
                .map_err(|e| CommandError::Refused(format!("error getting credentials: {e}")))?;
            let mut found = Credentials { serveraddress: server.to_owned(), ..Default::default() };
            match secret.username.as_str() {
                TOKEN => found.identitytoken = secret.secret,
                _ => (found.username, found.password) = (secret.username, secret.secret),
            }
            return Ok(found);
        }
        Ok(self.in_file(server).unwrap_or_default())
    }

    /// What is known of all registries, for builds. A helper that fails is told of and passed over.
    pub fn all_credentials(&self) -> BTreeMap<String, Credentials> {
        let mut servers: Vec<String> = self.auths.keys().cloned().collect();
        servers.extend(self.cred_helpers.keys().cloned());
        if let Some(store) = self.creds_store.as_deref().filter(|store| !store.is_empty()) {
            let listed = ask(store, "list", "").ok().flatten();
            let listed =
                listed.and_then(|list| serde_json::from_slice::<BTreeMap<String, String>>(&list).ok());
            servers.extend(listed.unwrap_or_default().into_keys());
        }
        servers.sort();
        servers.dedup();
        let mut out = BTreeMap::new();
        for server in servers {
            match self.credentials(&server) {
                Ok(found) if !found.is_empty() => drop(out.insert(server, found)),
                Ok(_) => {}
                Err(error) => crate::output::error_line(format!("WARNING: {server}: {error}")),
            }
        }
        out
    }

    /// Keeps credentials; whether they now stand readable in the file.
    pub fn keep(&self, server: &str, found: &Credentials) -> Result<bool, CommandError> {
        if let Some(helper) = self.helper(server) {
            let token = !found.identitytoken.is_empty();
            let secret = Secret {
                server: server.to_owned(),
                username: if token { TOKEN.to_owned() } else { found.username.clone() },
                secret: if token { found.identitytoken.clone() } else { found.password.clone() },
            };
            ask(helper, "store", &serde_json::to_string(&secret).unwrap_or_default())?;
            edit(&self.folder, |auths| drop(auths.insert(server.to_owned(), json!({}))))?;
            return Ok(false);
        }
        let pair = STANDARD.encode(format!("{}:{}", found.username, found.password));
        let mut entry = json!({ "auth": pair });
        if !found.identitytoken.is_empty() {
            entry = json!({
                "auth": STANDARD.encode(format!("{}:", found.username)),
                "identitytoken": found.identitytoken,
            });
        }
        edit(&self.folder, |auths| drop(auths.insert(server.to_owned(), entry)))?;
        Ok(true)
    }

    /// Forgets them.
    pub fn forget(&self, server: &str) -> Result<(), CommandError> {
        if let Some(helper) = self.helper(server) {
            ask(helper, "erase", server)?;
        }
        let gone = |auths: &mut serde_json::Map<String, Value>| {
            auths.retain(|key, _| key != server && (server == HUB || bare(key) != bare(server)))
        };
        edit(&self.folder, gone)
    }
}

/// Changes `auths` in the file and nothing else; a link stays one.
fn edit(folder: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<(), CommandError> {
    let path = folder.join("config.json");
    let path = path.canonicalize().unwrap_or(path);
    let failed = |source| CommandError::File { path: path.display().to_string(), source };
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
        other => other.map_err(failed)?,
    };
    let mut whole: Value = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
    let auths = whole.as_object_mut().map(|whole| whole.entry("auths").or_insert_with(|| json!({})));
    let Some(auths) = auths.and_then(Value::as_object_mut) else {
        return Err(CommandError::Refused(format!("{}: not a configuration", path.display())));
    };
    change(auths);
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::ser::Serializer::with_formatter(&mut text, tabs);
    whole.serialize(&mut serializer).map_err(|e| failed(e.into()))?;
    let part = path.with_extension(format!("json.{}.part", std::process::id()));
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&part)?.write_all(&text)?;
        std::fs::rename(&part, &path)
    };
    let written = write();
    if written.is_err() {
        let _gone = std::fs::remove_file(&part);
    }
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_from_repositories() {
        for (reference, server) in [
            ("busybox", HUB),
            ("me/app:1", HUB),
            ("docker.io/library/busybox", HUB),
            ("h:5000/a", "h:5000"),
            ("localhost/a/b", "localhost"),
            ("ghcr.io/x/y@sha256:0", "ghcr.io"),
        ] {
            assert_eq!(key(reference), server, "{reference}");
        }
    }

    #[test]
    fn what_is_kept_in_the_file_is_found_again_and_the_rest_of_it_stays() {
        let folder = std::env::temp_dir().join(format!("gantry-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("config.json"),
            r#"{"psFormat": "x", "auths": {"https://old:1/v1/": {"auth": "YTpi"}}}"#,
        )
        .unwrap();
        let read = || Configuration::read(&folder).0;
        let old = read().credentials("old:1").unwrap();
        assert_eq!((old.username.as_str(), old.password.as_str()), ("a", "b"));
        let new = Credentials { username: "u".into(), password: "p:q".into(), ..Default::default() };
        assert!(read().keep("h:5000", &new).unwrap());
        let found = read().credentials("h:5000").unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("u", "p:q"));
        assert_eq!(read().all_credentials().len(), 2);
        assert_eq!(read().ps_format.as_deref(), Some("x"));
        read().forget("h:5000").unwrap();
        read().forget("old:1").unwrap();
        assert!(read().auths.is_empty());
        assert_eq!(read().credentials(HUB).unwrap().header(), "e30=");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
