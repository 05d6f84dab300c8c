//! The daemon's configuration: defaults, then daemon.json, then flags, in Docker's names. A key set in both places is
//! an error, as in Docker.

mod error;
mod flags;
mod size;

pub use error::ConfigError;
pub use flags::Flags;
pub use size::binary as binary_size;

use clap::Parser;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Keys that daemon.json may hold, with the flag that sets the same.
const KEYS: [&str; 21] = [
    "hosts",
    "data-root",
    "exec-root",
    "log-driver",
    "log-opts",
    "bip",
    "bridge",
    "mtu",
    "insecure-registries",
    "registry-mirrors",
    "group",
    "pidfile",
    "debug",
    "log-level",
    "labels",
    "cgroup-parent",
    "default-shm-size",
    "shim",
    "spool-budget",
    "storage-opts",
    "live-restore",
];

/// What the daemon runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Sockets to listen on, `unix:///path` or `tcp://address:port`.
    pub hosts: Vec<String>,
    /// Where images, containers and logs lie.
    pub data_root: PathBuf,
    /// Where sockets of running containers lie.
    pub exec_root: PathBuf,
    /// Default log driver.
    pub log_driver: String,
    /// Its options.
    pub log_opts: BTreeMap<String, String>,
    /// Default bridge's address and prefix.
    pub bip: (Ipv4Addr, u8),
    /// Default bridge's name.
    pub bridge: String,
    /// Bytes.
    pub mtu: u32,
    /// Registries spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of Docker Hub.
    pub registry_mirrors: Vec<String>,
    /// Group owning the unix socket.
    pub group: String,
    /// Where the daemon's pid is written.
    pub pidfile: Option<PathBuf>,
    /// `debug`, `info`, `warn`, `error`.
    pub log_level: String,
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// cgroup under which containers get theirs.
    pub cgroup_parent: String,
    /// Bytes of /dev/shm.
    pub default_shm_size: i64,
    /// The shim program; beside the daemon when not set.
    pub shim: Option<PathBuf>,
    /// Bytes of undelivered output kept for each container.
    pub spool_budget: u64,
    /// Bytes that a container's own layer may take, if it asks for nothing else (`overlay2.size`).
    pub storage_size: Option<u64>,
    /// Only check the configuration.
    pub validate: bool,
}

impl Config {
    /// Reads flags (without the program's name first: with it) and the file they name.
    pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let flags = Flags::try_parse_from(args).map_err(ConfigError::Flags)?;
        let file = read_file(&flags)?;
        Self::merge(flags, file)
    }

    fn merge(flags: Flags, file: Map<String, Value>) -> Result<Self, ConfigError> {
        let unknown: Vec<&str> = file.keys().map(String::as_str).filter(|k| !KEYS.contains(k)).collect();
        if !unknown.is_empty() {
            return Err(ConfigError::UnknownKeys { keys: unknown.join(", ") });
        }
        let given = flags.given();
        let twice: Vec<String> = given
            .iter()
            .filter_map(|(key, flag)| {
                Some(format!("{key}: (from flag: {flag}, from file: {})", shown(file.get(*key)?)))
            })
            .collect();
        if !twice.is_empty() {
            return Err(ConfigError::Twice { keys: twice.join(", ") });
        }
        let source = Source { file };
        let level = if flags.debug || source.flag("debug")? { "debug".to_owned() } else { String::new() };
        let level = if level.is_empty() { source.text("log-level", flags.log_level, "info")? } else { level };
        let bip = source.text("bip", flags.bip, "172.17.0.1/16")?;
        if source.file.get("live-restore").is_some_and(|v| *v == Value::Bool(false)) {
            return Err(ConfigError::Unsupported { key: "live-restore", value: "false".into() });
        }
        Ok(Self {
            hosts: source.list("hosts", flags.host, &["unix:///run/gantry.sock"])?,
            data_root: source.text("data-root", flags.data_root, "/var/lib/gantry")?.into(),
            exec_root: source.text("exec-root", flags.exec_root, "/run/gantry")?.into(),
            log_driver: source.text("log-driver", flags.log_driver, "json-file")?,
            log_opts: source.map("log-opts", &flags.log_opt)?,
            bip: parse_bip(&bip)?,
            bridge: source.text("bridge", flags.bridge, "gantry0")?,
            mtu: source.number("mtu", flags.mtu.map(i64::from), 1500)?.try_into().map_err(|_| bad("mtu"))?,
            insecure_registries: source.list("insecure-registries", flags.insecure_registry, &[])?,
            registry_mirrors: source.list("registry-mirrors", flags.registry_mirror, &[])?,
            group: source.text("group", flags.group, "docker")?,
            pidfile: Some(source.text("pidfile", flags.pidfile, "")?)
                .filter(|p| !p.is_empty())
                .map(PathBuf::from),
            log_level: level,
            labels: source.list("labels", flags.label, &[])?,
            cgroup_parent: source.text("cgroup-parent", flags.cgroup_parent, "/gantry")?,
            default_shm_size: source.number("default-shm-size", flags.default_shm_size, 64 << 20)?,
            shim: Some(source.text("shim", flags.shim, "")?).filter(|p| !p.is_empty()).map(PathBuf::from),
            spool_budget: spool_budget(source.number("spool-budget", flags.spool_budget, 64 << 20)?)?,
            storage_size: storage_size(&source.list("storage-opts", flags.storage_opt, &[])?)?,
            validate: flags.validate,
        })
    }
}

