//! One probe of a health check: an exec session with a deadline.

use crate::shared::Shared;
use contract::record::{Health, Probe};
use contract::runtime::{ExecSpec, Output};
use contract::{ContainerId, ExecId, PortError};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of output kept (moby `daemon/health.go`).
const KEPT: usize = 4096;
/// How long the start of a probe may take; it does not count towards the probe's own time.
const START: Duration = Duration::from_secs(30);

/// Runs a probe. It is over when this returns, unless its start hangs.
pub async fn probe(shared: &Arc<Shared>, id: &ContainerId, health: &Health, timeout: Duration) -> Probe {
    let start_ns = crate::now_ns();
    let (exit_code, output) = match run(shared, id, health, timeout).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(container = id.short(), "its health check failed: {}", error.chain());
            (-1, error.chain())
        }
    };
    shared.meters.checked(exit_code);
    Probe { start_ns, end_ns: crate::now_ns(), exit_code, output }
}

async fn run(
    shared: &Arc<Shared>,
    id: &ContainerId,
    health: &Health,
    timeout: Duration,
) -> Result<(i32, String), PortError> {
    let spec = ExecSpec {
        args: health.args.clone(),
        output: true,
        attach: [true, true],
        bound: true,
        ..ExecSpec::default()
    };
    let exec = shared.prepare_exec(id, spec)?;
    let (own, starting) = (Arc::clone(shared), exec.clone());
    // A start that is given up on is still carried to its end, and its session ends with the dropped attachment.
    let started = tokio::spawn(async move { own.run_exec(&starting, true).await });
    let Ok(started) = tokio::time::timeout(START, started).await else {
        return Ok((-1, format!("timed out starting health check for container {id}")));
    };
    let attached =
        started.map_err(|e| PortError::caused(contract::Kind::Bug, "the health check's start", e))??;
    let mut said = Said::default();
    let Some(mut attached) = attached else { return Ok((-1, "the health check has no output".into())) };
    let whole = async {
        said.take(&mut attached.output).await;
        shared.execs.ended(&exec).await;
    };
    if tokio::time::timeout(timeout, whole).await.is_err() {
        // Its client leaves, and it is killed.
        drop(attached);
        shared.execs.ended(&exec).await;
        let said = said.text();
        let colon = if said.is_empty() { "" } else { ": " };
        return Ok((-1, format!("Health check exceeded timeout ({}){colon}{said}", go_duration(timeout))));
    }
    Ok((code(shared, &exec)?, said.text()))
}

fn code(shared: &Shared, exec: &ExecId) -> Result<i32, PortError> {
    Ok(shared.execs.get(exec)?.exit_code.unwrap_or(-1))
}

/// What a probe has written, up to a bound.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    cut: bool,
}

impl Said {
    async fn take(&mut self, output: &mut Output) {
        while let Some((_, data)) = output.recv().await {
            self.add(&data);
        }
    }

    fn add(&mut self, data: &[u8]) {
        let room = KEPT - self.bytes.len();
        self.bytes.extend(data.iter().take(room));
        self.cut |= data.len() > room;
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        format!("{text}{}", if self.cut { "..." } else { "" })
    }
}

/// A time as Go prints it: `1m30s`, `1.5s`, `200ms`.
fn go_duration(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return match time.as_nanos() {
            ns @ 0..1_000 => format!("{ns}ns"),
            ns @ 1_000..1_000_000 => format!("{}µs", ns as f64 / 1e3),
            ns => format!("{}ms", ns as f64 / 1e6),
        };
    }
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    let seconds = format!("{}s", seconds as f64 + f64::from(time.subsec_nanos()) / 1e9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_worded_as_go_words_them() {
        let texts =
            [1, 1_500, 30_000, 60_000, 90_500, 3_600_000].map(|ms| go_duration(Duration::from_millis(ms)));
        assert_eq!(texts, ["1ms", "1.5s", "30s", "1m0s", "1m30.5s", "1h0m0s"]);
    }

    #[test]
    fn long_output_is_cut() {
        let mut said = Said::default();
        for _ in 0..3 {
            said.add(&[b'x'; 2000]);
        }
        assert_eq!((said.text().len(), said.text().ends_with("x...")), (KEPT + 3, true));
    }
}
