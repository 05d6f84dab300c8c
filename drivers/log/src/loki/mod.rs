//! `loki`: Grafana Loki's push API.

mod labels;
mod options;
mod push;

use crate::attrs::check_metadata;
use crate::http::{Answer, Poster, Protocol, Verdict};
use crate::options::check_known;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogLine, LogSource, OptionSpec, Options,
};
use labels::{check_external, labels, selector};
use options::{OPTIONS, batch_size, check_refused, settings, tries};
use push::Latest;
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
}

impl Protocol for Push {
    fn body(&mut self, lines: &[LogLine]) -> io::Result<Option<Vec<u8>>> {
        self.sent = self.delivered;
        let request = push::request(lines, &self.selectors, &mut self.sent);
        request.map(|request| push::body(&request)).transpose()
    }

    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError> {
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

/// How many entries Loki says it left out, having taken the rest: `…, total ignored: 2 out of 10`. It names the first
/// few of them by their times alone.
fn ignored(text: &str) -> Option<usize> {
    let (_, counts) = text.rsplit_once("total ignored: ")?;
    counts.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_loki_left_out_are_counted() {
        let text = "400 Bad Request - entry with timestamp 2024-01-02 03:04:05 ignored, reason: 'entry too far behind', \
                    user 'fake', total ignored: 2 out of 10";
        assert_eq!(ignored(text), Some(2));
        assert_eq!(ignored("400 Bad Request - error parsing labels"), None);
    }
}
