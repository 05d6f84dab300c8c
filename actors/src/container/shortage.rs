//! Want of memory, heard of from the kernel while the container lives.

use super::actor::{Container, deliver};
use super::messages::Short;
use crate::supervise::{Answer, Ctx};
use contract::usage::Shortage;
use std::time::Duration;

/// A container without a limit of its own is seldom killed for memory, and many live shortly: so long it is not watched.
/// Its counters tell everything when it ends.
const UNWATCHED: Duration = Duration::from_secs(2);

impl Container {
    pub(super) fn watch_memory(&mut self) {
        self.told = Shortage::default();
        let (attempt, id) = (self.machine.attempt, self.id.clone());
        let limited = self.spec.resources.memory > 0;
        self.effect(|shared, me| async move {
            if !limited {
                tokio::time::sleep(UNWATCHED).await;
            }
            let mut told = Shortage::default();
            // It fails when there is nothing to watch any more.
            while let Ok(news) = shared.ports.runtime.shortage(&id, told).await {
                told = news;
                deliver(&me, Short { attempt, news }).await;
            }
        });
    }
}

impl Answer<Short> for Container {
    fn answer(&mut self, message: Short, _: &mut Ctx<Self>) {
        if message.attempt != self.machine.attempt {
            return;
        }
        let before = std::mem::replace(&mut self.told, message.news);
        let killed = message.news.kills > before.kills;
        // What an earlier incarnation of this actor has told is not told again.
        let known = before == Shortage::default() && self.state.oom_killed;
        if killed && !self.state.oom_killed {
            self.state.oom_killed = true;
            self.publish();
            self.save();
        }
        if killed && !known || message.news.waiting && !before.waiting {
            self.event("oom", &[]);
        }
    }
}
