//! What systemd is told of the daemon's life (sd_notify(3)); nothing when there is no systemd.

use sd_notify::NotifyState;
use std::time::Duration;

/// The API is served.
pub fn ready() {
    tell(&[NotifyState::Ready]);
    if let Some(within) = sd_notify::watchdog_enabled() {
        tokio::spawn(alive(within / 2));
    }
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("telling the time: {error}"),
    }
}

/// Reading again is over.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The daemon ends, and may take so long for it.
pub fn stopping(within: Option<Duration>) {
    tell(&[NotifyState::Stopping]);
    if let Some(micros) = within.and_then(|w| u32::try_from(w.as_micros()).ok()) {
        tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }
}

/// Tells the watchdog that the runtime still turns.
async fn alive(pause: Duration) {
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(pause).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("notifying systemd: {error}");
    }
}
