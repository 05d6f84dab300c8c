//! `fluentd`: the forward protocol over TCP, TLS and unix sockets, confirmed chunk by chunk if asked for.

mod forward;
mod options;

use crate::attrs::{attributes, check_metadata, tag};
use crate::dial::Connection;
use crate::options::check_known;
use crate::unconfirmed::Line;
use async_trait::async_trait;
use base64::Engine as _;
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, Certain, Cursor, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec,
    Options,
};
use forward::{Ack, Encoder, Head, Precision};
use options::{OPTIONS, Settings};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// Lines of one message. The receiver works on one while the next is made, and confirms each by itself.
const LINES: usize = 1024;
/// How long the end of a connection may take.
const CLOSE: Duration = Duration::from_secs(1);

/// `fluentd`.
pub(crate) struct Fluentd;

#[async_trait]
impl LogDriverKind for Fluentd {
    fn name(&self) -> &'static str {
        "fluentd"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        Settings::parse(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        // What cannot be read was refused before.
        let max_bytes = Settings::parse(options).map_or(1 << 20, |s| s.max_bytes);
        BatchPolicy { max_bytes, ..BatchPolicy::default() }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let settings = Settings::parse(options)?;
        let mut attributes = attributes(source, options)?;
        // It names the whole message.
        attributes.remove("tag");
        let head = Head {
            tag: tag(source, options)?,
            container_id: source.container_id.clone(),
            container_name: format!("/{}", source.container_name),
            attributes,
            precision: if settings.sub_second { Precision::Nanosecond } else { Precision::Second },
            packing: settings.packing,
        };
        let way = match settings.acknowledged {
            true => Way::Confirmed(None),
            false => {
                Way::Unconfirmed(Box::new(Line::within(settings.target.clone(), settings.write_timeout)))
            }
        };
        let encoder = Encoder::new(head)
            .map_err(|e| PortError::caused(contract::Kind::Bug, "encode a container's attributes", e))?;
        Ok(Box::new(Sender { settings, encoder, message: Vec::new(), way, tried: Tried::default() }))
    }
}

/// What is open, and since when.
enum Way {
    Confirmed(Option<(Connection, Instant)>),
    Unconfirmed(Box<Line>),
}

struct Sender {
    settings: Settings,
    encoder: Encoder,
    message: Vec<u8>,
    way: Way,
    tried: Tried,
}

/// What came of a batch so far.
#[derive(Default)]
struct Tried {
    /// How many lines it has, and where it ends.
    batch: (usize, Cursor),
    /// Tries in a row that failed.
    failures: u64,
    /// Its messages that arrived all the same, by their place in it.
    arrived: BTreeSet<usize>,
}

impl Tried {
    /// Another batch has nothing of one before it.
    fn begin(&mut self, batch: &Batch) {
        if self.failures > 0 && (self.batch.0 != batch.lines.len() || self.batch.1 != batch.end) {
            *self = Self::default();
        }
    }

    /// The lines of which nobody knows that they arrived.
    fn missing(&self, lines: usize) -> Vec<usize> {
        (0..lines).filter(|line| !self.arrived.contains(&(line / LINES))).collect()
    }
}

