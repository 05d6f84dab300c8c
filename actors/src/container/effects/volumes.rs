//! A container's volumes and binds: mounted before it starts, let go of after its end, anonymous ones removed with it.

use crate::shared::Shared;
use crate::volume::{Hold, LetGo};
use contract::error::Kind;
use contract::record::ContainerSpec;
use contract::{PortError, volume::LOCAL};
use std::sync::Arc;
use std::time::Duration;

/// How long an ask between actors may take.
const ASK: Duration = Duration::from_secs(10);

fn names(spec: &ContainerSpec) -> Vec<String> {
    let mut names: Vec<String> = spec.volumes.iter().map(|v| v.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Notes that a container uses its volumes.
pub(super) async fn hold(shared: &Shared, spec: &ContainerSpec) -> Result<(), PortError> {
    if spec.volumes.is_empty() {
        return Ok(());
    }
    let volumes =
        shared.volumes().ok_or_else(|| PortError::new(Kind::Unavailable, "volumes are not up yet"))?;
    let hold = Hold { container: spec.id.clone(), volumes: names(spec) };
    let held = volumes.insist(|| hold.clone(), ASK).await;
    held.map_err(|e| PortError::caused(Kind::Unavailable, "hold volumes", e))
}

/// Mounts what a container uses and notes where it lies now. Whatever comes of it, [`release`] ends it.
pub(super) async fn mount(shared: &Shared, spec: &mut ContainerSpec) -> Result<(), PortError> {
    let volumes = &shared.ports.volumes;
    if !spec.binds.is_empty() {
        volumes.ensure_sources(&spec.binds).await?;
    }
    hold(shared, spec).await?;
    for used in &mut spec.volumes {
        let _turn = shared.volume_turns.begin(&used.name).await;
        used.source = volumes.mount(&used.name).await?;
    }
    for used in &spec.volumes {
        let more = [
            ("destination", used.target.clone()),
            ("read/write", (!used.read_only).to_string()),
            ("propagation", used.propagation.clone()),
        ];
        shared.volume_event("mount", &used.name, &spec.id, &more);
    }
    Ok(())
}

/// Unmounts what nobody but this container used.
pub(super) async fn release(shared: &Shared, spec: &ContainerSpec) -> Vec<PortError> {
    let mut errors = Vec::new();
    let Some(volumes) = shared.volumes().filter(|_| !spec.volumes.is_empty()) else { return errors };
    let message = LetGo { container: spec.id.clone(), volumes: names(spec) };
    let free = match volumes.insist(|| message.clone(), ASK).await {
        Ok(free) => free,
        Err(e) => return vec![PortError::caused(Kind::Unavailable, "let go of volumes", e)],
    };
    for name in free {
        errors.extend(shared.unmount_unheld(&name).await.err());
    }
    errors
}

/// Removes the anonymous volumes that no other container uses.
pub(super) async fn discard(shared: &Arc<Shared>, spec: &ContainerSpec) -> Vec<PortError> {
    let anonymous: Vec<&str> = spec.volumes.iter().filter(|v| v.anonymous).map(|v| v.name.as_str()).collect();
    let mut errors = Vec::new();
    if anonymous.is_empty() {
        return errors;
    }
    let _unused = shared.volumes_in_use.write().await;
    for name in anonymous {
        if shared.volume_users(name).iter().all(|user| *user == spec.id) {
            errors.extend(shared.remove_volume(name).await.err().filter(|e| e.kind != Kind::NotFound));
        }
    }
    errors
}

impl Shared {
    /// Ids of the containers that have a volume in their specification.
    pub(crate) fn volume_users(&self, name: &str) -> Vec<String> {
        let all = self.board.list().into_iter().filter(|s| s.spec.volumes.iter().any(|v| v.name == name));
        let mut users: Vec<String> = all.map(|s| s.spec.id.clone()).collect();
        users.sort();
        users
    }

    /// Removes a volume that has no users; its callers keep it so with `volumes_in_use`.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), PortError> {
        let _turn = self.volume_turns.begin(name).await;
        self.ports.volumes.get(name).await?;
        let removed = self.ports.volumes.remove(name).await;
        removed.map_err(|e| PortError::new(e.kind, format!("remove {name}: {}", e.chain())))?;
        self.volume_event("destroy", name, "", &[]);
        Ok(())
    }

    /// Unmounts a volume unless a container has it.
    pub(crate) async fn unmount_unheld(&self, name: &str) -> Result<(), PortError> {
        let _turn = self.volume_turns.begin(name).await;
        if self.holds.is_held(name) { Ok(()) } else { self.ports.volumes.unmount(name).await }
    }

    /// Publishes what happened to a volume, and in which container.
    pub(crate) fn volume_event(&self, action: &str, name: &str, container: &str, more: &[(&str, String)]) {
        let own = [("driver", LOCAL), ("container", container)];
        let own = own.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k, v.to_owned()));
        let all = own.chain(more.iter().cloned()).map(|(k, v)| (k.to_owned(), v)).collect();
        self.event(crate::events::Event::now("volume", action, name, all));
    }

    /// Publishes that a container has let go of its volumes.
    pub(crate) fn unmount_events(&self, spec: &ContainerSpec) {
        for used in &spec.volumes {
            self.volume_event("unmount", &used.name, &spec.id, &[]);
        }
    }
}
