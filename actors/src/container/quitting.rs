//! The daemon ends and takes its containers along.

use super::actor::{Container, answer};
use super::machine::{Phase, Verdict};
use super::messages::Quit;
use crate::supervise::{Answer, Ctx};

impl Answer<Quit> for Container {
    fn answer(&mut self, message: Quit, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.quit() {
                Verdict::Proceed => {
                    this.stoppers.push(message.reply);
                    this.begin_stop(message.grace, None, paused);
                }
                _ => answer(message.reply, Ok(false)),
            }
        });
    }
}
