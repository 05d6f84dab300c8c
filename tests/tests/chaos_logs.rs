//! Logs while everything fails at once: daemon, actors, receivers, disk. Longer by `make chaos-logs`. Needs the build of
//! `make fault`.

use gantry_tests::{Chaos, InMemory, Place, Scale};
use std::time::Duration;

#[test]
fn every_line_is_stored_once_and_sent_at_least_once_whatever_fails() {
    let given = std::env::var("CHAOS_SECONDS").ok().map(|s| s.parse().expect("CHAOS_SECONDS is a number"));
    let lasts = Duration::from_secs(given.unwrap_or(25));
    let scale = Scale { containers: if given.is_some() { 20 } else { 6 }, lasts };
    let place = Place::new();
    let disk = InMemory::mount(&place, if given.is_some() { 1500 } else { 200 });
    let mut chaos = Chaos::begin(&place, scale);
    chaos.rage();
    chaos.settle();
    drop(disk);
}
