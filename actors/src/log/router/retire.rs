//! The end of a router whose container gets another one.

use super::actor::RouterApi;
use crate::log::lane::Last;
use crate::log::sink::SinkSpec;
use crate::log::swap::{self, Stood};
use crate::shared::CLOSE;
use contract::log::{Cursor, LogSource};
use contract::runtime::Spool;
use contract::{Kind, PortError};
use futures::future::join_all;
use std::time::Duration;

impl RouterApi {
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
    let told = sink.gauge.read().cursor;
    let own = match last {
        Some(driver) => {
            let cursor = driver.cursor();
            // What its far side does about it is nothing to wait for.
            tokio::spawn(async move { tokio::time::timeout(CLOSE, driver.close()).await });
            cursor
        }
        // Nobody else knows what a kill has left in its files.
        None if sink.kind.reader().is_some() => match sink.kind.open(source, &sink.options).await {
            Ok(driver) => driver.cursor(),
            Err(error) => {
                tracing::warn!(sink = sink.name, error = error.chain(), "its own cursor cannot be read");
                told.clone()
            }
        },
        None => None,
    };
    match own {
        Some(cursor) => Ok(cursor),
        None => {
            let stored = spool.load_cursor(&sink.name).await?.unwrap_or_default();
            // Lines that are not for a sink are passed over without a word to the disk.
            Ok(told.map_or(stored.clone(), |told| swap::furthest(&told, &stored)))
        }
    }
}