/// Less than four segments of a few reads each would not be a buffer.
fn spool_budget(bytes: i64) -> Result<u64, ConfigError> {
    u64::try_from(bytes)
        .ok()
        .filter(|b| *b >= 1 << 20)
        .ok_or(ConfigError::Value { key: "spool-budget", text: "must be at least 1048576".into() })
}

/// The options of the storage driver, each `key=value`; moby knows them as those of overlay2.
fn storage_size(options: &[String]) -> Result<Option<u64>, ConfigError> {
    let wrong = |text: String| ConfigError::Value { key: "storage-opts", text };
    let mut size = None;
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            return Err(wrong(format!("Unable to parse storage-opt key/value: {option:?}")));
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "overlay2.size" => size = Some(binary_size(value.trim()).map_err(wrong)?),
            key => return Err(wrong(format!("overlay2: unknown option {key}"))),
        }
    }
    Ok(size.filter(|n| *n > 0))
}

fn bad(key: &'static str) -> ConfigError {
    ConfigError::Value { key, text: "out of range".into() }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The file named by a flag must exist; the default one may be missing.
fn read_file(flags: &Flags) -> Result<Map<String, Value>, ConfigError> {
    let path = flags.config_file.clone().unwrap_or_else(|| "/etc/gantry/daemon.json".into());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && flags.config_file.is_none() => {
            return Ok(Map::new());
        }
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(&text).map_err(|source| ConfigError::Syntax { path, source })
}

struct Source {
    file: Map<String, Value>,
}

impl Source {
    fn text(&self, key: &'static str, flag: Option<String>, default: &str) -> Result<String, ConfigError> {
        match (flag, self.file.get(key)) {
            (Some(text), _) => Ok(text),
            (None, None) => Ok(default.to_owned()),
            (None, Some(Value::String(text))) => Ok(text.clone()),
            (None, Some(_)) => Err(ConfigError::Value { key, text: "must be a string".into() }),
        }
    }

    fn flag(&self, key: &'static str) -> Result<bool, ConfigError> {
        match self.file.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(ConfigError::Value { key, text: "must be true or false".into() }),
        }
    }

    fn number(&self, key: &'static str, flag: Option<i64>, default: i64) -> Result<i64, ConfigError> {
        match (flag, self.file.get(key)) {
            (Some(number), _) => Ok(number),
            (None, None) => Ok(default),
            (None, Some(value)) => value
                .as_i64()
                .ok_or_else(|| ConfigError::Value { key, text: "must be a whole number".into() }),
        }
    }

    fn list(
        &self,
        key: &'static str,
        flag: Vec<String>,
        default: &[&str],
    ) -> Result<Vec<String>, ConfigError> {
        if !flag.is_empty() {
            return Ok(flag);
        }
        let wrong = || ConfigError::Value { key, text: "must be a list of strings".into() };
        match self.file.get(key) {
            None => Ok(default.iter().map(|s| (*s).to_owned()).collect()),
            Some(Value::Array(list)) => {
                list.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    fn map(&self, key: &'static str, flag: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut out = BTreeMap::new();
        for entry in flag {
            let Some((k, v)) = entry.split_once('=') else {
                return Err(ConfigError::Value { key, text: format!("{entry:?} is not key=value") });
            };
            out.insert(k.to_owned(), v.to_owned());
        }
        match self.file.get(key) {
            None => {}
            Some(Value::Object(map)) => {
                for (k, v) in map {
                    let v = v
                        .as_str()
                        .ok_or_else(|| ConfigError::Value { key, text: format!("{k} must be a string") })?;
                    out.insert(k.clone(), v.to_owned());
                }
            }
            Some(_) => return Err(ConfigError::Value { key, text: "must be an object of strings".into() }),
        }
        Ok(out)
    }
}

fn parse_bip(text: &str) -> Result<(Ipv4Addr, u8), ConfigError> {
    let wrong = || ConfigError::Value { key: "bip", text: format!("invalid CIDR address: {text}") };
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    if !(8..=30).contains(&prefix) {
        return Err(wrong());
    }
    Ok((address.parse().map_err(|_| wrong())?, prefix))
}

#[cfg(test)]
mod tests;
