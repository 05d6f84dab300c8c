//! `GET /info`: this machine and this daemon, in Docker's fields.

use super::status::Answer;
use super::{Shared, json};
use crate::host::{self, Host};
use axum::extract::State;
use config::{Config, Encryption, Host as Address, Seccomp, mask};
use serde_json::{Map, Value, json as object};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub async fn info(State(gateway): State<Shared>) -> Answer {
    let (host, config) = (&gateway.host, gateway.live.get());
    let containers = gateway.engine.list();
    let count = |status: &str| containers.iter().filter(|c| c.status.as_str() == status).count();
    let images = gateway.engine.images().await?.len();
    let limits = &host.limits;
    let (running, paused) = (count("running") + count("restarting"), count("paused"));
    let (daemon, proxies) = (&config.daemon, &config.registries.proxies);
    let metrics = tokio::runtime::Handle::current().metrics();
    let unknown = object!({ "ID": "N/A" });
    let drivers = gateway.drivers.names().await;
    Ok(json(&object!({
        "ID": gateway.id, "Containers": containers.len(), "ContainersRunning": running, "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused, "Images": images, "Driver": "overlay2",
        "DriverStatus": driver(&daemon.data_root),
        "Plugins": { "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": null, "Log": drivers },
        "MemoryLimit": limits.memory, "SwapLimit": limits.swap, "CpuCfsPeriod": limits.quota,
        "CpuCfsQuota": limits.quota, "CPUShares": limits.shares, "CPUSet": limits.cpuset, "PidsLimit": limits.pids,
        "IPv4Forwarding": host::forwards(), "Debug": config.logging.debug, "NFd": host::open_files(),
        "OomKillDisable": limits.oom_kill_disable, "NGoroutines": metrics.num_alive_tasks(),
        "SystemTime": super::render::time(super::now_ns()), "LoggingDriver": config.defaults.log_driver,
        "CgroupDriver": "cgroupfs", "CgroupVersion": host.cgroup_version.to_string(),
        "NEventsListener": gateway.engine.listeners(),
        "KernelVersion": host.kernel, "OperatingSystem": host.system, "OSVersion": host.system_version,
        "OSType": "linux", "Architecture": host.machine, "NCPU": host.cpus, "MemTotal": host.memory,
        "IndexServerAddress": "https://index.docker.io/v1/", "GenericResources": null,
        "DockerRootDir": daemon.data_root, "HttpProxy": mask(&proxies.http), "HttpsProxy": mask(&proxies.https),
        "NoProxy": proxies.none, "Name": host.name, "Labels": daemon.labels, "ExperimentalBuild": daemon.experimental,
        "ServerVersion": env!("CARGO_PKG_VERSION"), "Runtimes": runtimes(&config),
        "DefaultRuntime": config.defaults.default_runtime, "LiveRestoreEnabled": daemon.live_restore,
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null,
        },
        "Isolation": "", "InitBinary": "docker-init", "ContainerdCommit": unknown, "RuncCommit": unknown,
        "InitCommit": unknown, "SecurityOptions": security(&config), "FirewallBackend": { "Driver": "nftables" },
        "CDISpecDirs": [], "Warnings": warnings(host, &config), "RegistryConfig": registries(&config),
    })))
}

/// How layers are kept, as far as users need to know.
fn driver(root: &std::path::Path) -> Value {
    let yes = |is: bool| if is { "true" } else { "false" };
    object!([
        ["Backing Filesystem", host::file_system(root)],
        ["Supports d_type", yes(host::tells_types(root))],
        ["Using metacopy", yes(host::metacopy())],
        ["userxattr", "false"],
    ])
}

fn runtimes(config: &Config) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("gantry".to_owned(), object!({ "path": "gantry-shim" }));
    for (name, runtime) in &config.defaults.runtimes {
        let mut shown = object!({ "path": runtime.path });
        if let (false, Some(map)) = (runtime.args.is_empty(), shown.as_object_mut()) {
            map.insert("runtimeArgs".to_owned(), object!(runtime.args));
        }
        out.insert(name.clone(), shown);
    }
    out
}

