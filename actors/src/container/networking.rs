//! A container's networks while it lives: one more, one less.

use super::actor::{Container, answer, deliver};
use super::effects;
use super::machine::Phase;
use super::messages::*;
use crate::network::is_built_in;
use crate::supervise::{Answer, Ctx, Reply};
use contract::record::ContainerState;
use contract::{Kind, PortError};
use std::sync::Arc;

fn invalid<T>(text: &str) -> Result<T, PortError> {
    Err(PortError::new(Kind::Invalid, text))
}

/// Which networks go together, in Docker's words (moby `runconfig`).
fn together(mode: &str, state: &ContainerState, new: &str) -> Result<(), PortError> {
    if mode.starts_with("container:") {
        return invalid(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        );
    }
    if new == "host" && mode != "host" {
        return invalid(
            "cannot connect container to host network - container must be created in host network mode",
        );
    }
    let others = || state.networks.keys().filter(|n| *n != new);
    if others().any(|n| n == "host") || (new == "host" && others().next().is_some()) {
        return invalid(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        );
    }
    if others().any(|n| n == "none") || (new == "none" && others().next().is_some()) {
        return invalid(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        );
    }
    Ok(())
}

impl Container {
    fn lives(&self) -> bool {
        matches!(self.machine.phase, Phase::Running | Phase::Paused)
    }

    fn is_leaving(&self) -> Result<(), PortError> {
        if !matches!(self.machine.phase, Phase::Removing | Phase::Dead) {
            return Ok(());
        }
        let text = format!(
            "Container {} is marked for removal and cannot be connected or disconnected to the network",
            self.id
        );
        Err(PortError::new(Kind::Bug, text))
    }

    /// What a stopped container has of networks is a matter of its record alone.
    fn noted(&mut self, reply: Reply<Result<(), PortError>>) {
        self.publish();
        let (id, state) = (self.id.clone(), self.state.clone());
        let durability = contract::storage::Durability::of(&self.spec);
        self.in_lane(move |shared, _| async move {
            answer(reply, shared.ports.records.save_state(&id, &state, durability).await);
        });
    }

    fn connect(&mut self, message: Connect) {
        let Connect { name, attachment, reply } = message;
        let fits = self.is_leaving().and_then(|()| together(&self.spec.network_mode, &self.state, &name));
        if let Err(error) = fits {
            return answer(reply, Err(error));
        }
        if !self.lives() {
            // As with Docker, what was asked for at first stays.
            self.state.networks.entry(name).or_insert(attachment);
            return self.noted(reply);
        }
        if self.state.networks.contains_key(&name) {
            let own = &self.state.name;
            let text = format!("endpoint with name {own} already exists in network {name}");
            return answer(reply, Err(PortError::new(Kind::Denied, text)));
        }
        self.switching = true;
        let (spec, state, attempt) = (Arc::clone(&self.spec), self.state.clone(), self.machine.attempt);
        let pid = self.pid;
        self.in_lane(move |shared, me| async move {
            let network = (name.clone(), attachment);
            let outcome = effects::connect(&shared, &spec, pid, state, network).await;
            let change = Change { name, action: "connect" };
            deliver(&me, Switched { attempt, change, outcome: outcome.map(Box::new), reply }).await;
        });
    }

    fn disconnect(&mut self, message: Disconnect) {
        let Disconnect { name, reply } = message;
        if let Err(error) = self.is_leaving() {
            return answer(reply, Err(error));
        }
        let Some(attachment) = self.state.networks.get(&name) else {
            let the = if self.lives() { "" } else { "the " };
            let text = format!("container {} is not connected to {the}network {name}", self.id);
            return answer(reply, Err(PortError::new(Kind::Bug, text)));
        };
        if name == "host" && self.spec.network_mode == "host" {
            let text =
                "cannot disconnect container from host network - container was created in host network mode";
            return answer(reply, invalid(text));
        }
        if !self.lives() || is_built_in(&name) && attachment.network.is_empty() && name != "bridge" {
            self.state.networks.remove(&name);
            return self.noted(reply);
        }
        self.switching = true;
        let (spec, state, attempt) = (Arc::clone(&self.spec), self.state.clone(), self.machine.attempt);
        let pid = self.pid;
        self.in_lane(move |shared, me| async move {
            let outcome = effects::disconnect(&shared, &spec, pid, state, &name).await;
            let change = Change { name, action: "disconnect" };
            deliver(&me, Switched { attempt, change, outcome: outcome.map(Box::new), reply }).await;
        });
    }

    fn switched(&mut self, message: Switched) {
        let Switched { attempt, change, outcome, reply } = message;
        let outcome = match outcome {
            Ok(state) if self.lives() && attempt == self.machine.attempt => {
                self.state.networks = state.networks;
                self.state.endpoints = state.endpoints;
                for endpoint in &self.state.endpoints {
                    self.shared.joining.forget(endpoint);
                }
                let id = self.state.networks.get(&change.name).map(|a| a.network.clone());
                let id = id.unwrap_or(change.network_id(&self.shared));
                self.shared.network_event(self.id.as_str(), (&change.name, &id), change.action);
                return self.noted(reply);
            }
            // Its end has taken it off all its networks.
            Ok(_) => Err(PortError::new(Kind::Conflict, format!("container {} is not running", self.id))),
            Err(error) => Err(error),
        };
        answer(reply, outcome);
    }
}

impl Change {
    fn network_id(&self, shared: &crate::shared::Shared) -> String {
        shared.networks.find(&self.name).map(|n| n.spec.id.clone()).unwrap_or_default()
    }
}

impl Answer<Connect> for Container {
    fn answer(&mut self, message: Connect, _: &mut Ctx<Self>) {
        self.when_settled(|this| this.connect(message));
    }
}

impl Answer<Disconnect> for Container {
    fn answer(&mut self, message: Disconnect, _: &mut Ctx<Self>) {
        self.when_settled(|this| this.disconnect(message));
    }
}

impl Answer<Switched> for Container {
    fn answer(&mut self, message: Switched, _: &mut Ctx<Self>) {
        self.switching = false;
        // A fresh incarnation first learns what exists.
        self.when_settled(|this| this.switched(message));
        self.settled();
    }
}
