//! The daemon's own log, on standard error.

use config::{Format, Logging};
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// What is logged, to be changed while the daemon runs.
#[derive(Clone)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

fn filter(logging: &Logging) -> EnvFilter {
    EnvFilter::try_new(&logging.level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Begins to log.
pub fn start(logging: &Logging) -> Level {
    let (filter, handle) = reload::Layer::new(filter(logging));
    let ansi = std::io::stderr().is_terminal() && !logging.raw;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match logging.format {
        Format::Text => lines.with_ansi(ansi).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Level(handle)
}

impl Level {
    /// Logs by another configuration from now on.
    pub fn change(&self, logging: &Logging) {
        if let Err(error) = self.0.reload(filter(logging)) {
            tracing::error!("changing the log's level: {error}");
        }
    }
}
