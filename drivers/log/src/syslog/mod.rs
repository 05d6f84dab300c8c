//! `syslog` over unix sockets, UDP, TCP and TLS.

mod connection;
mod format;

use crate::attrs::{attributes, check_metadata, tag};
use crate::dial::Target;
use crate::options::{METADATA, check_known, invalid};
use crate::tls::{Identity, Keys, Trust};
use async_trait::async_trait;
use connection::{Address, Way};
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, Certain, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use format::{Formatter, Framing, Shape};
use std::time::Duration;

static OPTIONS: [OptionSpec; 12] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "syslog-address", doc: "udp|tcp|tcp+tls://host[:port] or unix|unixgram://path" },
        OptionSpec { name: "syslog-facility", doc: "name or number; daemon unless given" },
        OptionSpec { name: "syslog-tls-ca-cert", doc: "certificate authority of tcp+tls" },
        OptionSpec { name: "syslog-tls-cert", doc: "client certificate of tcp+tls" },
        OptionSpec { name: "syslog-tls-key", doc: "client key of tcp+tls" },
        OptionSpec { name: "syslog-tls-skip-verify", doc: "accept any certificate of tcp+tls" },
        OptionSpec { name: "syslog-format", doc: "rfc3164, rfc5424, rfc5424micro" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

const TLS: Keys = Keys {
    ca: "syslog-tls-ca-cert",
    pair: Some(["syslog-tls-cert", "syslog-tls-key"]),
    name: None,
    skip: "",
};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// `syslog`.
pub(crate) struct Syslog;

fn facility(options: &Options) -> Result<u8, PortError> {
    let text = options.get("syslog-facility").map_or("daemon", String::as_str);
    let text = if text.is_empty() { "daemon" } else { text };
    let named = FACILITIES.iter().position(|f| *f == text).map(|n| n as u8);
    named.or_else(|| text.parse().ok().filter(|n| *n <= 23)).ok_or_else(|| invalid("invalid syslog facility"))
}

fn shape(options: &Options) -> Result<Shape, PortError> {
    match options.get("syslog-format").map_or("", String::as_str) {
        "" => Ok(Shape::Unix),
        "rfc3164" => Ok(Shape::Rfc3164),
        "rfc5424" => Ok(Shape::Rfc5424 { micro: false }),
        "rfc5424micro" => Ok(Shape::Rfc5424 { micro: true }),
        _ => Err(invalid("Invalid syslog format")),
    }
}

fn address(options: &Options) -> Result<Address, PortError> {
    let own = TLS.read(options)?;
    // Its presence alone means yes, as in Docker.
    let skip = options.contains_key("syslog-tls-skip-verify");
    let identity = Identity { trust: if skip { Trust::Anybody } else { own.trust }, ..own };
    Address::parse(options.get("syslog-address").map_or("", String::as_str), &identity)
}

#[async_trait]
impl LogDriverKind for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        address(options)?.check()?;
        facility(options)?;
        shape(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        let policy = BatchPolicy { max_lines: 1024, max_bytes: 256 * 1024, ..BatchPolicy::default() };
        match address(options) {
            // Well below what a stream remembers.
            Ok(Address::Stream(_)) => BatchPolicy { max_bytes: 512 * 1024, ..BatchPolicy::default() },
            // What is longer than a datagram would be refused.
            _ => BatchPolicy { max_record: 32 * 1024, ..policy },
        }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let address = address(options)?;
        let framing = match (&address, shape(options)?) {
            // RFC 5425; Docker frames so over TLS alone.
            (Address::Stream(Target::Tls(..)), Shape::Rfc5424 { .. }) => Framing::Counted,
            _ => Framing::Line,
        };
        let formatter = Formatter::new(shape(options)?, facility(options)?, tag(source, options)?, framing);
        Ok(Box::new(Sender { way: Way::new(address), formatter, frames: Vec::new() }))
    }
}

struct Sender {
    way: Way,
    formatter: Formatter,
    frames: Vec<u8>,
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        self.frames.clear();
        let mut ends = Vec::with_capacity(batch.lines.len());
        for (index, line) in batch.lines.iter().enumerate().filter(|(_, line)| !line.data.is_empty()) {
            self.formatter.append(line, &mut self.frames);
            ends.push((index, self.frames.len()));
        }
        if ends.is_empty() {
            return Ok(());
        }
        let sent = self.way.send(&mut self.frames, &ends, &batch.end).await;
        let refused = sent.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })?;
        if refused.is_empty() {
            return Ok(());
        }
        Err(DeliverError::Reject { lines: refused, source: "longer than a datagram".into() })
    }

    fn confirms(&self) -> bool {
        !self.way.is_stream()
    }

    fn certain(&self) -> Certain {
        self.way.certain()
    }

    async fn look_after(&mut self) -> Result<bool, DeliverError> {
        let looked = self.way.look_after().await;
        looked.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }

    fn may_end_within(&mut self, limit: Duration) {
        self.way.may_end_within(limit);
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        let closed = self.way.close().await;
        closed.map_err(|e| DeliverError::Retry { source: Box::new(e), after: None })
    }
}
