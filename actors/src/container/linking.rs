//! A link that is taken away from its linker.

use super::actor::{Container, answer};
use super::messages::*;
use crate::supervise::{Answer, Ctx};

impl Answer<Unlink> for Container {
    fn answer(&mut self, message: Unlink, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            this.state.unlinked.push(message.alias.clone());
            this.publish();
            this.save();
            let (id, started) = (this.id.clone(), this.state.started);
            this.in_lane(move |shared, _| async move {
                let runtime = &shared.ports.runtime;
                let told = match started {
                    true => runtime.rewrite_hosts(&id, &message.alias, &[]).await,
                    // It has no file yet.
                    false => Ok(()),
                };
                answer(message.reply, told);
            });
        });
    }
}
