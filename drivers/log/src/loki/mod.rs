//! `loki`: Grafana Loki's push API.

mod labels;
mod options;
mod push;

use crate::attrs::check_metadata;
use crate::http::{Answer, Poster, Protocol, Verdict, later};
use crate::options::check_known;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogLine, LogSource, OptionSpec, Options,
};
use labels::{check_external, labels, selector};
use options::{OPTIONS, batch_size, check_refused, settings, tries};
use push::{Latest, Times};
use std::io;

/// `loki`.
pub(crate) struct Loki;

#[async_trait]
impl LogDriverKind for Loki {
    fn name(&self) -> &'static str {
        "loki"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_refused(options)?;
        check_known(options, &OPTIONS, self.name())?;
        settings(options)?.open()?;
        tries(options)?;
        batch_size(options)?;
        check_external(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        labels(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        // What cannot be read was refused before.
        BatchPolicy { max_bytes: batch_size(options).unwrap_or(1 << 20), ..BatchPolicy::default() }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let labels = labels(source, options)?;
        let protocol = Push {
            selectors: [selector(&labels, "stdout"), selector(&labels, "stderr")],
            delivered: [Latest::default(); 2],
            sent: [Latest::default(); 2],
            times: Times::Own,
        };
        Ok(Box::new(Poster { endpoint: settings(options)?.open()?, protocol, tries: tries(options)? }))
    }
}

struct Push {
    /// Of standard output and of standard error.
    selectors: [String; 2],
    delivered: [Latest; 2],
    /// With the post that is on its way: one that is sent again has the same times.
    sent: [Latest; 2],
    times: Times,
}

impl Protocol for Push {
    fn body(&mut self, lines: &[LogLine]) -> io::Result<Option<Vec<u8>>> {
        self.sent = self.delivered.map(Latest::anew);
        let request = push::request(lines, &self.selectors, (&mut self.sent, self.times));
        request.map(|request| push::body(&request)).transpose()
    }

    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError> {
        let behind = self.sent.iter().any(Latest::is_behind);
        if let Answer::Refused(_, why) = &answer
            && behind
            && self.times == Times::Own
            && is_too_late(why)
        {
            // They would be refused until the clock has caught up.
            self.times = Times::Lifted;
            return Err(later(why.clone(), None));
        }
        if !behind {
            self.times = Times::Own;
        }
        self.delivered = self.sent;
        Ok(match answer {
            Answer::Refused(_, why) => Verdict {
                refused: 0..ignored(&why).unwrap_or(lines.len()).min(lines.len()),
                why,
                resume: None,
            },
            Answer::Taken(_) | Answer::TooLarge(_) => Verdict::default(),
        })
    }
}

/// Whether Loki refused entries because it has later ones of their stream: by more than half of its `max_chunk_age`, or at all
/// in old versions.
fn is_too_late(text: &str) -> bool {
    text.contains("too far behind") || text.contains("out of order")
}

/// How many entries Loki says it left out, having taken the rest: `…, total ignored: 2 out of 10`. It names the first
/// few of them by their times alone.
fn ignored(text: &str) -> Option<usize> {
    let (_, counts) = text.rsplit_once("total ignored: ")?;
    counts.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Stream;
    use prost::Message as _;

    #[test]
    fn lines_after_a_clock_that_was_set_back_too_far_for_loki_get_there_with_later_times() {
        let (delivered, times) = ([Latest::default(); 2], Times::Own);
        let selectors = ["{s=\"1\"}".to_owned(), "{s=\"2\"}".to_owned()];
        let mut push = Push { selectors, delivered, sent: delivered, times };
        let seconds = |push: &mut Push, at: &[i64]| {
            let line = |second: &i64| {
                let (stream, time_ns) = (Stream::Stdout, second * 1_000_000_000);
                LogLine { stream, time_ns, data: "x".into(), partial: None }
            };
            let lines: Vec<LogLine> = at.iter().map(line).collect();
            let body = snap::raw::Decoder::new().decompress_vec(&push.body(&lines).unwrap().unwrap());
            let request = push::PushRequest::decode(body.unwrap().as_slice()).unwrap();
            let times = request.streams[0].entries.iter().map(|entry| entry.timestamp.unwrap().seconds);
            (times.collect::<Vec<_>>(), lines)
        };
        let taken = || Answer::Taken(bytes::Bytes::new());
        let (times, lines) = seconds(&mut push, &[9000, 10, 11]);
        assert_eq!(times, [9000, 10, 11], "Loki may take them");
        let why = "400: reason: 'entry too far behind', total ignored: 2 out of 3".to_owned();
        let refused = push.verdict(&lines, Answer::Refused(bytes::Bytes::new(), why.clone()));
        assert!(matches!(refused, Err(DeliverError::Retry { .. })), "{refused:?}");
        let (times, lines) = seconds(&mut push, &[9000, 10, 11]);
        assert_eq!(times, [9000, 9000, 9000]);
        push.verdict(&lines, taken()).unwrap();
        let (times, lines) = seconds(&mut push, &[12]);
        assert_eq!(times, [9000]);
        push.verdict(&lines, taken()).unwrap();
        // It has caught up, and is set back once more.
        for (at, wanted) in [(9001, 9001), (20, 20)] {
            let (times, lines) = seconds(&mut push, &[at]);
            assert_eq!(times, [wanted]);
            push.verdict(&lines, taken()).unwrap();
        }
        // What is late for another reason is not sent again and again.
        let (_, lines) = seconds(&mut push, &[21]);
        let verdict = push.verdict(&lines, Answer::Refused(bytes::Bytes::new(), why)).unwrap();
        assert_eq!(verdict.refused, 0..1);
    }

    #[test]
    fn entries_that_loki_left_out_are_counted() {
        let text = "400 Bad Request - entry with timestamp 2024-01-02 03:04:05 ignored, reason: 'entry too far behind', \
                    user 'fake', total ignored: 2 out of 10";
        assert_eq!(ignored(text), Some(2));
        assert_eq!(ignored("400 Bad Request - error parsing labels"), None);
    }
}
