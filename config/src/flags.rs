//! The daemon's flags, in dockerd's names.

use clap::Parser;
use std::path::PathBuf;

/// gantryd: a container engine whose logs can be trusted.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "gantryd", version)]
pub struct Flags {
    /// Socket to listen on: unix:///path or tcp://address:port (repeatable).
    #[arg(short = 'H', long)]
    pub host: Vec<String>,
    /// Configuration file [default: /etc/gantry/daemon.json].
    #[arg(long)]
    pub config_file: Option<PathBuf>,
    /// Where images, containers and logs lie [default: /var/lib/gantry].
    #[arg(long)]
    pub data_root: Option<String>,
    /// Where sockets of running containers lie [default: /run/gantry].
    #[arg(long)]
    pub exec_root: Option<String>,
    /// Default log driver [default: json-file].
    #[arg(long)]
    pub log_driver: Option<String>,
    /// Option of the default log driver, key=value (repeatable).
    #[arg(long)]
    pub log_opt: Vec<String>,
    /// Address and prefix of the default bridge [default: 172.17.0.1/16].
    #[arg(long)]
    pub bip: Option<String>,
    /// Name of the default bridge [default: gantry0].
    #[arg(short, long)]
    pub bridge: Option<String>,
    /// MTU of the default bridge [default: 1500].
    #[arg(long)]
    pub mtu: Option<u32>,
    /// Registry spoken to without TLS (repeatable).
    #[arg(long)]
    pub insecure_registry: Vec<String>,
    /// Mirror of Docker Hub (repeatable).
    #[arg(long)]
    pub registry_mirror: Vec<String>,
    /// Group owning the unix socket [default: docker].
    #[arg(short = 'G', long)]
    pub group: Option<String>,
    /// File for the daemon's pid.
    #[arg(short, long)]
    pub pidfile: Option<String>,
    /// Log at debug level.
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Log level: debug, info, warn, error [default: info].
    #[arg(short, long)]
    pub log_level: Option<String>,
    /// Label of the daemon, key=value (repeatable).
    #[arg(long)]
    pub label: Vec<String>,
    /// cgroup under which containers get theirs [default: /gantry].
    #[arg(long)]
    pub cgroup_parent: Option<String>,
    /// Bytes of /dev/shm of a container [default: 67108864].
    #[arg(long)]
    pub default_shm_size: Option<i64>,
    /// The gantry-shim program [default: beside gantryd].
    #[arg(long)]
    pub shim: Option<String>,
    /// Bytes of undelivered output kept on disk for each container, at least 1 MiB [default: 67108864].
    #[arg(long)]
    pub spool_budget: Option<i64>,
    /// Option of the storage driver: overlay2.size=10G (repeatable).
    #[arg(long)]
    pub storage_opt: Vec<String>,
    /// Check the configuration and exit.
    #[arg(long)]
    pub validate: bool,
}

impl Flags {
    /// The flags that were given, with their values, under the file's keys.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let text = |key, value: &Option<String>| value.clone().map(|v| (key, v));
        let list =
            |key, value: &Vec<String>| (!value.is_empty()).then(|| (key, format!("[{}]", value.join(" "))));
        [
            list("hosts", &self.host),
            text("data-root", &self.data_root),
            text("exec-root", &self.exec_root),
            text("log-driver", &self.log_driver),
            list("log-opts", &self.log_opt),
            text("bip", &self.bip),
            text("bridge", &self.bridge),
            self.mtu.map(|n| ("mtu", n.to_string())),
            list("insecure-registries", &self.insecure_registry),
            list("registry-mirrors", &self.registry_mirror),
            text("group", &self.group),
            text("pidfile", &self.pidfile),
            self.debug.then(|| ("debug", "true".to_owned())),
            text("log-level", &self.log_level),
            list("labels", &self.label),
            text("cgroup-parent", &self.cgroup_parent),
            self.default_shm_size.map(|n| ("default-shm-size", n.to_string())),
            text("shim", &self.shim),
            self.spool_budget.map(|n| ("spool-budget", n.to_string())),
            list("storage-opts", &self.storage_opt),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
