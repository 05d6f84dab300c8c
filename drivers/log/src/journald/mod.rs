//! `journald`: the journal of this machine, or one of its namespaces.

mod entry;
mod socket;

use crate::attrs::{attributes, check_metadata, tag};
use crate::options::{METADATA, check_known, invalid};
use async_trait::async_trait;
use contract::log::{
    Batch, BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use contract::{Kind, PortError};
use entry::Writer;
use socket::Socket;
use std::path::PathBuf;

static OPTIONS: [OptionSpec; 6] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec {
            name: "journald-namespace",
            doc: "the journal namespace; the machine's own unless given",
        },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

/// `journald`.
pub(crate) struct Journald;

/// Where the journal listens (systemd-journald.service(8)).
fn path(options: &Options) -> Result<PathBuf, PortError> {
    let namespace = options.get("journald-namespace").map_or("", String::as_str);
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    match namespace {
        "" => Ok("/run/systemd/journal/socket".into()),
        name if name.chars().all(fine) => Ok(format!("/run/systemd/journal.{name}/socket").into()),
        name => Err(invalid(format!("invalid journald-namespace: {name:?}"))),
    }
}

#[async_trait]
impl LogDriverKind for Journald {
    fn name(&self) -> &'static str {
        "journald"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        path(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, _options: &Options) -> BatchPolicy {
        BatchPolicy { max_lines: 1024, max_bytes: 256 * 1024, ..BatchPolicy::default() }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let mut epoch = [0; 32];
        getrandom::fill(&mut epoch).map_err(|e| PortError::new(Kind::Bug, format!("random bytes: {e}")))?;
        let epoch: String = epoch.iter().map(|b| format!("{b:02x}")).collect();
        let mut attributes = attributes(source, options)?;
        // It has a field of its own.
        attributes.remove("tag");
        let writer = Writer::new(source, &tag(source, options)?, &attributes, &epoch);
        Ok(Box::new(Sender { path: path(options)?, socket: None, writer, entry: Vec::new() }))
    }
}

struct Sender {
    path: PathBuf,
    socket: Option<Socket>,
    writer: Writer,
    entry: Vec<u8>,
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let retry = |source: std::io::Error| DeliverError::Retry { source: Box::new(source), after: None };
        for line in &batch.lines {
            let socket = match self.socket.take() {
                Some(open) => open,
                None => Socket::open(&self.path).map_err(retry)?,
            };
            self.writer.entry(line, &mut self.entry);
            // A socket that failed is opened anew: the journal may have been started again.
            socket.send(&self.entry).await.map_err(retry)?;
            self.socket = Some(socket);
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        Ok(())
    }
}
