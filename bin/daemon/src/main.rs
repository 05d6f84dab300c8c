//! `gantryd`: the daemon. Reads its configuration, builds the drivers, starts the actors, serves the API.
#![recursion_limit = "256"] // `info` is one large JSON object.

mod compose;
mod gateway;
mod host;
mod inside;
mod listen;

use anyhow::Context as _;
use config::{Config, ConfigError};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

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
    if let Err(error) = log_drivers::validate(&config.log_driver, &config.log_opts) {
        return refuse(&anyhow::anyhow!("failed to set log opts: {}", error.chain()));
    }
    if config.validate {
        println!("configuration OK");
        return ExitCode::SUCCESS;
    }
    let filter = EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    actors::supervise::install_panic_hook();
    let outcome = runtime().and_then(|runtime| {
        // All control actors share this thread; their effects and the API run on the runtime's pool.
        let system = actix::System::with_tokio_rt(move || runtime);
        system.block_on(compose::run(config))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
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
