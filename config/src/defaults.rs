//! What containers get when they say nothing.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::runtimes::{self, Runtime};
use crate::source::Source;
use crate::ulimit::{self, Ulimit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

pub(crate) const SECTION: Section = Section {
    heading: "Containers",
    keys: &[
        Key::new("log-driver", Kind::Text, "DRIVER", "Log driver: json-file, local, syslog, fluentd, journald, gelf, splunk, loki, otlp, awslogs, gcplogs, none, or fanout for several [default: json-file]"),
        Key::new("log-opts", Kind::Map, "KEY=VALUE", "Option of that log driver").flag("log-opt"),
        Key::new("log-sinks", Kind::Own, "", "Where every container's lines go besides: {\"name\": {\"driver\": \"syslog\", \"log-opts\": {}, \"streams\": \"both\"}}").flag(""),
        Key::new("default-ulimits", Kind::Own, "NAME=SOFT[:HARD]", "ulimit; the file has {\"nofile\": {\"Name\": \"nofile\", \"Soft\": 1, \"Hard\": 2}}").flag("default-ulimit").reloads(),
        Key::new("default-shm-size", Kind::Size, "BYTES", "Size of /dev/shm [default: 64m]").reloads(),
        Key::new("default-ipc-mode", Kind::Text, "MODE", "private or shareable [default: private]").reloads(),
        Key::new("default-cgroupns-mode", Kind::Text, "MODE", "private or host [default: private]").reloads(),
        Key::new("init", Kind::Switch, "", "Run a small init that forwards signals and reaps processes"),
        Key::new("no-new-privileges", Kind::Switch, "", "Processes gain no privileges from the programs they run"),
        Key::new("seccomp-profile", Kind::Text, "FILE", "Policy of system calls: a file, builtin or unconfined [default: builtin]"),
        Key::new("dns", Kind::List, "ADDRESS", "DNS server"),
        Key::new("dns-opts", Kind::List, "OPTION", "Option of the resolver").flag("dns-opt"),
        Key::new("dns-search", Kind::List, "DOMAIN", "DNS search domain"),
        Key::new("host-gateway-ips", Kind::List, "ADDRESS", "What host-gateway in --add-host means, one address of a family [default: the bridge's]").flag("host-gateway-ip"),
        Key::new("host-gateway-ip", Kind::Text, "ADDRESS", "The older key, for a single one").flag(""),
        Key::new("runtimes", Kind::Own, "NAME=PATH", "OCI runtime besides gantry's own; the file has {\"name\": {\"path\": \"…\", \"runtimeArgs\": []}}").flag("add-runtime").reloads(),
        Key::new("default-runtime", Kind::Text, "NAME", "Runtime of containers that name none [default: gantry]").reloads(),
    ],
};

/// Of what a container's IPC or cgroup namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Its own.
    Private,
    /// Its own, and others may join (IPC).
    Shareable,
    /// The host's (cgroup).
    Host,
}

impl Sharing {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shareable => "shareable",
            Self::Host => "host",
        }
    }
}

/// A place for the lines of all containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSink {
    /// Its log driver.
    pub driver: String,
    /// The driver's options.
    #[serde(default, rename = "log-opts")]
    pub options: BTreeMap<String, String>,
    /// `stdout`, `stderr` or `both`; empty is both.
    #[serde(default)]
    pub streams: String,
}

/// The policy of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// The one gantry is built with.
    Builtin,
    /// None.
    Unconfined,
    /// This file's, read when the daemon starts.
    File(PathBuf, String),
}

/// What containers get when they say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Log driver.
    pub log_driver: String,
    /// Its options.
    pub log_opts: BTreeMap<String, String>,
    /// Where the lines of all containers go besides, by name.
    pub log_sinks: BTreeMap<String, LogSink>,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Bytes of /dev/shm.
    pub shm_size: i64,
    /// IPC namespace.
    pub ipc: Sharing,
    /// cgroup namespace.
    pub cgroupns: Sharing,
    /// A small init.
    pub init: bool,
    /// No new privileges.
    pub no_new_privileges: bool,
    /// System calls.
    pub seccomp: Seccomp,
    /// Servers.
    pub dns: Vec<IpAddr>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Domains.
    pub dns_search: Vec<String>,
    /// What `host-gateway` means.
    pub host_gateways: Vec<IpAddr>,
    /// External runtimes.
    pub runtimes: BTreeMap<String, Runtime>,
    /// Their default.
    pub default_runtime: String,
}

