//! Removal, and the wait for the process's end before it.

use super::actor::{Container, answer, deliver};
use super::effects;
use super::machine::{Phase, Verdict};
use super::messages::*;
use super::stopping::SIGKILL;
use crate::supervise::{Answer, Ctx};
use contract::PortError;
use std::sync::Arc;

impl Container {
    pub(super) fn begin_removal(&mut self) {
        self.publish();
        let (spec, endpoint) = (Arc::clone(&self.spec), self.state.endpoint.take());
        let lane = self.shared.lane(self.id.as_str());
        self.effect(|shared, me| async move {
            let outcome = {
                let _lane = lane.lock().await;
                effects::remove(&shared, &spec, endpoint.as_ref()).await
            };
            deliver(&me, RemoveDone { outcome }).await;
        });
    }
}

impl Answer<Remove> for Container {
    fn answer(&mut self, message: Remove, _: &mut Ctx<Self>) {
        self.when_known(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            match this.machine.remove(message.force) {
                Verdict::Refused(text) => {
                    let text = format!("cannot remove container \"/{}\": {text}", this.state.name);
                    Self::conflict(message.reply, text);
                }
                Verdict::Join => {
                    this.removers.push(message.reply);
                    this.signal(SIGKILL, paused, None);
                }
                Verdict::Proceed | Verdict::AlreadyThere => {
                    this.removers.push(message.reply);
                    this.begin_removal();
                }
            }
        });
    }
}

impl Answer<RemoveDone> for Container {
    fn answer(&mut self, message: RemoveDone, _: &mut Ctx<Self>) {
        match message.outcome {
            Ok(()) => {
                self.event("destroy", &[]);
                self.wake(|_| true);
                for reply in std::mem::take(&mut self.removers) {
                    answer(reply, Ok(()));
                }
                self.shared.forget(self.id.as_str());
            }
            Err(error) => {
                let text = error.chain();
                self.machine.phase = Phase::Exited;
                self.state.error.clone_from(&text);
                self.publish();
                for reply in std::mem::take(&mut self.removers) {
                    answer(reply, Err(PortError::new(error.kind, text.clone())));
                }
            }
        }
    }
}
