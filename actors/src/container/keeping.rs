//! A build leaves the container of a step that failed to its user.

use super::actor::{Container, answer};
use super::messages::Keep;
use crate::supervise::{Answer, Ctx};
use contract::ContainerId;
use contract::record::ContainerSpec;
use contract::storage::Durability;
use std::sync::Arc;

impl Answer<Keep> for Container {
    fn answer(&mut self, message: Keep, _: &mut Ctx<Self>) {
        self.when_settled(move |this| {
            let spec = Arc::new(ContainerSpec { build: String::new(), ..(*this.spec).clone() });
            this.spec = Arc::clone(&spec);
            let (state, reply) = (this.state.clone(), message.reply);
            this.publish();
            this.in_lane(move |shared, _| async move {
                let (id, durability) = (ContainerId::new(spec.id.clone()), Durability::of(&spec));
                let records = &shared.ports.records;
                let kept = async {
                    records.save_spec(&id, &spec, durability).await?;
                    records.save_state(&id, &state, durability).await
                };
                answer(reply, kept.await);
            });
        });
    }
}
