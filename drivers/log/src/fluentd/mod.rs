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
    Batch, BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use forward::{Ack, Head, Precision};
use options::{OPTIONS, Settings};
use std::io;
use std::time::{Duration, Instant};

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
    fn batching(&self, options: &Options) -> BatchPolicy {
        // What cannot be read was refused before.
        let max_bytes = Settings::parse(options).map_or(1 << 20, |s| s.max_bytes);
        BatchPolicy { max_lines: 1024, max_bytes, ..BatchPolicy::default() }
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
            false => Way::Unconfirmed(Line::within(settings.target.clone(), settings.write_timeout)),
        };
        Ok(Box::new(Sender { settings, head, way, failures: 0 }))
    }
}

/// What is open, and since when.
enum Way {
    Confirmed(Option<(Connection, Instant)>),
    Unconfirmed(Line),
}

struct Sender {
    settings: Settings,
    head: Head,
    way: Way,
    /// Tries in a row that failed.
    failures: u64,
}

impl Sender {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        let Settings { reconnect, target, write_timeout, read_timeout, .. } = &self.settings;
        let message = |chunk: Option<&str>| self.head.message(&batch.lines, chunk).map_err(io::Error::other);
        let open = match &mut self.way {
            Way::Confirmed(open) => open,
            Way::Unconfirmed(line) => {
                let message = message(None)?;
                if let Some(oldest) = reconnect {
                    line.renew(*oldest).await?;
                }
                return line.write(message).await.map(drop);
            }
        };
        let chunk = chunk()?;
        let message = message(Some(&chunk))?;
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
        connection.write(&message, *write_timeout).await?;
        confirmed(&mut connection, &chunk, *read_timeout).await?;
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

async fn confirmed(connection: &mut Connection, chunk: &str, limit: Duration) -> io::Result<()> {
    let mut answer = Vec::with_capacity(128);
    loop {
        connection.read(&mut answer, limit).await?;
        match rmp_serde::from_slice::<Ack>(&answer) {
            Ok(Ack { ack }) if ack == chunk => return Ok(()),
            Ok(Ack { ack }) => {
                return Err(io::Error::other(format!("chunk {ack:?} was confirmed, not {chunk:?}")));
            }
            // Not whole yet.
            Err(_) if answer.len() < 1024 => {}
            Err(e) => return Err(io::Error::other(e)),
        }
    }
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let Err(source) = self.send(batch).await else {
            self.failures = 0;
            return Ok(());
        };
        self.failures += 1;
        if self.failures > self.settings.max_retries {
            self.failures = 0;
            return Err(DeliverError::Reject {
                lines: (0..batch.lines.len()).collect(),
                source: source.into(),
            });
        }
        Err(DeliverError::Retry { source: source.into(), after: Some(self.settings.retry_wait) })
    }

    fn confirms(&self) -> bool {
        self.settings.acknowledged
    }

    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        let Way::Unconfirmed(line) = &mut self.way else { return Ok(false) };
        let looked = line.look_after().await;
        looked.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        match self.way {
            Way::Confirmed(Some((connection, _))) => connection.close(CLOSE).await,
            Way::Confirmed(None) => {}
            Way::Unconfirmed(line) => line.close().await,
        }
        Ok(())
    }
}
