//! Delivery by posts: a batch goes out in as few as the receiver takes.

use super::{Answer, Endpoint};
use crate::tries::Tries;
use async_trait::async_trait;
use bytes::Bytes;
use contract::log::{Batch, DeliverError, LogDriver, LogLine};
use std::io;
use std::ops::Range;

/// How one kind of receiver is spoken to.
#[async_trait]
pub(crate) trait Protocol: Send + Sync {
    /// The body that carries `lines`; `None` when nothing of them is sent.
    fn body(&mut self, lines: &[LogLine]) -> io::Result<Option<Vec<u8>>>;
    /// What `answer` means for them. Never called with [`Answer::TooLarge`].
    fn verdict(&mut self, lines: &[LogLine], answer: Answer) -> Result<Verdict, DeliverError>;
    /// Waits for what a receiver that has taken a post has yet to do with it.
    async fn settled(&self, _endpoint: &Endpoint, _taken: &Bytes) -> Result<(), DeliverError> {
        Ok(())
    }
}

/// What became of the lines of one post.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Those that were refused for good, as places in the post.
    pub(crate) refused: Range<usize>,
    /// Why.
    pub(crate) why: String,
    /// From here on they were not looked at and are sent again.
    pub(crate) resume: Option<usize>,
}

/// The smallest post of a batch is such a part of it.
const SMALLEST: usize = 16;

/// A driver that posts.
pub(crate) struct Poster<P> {
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: P,
    pub(crate) tries: Tries,
}

impl<P: Protocol> Poster<P> {
    async fn send(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let (mut refused, mut cause) = (Vec::new(), String::new());
        // The next to be sent is the last.
        let mut parts: Vec<Range<usize>> = std::iter::once(0..batch.lines.len()).collect();
        while let Some(mut part) = parts.pop() {
            if let Some(after) = part.start.checked_add(self.endpoint.most).filter(|at| *at < part.end) {
                parts.push(after..part.end);
                part.end = after;
            }
            let lines = batch.lines.get(part.clone()).unwrap_or_default();
            let fatal = |e: io::Error| DeliverError::Fatal { source: Box::new(e) };
            let Some(body) = self.protocol.body(lines).map_err(fatal)? else { continue };
            let posted = self.endpoint.post(body).await;
            // Where a post takes longer than it may, it always would: the next ones have less. But a receiver that hangs must
            // not be left with posts of a line each when it goes on.
            if posted.is_err() && self.endpoint.timed_out {
                self.endpoint.most = (part.len() / 2).max(batch.lines.len() / SMALLEST).max(1);
            }
            match posted? {
                Answer::TooLarge(_) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Answer::TooLarge(why) => {
                    refused.extend(part);
                    cause = why;
                }
                answer => {
                    if let Answer::Taken(taken) = &answer {
                        self.protocol.settled(&self.endpoint, taken).await?;
                    }
                    let verdict = self.protocol.verdict(lines, answer)?;
                    let wrong = part.start + verdict.refused.start..part.start + verdict.refused.end;
                    // At least one is through with each post.
                    let next = verdict.resume.filter(|next| (1..part.len()).contains(next));
                    let through = next.map_or(part.end, |next| part.start + next);
                    self.tries.arrive(part.start..through, &wrong);
                    refused.extend(wrong);
                    if !verdict.why.is_empty() {
                        cause = verdict.why;
                    }
                    if through < part.end {
                        parts.push(through..part.end);
                    }
                }
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(DeliverError::Reject { lines: refused, source: cause.into() })
    }
}

#[async_trait]
impl<P: Protocol> LogDriver for Poster<P> {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        match self.send(batch).await {
            Err(error @ (DeliverError::Retry { .. } | DeliverError::Fatal { .. })) => {
                Err(self.tries.fail(error, batch.lines.len()))
            }
            arrived => {
                self.tries.succeed();
                // Not before a whole batch is through: it begins anew with each post that takes too long.
                let most = self.endpoint.most;
                self.endpoint.most = most.saturating_add(most / 4).saturating_add(1);
                arrived
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        // The connection goes with its client.
        Ok(())
    }
}