impl Defaults {
    pub(crate) fn read(source: &Source) -> Result<Self, ValueError> {
        let (runtimes, default_runtime) = runtimes::read(source)?;
        let shm_size = source.size("default-shm-size")?.unwrap_or(64 << 20);
        if shm_size <= 0 {
            return Err(source.wrong("default-shm-size", "must be more than 0"));
        }
        Ok(Self {
            log_driver: source.some_text("log-driver")?.unwrap_or_else(|| "json-file".into()),
            log_opts: source.map("log-opts")?,
            log_sinks: source.object("log-sinks")?,
            ulimits: ulimit::read(source)?,
            shm_size,
            ipc: ipc(source)?,
            cgroupns: match source.some_text("default-cgroupns-mode")?.as_deref() {
                None | Some("private") => Sharing::Private,
                Some("host") => Sharing::Host,
                Some(other) => {
                    let text =
                        format!("invalid default cgroup namespace ({other}): use \"host\" or \"private\"");
                    return Err(ValueError::Told(text));
                }
            },
            init: source.switch("init")?.unwrap_or(false),
            no_new_privileges: source.switch("no-new-privileges")?.unwrap_or(false),
            seccomp: seccomp(source)?,
            dns: source.parsed_list("dns", "an IP address")?,
            dns_options: source.list("dns-opts")?,
            dns_search: search(source)?,
            host_gateways: host_gateways(source)?,
            runtimes,
            default_runtime,
        })
    }
}

fn ipc(source: &Source) -> Result<Sharing, ValueError> {
    let mode = source.some_text("default-ipc-mode")?;
    let hint = "use \"shareable\" or \"private\"";
    match mode.as_deref() {
        None | Some("private") => Ok(Sharing::Private),
        Some("shareable") => Ok(Sharing::Shareable),
        Some(known @ ("host" | "none")) => {
            Err(ValueError::Told(format!("IPC mode \"{known}\" is not supported as default value; {hint}")))
        }
        Some(other) => {
            Err(ValueError::Told(format!("default IPC mode setting ({other}) is invalid; {hint}")))
        }
    }
}

fn seccomp(source: &Source) -> Result<Seccomp, ValueError> {
    match source.some_text("seccomp-profile")?.as_deref() {
        None | Some("builtin") => Ok(Seccomp::Builtin),
        Some("unconfined") => Ok(Seccomp::Unconfined),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                source.wrong("seccomp-profile", format!("opening seccomp profile ({path}) failed: {e}"))
            })?;
            let _well_formed: serde_json::Value = serde_json::from_str(&text)
                .map_err(|e| source.wrong("seccomp-profile", format!("{path} is not JSON: {e}")))?;
            Ok(Seccomp::File(path.into(), text))
        }
    }
}

fn host_gateways(source: &Source) -> Result<Vec<IpAddr>, ValueError> {
    let mut all: Vec<IpAddr> = source.parsed_list("host-gateway-ips", "an IP address")?;
    if all.is_empty() {
        all.extend(source.parsed::<IpAddr>("host-gateway-ip", "an IP address")?);
    }
    for (version, is) in [("IPv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("IPv6", IpAddr::is_ipv6)] {
        if all.iter().filter(|a| is(a)).count() > 1 {
            let text = format!("only one {version} host gateway IP address can be specified");
            return Err(ValueError::Told(text));
        }
    }
    // As they are written to /etc/hosts.
    all.sort_by_key(IpAddr::is_ipv6);
    Ok(all)
}

/// `.` alone switches the host's domains off.
fn search(source: &Source) -> Result<Vec<String>, ValueError> {
    let domains = source.list("dns-search")?;
    let fine = |d: &String| {
        let label = |l: &str| {
            !l.is_empty()
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        d == "." || d.trim_end_matches('.').split('.').all(label)
    };
    match domains.iter().find(|d| !fine(d)) {
        Some(bad) => Err(ValueError::Told(format!("{bad} is not a valid domain"))),
        None => Ok(domains),
    }
}
