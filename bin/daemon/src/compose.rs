//! The composition root: every driver is built here and handed to the actors as a port.

use crate::live::Live;
use actors::{NetworkDefaults, Pool, Ports};
use anyhow::Context as _;
use config::Config;
use contract::build::Contexts;
use contract::network::{Family, Gateway6, Segment, SegmentPolicy, Subnet, number};
use log_drivers::Drivers;
use network::Bridges;
use registry::{Proxies, RegistryClient, RegistryConfig};
use runtime::{FileSpools, OtherRuntime, RuntimeConfig, ShimRuntime, Signals};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use storage::{BuildContexts, FileNetworkRecords, FileRecords, LocalVolumes, OverlayRoots, Store};

/// How registries are reached.
pub fn registries(config: &Config) -> RegistryConfig {
    let own = &config.registries;
    RegistryConfig {
        insecure: own.insecure.clone(),
        mirrors: own.mirrors.clone(),
        downloads: own.downloads,
        uploads: own.uploads,
        attempts: own.attempts,
        proxies: Proxies {
            http: own.proxies.http.clone(),
            https: own.proxies.https.clone(),
            none: own.proxies.none.clone(),
        },
        ..RegistryConfig::default()
    }
}

/// Runtimes besides gantry's own.
pub fn runtimes(config: &Config) -> BTreeMap<String, OtherRuntime> {
    let own = config.defaults.runtimes.iter();
    let other = |r: &config::Runtime| OtherRuntime { program: r.path.clone(), args: r.args.clone() };
    own.map(|(name, runtime)| (name.clone(), other(runtime))).collect()
}

/// What is configured of networks, for the daemon of this id.
pub fn networks(config: &Config, id: &str) -> NetworkDefaults {
    let own = &config.bridge;
    let policy = SegmentPolicy {
        icc: own.icc,
        masquerade: own.masquerade,
        forward: own.forward,
        ..SegmentPolicy::default()
    };
    let pool = |p: &config::Pool| Pool { base: Subnet::around(p.base.0, p.base.1), size: p.size };
    let mut pools: Vec<Pool> = own.pools.iter().map(pool).collect();
    if !pools.iter().any(|p| p.base.family() == Family::Six) {
        pools.push(unique_local(id));
    }
    let first = pools.iter().find(|p| p.base.family() == Family::Six);
    let first = first.map(|p| (Family::Six.address(number(p.base.address) + 1), p.size));
    let six = own.six.and_then(|six| six.bridge.or(first));
    let (four, none) = (own.four.bridge, config::Addresses::default());
    let range = |own: &config::Addresses| own.fixed.map(|(address, prefix)| Subnet::around(address, prefix));
    let others = own.six.as_ref().unwrap_or(&none);
    NetworkDefaults {
        segment: Segment {
            name: own.name.clone(),
            gateway: four.and_then(|(a, _)| if let IpAddr::V4(a) = a { Some(a) } else { None }),
            prefix: four.map_or(0, |(_, prefix)| prefix),
            six: six.and_then(|(address, prefix)| match address {
                IpAddr::V6(address) => Some(Gateway6 { address, prefix }),
                IpAddr::V4(_) => None,
            }),
            via: [own.four.gateway, others.gateway],
            mtu: own.mtu,
            policy,
            ..Segment::default()
        },
        ranges: [range(&own.four), range(others)],
        pools,
    }
}

/// The pool of unique local addresses that a daemon has for itself: always the same for one id (RFC 4193; moby
/// `deriveULABaseNetwork`).
fn unique_local(id: &str) -> Pool {
    let digest = Sha256::digest(id.as_bytes());
    let global = digest.iter().skip(3).take(5).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let address = Ipv6Addr::from(0xfd << 120 | global << 80);
    Pool { base: Subnet::around(address, 48), size: 64 }
}

/// The log drivers.
pub fn drivers(config: &Config) -> Drivers {
    let own = &config.plugins;
    // Several daemons may share the folder of fifos.
    let root = Sha256::digest(config.daemon.data_root.as_os_str().as_encoded_bytes());
    let mark = root.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Drivers::new(log_drivers::Places { folders: own.folders.clone(), fifos: own.fifos.clone(), mark })
}

/// Every driver.
pub fn ports(live: &Live, registry: Arc<RegistryClient>) -> anyhow::Result<Ports> {
    let config = &*live.get();
    let root = &config.daemon.data_root;
    let store =
        Store::open(root, Some(registry.clone())).map_err(|e| anyhow::anyhow!(e.chain()))?.pushing(registry);
    let store = Arc::new(store);
    if config.daemon.storage_size.is_some() && !storage::sizes_supported(root) {
        let found = crate::host::file_system(root);
        anyhow::ensure!(
            found == "xfs",
            "Storage Option overlay2.size only supported for backingFS XFS. Found {found}"
        );
        anyhow::bail!(
            "Storage option overlay2.size not supported. Filesystem does not support Project Quota"
        );
    }
    let drivers = drivers(config);
    drivers.sweep();
    let signals = Signals::default();
    let runtime = RuntimeConfig {
        containers: root.join("containers"),
        exec_root: config.daemon.exec_root.clone(),
        shim: shim(config)?,
        cgroup_parent: config.daemon.cgroup_parent.clone(),
        spool_budget: config.daemon.spool_budget,
        open_files: crate::host::raise_open_files(),
        runtimes: live.runtimes().clone(),
    };
    let runtime = Arc::new(ShimRuntime::new(runtime, signals.clone()));
    Ok(Ports {
        archives: runtime.clone(),
        runtime,
        spools: Arc::new(FileSpools::new(signals, config.daemon.spool_budget)),
        records: Arc::new(FileRecords::new(root)),
        roots: Arc::new(OverlayRoots::new(root, Arc::clone(&store))),
        images: store.clone(),
        steps: store,
        network_records: Arc::new(FileNetworkRecords::new(root)),
        volumes: Arc::new(LocalVolumes::new(root)),
        networks: Arc::new(Bridges::start(&config.bridge.name).context("open netlink sockets")?),
        drivers: Arc::new(drivers),
        attributes: log_drivers::attributes,
    })
}

/// The files of builds.
pub fn contexts(config: &Config, registry: Arc<RegistryClient>, ports: &Ports) -> Arc<dyn Contexts> {
    Arc::new(BuildContexts::new(&config.daemon.data_root, registry, Arc::clone(&ports.archives)))
}

/// The shim program: as configured, or beside this one.
fn shim(config: &Config) -> anyhow::Result<PathBuf> {
    let path = match &config.daemon.shim {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("find this program")?.with_file_name("gantry-shim"),
    };
    path.canonicalize().with_context(|| format!("find the shim {}", path.display()))
}

/// The configuration and those who are told when it changes.
pub fn live(config: Config, level: crate::logs::Level) -> anyhow::Result<(Arc<Live>, Arc<RegistryClient>)> {
    let registry = RegistryClient::new(registries(&config)).map_err(|e| anyhow::anyhow!(e.chain()))?;
    let registry = Arc::new(registry);
    Ok((Arc::new(Live::new(config, Arc::clone(&registry), level)), registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_s_pool_of_unique_local_addresses_is_its_own_and_stays_the_same() {
        // What moby derives from these ids.
        for (id, wanted) in
            [("", "fd42:98fc:1c14::/48"), ("499d4bc0-b0b3-416f-b1ee-cf6486315593", "fd62:fb69:18af::/48")]
        {
            let pool = unique_local(id);
            assert_eq!((pool.base.to_string().as_str(), pool.size), (wanted, 64));
        }
    }
}
