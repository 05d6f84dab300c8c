//! The composition root: every driver is built here and handed to the actors as a port.

use crate::gateway::{self, Defaults, Gateway};
use crate::host::Host;
use crate::listen;
use actors::supervise::Registry;
use actors::{Engine, Ports};
use anyhow::Context as _;
use config::Config;
use contract::network::BridgeSpec;
use network::Bridges;
use registry::{RegistryClient, RegistryConfig};
use runtime::{FileSpools, RuntimeConfig, ShimRuntime, Signals};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::{FileNetworkRecords, FileRecords, OverlayRoots, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs the daemon until it is told to end, or its root supervisor gives up. Containers live on.
pub async fn run(config: Config) -> anyhow::Result<()> {
    for folder in [&config.data_root, &config.exec_root] {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    if let Some(pidfile) = &config.pidfile {
        std::fs::write(pidfile, std::process::id().to_string())
            .with_context(|| format!("write {}", pidfile.display()))?;
    }
    let bridge = BridgeSpec {
        name: config.bridge.clone(),
        gateway: config.bip.0,
        prefix: config.bip.1,
        mtu: config.mtu,
        barriers: Default::default(),
    };
    let tree = Registry::new(actix::System::current().arbiter().clone());
    let engine = Engine::launch(ports(&config)?, bridge.clone(), tree);
    engine.recover().await.map_err(|e| anyhow::anyhow!(e.chain())).context("recover")?;
    let host = Host::read();
    let router = gateway::router(Gateway {
        engine: engine.clone(),
        host: host.clone(),
        defaults: Defaults {
            log_driver: config.log_driver.clone(),
            log_opts: config.log_opts.clone(),
            shm_size: config.default_shm_size,
            hostname: host.name,
        },
        data_root: config.data_root.clone(),
        bridge,
        drivers: log_drivers::catalogue().iter().map(|d| d.name()).collect(),
        labels: config.labels.clone(),
        registries: registries(&config),
        debug: config.log_level == "debug",
    });
    let stop = CancellationToken::new();
    let mut sockets = Vec::new();
    for host in &config.hosts {
        sockets.extend(listen::serve(host, &config.group, router.clone(), stop.clone()).await?);
        tracing::info!("API listen on {host}");
    }
    tracing::info!("gantry is ready");
    let outcome = end(&engine).await;
    stop.cancel();
    engine.settle(Duration::from_secs(3)).await;
    for path in sockets.into_iter().chain(config.pidfile) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("removing {}: {error}", path.display());
        }
    }
    outcome
}

async fn end(engine: &Engine) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("hear SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("hear SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = engine.gave_up() => Err(anyhow::anyhow!("the root supervisor gave up")),
    }
}

fn registries(config: &Config) -> RegistryConfig {
    RegistryConfig {
        insecure: config.insecure_registries.clone(),
        mirrors: config.registry_mirrors.clone(),
        ..RegistryConfig::default()
    }
}

fn ports(config: &Config) -> anyhow::Result<Ports> {
    let registry = RegistryClient::new(registries(config)).map_err(|e| anyhow::anyhow!(e.chain()))?;
    let store =
        Store::open(&config.data_root, Some(Arc::new(registry))).map_err(|e| anyhow::anyhow!(e.chain()))?;
    let store = Arc::new(store);
    let signals = Signals::default();
    let runtime = RuntimeConfig {
        containers: config.data_root.join("containers"),
        exec_root: config.exec_root.clone(),
        shim: shim(config)?,
        cgroup_parent: config.cgroup_parent.clone(),
        spool_budget: config.spool_budget,
    };
    Ok(Ports {
        runtime: Arc::new(ShimRuntime::new(runtime, signals.clone())),
        spools: Arc::new(FileSpools::new(signals)),
        records: Arc::new(FileRecords::new(&config.data_root)),
        roots: Arc::new(OverlayRoots::new(&config.data_root, Arc::clone(&store))),
        images: store,
        network_records: Arc::new(FileNetworkRecords::new(&config.data_root)),
        networks: Arc::new(Bridges::start().context("open netlink sockets")?),
        drivers: log_drivers::catalogue(),
        validate: log_drivers::validate,
        attributes: log_drivers::attributes,
    })
}

/// The shim program: as configured, or beside this one.
fn shim(config: &Config) -> anyhow::Result<PathBuf> {
    let path = match &config.shim {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("find this program")?.with_file_name("gantry-shim"),
    };
    path.canonicalize().with_context(|| format!("find the shim {}", path.display()))
}
