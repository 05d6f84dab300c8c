//! The end of a router whose container gets another one.

use super::actor::RouterApi;
use crate::log::lane::Last;
use crate::log::spec::SinkSpec;
use crate::log::swap::{self, Stood};
use crate::shared::CLOSE;
use contract::log::{Certain, Cursor, LogSource};
use contract::runtime::Spool;
use contract::{Kind, PortError};
use futures::future::join_all;
use std::time::Duration;

impl RouterApi {
    /// Ends the router as the daemon ends. What the far sides then confirm by closing as well is not sent again by the next.
    pub async fn conclude(&self, spool: &dyn Spool, grace: Duration) {
        self.link.stop();
        self.link.ended().await;
        let ends = self.sinks.iter().map(|sink| async move {
            let Some(read) = sink.lane.conclude(grace).await else { return };
            if let Err(error) = spool.store_cursor(&sink.name, &read).await {
                tracing::warn!(sink = sink.name, error = error.chain(), "cursor not stored");
            }
        });
        join_all(ends).await;
    }

    /// Ends the router and says where each of its sinks stands. Deliveries under way have `grace` to come to their end; then
    /// they are given up, and their lines come again from whoever goes on there.
    pub async fn retire(
        &self,
        source: &LogSource,
        spool: &dyn Spool,
        grace: Duration,
    ) -> Result<Vec<Stood>, PortError> {
        self.link.stop();
        self.link.ended().await;
        let ends = join_all(self.sinks.iter().map(|sink| sink.lane.end(grace))).await;
        let mut stood = Vec::with_capacity(self.sinks.len());
        for (sink, last) in self.sinks.iter().zip(ends) {
            let last = last.ok_or_else(|| {
                let text = format!("log driver {} has not come to the end of a write", sink.name);
                PortError::new(Kind::Unavailable, text)
            })?;
            let cursor = standing(sink, last, source, spool).await?;
            stood.push(Stood { sink: sink.clone(), cursor });
        }
        Ok(stood)
    }
}

/// Where a sink stands whose lane has ended.
async fn standing(
    sink: &SinkSpec,
    last: Last,
    source: &LogSource,
    spool: &dyn Spool,
) -> Result<Cursor, PortError> {
    let mut read = None;
    let own = match last {
        Some(driver) => {
            let (cursor, known) = (driver.cursor(), driver.certain() == Certain::All);
            let closing = tokio::spawn(async move { tokio::time::timeout(CLOSE, driver.close()).await });
            // What its far side does about it is nothing to wait for, unless it shows what was read.
            if !known && matches!(closing.await, Ok(Ok(Ok(())))) {
                sink.gauge.settle();
                // The router's end came before it heard of the last delivery.
                read.clone_from(&sink.lane.lock().await.delivered);
            }
            cursor
        }
        // Nobody else knows what a kill has left in its files.
        None if sink.kind.reader().is_some() => match sink.kind.open(source, &sink.options).await {
            Ok(driver) => driver.cursor(),
            Err(error) => {
                tracing::warn!(sink = sink.name, error = error.chain(), "its own cursor cannot be read");
                sink.gauge.standing()
            }
        },
        None => None,
    };
    match own {
        Some(cursor) => Ok(cursor),
        None => {
            let stored = spool.load_cursor(&sink.name).await?.unwrap_or_default();
            // Lines that are not for a sink are passed over without a word to the disk.
            let told = [sink.gauge.standing(), read].into_iter().flatten();
            Ok(told.fold(stored, |stored, told| swap::furthest(&told, &stored)))
        }
    }
}
