//! Runs the built programs as users do. Every test gets a [`Place`]: a folder, a network namespace that plays the host, and
//! a cgroup of its own, so tests neither see each other nor the machine they run on. When the last owner of a place goes,
//! everything in it is taken away, and a passing test fails if a daemon had left anything there.
//!
//! ```no_run
//! let gantry = gantry_tests::Daemon::start();
//! let said = gantry.docker(["run", "--rm", "busybox", "echo", "hi"]);
//! assert_eq!(said.ok(), "hi");
//! ```
//!
//! Programs under test are taken from `target/debug`, or from the folder that `GANTRY_BIN` names.

mod api;
mod certificates;
pub mod cgroup;
mod chaos;
mod cloud;
mod daemon;
mod filler;
mod fluentd;
pub mod image;
mod in_memory;
mod inside;
mod journald;
mod ledger;
mod leftovers;
mod load;
mod log_plugin;
mod metrics;
mod other_host;
mod outage;
mod place;
mod process;
mod pty;
mod receiver;
mod recorder;
mod registry;
mod relay;
mod residue;
mod resolver;
mod shadow;
mod sinks;
mod syslog;
mod syslog_ng;
mod traffic;
pub mod two_tier;
mod web;

pub use api::{Answer, Caller};
pub use certificates::make_certificates;
pub use chaos::{Chaos, Scale};
pub use cloud::Cloud;
pub use daemon::{Builder, Daemon};
pub use filler::Filler;
pub use fluentd::{Event, Fluentd, Over};
pub use in_memory::InMemory;
pub use inside::{asked_for, greeted, inside};
pub use journald::Journald;
pub use ledger::{Entry, Ledger, Received, Sequence, entry};
pub use leftovers::leftovers;
pub use load::{Load, Random, WRITERS, Writer, place_with_rsyslog};
pub use log_plugin::LogPlugin;
pub use metrics::{Form, Metrics};
pub use other_host::OtherHost;
pub use outage::{Outage, Promise, Trial};
pub use place::Place;
pub use process::{Output, PATIENCE, Running, eventually, run};
pub use pty::Pty;
pub use receiver::Receiver;
pub use recorder::{Asked, Recorder};
pub use registry::Registry;
pub use relay::{Manner, Relay};
pub use residue::Residue;
pub use resolver::{serve_dns, set_resolv_conf, with_resolv_conf};
pub use shadow::Shadow;
pub use sinks::Sink;
pub use syslog::Rsyslog;
pub use syslog_ng::{SyslogNg, Understood};
pub use traffic::{Kind, Traffic};
pub use web::{TokenServer, Web, WebAnswer, WebRequest, base64};

use std::path::{Path, PathBuf};

/// A program under test: `gantryd`, `gantry` or `gantry-shim`.
pub fn program(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("GANTRY_BIN").map_or_else(|| workspace().join("target/debug"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build it first, as `make test` does", path.display());
    path
}

/// The repository's root folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie inside the workspace")
}
