//! `gantryd`: the daemon. Reads its configuration, builds the drivers, starts the actors, serves the API.
#![recursion_limit = "256"] // `info` is one large JSON object.

mod compose;
mod gateway;
mod host;
mod identity;
mod inside;
mod listen;
mod live;
mod logs;
mod notify;
mod pidfile;
mod service;
mod signals;
mod tls;

use anyhow::Context as _;
use config::{Config, ConfigError, Encryption};
use std::process::ExitCode;
use tokio_rustls::TlsAcceptor;

fn main() -> ExitCode {
    if let Some(order) = inside::order() {
        return inside::run(&order);
    }
    let config = match Config::load(std::env::args_os()) {
        Ok(config) => config,
        Err(ConfigError::Flags(error)) => {
            // Printing fails only when nobody reads.
            let _unread = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        Err(error) => return refuse(&error.into()),
    };
    let tls = match check(&config) {
        Ok(tls) => tls,
        Err(error) => return refuse(&error),
    };
    if config.validate {
        // On standard error, as `dockerd` and `nginx -t` do.
        eprintln!("configuration OK");
        return ExitCode::SUCCESS;
    }
    let level = logs::start(&config.logging);
    actors::supervise::install_panic_hook();
    let outcome = runtime().and_then(|runtime| {
        // All control actors share this thread; their effects and the API run on the runtime's pool.
        let system = actix::System::with_tokio_rt(move || runtime);
        system.block_on(service::run(config, tls, level))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// What can be wrong with a configuration beyond its form.
fn check(config: &Config) -> anyhow::Result<Option<TlsAcceptor>> {
    compose::drivers(config)
        .check(&config.defaults.log_driver, &config.defaults.log_opts)
        .map_err(|e| anyhow::anyhow!("failed to set log opts: {}", e.chain()))?;
    gateway::log_sinks(config).map_err(|e| anyhow::anyhow!("{}", e.chain()))?;
    match &config.sockets.encryption {
        Encryption::Tls(files) => tls::acceptor(files).map(Some),
        Encryption::Unsaid | Encryption::Declined => Ok(None),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
        .enable_all()
        .build()
        .context("start the runtime")
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("gantryd: {error:#}");
    ExitCode::FAILURE
}
