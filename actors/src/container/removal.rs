//! Removal, and the wait for the process's end before it.

use super::actor::{Container, answer_all, deliver};
use super::effects;
use super::machine::{Phase, Verdict};
use super::messages::*;
use super::stopping::SIGKILL;
use crate::supervise::{Answer, Ctx};
use contract::{ImageId, PortError};
use std::sync::Arc;
use std::time::Duration;

impl Container {
    /// Removes everything, but for so long not what attached clients still read.
    pub(super) fn begin_removal(&mut self, patience: Duration) {
        self.publish();
        let (spec, endpoints) = (Arc::clone(&self.spec), std::mem::take(&mut self.state.endpoints));
        let along = if spec.auto_remove { Along::Volumes } else { self.along };
        self.in_lane(move |shared, me| async move {
            let how = effects::Removal { endpoints: &endpoints, patience, along };
            let outcome = effects::remove(&shared, &spec, how).await;
            deliver(&me, RemoveDone { outcome }).await;
        });
    }

    /// It is gone: tells everybody and leaves.
    pub(super) fn removed(&mut self) {
        // First of all: whoever hears of it may look at once.
        self.shared.forget(self.id.as_str());
        self.event("destroy", &[]);
        self.wake_removed();
        answer_all(&mut self.killers, &Ok(()));
        answer_all(&mut self.removers, &Ok(()));
        self.let_image_go();
        if let Some(error) = self.unstarted.take() {
            self.not_started(error);
        }
    }

    /// The last container of an image that was deleted meanwhile takes along what was kept of it.
    fn let_image_go(&self) {
        let image = self.spec.image.clone();
        if self.shared.board.list().iter().any(|other| other.spec.image == image) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            if let Err(error) = shared.ports.images.disused(&ImageId::new(image)).await {
                tracing::warn!("what was kept of an image: {}", error.chain());
            }
        });
    }
}

impl Answer<Remove> for Container {
    fn answer(&mut self, message: Remove, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let paused = this.machine.phase == Phase::Paused;
            if !this.removers.is_empty() {
                let text = format!("removal of container {} is already in progress", this.state.name);
                return Self::conflict(message.reply, text);
            }
            if message.along == Along::Volumes {
                this.along = Along::Volumes;
            }
            match this.machine.remove(message.force) {
                Verdict::Refused(text) => {
                    this.along = Along::Nothing;
                    let text = format!("cannot remove container \"/{}\": {text}", this.state.name);
                    Self::conflict(message.reply, text);
                }
                // One that removes itself does not wait for long once it is told to.
                Verdict::AlreadyThere if message.force == super::machine::Force::Kill => {
                    this.removers.push(message.reply);
                    this.shared.attachments.cut(this.id.as_str());
                }
                Verdict::AlreadyThere => {
                    let text = format!("removal of container {} is already in progress", this.state.name);
                    Self::conflict(message.reply, text);
                }
                Verdict::Join => {
                    this.removers.push(message.reply);
                    this.signal(SIGKILL, paused, None);
                }
                Verdict::Proceed | Verdict::Later | Verdict::Ended => {
                    this.removers.push(message.reply);
                    this.begin_removal(effects::PATIENCE);
                }
            }
        });
    }
}

impl Answer<RemoveDone> for Container {
    fn answer(&mut self, message: RemoveDone, _: &mut Ctx<Self>) {
        if self.machine.phase != Phase::Removing {
            return;
        }
        match message.outcome {
            Ok(()) => self.removed(),
            Err(error) => {
                let text = format!("cannot remove container \"/{}\": {}", self.state.name, error.chain());
                tracing::error!(container = self.id.short(), "{text}");
                self.machine.phase = Phase::Dead;
                self.state.error.clone_from(&text);
                self.publish();
                let kind = error.kind;
                answer_all(&mut self.removers, &Err(PortError::new(kind, text.clone())));
                // Docker ends these too, with the error of the removal.
                for waiter in std::mem::take(&mut self.waiters) {
                    let _left = waiter.done.send(Err(PortError::new(kind, text.clone())));
                }
                if let Some(error) = self.unstarted.take() {
                    self.not_started(error);
                }
            }
        }
    }
}
