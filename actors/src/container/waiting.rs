//! Who waits for an end.

use super::actor::Container;
use super::machine::Phase;
use super::messages::*;
use crate::supervise::{Answer, Ctx};

impl Container {
    pub(super) fn wake(&mut self, ended: impl Fn(WaitCondition) -> bool) {
        let code = self.state.exit_code;
        for (condition, done) in std::mem::take(&mut self.waiters) {
            if ended(condition) {
                // Whoever waited may have left.
                let _left = done.send(Ok(code));
            } else {
                self.waiters.push((condition, done));
            }
        }
    }
}

impl Answer<Wait> for Container {
    fn answer(&mut self, message: Wait, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let over = message.condition == WaitCondition::NotRunning
                && !this.machine.phase.is_alive()
                && !matches!(this.machine.phase, Phase::Starting | Phase::Restarting);
            if over {
                // Whoever waited may have left.
                let _left = message.done.send(Ok(this.state.exit_code));
            } else {
                this.waiters.push((message.condition, message.done));
            }
        });
    }
}
