//! A container is reached into. One that runs is entered beside its processes; one that does not must not start while
//! its layers are mounted for somebody else, so its lane is kept until they are given back.

use super::actor::{Container, answer};
use super::effects;
use super::machine::Phase;
use super::messages::{Borrow, Borrowed};
use crate::supervise::{Answer, Ctx};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Answer<Borrow> for Container {
    fn answer(&mut self, message: Borrow, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let spec = Arc::clone(&this.spec);
            match this.machine.phase {
                phase if phase.is_alive() => {
                    answer(message.reply, Ok(Borrowed { spec, pid: this.pid, hold: None }));
                }
                Phase::Removing | Phase::Dead => {
                    let text = format!("container {} is marked for removal", this.id);
                    Self::conflict(message.reply, text);
                }
                _ => this.in_lane(|shared, _| async move {
                    effects::lend(&shared, spec, message.part, |outcome| {
                        let (hold, given_back) = oneshot::channel();
                        let borrowed = |spec| Borrowed { spec, pid: 0, hold: Some(hold) };
                        answer(message.reply, outcome.map(borrowed));
                        // It ends by being dropped, by whoever has it then.
                        async move { drop(given_back.await) }
                    })
                    .await;
                }),
            }
        });
    }
}
