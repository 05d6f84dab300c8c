//! How the sinks of running routers are.

use super::Engine;
use crate::container::snapshot::Snapshot;
use crate::log::router::machine::SinkState;
use crate::log::{Lag, Place, Purpose, Reading, SinkSpec};
use crate::shared::{Logging, lock};
use contract::log::{Delivery, Streams};
use contract::runtime::{Spool as _, WhenFull};
use contract::{ContainerId, PortError};
use futures::StreamExt;
use std::time::Duration;

/// Containers looked at side by side.
const ABREAST: usize = 8;
/// A shim that answers no sooner is not waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// A sink of a container.
#[derive(Debug, Clone)]
pub struct SinkReport {
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// The sink's name among the container's.
    pub sink: String,
    /// Its driver.
    pub driver: &'static str,
    /// What goes there.
    pub streams: Streams,
    /// Who waits when it takes nothing.
    pub delivery: Delivery,
    /// Why it is there.
    pub purpose: Purpose,
    /// What its router knew last.
    pub reading: Reading,
    /// What it has not delivered yet; none where its output could not be read, or it has not begun.
    pub lag: Option<Lag>,
    /// Bytes that the container's undelivered output takes up on disk, for whichever of its sinks.
    pub spool_bytes: Option<u64>,
}

/// Of a sink about which nobody decides: what its router knew last is not how it is.
fn abandoned(mut reading: Reading) -> Reading {
    reading.status.state = SinkState::Parked;
    reading.status.last_error = Some("the container's log router failed and is started again".to_owned());
    reading.up_since_ns = None;
    reading
}

impl Engine {
    /// Every sink of every container whose output this daemon routes, or of one container. Their actors are not asked: what
    /// hangs there does not hold up whoever looks.
    pub async fn log_status(&self, term: Option<&str>) -> Result<Vec<SinkReport>, PortError> {
        let only = term.map(|term| self.find(term)).transpose()?.map(|s| s.spec.id.clone());
        let all: Vec<(String, Logging)> = lock(&self.shared.logging)
            .iter()
            .filter(|(id, _)| only.as_ref().is_none_or(|wanted| wanted == *id))
            .map(|(id, logging)| (id.clone(), logging.clone()))
            .collect();
        let looks = all.into_iter().map(|(container, logging)| self.reports(container, logging));
        let mut out: Vec<SinkReport> = futures::stream::iter(looks).buffer_unordered(ABREAST).concat().await;
        out.sort_by(|a, b| (&a.name, &a.sink).cmp(&(&b.name, &b.sink)));
        Ok(out)
    }

    async fn reports(&self, container: String, logging: Logging) -> Vec<SinkReport> {
        let now = self.shared.board.get(&container);
        let name =
            now.as_ref().map_or_else(|| logging.source.container_name.clone(), |s| s.state.name.clone());
        let readings: Vec<Reading> = logging.sinks.iter().map(|sink| sink.gauge.read()).collect();
        let asked = logging.sinks.iter().zip(&readings).map(|(sink, reading)| Place {
            name: &sink.name,
            cursor: reading.cursor.clone(),
            streams: sink.streams,
            losses: reading.status.losses.ahead.clone(),
            counted: reading.status.losses.counted.clone(),
        });
        let asked: Vec<Place<'_>> = asked.collect();
        let lags = logging.survey.lock().await.lags(&*logging.spool, &asked).await;
        // Its folder may just be going.
        let lags = lags.unwrap_or_else(|_| vec![None; asked.len()]);
        // After the spool: what goes from the one to the other meanwhile is not to count twice.
        let untold = self.untold(now.as_deref()).await;
        let extent = logging.spool.extent().await.ok();
        let spool_bytes = extent.map(|segments| segments.iter().map(|(_, bytes)| bytes).sum());
        let report = |((sink, seen), lag): ((&SinkSpec, Reading), Option<Lag>)| {
            let lag = lag.map(|lag| Lag { unspooled: lag.unspooled + untold, ..lag });
            let reading = sink.gauge.read_with(seen, lag.as_ref());
            SinkReport {
                container: container.clone(),
                name: name.clone(),
                sink: sink.name.clone(),
                driver: sink.kind.name(),
                streams: sink.streams,
                delivery: sink.delivery,
                purpose: sink.purpose,
                reading: if logging.router.has_failed() { abandoned(reading) } else { reading },
                lag,
                spool_bytes,
            }
        };
        logging.sinks.iter().zip(readings).zip(lags).map(report).collect()
    }

    /// Bytes of a container's output that are missing, as its shim alone knows: there is not even room to tell of them.
    async fn untold(&self, now: Option<&Snapshot>) -> u64 {
        let Some(now) = now.filter(|s| s.pid != 0 && s.spec.when_full() == WhenFull::Drop) else { return 0 };
        let id = ContainerId::new(now.spec.id.clone());
        let asked = tokio::time::timeout(PATIENCE, self.shared.ports.runtime.unspooled(&id)).await;
        // It counts once it is known.
        asked.ok().and_then(Result::ok).unwrap_or_default()
    }
}
