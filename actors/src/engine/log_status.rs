//! How the sinks of running routers are.

use super::Engine;
use crate::log::{Purpose, Reading, SinkSpec};
use crate::shared::{Logging, lock};
use contract::PortError;
use contract::log::{Cursor, Position, Streams};
use contract::runtime::{Spool, SpoolRecord};

/// Bytes asked of the spool at once.
const READ: usize = 256 * 1024;

/// What a sink has not delivered yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of output.
    pub bytes: u64,
    /// Ends of lines in them.
    pub lines: u64,
    /// When the first of them was read from the container, ns since the epoch.
    pub oldest_ns: Option<i64>,
}

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
    /// Why it is there.
    pub purpose: Purpose,
    /// What its router knew last.
    pub reading: Reading,
    /// What it has not delivered yet; none where its output could not be read.
    pub lag: Option<Lag>,
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
        let mut out = Vec::new();
        for (container, logging) in all {
            let now = self.shared.board.get(&container);
            let name = now.map_or_else(|| logging.source.container_name.clone(), |s| s.state.name.clone());
            for sink in logging.sinks.iter() {
                let SinkSpec { name: of, kind, streams, purpose, gauge, .. } = sink;
                let reading = gauge.read();
                let lag = match &reading.cursor {
                    Some(cursor) => lag(&*logging.spool, cursor, *streams).await.ok(),
                    None => None,
                };
                out.push(SinkReport {
                    container: container.clone(),
                    name: name.clone(),
                    sink: of.clone(),
                    driver: kind.name(),
                    streams: *streams,
                    purpose: *purpose,
                    reading,
                    lag,
                });
            }
        }
        out.sort_by(|a, b| (&a.name, &a.sink).cmp(&(&b.name, &b.sink)));
        Ok(out)
    }
}

/// Counted anew whenever it is asked for: nobody pays for it who does not look.
async fn lag(spool: &dyn Spool, cursor: &Cursor, streams: Streams) -> Result<Lag, PortError> {
    let mut lag = Lag::default();
    let mut from = cursor.floor();
    loop {
        let (records, next) = spool.read(from, READ).await?;
        if records.is_empty() {
            return Ok(lag);
        }
        for record in &records {
            let SpoolRecord::Data { at, stream, time_ns, data } = record else { continue };
            if !streams.lets(*stream) {
                continue;
            }
            let mark = match stream {
                contract::log::Stream::Stdout => &cursor.stdout,
                contract::log::Stream::Stderr => &cursor.stderr,
            };
            let rest = undelivered(*at, mark.at, mark.skip, data);
            if rest.is_empty() {
                continue;
            }
            lag.bytes += rest.len() as u64;
            lag.lines += memchr::memchr_iter(b'\n', rest).count() as u64;
            lag.oldest_ns.get_or_insert(*time_ns);
        }
        from = next;
    }
}

/// What of a record lies behind a mark.
fn undelivered(at: Position, mark: Position, skip: u32, data: &[u8]) -> &[u8] {
    match at.cmp(&mark) {
        std::cmp::Ordering::Less => &[],
        std::cmp::Ordering::Equal => data.get(skip as usize..).unwrap_or_default(),
        std::cmp::Ordering::Greater => data,
    }
}
