//! What is done with volumes.

use super::Engine;
use super::containers::whole;
use crate::events::Event;
use crate::random_id;
use contract::record::{ContainerRecord, ContainerSpec};
use contract::storage::Durability;
use contract::volume::{ANONYMOUS, Content, LOCAL, Origin, Purpose, Volume, VolumeWish};
use contract::{Kind, PortError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Whether a volume is removed when nobody uses it.
pub type Choice = dyn Fn(&Volume) -> bool + Send + Sync;

impl Engine {
    /// Every volume, and how many containers use it.
    pub async fn volumes(&self) -> Result<Vec<(Volume, usize)>, PortError> {
        let all = self.shared.ports.volumes.list().await?;
        Ok(all
            .into_iter()
            .map(|v| (self.shared.volume_users(&v.name).len(), v))
            .map(|(n, v)| (v, n))
            .collect())
    }

    /// Bytes a volume's data takes.
    pub async fn volume_size(&self, name: &str) -> Result<u64, PortError> {
        self.shared.ports.volumes.size(name).await
    }

    /// One volume.
    pub async fn volume(&self, name: &str) -> Result<Volume, PortError> {
        self.shared.ports.volumes.get(name).await
    }

    /// Makes a volume, or finds the one of that name; one without a name gets one and is anonymous.
    pub async fn create_volume(&self, mut wish: VolumeWish) -> Result<Volume, PortError> {
        if wish.name.is_empty() {
            name_it(&mut wish)?;
        }
        let this = self.clone();
        whole(async move {
            let _in_use = this.shared.volumes_in_use.read().await;
            Ok(this.ensure_volume(&wish, Purpose::Keep).await?.0)
        })
        .await
    }

    async fn ensure_volume(
        &self,
        wish: &VolumeWish,
        purpose: Purpose,
    ) -> Result<(Volume, Origin), PortError> {
        let _turn = self.shared.volume_turns.begin(&wish.name).await;
        let made = self.shared.ports.volumes.create(wish, purpose).await;
        let (volume, origin) =
            made.map_err(|e| PortError::new(e.kind, format!("create {}: {}", wish.name, e.chain())))?;
        if origin == Origin::Made {
            self.shared.volume_event("create", &volume.name, "", &[]);
        }
        Ok((volume, origin))
    }

    /// Removes a volume that no container uses. With force a missing one is fine.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), PortError> {
        let (shared, name) = (self.shared.clone(), name.to_owned());
        whole(async move {
            let _unused = shared.volumes_in_use.write().await;
            match shared.ports.volumes.get(&name).await {
                Err(error) if error.kind == Kind::NotFound && force => return Ok(()),
                found => found?,
            };
            let users = shared.volume_users(&name);
            if !users.is_empty() {
                let text = format!("remove {name}: volume is in use - [{}]", users.join(", "));
                return Err(PortError::new(Kind::Conflict, text));
            }
            shared.remove_volume(&name).await
        })
        .await
    }

    /// Removes the chosen volumes that no container uses; answers their names and the bytes they took. Those that
    /// lie elsewhere stay, as nothing would be gained.
    pub async fn prune_volumes(&self, chosen: Box<Choice>) -> Result<(Vec<String>, u64), PortError> {
        let shared = self.shared.clone();
        whole(async move {
            let (mut removed, mut reclaimed) = (Vec::new(), 0);
            for volume in shared.ports.volumes.list().await? {
                let name = volume.name.as_str();
                if volume.is_mount() || !chosen(&volume) || !shared.volume_users(name).is_empty() {
                    continue;
                }
                // Measuring takes its time: others may use it meanwhile.
                let size = shared.ports.volumes.size(name).await.unwrap_or_default();
                let _unused = shared.volumes_in_use.write().await;
                if !shared.volume_users(name).is_empty() {
                    continue;
                }
                match shared.remove_volume(name).await {
                    Ok(()) => {
                        reclaimed += size;
                        removed.push(volume.name);
                    }
                    Err(error) => tracing::warn!(volume = name, "pruning: {}", error.chain()),
                }
            }
            let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
            shared.event(Event::now("volume", "prune", "", attributes));
            Ok((removed, reclaimed))
        })
        .await
    }

    /// Makes and fills the volumes of a container that is being made. `made` lists the new ones, also when this fails.
    pub(super) async fn make_volumes(
        &self,
        spec: &mut ContainerSpec,
        layers: &[PathBuf],
        made: &mut Vec<String>,
    ) -> Result<(), PortError> {
        let volumes = &self.shared.ports.volumes;
        let durability = Durability::of(spec);
        for used in &mut spec.volumes {
            if used.borrowed {
                used.source = volumes.get(&used.name).await.map_err(not_the_image)?.mountpoint;
                continue;
            }
            let mut wish = VolumeWish {
                name: used.name.clone(),
                driver: used.driver.clone(),
                options: used.options.clone(),
                labels: used.labels.clone(),
            };
            let purpose = if used.anonymous { Purpose::Pending(durability) } else { Purpose::Keep };
            if wish.name.is_empty() {
                name_it(&mut wish)?;
                used.name.clone_from(&wish.name);
            }
            let (volume, origin) = self.ensure_volume(&wish, purpose).await.map_err(not_the_image)?;
            used.source = volume.mountpoint;
            if origin == Origin::Made {
                made.push(volume.name);
            }
            if !used.no_copy {
                let content = Content { layers: layers.to_vec(), path: used.target.clone() };
                let filled = {
                    let _turn = self.shared.volume_turns.begin(&used.name).await;
                    volumes.populate(&used.name, &content).await
                };
                let unmounted = self.shared.unmount_unheld(&used.name).await;
                filled?;
                unmounted?;
            }
        }
        Ok(())
    }

    /// The container is recorded: what was made for it is no longer a killed daemon's debris.
    pub(super) async fn keep_volumes(&self, spec: &ContainerSpec) {
        for used in spec.volumes.iter().filter(|v| v.anonymous && !v.borrowed) {
            if let Err(error) = self.shared.ports.volumes.keep(&used.name).await {
                tracing::warn!(volume = used.name, "{}", error.chain());
            }
        }
    }

    /// Takes back what was made for a container that did not come to be, unless others have begun to use it.
    pub(super) async fn unmake_volumes(&self, made: Vec<String>) {
        if made.is_empty() {
            return;
        }
        let _unused = self.shared.volumes_in_use.write().await;
        for name in made {
            if self.shared.volume_users(&name).is_empty()
                && let Err(error) = self.shared.remove_volume(&name).await
            {
                tracing::warn!("undoing a create: {}", error.chain());
            }
        }
    }

    /// Finishes what a killed daemon left of volumes, before any container is looked at.
    pub(super) async fn sweep_volumes(&self, records: &[ContainerRecord]) -> Result<(), PortError> {
        let names = |of: &ContainerRecord| of.spec.volumes.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
        let known: BTreeSet<String> = records.iter().flat_map(names).collect();
        let held = records.iter().filter(|r| r.state.wanted).flat_map(names).collect();
        self.shared.ports.volumes.sweep(&known, &held).await
    }

    /// Unmounts what only containers had that ended while no daemon was there.
    pub(super) async fn unmount_volumes(&self) -> Result<(), PortError> {
        for volume in self.shared.ports.volumes.list().await?.iter().filter(|v| v.is_mount()) {
            if let Err(error) = self.shared.unmount_unheld(&volume.name).await {
                tracing::warn!(volume = volume.name, "{}", error.chain());
            }
        }
        Ok(())
    }
}

/// Clients take a 404 of a container's create to mean its image, and begin to pull.
fn not_the_image(error: PortError) -> PortError {
    let kind = if error.kind == Kind::NotFound { Kind::Invalid } else { error.kind };
    PortError { kind, ..error }
}

/// Names what was given no name, as Docker does.
fn name_it(wish: &mut VolumeWish) -> Result<(), PortError> {
    wish.name = random_id()?;
    if wish.driver.is_empty() {
        LOCAL.clone_into(&mut wish.driver);
    }
    wish.labels.get_or_insert_default().insert(ANONYMOUS.to_owned(), String::new());
    Ok(())
}
