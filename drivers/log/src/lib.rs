//! The log drivers: where a container's lines can go, and how file drivers give them back.
//!
//! Adding a driver is one module and one line in [`catalogue`].

mod attrs;
mod awslogs;
mod datagram;
mod dial;
mod drivers;
mod file;
mod fluentd;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod gcplogs;
mod gelf;
mod gzip;
mod http;
mod journald;
mod json_file;
mod local;
mod loki;
mod none;
mod options;
mod otlp;
mod plugin;
mod span;
mod splunk;
mod syslog;
mod template;
mod tls;
mod tries;
mod unconfirmed;

pub use attrs::attributes;
pub use drivers::Drivers;
pub use plugin::Places;

use contract::log::LogDriverKind;

/// Every driver that is built in.
pub fn catalogue() -> &'static [&'static dyn LogDriverKind] {
    &[
        &awslogs::AwsLogs,
        &fluentd::Fluentd,
        &gcplogs::GcpLogs,
        &gelf::Gelf,
        &journald::Journald,
        &json_file::JsonFile,
        &local::Local,
        &loki::Loki,
        &none::Nothing,
        &otlp::Otlp,
        &splunk::Splunk,
        &syslog::Syslog,
    ]
}

/// The built-in driver of that name.
pub fn find(name: &str) -> Option<&'static dyn LogDriverKind> {
    catalogue().iter().copied().find(|kind| kind.name() == name)
}
