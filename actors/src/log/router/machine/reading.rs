//! Which sink reads, and what becomes of what was read.

use super::{Asked, Effect, Failure, Load, Machine, SinkState, fail};
use crate::log::cut::Cut;
use contract::log::Streams;

impl Machine {
    pub(super) fn read(
        &mut self,
        asker: usize,
        asked: &Asked,
        result: Result<Cut, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(policy) = self.sinks.get(asker).map(|w| w.policy.clone()) else { return };
        let Asked { from, ahead, news } = asked;
        if let Ok(Cut { again: Some(pause), .. }) = &result {
            out.push(Effect::Look(*pause));
        }
        for (sink, w) in self.sinks.iter_mut().enumerate() {
            // A read begun before the latest news proves nothing to who asked after it.
            let mine = |own: &mut Asked| own.from == *from && own.ahead == *ahead && own.news <= *news;
            if w.policy != policy || w.reading.take_if(mine).is_none() {
                continue;
            }
            match &result {
                Ok(Cut { batch, last, gaps, .. }) => {
                    // An empty batch is delivered only where it lets go of a segment, or of what is kept of a loss.
                    let moved = batch.end.floor().segment > from.floor().segment || !ahead.losses.is_empty();
                    let selects = w.policy.streams != Streams::Both || w.policy.records.rate.is_some();
                    // Where reading ends for now, too, nothing may be left before.
                    let passed = (selects || !*last) && batch.end != *from;
                    if moved || !batch.lines.is_empty() || (passed && w.flying.is_some()) {
                        w.ready = Some((asked.clone(), Load { batch: batch.clone(), gaps: *gaps }));
                    } else if passed {
                        // What is not for this sink need not be read again.
                        w.goes_on(&batch.end, &self.extent);
                        w.cursor = Some(batch.end.clone());
                        w.status.suppressed += batch.suppressed;
                        w.status.suppressed_bytes += gaps.suppressed_bytes;
                        w.prune();
                    }
                    // Without news there is nothing to look for; what comes meanwhile makes one larger batch.
                    w.dry = *last && *news == self.more;
                }
                Err(text) if w.status.state == SinkState::Idle => {
                    fail(w, sink, Failure::Retry(text.clone(), None), out);
                }
                // It is read again once the batch in flight has arrived.
                Err(_) => (w.dry, w.unread) = (true, true),
            }
        }
    }

    pub(super) fn advance(&mut self, sink: usize, out: &mut Vec<Effect>) {
        let Some(w) = self.sinks.get_mut(sink) else { return };
        let idle = w.status.state == SinkState::Idle;
        if idle && !w.is_counted() {
            self.store(sink, out);
        } else if idle && let Some((_, load)) = w.ready.take() {
            w.flying = Some(load);
            self.send(sink, out);
            self.enforce(sink, out);
        }
        let Some(w) = self.sinks.get(sink) else { return };
        if !w.is_open() || w.ready.is_some() || w.reading.is_some() || w.dry {
            return;
        }
        let Some(from) = w.head() else { return };
        let Some(ahead) = w.ahead(&from) else { return };
        let (policy, news) = (w.policy.clone(), self.more);
        let mut others = self.sinks.iter().filter(|o| o.policy == policy);
        let asked = Asked { from, ahead, news };
        // Another sink's batch from the same place is the same batch.
        let same = |(of, _): &&(Asked, Load)| of.from == asked.from && of.ahead == asked.ahead;
        if let Some(ready) = others.clone().find_map(|o| o.ready.as_ref().filter(same)) {
            let ready = ready.clone();
            if let Some(w) = self.sinks.get_mut(sink) {
                w.ready = Some(ready);
            }
            return self.advance(sink, out);
        }
        let under_way = others.any(|o| o.reading.as_ref() == Some(&asked));
        if let Some(w) = self.sinks.get_mut(sink) {
            w.reading = Some(asked.clone());
        }
        if !under_way {
            out.push(Effect::Read(sink, asked, policy));
        }
    }
}