fn security(config: &Config) -> Vec<String> {
    let profile = match &config.defaults.seccomp {
        Seccomp::Builtin => "builtin".to_owned(),
        Seccomp::Unconfined => "unconfined".to_owned(),
        Seccomp::File(path, _) => path.display().to_string(),
    };
    let mut out = vec![format!("name=seccomp,profile={profile}"), "name=cgroupns".to_owned()];
    if config.defaults.no_new_privileges {
        out.push("name=no-new-privileges".to_owned());
    }
    out
}

/// What does not work here, and what is dangerous, in Docker's words.
fn warnings(host: &Host, config: &Config) -> Vec<String> {
    let mut out: Vec<String> = api(config);
    if config.defaults.seccomp != Seccomp::Builtin {
        out.push("WARNING: daemon is not using the default seccomp profile".to_owned());
    }
    out.extend(host.limits.lacking().into_iter().map(str::to_owned));
    if !host::forwards() {
        out.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    out
}

fn api(config: &Config) -> Vec<String> {
    const ROOT: &str = "\n         Access to the remote API is equivalent to root access on the host. Refer\n         to \
                        the 'Docker daemon attack surface' section in the documentation for\n         more information: \
                        https://docs.docker.com/go/attack-surface/";
    let tcp = config.sockets.hosts.iter().filter_map(|host| match host {
        Address::Tcp(name, port) if name.contains(':') => Some(format!("[{name}]:{port}")),
        Address::Tcp(name, port) => Some(format!("{name}:{port}")),
        Address::Fd(_) | Address::Unix(_) => None,
    });
    tcp.filter_map(|address| match &config.sockets.encryption {
        Encryption::Tls(tls) if tls.clients.is_some() => None,
        Encryption::Tls(_) => Some(format!(
            "WARNING: API is accessible on https://{address} without TLS client verification.{ROOT}"
        )),
        Encryption::Unsaid | Encryption::Declined => {
            Some(format!("WARNING: API is accessible on http://{address} without encryption.{ROOT}"))
        }
    })
    .collect()
}

/// Docker Hub, and the registries that are named as insecure; loopback always is.
fn registries(config: &Config) -> Value {
    let own = &config.registries;
    let named = own.insecure.iter().map(String::as_str).chain(["::1/128", "127.0.0.0/8"]);
    let mut ranges: Vec<String> = Vec::new();
    let mut indexes: BTreeMap<&str, Value> = BTreeMap::new();
    for registry in named {
        match range(registry) {
            Some(range) if ranges.contains(&range) => {}
            Some(range) => ranges.push(range),
            None => {
                let index = object!({ "Name": registry, "Mirrors": [], "Secure": false, "Official": false });
                indexes.insert(registry, index);
            }
        }
    }
    let mut mirrors: Vec<&String> = Vec::new();
    for mirror in &own.mirrors {
        if !mirrors.contains(&mirror) {
            mirrors.push(mirror);
        }
    }
    let hub = object!({ "Name": "docker.io", "Mirrors": mirrors, "Secure": true, "Official": true });
    indexes.insert("docker.io", hub);
    object!({
        "AllowNondistributableArtifactsCIDRs": null, "AllowNondistributableArtifactsHostnames": null,
        "InsecureRegistryCIDRs": ranges, "IndexConfigs": indexes, "Mirrors": mirrors,
    })
}

/// A range of addresses, without the bits that do not count.
fn range(registry: &str) -> Option<String> {
    let (net, length) = registry.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let net = match net.parse::<IpAddr>().ok()? {
        IpAddr::V4(net) if length <= 32 => {
            IpAddr::V4((net.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into())
        }
        IpAddr::V6(net) if length <= 128 => {
            IpAddr::V6((net.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into())
        }
        _ => return None,
    };
    Some(format!("{net}/{length}"))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_shown_without_the_bits_that_do_not_count() {
        for (given, shown) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("::1/128", Some("::1/128")),
            ("fd00::5/8", Some("fd00::/8")),
            ("1.2.3.4/0", Some("0.0.0.0/0")),
            ("1.2.3.4/33", None),
            ("r.example:5000", None),
        ] {
            assert_eq!(range(given).as_deref(), shown, "{given}");
        }
    }
}
