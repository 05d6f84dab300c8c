//! The host's resolver, and the servers it names.

use crate::place::Place;
use crate::process::Running;
use crate::{Builder, image};
use std::sync::Arc;

/// A builder in a place whose host has a resolv.conf of the test's own, for the daemon alone; and another one behind
/// systemd-resolved's stub.
pub fn with_resolv_conf(place: &Arc<Place>, text: &str) -> Builder {
    set_resolv_conf(place, text);
    std::fs::create_dir_all(place.path("resolve")).expect("make a folder");
    let script = format!(
        "mount --bind {root}/resolv.conf /etc/resolv.conf && mkdir -p {root}/over && \
         mount -t tmpfs tmpfs {root}/over && mkdir {root}/over/run {root}/over/work && \
         mount -t overlay -o lowerdir=/run,upperdir={root}/over/run,workdir={root}/over/work overlay /run && \
         mkdir -p /run/systemd/resolve && mount --bind {root}/resolve /run/systemd/resolve && exec \"$@\"",
        root = place.root().display()
    );
    Builder::at(place).through(&["unshare", "-m", "sh", "-c", &script, "sh"])
}

/// Changes what it says, in place.
pub fn set_resolv_conf(place: &Place, text: &str) {
    std::fs::write(place.path("resolv.conf"), text).expect("write a resolv.conf");
}

/// Starts a DNS server on the test's host with rules for names (`tests/guest/dns.rs`). It prints each question.
#[track_caller]
pub fn serve_dns(place: &Place, address: &str, rules: &str) -> Running {
    let guest = image::guest();
    let mut command = place.command(guest);
    command.args(["dns", address]).args(rules.split_whitespace());
    let server = Running::spawn(command);
    server.wait_for("listening");
    server
}
