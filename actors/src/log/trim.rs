//! Spools that could not be trimmed are trimmed later.

use contract::PortError;
use std::time::Duration;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Trims a spool until that is done, or somebody later sees to it: the container may be waiting for the room, and then there is
/// no news that would lead to another try.
pub async fn until_done<F: Future<Output = Result<(), PortError>>>(
    trim: impl Fn() -> F,
    latest: impl Fn() -> bool,
) {
    while let Err(error) = trim().await {
        tracing::warn!(error = error.chain(), "spool not trimmed");
        tokio::time::sleep(AGAIN).await;
        if !latest() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Kind;

    #[tokio::test(start_paused = true)]
    async fn a_spool_that_could_not_be_trimmed_is_trimmed_later_unless_it_was_to_be_again() {
        // A container waited for the room until the next daemon.
        let tries = std::cell::Cell::new(0);
        let trim = || {
            tries.set(tries.get() + 1);
            let done = tries.get() == 3;
            async move {
                if done { Ok(()) } else { Err(PortError::new(Kind::Unavailable, "too many open files")) }
            }
        };
        until_done(trim, || true).await;
        assert_eq!(tries.get(), 3);
        tries.set(0);
        until_done(trim, || false).await;
        assert_eq!(tries.get(), 1);
    }
}