impl Sender {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        let Self { settings, encoder, message, way, tried: Tried { arrived, .. } } = self;
        let Settings { reconnect, target, write_timeout, read_timeout, .. } = settings;
        let open = match way {
            Way::Confirmed(open) => open,
            Way::Unconfirmed(line) => {
                if let Some(oldest) = reconnect {
                    line.renew(*oldest).await?;
                }
                let mut chunks = batch.lines.chunks(LINES).enumerate().peekable();
                while let Some((place, lines)) = chunks.next() {
                    // What was written is the line's, and goes to the next connection by itself.
                    if arrived.contains(&place) {
                        continue;
                    }
                    message.clear();
                    encoder.message(lines, None, message)?;
                    let end = chunks.peek().is_none().then_some(&batch.end);
                    *message = line.write(std::mem::take(message), end).await?;
                    arrived.insert(place);
                }
                return Ok(());
            }
        };
        let (mut connection, since) = match open.take() {
            Some((mut connection, since)) => {
                let old = reconnect.is_some_and(|most| since.elapsed() >= most);
                if !old && connection.alive().await {
                    (connection, since)
                } else {
                    connection.close(CLOSE).await;
                    (target.connect().await?, Instant::now())
                }
            }
            None => (target.connect().await?, Instant::now()),
        };
        let mut unconfirmed = Vec::new();
        for (place, lines) in batch.lines.chunks(LINES).enumerate() {
            if arrived.contains(&place) {
                continue;
            }
            let chunk = chunk()?;
            message.clear();
            encoder.message(lines, Some(&chunk), message)?;
            if let Err(error) = connection.write(message, *write_timeout).await {
                // What was confirmed meanwhile is there to be read; that more is not, is no news.
                let _no_more = confirmed(&mut connection, unconfirmed, Duration::ZERO, arrived).await;
                return Err(error);
            }
            unconfirmed.push((place, chunk));
        }
        confirmed(&mut connection, unconfirmed, *read_timeout, arrived).await?;
        *open = Some((connection, since));
        Ok(())
    }
}

/// A name for a chunk: 128 random bits in base64, as the protocol recommends.
fn chunk() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// Longest confirmation of one chunk, bytes.
const CONFIRMATION: usize = 1024;

/// Waits until all these chunks are confirmed, in whichever order, and notes the places of those that are.
async fn confirmed(
    connection: &mut Connection,
    mut chunks: Vec<(usize, String)>,
    limit: Duration,
    arrived: &mut BTreeSet<usize>,
) -> io::Result<()> {
    let mut answer = Vec::with_capacity(128);
    while !chunks.is_empty() {
        connection.read(&mut answer, limit).await?;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            let mut after = rest;
            match rmp_serde::from_read::<_, Ack>(&mut after) {
                Ok(Ack { ack }) => {
                    let known = chunks.iter().position(|(_, chunk)| *chunk == ack);
                    let asked = || chunks.iter().map(|(_, chunk)| chunk).collect::<Vec<_>>();
                    let text = || format!("chunk {ack:?} was confirmed, not {:?}", asked());
                    let known = known.ok_or_else(|| io::Error::other(text()))?;
                    arrived.insert(chunks.swap_remove(known).0);
                    rest = after;
                }
                // Not whole yet.
                Err(_) if rest.len() < CONFIRMATION => break,
                Err(e) => return Err(io::Error::other(e)),
            }
        }
        answer = rest.to_vec();
    }
    Ok(())
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        self.tried.begin(batch);
        let Err(source) = self.send(batch).await else {
            self.tried.failures = 0;
            self.tried.arrived.clear();
            return Ok(());
        };
        self.tried.failures += 1;
        if self.tried.failures > self.settings.max_retries {
            let lines = std::mem::take(&mut self.tried).missing(batch.lines.len());
            return Err(DeliverError::Reject { lines, source: source.into() });
        }
        self.tried.batch = (batch.lines.len(), batch.end.clone());
        Err(DeliverError::Retry { source: source.into(), after: Some(self.settings.retry_wait) })
    }

    fn confirms(&self) -> bool {
        self.settings.acknowledged
    }

    fn certain(&self) -> Certain {
        match &self.way {
            Way::Unconfirmed(line) => line.certain(),
            Way::Confirmed(_) => Certain::All,
        }
    }

    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        let Way::Unconfirmed(line) = &mut self.way else { return Ok(false) };
        let looked = line.look_after().await;
        looked.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }

    fn may_end_within(&mut self, limit: Duration) {
        if let Way::Unconfirmed(line) = &mut self.way {
            line.may_end_within(limit);
        }
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        match self.way {
            Way::Confirmed(Some((connection, _))) => connection.close(CLOSE).await,
            Way::Confirmed(None) => {}
            Way::Unconfirmed(line) => {
                let closed = line.close().await;
                return closed.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
