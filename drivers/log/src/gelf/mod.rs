//! `gelf`: Graylog's format over UDP and TCP.

mod message;
mod options;
mod udp;

use crate::attrs::{attributes, check_metadata, tag};
use crate::datagram::Socket;
use crate::dial::Target;
use crate::options::check_known;
use crate::tries::Tries;
use crate::unconfirmed::Line;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, Certain, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use message::Writer;
use options::{Address, OPTIONS, Packing};
use std::io;
use std::time::Duration;

/// `gelf`.
pub(crate) struct Gelf;

#[async_trait]
impl LogDriverKind for Gelf {
    fn name(&self) -> &'static str {
        "gelf"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        Address::parse(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        let policy = BatchPolicy { max_lines: 1024, max_bytes: 256 * 1024, ..BatchPolicy::default() };
        match Address::parse(options) {
            Ok(Address::Tcp(..)) => policy,
            // What does not fit the datagrams of a message would be refused.
            _ => BatchPolicy { max_record: 96 * 1024, ..policy },
        }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let mut attributes = attributes(source, options)?;
        // It has a field of its own.
        attributes.remove("tag");
        let writer = Writer::new(source, &tag(source, options)?, &attributes);
        Ok(match Address::parse(options)? {
            Address::Udp(target, packing) => Box::new(Datagrams { target, packing, writer, socket: None }),
            Address::Tcp(target, most, pause) => Box::new(Stream {
                line: Line::new(Target::Tcp(target)),
                writer,
                tries: Tries { most, pause: Some(pause), ..Tries::default() },
            }),
        })
    }
}

struct Datagrams {
    target: String,
    packing: Packing,
    writer: Writer,
    socket: Option<Socket>,
}

impl Datagrams {
    /// Sends what is not empty; the lines that are too long are given back.
    async fn send(&mut self, batch: &Batch) -> io::Result<Vec<usize>> {
        let socket = match self.socket.take() {
            Some(mut open) => {
                if open.current(&self.target).await {
                    open
                } else {
                    Socket::open(&self.target).await?
                }
            }
            None => Socket::open(&self.target).await?,
        };
        let mut refused = Vec::new();
        for (index, line) in batch.lines.iter().enumerate().filter(|(_, line)| !line.data.is_empty()) {
            let mut message = Vec::new();
            self.writer.append(line, &mut message);
            let mut id = [0; 8];
            getrandom::fill(&mut id).map_err(|e| io::Error::other(e.to_string()))?;
            let Some(datagrams) = udp::datagrams(udp::pack(message, self.packing)?, id) else {
                refused.push(index);
                continue;
            };
            for datagram in &datagrams {
                socket.send(datagram).await?;
            }
        }
        socket.refused()?;
        self.socket = Some(socket);
        Ok(refused)
    }
}

#[async_trait]
impl LogDriver for Datagrams {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        match self.send(batch).await {
            Ok(refused) if refused.is_empty() => Ok(()),
            Ok(lines) => Err(DeliverError::Reject { lines, source: "longer than 128 chunks".into() }),
            Err(source) => Err(DeliverError::Retry { source: Box::new(source), after: None }),
        }
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        Ok(())
    }
}

struct Stream {
    line: Line,
    writer: Writer,
    tries: Tries,
}

#[async_trait]
impl LogDriver for Stream {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let mut messages = Vec::new();
        for line in batch.lines.iter().filter(|line| !line.data.is_empty()) {
            self.writer.append(line, &mut messages);
            messages.push(0);
        }
        if messages.is_empty() {
            return Ok(());
        }
        match self.line.write(messages, Some(&batch.end)).await {
            Ok(_buffer) => {
                self.tries.failed = 0;
                Ok(())
            }
            Err(source) => {
                let error = DeliverError::Retry { source: Box::new(source), after: None };
                Err(self.tries.fail(error, batch.lines.len()))
            }
        }
    }

    fn confirms(&self) -> bool {
        false
    }

    fn certain(&self) -> Certain {
        self.line.certain()
    }

    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        let looked = self.line.look_after().await;
        looked.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }

    fn may_end_within(&mut self, limit: Duration) {
        self.line.may_end_within(limit);
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        let closed = self.line.close().await;
        closed.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }
}

#[cfg(test)]
mod tests;
