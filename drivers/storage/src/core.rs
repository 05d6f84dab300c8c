//! What the store's blocking work shares: configurations, names and layers, changed together.

use crate::config::diff_ids;
use crate::file::{Sync, failed, replace};
use crate::index::Index;
use crate::layers::{Half, Layers};
use crate::limits::Limits;
use crate::removal::Gone;
use crate::reserve::Reserve;
use contract::image::{ImageSummary, Removed};
use contract::{Kind, PortError};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Images of one data root.
pub(crate) struct Core {
    base: PathBuf,
    tmp: PathBuf,
    pub(crate) layers: Layers,
    /// Held by whoever changes the index, also while that is written: readers wait only for memory.
    changing: Mutex<Reserve>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Index,
    /// Layers of images being made, by how many.
    held: HashMap<String, usize>,
}

/// `sha256:…` of the bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Now, ns since the epoch.
pub(crate) fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// What became of a name that an image took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) name: String,
    /// Who had it; `None` when nobody had, or the image itself.
    pub(crate) from: Option<String>,
}

impl Core {
    pub(crate) fn open(data_root: &Path, limits: Limits) -> Result<Self, PortError> {
        let (base, tmp) = (data_root.join("images"), data_root.join("tmp"));
        for folder in [&base.join("configs"), &base.join("partial"), &tmp] {
            std::fs::create_dir_all(folder).map_err(failed("making", folder))?;
        }
        let path = base.join("index.json");
        let index = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Index::default(),
            Err(e) => return Err(failed("reading", &path)(e)),
        };
        let layers = Layers::open(data_root, limits)?;
        let reserve = Mutex::new(Reserve::new(&base));
        let state = Mutex::new(State { index, held: HashMap::new() });
        let core = Self { base, tmp, layers, changing: reserve, state };
        core.drop_broken()?;
        Ok(core)
    }

    /// Forgets the images that a power cut has taken a part of, before anybody can use them.
    fn drop_broken(&self) -> Result<(), PortError> {
        for (layer, error) in self.layers.broken()? {
            tracing::error!("layer {layer} did not survive the end of the machine: {}", error.chain());
            let lost = self.edit(|index| Ok(index.forget_with(&layer)))?;
            for (image, names) in lost {
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                tracing::error!("image {image} ({names}) needs it and is removed: pull or load it again");
            }
            drop(self.layers.take(&layer)?);
        }
        Ok(())
    }

    /// One change of the index at a time.
    fn begin(&self) -> MutexGuard<'_, Reserve> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folder of blobs on their way.
    pub(crate) fn partial(&self) -> PathBuf {
        self.base.join("partial")
    }

    /// Folder of temporary files.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    pub(crate) fn config_path(&self, id: &str) -> PathBuf {
        self.base.join("configs").join(id.strip_prefix("sha256:").unwrap_or(id))
    }

    /// Asks the index.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Index) -> T) -> T {
        question(&self.lock().index)
    }

    /// Changes the index on disk first, then in memory.
    fn change<T>(
        &self,
        reserve: &mut Reserve,
        room: Room,
        edit: impl FnOnce(&mut Index) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let mut next = self.ask(Index::clone);
        let answer = edit(&mut next)?;
        if self.ask(|index| *index != next) {
            let path = self.base.join("index.json");
            let bytes = serde_json::to_vec(&next)
                .map_err(|e| PortError::caused(Kind::Bug, "encoding image names", e))?;
            let mut written = replace(&path, &bytes, Sync::Name);
            if matches!(&written, Err(e) if room == Room::Reserved && reserve.opens(e)) {
                written = replace(&path, &bytes, Sync::Name);
            }
            written.map_err(failed("writing", &path))?;
            self.lock().index = next;
        }
        Ok(answer)
    }

    /// Changes names.
    pub(crate) fn edit<T>(
        &self,
        edit: impl FnOnce(&mut Index) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.change(&mut self.begin(), Room::Free, edit)
    }

    /// Keeps a layer from being collected; whether it is there.
    pub(crate) fn hold(&self, diff_id: &str) -> bool {
        *self.lock().held.entry(diff_id.to_owned()).or_default() += 1;
        self.layers.has(diff_id)
    }

    /// Ends that for these layers, and removes those that no image came to own.
    pub(crate) fn release(&self, diff_ids: &[String]) {
        let mut state = self.lock();
        for id in diff_ids {
            if let Some(count) = state.held.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.held.remove(id);
                }
            }
        }
        let unused = self.take_unused(&state, diff_ids);
        // Erasing takes its time: others may have the lock meanwhile.
        drop(state);
        drop(unused);
    }

    fn take_unused(&self, state: &State, diff_ids: &[String]) -> Vec<Half> {
        let unused = state.index.unused(diff_ids).into_iter().filter(|l| !state.held.contains_key(l));
        unused
            .filter_map(|layer| {
                self.layers.take(&layer).unwrap_or_else(|error| {
                    tracing::warn!("{}", error.chain());
                    None
                })
            })
            .collect()
    }

    /// Registers an image whose layers are all held.
    pub(crate) fn add_image(
        &self,
        config: &[u8],
        names: &[String],
        parent: Option<&str>,
    ) -> Result<(String, Vec<Taken>), PortError> {
        let id = digest_of(config);
        let layers = diff_ids(config)?;
        if let Some(missing) = layers.iter().find(|l| !self.layers.has(l)) {
            return Err(PortError::new(Kind::Invalid, format!("image {id} lacks layer {missing}")));
        }
        let path = self.config_path(&id);
        let mut changing = self.begin();
        let fresh = self.ask(|index| index.layers_below(&id).is_none());
        replace(&path, config, Sync::Name).map_err(failed("writing", &path))?;
        let named = self.change(&mut changing, Room::Free, |index| {
            let taken = names.iter().map(|name| Taken {
                name: name.clone(),
                from: index.names.get(name).filter(|i| **i != id).cloned(),
            });
            let taken = taken.collect();
            index.add(&id, layers, names, now_ns());
            // It may have gone while its layers were held.
            if let Some(parent) = parent.filter(|p| p.is_empty() || index.images.contains_key(*p)) {
                index.parents.insert(id.clone(), parent.to_owned());
            }
            Ok(taken)
        });
        if named.is_err() && fresh {
            self.remove_config(&id);
        }
        self.layers.settle();
        Ok((id, named?))
    }

    fn remove_config(&self, id: &str) {
        let path = self.config_path(id);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("removing {}: {error}", path.display());
        }
    }

    /// Takes names and images away as `decide` says, and what only they used.
    pub(crate) fn remove(
        &self,
        decide: impl FnOnce(&mut Index) -> Result<Gone, PortError>,
    ) -> Result<Vec<Removed>, PortError> {
        let mut changing = self.begin();
        let gone = self.change(&mut changing, Room::Reserved, decide)?;
        for id in &gone.configs {
            self.remove_config(id);
        }
        let content = self.take_unused(&self.lock(), &gone.layers);
        drop(content);
        changing.refill();
        Ok(gone.lines)
    }

    /// Whether something is kept of an image that was deleted under a container.
    pub(crate) fn keeps(&self, id: &str) -> bool {
        self.ask(|index| index.kept.contains_key(id))
    }

    /// Lets go what was kept of deleted images, but for those that are used.
    pub(crate) fn release_kept(&self, used: impl Fn(&str) -> bool) -> Result<(), PortError> {
        self.remove(|index| Ok(index.release_kept(used))).map(|_| ())
    }

    /// What an image says of itself.
    pub(crate) fn summary(&self, id: &str) -> Result<ImageSummary, PortError> {
        let (names, layers, tagged_ns, parent) = self.ask(|index| {
            let tagged = index.tagged.get(id).copied().unwrap_or(0);
            let parent = index.parents.get(id).cloned().unwrap_or_default();
            (index.names_of(id), index.layers_below(id).cloned().unwrap_or_default(), tagged, parent)
        });
        let path = self.config_path(id);
        let bytes = std::fs::read(&path).map_err(failed("reading", &path))?;
        let config: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))?;
        let created =
            config.get("created").and_then(|c| c.as_str()).and_then(|c| c.parse::<jiff::Timestamp>().ok());
        let labels = config.pointer("/config/Labels").cloned().and_then(|l| serde_json::from_value(l).ok());
        let (digests, tags) = names.into_iter().partition(|n| n.contains('@'));
        let sizes: Vec<u64> = layers.iter().map(|l| self.layers.size(l)).collect();
        Ok(ImageSummary {
            id: id.to_owned(),
            tags,
            digests,
            created_ns: created.map_or(0, |c| i64::try_from(c.as_nanosecond()).unwrap_or(0)),
            tagged_ns,
            size: sizes.iter().sum(),
            folders: layers.iter().map(|l| self.layers.diff(l)).collect(),
            sizes,
            config,
            layers,
            labels: labels.unwrap_or_default(),
            parent,
        })
    }

    /// Removes what a killed daemon left half made, and what was kept for containers that are gone; `used` are the images
    /// of those that are not. What cannot be removed is told and stays.
    pub(crate) fn sweep(&self, used: &[String]) -> Result<(), PortError> {
        self.layers.sweep()?;
        self.release_kept(|id| used.iter().any(|u| u == id))?;
        let all: Vec<String> = self.layers.all()?.into_iter().collect();
        drop(self.take_unused(&self.lock(), &all));
        crate::file::clean(&self.tmp, |_, _| true)?;
        crate::file::clean(&self.base, |name, _| name.ends_with(".tmp"))?;
        crate::file::clean(&self.partial(), |_, age| age > PARTIAL_AGE)?;
        let known = |name: &str| self.ask(|index| index.layers_below(&format!("sha256:{name}")).is_some());
        crate::file::clean(&self.base.join("configs"), |name, _| !known(name))
    }
}

/// Where a change of the index may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Where there is room.
    Free,
    /// Also in the reserve: it is to make room.
    Reserved,
}

/// Broken downloads older than this are not waited for any more: a pull that is tried again is tried soon.
const PARTIAL_AGE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
