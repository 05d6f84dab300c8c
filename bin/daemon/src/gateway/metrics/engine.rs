//! The engine as a whole: under Docker's names what Docker tells too (moby `daemon/internal/metrics`), under gantry's what it
//! alone has.

use super::Readings;
use super::families::{Families, Spread};
use actors::Timing;
use actors::meters::BOUNDS;
use std::fmt::Error;

/// Writes them.
pub fn write(now: &Readings, to: &mut Families<'_>) -> Result<(), Error> {
    dockers(now, to)?;
    to.gauges(
        "gantry_containers",
        "Containers by state",
        now.containers.iter().map(|(state, n)| (vec![("state", *state)], *n as f64)),
    )?;
    to.gauges(
        "gantry_actors",
        "Supervised actors by kind and state",
        now.actors.iter().map(|((kind, state), n)| (vec![("kind", *kind), ("state", *state)], *n as f64)),
    )?;
    to.gauges(
        "gantry_actor_messages_waiting",
        "Messages in the mailboxes of actors of a kind",
        now.waiting.iter().map(|(kind, n)| (vec![("kind", *kind)], *n as f64)),
    )?;
    to.counters(
        "gantry_actor_respawns",
        "Actors built anew after a panic",
        now.respawns.iter().map(|(kind, n)| (vec![("kind", *kind)], *n)),
    )?;
    to.gauge("gantry_images", "Images", now.images as f64)
}

fn dockers(now: &Readings, to: &mut Families<'_>) -> Result<(), Error> {
    let own = &now.identity;
    let labels = vec![
        ("architecture", own.architecture.as_str()),
        ("commit", ""),
        ("daemon_id", &own.id),
        ("graphdriver", "overlay2"),
        ("kernel", &own.kernel),
        ("os", &own.system),
        ("os_type", "linux"),
        ("os_version", &own.system_version),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    to.gauges("engine_daemon_engine_info", "The engine and the machine it runs on", [(labels, 1.0)])?;
    to.gauge("engine_daemon_engine_cpus_cpus", "Processors of the machine", own.cpus as f64)?;
    to.gauge("engine_daemon_engine_memory_bytes", "Bytes of memory of the machine", own.memory as f64)?;
    let count = |state: &str| now.containers.get(state).copied().unwrap_or_default();
    let all: u64 = now.containers.values().sum();
    // As `docker info` counts them.
    let (running, paused) = (count("running") + count("restarting"), count("paused"));
    let states = [("paused", paused), ("running", running), ("stopped", all - running - paused)];
    to.gauges(
        "engine_daemon_container_states_containers",
        "Containers by state, in three classes",
        states.map(|(state, n)| (vec![("state", state)], n as f64)),
    )?;
    to.histograms(
        "engine_daemon_container_actions_seconds",
        "How long what succeeded took, by what was done to a container",
        now.counts.actions.iter().map(|(action, timing)| (vec![("action", *action)], spread(timing))),
    )?;
    let counts = &now.counts;
    to.counter("engine_daemon_events", "Events told", counts.events as f64)?;
    to.gauge(
        "engine_daemon_events_subscribers_total",
        "Clients that listen to events",
        now.listeners as f64,
    )?;
    to.counter("engine_daemon_health_checks", "Probes of health checks", counts.checks as f64)?;
    to.counter("engine_daemon_health_checks_failed", "Probes that failed", counts.failed_checks as f64)
}

/// With the class of what took longer than all bounds.
fn spread(timing: &Timing) -> Spread {
    let within: u64 = timing.classes.iter().sum();
    let beyond = (f64::INFINITY, timing.count.saturating_sub(within));
    (timing.sum, timing.count, BOUNDS.into_iter().zip(timing.classes).chain([beyond]).collect())
}
