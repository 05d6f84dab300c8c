//! Who waits for an end.

use super::actor::{Container, Waiter};
use super::machine::Phase;
use super::messages::*;
use crate::supervise::{Answer, Ctx};

impl Container {
    /// A start has come to its end, by an exit or by failing.
    pub(super) fn wake(&mut self) {
        self.wake_those(|c| c != WaitCondition::Removed);
    }

    /// The container is gone.
    pub(super) fn wake_removed(&mut self) {
        self.wake_those(|_| true);
    }

    fn wake_those(&mut self, over: impl Fn(WaitCondition) -> bool) {
        let code = self.state.ended_with;
        for waiter in std::mem::take(&mut self.waiters) {
            if over(waiter.condition) {
                // Whoever waited may have left.
                let _left = waiter.done.send(Ok(code));
            } else {
                self.waiters.push(waiter);
            }
        }
    }
}

impl Answer<Wait> for Container {
    fn answer(&mut self, message: Wait, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let phase = this.machine.phase;
            let over = match message.condition {
                WaitCondition::NotRunning => {
                    this.state.ends > message.seen || !(phase.is_alive() || phase == Phase::Restarting)
                }
                WaitCondition::NextExit => this.state.ends > message.seen,
                WaitCondition::Removed => false,
            };
            if over {
                // Whoever waited may have left.
                let _left = message.done.send(Ok(this.state.ended_with));
            } else {
                this.waiters.retain(|w| !w.done.is_closed());
                this.waiters.push(Waiter { condition: message.condition, done: message.done });
            }
        });
    }
}
