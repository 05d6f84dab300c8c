//! `otlp`: OpenTelemetry's protocol, protobuf over HTTP.

mod options;
mod proto;
mod record;

use crate::attrs::{attributes, check_metadata};
use crate::gzip::{gzip, level};
use crate::http::{Answer, Poster, Protocol, Verdict};
use crate::options::check_known;
use crate::tries::Tries;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogLine, LogSource, OptionSpec, Options,
};
use options::{OPTIONS, Packing, packing, pairs, settings};
use prost::Message;
use proto::{Resource, Response, Status};
use std::io;

/// `otlp`.
pub(crate) struct Otlp;

#[async_trait]
impl LogDriverKind for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        settings(options)?.open()?;
        pairs(options, "otlp-resource-attributes")?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, _options: &Options) -> BatchPolicy {
        BatchPolicy::default()
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let mut given = attributes(source, options)?;
        if let Some(tag) = given.remove("tag") {
            given.insert("log.tag".to_owned(), tag);
        }
        given.extend(pairs(options, "otlp-resource-attributes")?);
        let protocol = Export { resource: record::resource(source, given), packing: packing(options)? };
        Ok(Box::new(Poster { endpoint: settings(options)?.open()?, protocol, tries: Tries::default() }))
    }
}

struct Export {
    resource: Resource,
    packing: Packing,
}

impl Protocol for Export {
    fn body(&mut self, lines: &[LogLine]) -> io::Result<Option<Vec<u8>>> {
        if lines.is_empty() {
            return Ok(None);
        }
        let message = record::request(&self.resource, lines).encode_to_vec();
        Ok(Some(match self.packing {
            Packing::Gzip => gzip(&message, level(-1))?,
            Packing::Plain => message,
        }))
    }

    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError> {
        Ok(match answer {
            Answer::Refused(body, status) => {
                let why = match Status::decode(body) {
                    Ok(told) if !told.message.is_empty() => format!("{status}: {}", told.message),
                    _ => status,
                };
                Verdict { refused: 0..lines.len(), why, resume: None }
            }
            // How many it did not take, not which.
            Answer::Taken(body) => match Response::decode(body).ok().and_then(|r| r.partial_success) {
                Some(partial) if partial.rejected_log_records > 0 => {
                    let count = usize::try_from(partial.rejected_log_records).unwrap_or(usize::MAX);
                    Verdict { refused: 0..count.min(lines.len()), why: partial.error_message, resume: None }
                }
                _ => Verdict::default(),
            },
            Answer::TooLarge(_) => Verdict::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;

    #[test]
    fn records_that_were_not_taken_are_counted() {
        let mut export = Export { resource: Resource::default(), packing: Packing::Plain };
        let line = LogLine { stream: Stream::Stdout, time_ns: 0, data: "x".into(), partial: None };
        let lines = [line.clone(), line.clone(), line];
        let said = b"\x0a\x08\x08\x02\x12\x04full".as_slice();
        let verdict = export.verdict(&lines, Answer::Taken(said.into())).unwrap();
        assert_eq!(verdict, Verdict { refused: 0..2, why: "full".into(), resume: None });
        assert_eq!(export.verdict(&lines, Answer::Taken(b"".as_slice().into())).unwrap(), Verdict::default());
        let said = b"\x08\x03\x12\x05wrong".as_slice();
        let verdict = export.verdict(&lines, Answer::Refused(said.into(), "400".into())).unwrap();
        assert_eq!(verdict, Verdict { refused: 0..3, why: "400: wrong".into(), resume: None });
    }
}
