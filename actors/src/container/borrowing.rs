//! A container is reached into. One that runs is entered beside its processes; one that does not must not start while
//! its layers are mounted for somebody else, so its lane is kept until they are given back.

use super::actor::{Container, answer};
use super::machine::Phase;
use super::messages::{Borrow, Borrowed};
use crate::supervise::{Answer, Ctx};
use tokio::sync::oneshot;

impl Answer<Borrow> for Container {
    fn answer(&mut self, message: Borrow, _: &mut Ctx<Self>) {
        self.when_settled(move |this| match this.machine.phase {
            phase if phase.is_alive() => answer(message.reply, Ok(Borrowed { pid: this.pid, hold: None })),
            Phase::Removing | Phase::Dead => {
                let text = format!("container {} is marked for removal", this.id);
                Self::conflict(message.reply, text);
            }
            _ => this.in_lane(|_, _| async move {
                let (hold, given_back) = oneshot::channel();
                answer(message.reply, Ok(Borrowed { pid: 0, hold: Some(hold) }));
                // It ends by being dropped, by whoever has it then.
                let _over = given_back.await;
            }),
        });
    }
}
