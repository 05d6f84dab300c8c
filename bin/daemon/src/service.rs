//! The daemon's life: what it takes hold of, what it serves, how it ends.

use crate::gateway::serve::{Listener, Traffic};
use crate::gateway::specify::Specifier;
use crate::gateway::{self, Gateway};
use crate::host::Host;
use crate::live::{self, Live};
use crate::logs::Level;
use crate::pidfile::{DataRoot, PidFile};
use crate::signals::{Signals, Wish};
use crate::{compose, identity, listen, notify};
use actors::Engine;
use actors::supervise::Registry;
use anyhow::{Context as _, bail};
use build::Builds;
use config::Config;
use nix::sys::stat::Mode;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How long requests under way may take when the daemon ends (moby gives them as much).
const REQUESTS: Duration = Duration::from_secs(5);
/// How long work begun may take then.
const WORK: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to end, or its root supervisor gives up.
pub async fn run(config: Config, tls: Option<TlsAcceptor>, level: Level) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("gantryd needs to be started with root privileges");
    }
    let mut signals = Signals::hear()?;
    let daemon = &config.daemon;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), root = %daemon.data_root.display(), "Starting up");
    // What containers read, such as /etc/hosts, is for all of their users.
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    // The programs of images are not for the users of this machine, whose owners do not look after them.
    for (folder, mode) in [(&daemon.data_root, 0o710), (&daemon.exec_root, 0o700)] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder);
        made.with_context(|| format!("make {}", folder.display()))?;
    }
    let _root = DataRoot::take(&daemon.data_root)?;
    let _pidfile = daemon.pidfile.as_deref().map(PidFile::write).transpose()?;
    if let Some(score) = daemon.oom_score_adjust {
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).context("set oom-score-adjust")?;
    }
    let mut sockets =
        listen::open(&config.sockets, tls.as_ref()).await.context("failed to load listeners")?;
    let metrics = match &config.sockets.metrics {
        Some(address) => listen::metrics(address).await.context("failed to start metrics server")?,
        None => Vec::new(),
    };
    let id = identity::read(&daemon.data_root)?;
    let networks = compose::networks(&config, &id);
    let bridge = networks.segment.clone();
    let (live, registry) = compose::live(config, level)?;
    let config = live.get();
    let tree = Registry::new(actix::System::current().arbiter().clone());
    let ports = compose::ports(&live, Arc::clone(&registry))?;
    let drivers = Arc::clone(&ports.drivers);
    let contexts = compose::contexts(&config, Arc::clone(&registry), &ports);
    let (engine, place) =
        Engine::launch_with(ports, networks, tree.clone(), |root| build::Place::under(root, &tree));
    engine.recover().await.map_err(|e| anyhow::anyhow!(e.chain())).context("recover")?;
    contexts.sweep().await.map_err(|e| anyhow::anyhow!(e.chain())).context("remove contexts of builds")?;
    let host = Arc::new(Host::read());
    let specifier = Specifier {
        engine: engine.clone(),
        host: Arc::clone(&host),
        live: Arc::clone(&live),
        data_root: config.daemon.data_root.clone(),
    };
    let specifications = Arc::new(specifier.clone());
    let builds = Builds::new(place, build::Ports { engine: engine.clone(), contexts, specifications });
    let name = host.name.clone();
    let gateway = Arc::new(Gateway {
        downloads: Arc::clone(&registry) as _,
        engine: engine.clone(),
        builds,
        specifier,
        host,
        registries: registry,
        live: Arc::clone(&live),
        id: id.clone(),
        segment: bridge,
        drivers,
    });
    let router = gateway::router(Arc::clone(&gateway));
    let traffic = Traffic::default();
    for (host, listener) in sockets.listeners.drain(..) {
        tokio::spawn(traffic.clone().serve(listener, router.clone()));
        tracing::info!("API listen on {host}");
    }
    let measures = gateway::metrics::router(gateway);
    for listener in metrics {
        tracing::info!("metrics at http://{}/metrics", listener.local_addr().context("find its address")?);
        tokio::spawn(traffic.clone().serve(Listener::Tcp(listener, None), measures.clone()));
    }
    tracing::info!(containers = engine.list().len(), "Daemon has completed initialization");
    notify::ready();
    let outcome = loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Reload => reload(&live, &engine, &id, &name),
                Wish::End => break Ok(()),
            },
            () = engine.gave_up() => break Err(anyhow::anyhow!("the root supervisor gave up")),
        }
    };
    tokio::select! {
        () = end(&live, &engine, &traffic) => {}
        code = signals.forced() => force(code),
    }
    tracing::info!("Daemon shutdown complete");
    outcome
}

fn reload(live: &Live, engine: &Engine, id: &str, name: &str) {
    notify::reloading();
    match live.reload() {
        Ok(config) => {
            tracing::info!("Reloaded configuration");
            engine.daemon_event("reload", id, live::attributes(&config, name));
        }
        Err(error) => {
            tracing::error!(
                "Error reloading configuration, everything stays as it was: {:#}",
                anyhow::Error::from(error)
            );
        }
    }
    notify::reloaded();
}

/// Answers what was asked, and takes the containers along if they are not to live on.
async fn end(live: &Live, engine: &Engine, traffic: &Traffic) {
    let config = live.get();
    let seconds = config.daemon.shutdown_timeout;
    let bound = u64::try_from(seconds).ok().map(|s| Duration::from_secs(s) + REQUESTS + WORK);
    notify::stopping(if config.daemon.live_restore { Some(REQUESTS + WORK) } else { bound });
    traffic.drain(REQUESTS).await;
    if !config.daemon.live_restore && !engine.stop_all(seconds).await {
        tracing::error!("containers were left running: the next start finds them");
    }
    engine.settle(WORK).await;
    engine.conclude_logs().await;
}

/// Leaves everything as it is.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever forces the end does not want what is under way to be waited for"
)]
fn force(code: i32) {
    tracing::warn!("Forcing daemon shutdown without cleanup; 3 interrupts received");
    std::process::exit(code);
}
