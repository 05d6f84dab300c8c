//! `splunk`: the HTTP Event Collector.

mod ack;
mod event;
mod options;

use crate::attrs::{attributes, check_metadata, tag};
use crate::gzip::gzip;
use crate::http::{Answer, Endpoint, Poster, Protocol, Verdict, later};
use crate::options::check_known;
use crate::tries::Tries;
use ack::Acks;
use async_trait::async_trait;
use bytes::Bytes;
use contract::PortError;
use contract::log::{
    BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogLine, LogSource, OptionSpec, Options,
};
use event::{Labels, Writer};
use flate2::Compression;
use options::{OPTIONS, acknowledged, compression, format, settings};
use serde::Deserialize;
use std::io;

/// `splunk`.
pub(crate) struct Splunk;

#[async_trait]
impl LogDriverKind for Splunk {
    fn name(&self) -> &'static str {
        "splunk"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        settings(options)?.open()?;
        format(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        // Docker's batch; a larger one where each waits for the index. And the longest piece of a line that Docker's driver
        // asks for.
        let max_lines = if acknowledged(options).unwrap_or(false) { 10_000 } else { 1000 };
        BatchPolicy { max_lines, max_line: 80 * 1024, ..BatchPolicy::default() }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let mut attributes = attributes(source, options)?;
        // It has a place of its own; an empty one takes it away.
        attributes.remove("tag");
        let none = options.get("tag").is_some_and(String::is_empty);
        let given = |key: &str| options.get(key).cloned().unwrap_or_default();
        let labels = Labels {
            source: given("splunk-source"),
            source_type: given("splunk-sourcetype"),
            index: given("splunk-index"),
            tag: if none { String::new() } else { tag(source, options)? },
            attributes,
        };
        let (settings, compression) = (settings(options)?, compression(options)?);
        let protocol = Events {
            writer: Writer::new(format(options)?, &labels),
            compression,
            acks: Acks::of(&settings, compression),
        };
        Ok(Box::new(Poster { endpoint: settings.open()?, protocol, tries: Tries::default() }))
    }
}

struct Events {
    writer: Writer,
    compression: Option<Compression>,
    acks: Option<Acks>,
}

/// What a collector answers.
#[derive(Debug, Default, Deserialize)]
struct Said {
    code: Option<u32>,
    /// The event that was wrong, from 0; those before it were taken, those after it were not looked at.
    #[serde(rename = "invalid-event-number")]
    wrong: Option<usize>,
}

/// Codes of refusals that are about events: no data, invalid data, no event field, a blank one. The others are about how
/// the collector is set up, such as an index that it lacks.
const ABOUT_EVENTS: [u32; 4] = [5, 6, 12, 13];

#[async_trait]
impl Protocol for Events {
    fn body(&mut self, lines: &[LogLine]) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        for line in lines.iter().filter(|line| self.writer.is_sent(line)) {
            self.writer.append(line, &mut out);
        }
        Ok(match self.compression {
            _ if out.is_empty() => None,
            None => Some(out),
            Some(level) => Some(gzip(&out, level)?),
        })
    }

    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError> {
        let Answer::Refused(body, why) = answer else { return Ok(Verdict::default()) };
        let said = serde_json::from_slice::<Said>(&body).unwrap_or_default();
        if said.code.is_some_and(|code| !ABOUT_EVENTS.contains(&code)) {
            return Err(later(why, None));
        }
        let mut sent = lines.iter().enumerate().filter(|(_, line)| self.writer.is_sent(line));
        Ok(match said.wrong.and_then(|number| sent.nth(number)) {
            Some((at, _)) => Verdict { refused: at..at + 1, why, resume: Some(at + 1) },
            None => Verdict { refused: 0..lines.len(), why, resume: None },
        })
    }

    async fn settled(&self, endpoint: &Endpoint, taken: &Bytes) -> Result<(), DeliverError> {
        match &self.acks {
            Some(acks) => acks.wait(endpoint, taken).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;

    #[test]
    fn one_wrong_event_costs_only_itself() {
        let writer = Writer::new(options::Format::Raw, &Labels::default());
        let mut events = Events { writer, compression: None, acks: None };
        let line = |data: &'static str| LogLine {
            stream: Stream::Stdout,
            time_ns: 0,
            data: data.into(),
            partial: None,
        };
        // The blank line was no event.
        let lines = [line("a"), line(" "), line("b"), line("c")];
        let told = br#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#;
        let verdict = events.verdict(&lines, Answer::Refused(told.as_slice().into(), "x".into()));
        assert_eq!(verdict.unwrap(), Verdict { refused: 2..3, why: "x".into(), resume: Some(3) });
        let told = b"no JSON";
        let verdict = events.verdict(&lines, Answer::Refused(told.as_slice().into(), "x".into()));
        assert_eq!(verdict.unwrap(), Verdict { refused: 0..4, why: "x".into(), resume: None });
        let told = br#"{"text":"Success","code":0}"#;
        assert_eq!(
            events.verdict(&lines, Answer::Taken(told.as_slice().into())).unwrap(),
            Verdict::default()
        );
        // The index may still be made.
        let told = br#"{"text":"Incorrect index","code":7,"invalid-event-number":0}"#;
        let verdict = events.verdict(&lines, Answer::Refused(told.as_slice().into(), "x".into()));
        assert!(matches!(verdict, Err(DeliverError::Retry { .. })));
    }
}
