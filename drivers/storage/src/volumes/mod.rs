//! Volumes: a folder each, with Docker's layout: `<data_root>/volumes/<name>/_data`, and beside it what is known of it.

mod check;
mod copy;
mod filling;
mod mount;
mod mountinfo;
mod sources;
mod sweep;

use crate::core::now_ns;
use crate::file::{Sync, blocking, discard, failed, random_hex, replace, sync_folder};
use async_trait::async_trait;
use contract::record::Bind;
use contract::storage::Durability;
use contract::volume::{Content, Origin, Purpose, Volume, VolumeWish, Volumes, no_such_volume};
use contract::{Kind, PortError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Begins the names of volumes that are being made.
const MAKING: &str = ".making-";
/// Marks a volume made for a container that is not recorded yet.
const PENDING: &str = "pending";
/// What is known of a volume.
const RECORD: &str = "volume.json";

/// Volumes under `<data_root>/volumes`.
#[derive(Debug, Clone)]
pub struct LocalVolumes {
    base: PathBuf,
}

/// `volume.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    created_ns: i64,
}

/// The folders of one volume.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    folder: PathBuf,
}

impl Place {
    fn data(&self) -> PathBuf {
        self.folder.join("_data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What is known of it; a folder without a record is a volume without options, as Docker's own is.
    fn read(&self) -> Result<Volume, PortError> {
        let path = self.file(RECORD);
        let record = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| PortError::caused(Kind::Bug, format!("reading {}", path.display()), e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.data().is_dir() => Record::default(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(no_such_volume(&self.name)),
            Err(e) => return Err(failed("reading", &path)(e)),
        };
        let Record { options, labels, created_ns } = record;
        Ok(Volume { name: self.name.clone(), options, labels, created_ns, mountpoint: self.data() })
    }
}

impl LocalVolumes {
    /// Volumes of this data root; folders appear with the first one.
    pub fn new(data_root: impl AsRef<Path>) -> Self {
        Self { base: data_root.as_ref().join("volumes") }
    }

    /// The place of a name that leads nowhere else.
    fn place(&self, name: &str) -> Result<Place, PortError> {
        if check::name(name).is_err() {
            return Err(no_such_volume(name));
        }
        Ok(Place { name: name.to_owned(), folder: self.base.join(name) })
    }

    fn places(&self) -> Result<Vec<Place>, PortError> {
        let entries = match std::fs::read_dir(&self.base) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("listing", &self.base)(e)),
        };
        let names = entries.flatten().filter(|e| e.path().is_dir());
        let names = names.map(|e| e.file_name().to_string_lossy().into_owned());
        let mut places: Vec<Place> = names.filter_map(|name| self.place(&name).ok()).collect();
        places.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
    }

    fn make(&self, wish: &VolumeWish, purpose: Purpose) -> Result<(Volume, Origin), PortError> {
        check::driver(&wish.driver)?;
        check::name(&wish.name)?;
        let place = self.place(&wish.name)?;
        match place.read() {
            Ok(found) => return Ok((found, Origin::Found)),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let options = wish.options.clone();
        check::options(options.as_ref().unwrap_or(&BTreeMap::new()))?;
        folder(&self.base, 0o701)?;
        let half = self.base.join(format!("{MAKING}{}", random_hex(8)));
        let made = self.furnish(&half, &place, wish, purpose);
        if made.is_err()
            && let Err(error) = crate::erase::remove_tree(&half)
        {
            tracing::warn!("removing {}: {error}", half.display());
        }
        made?;
        Ok((place.read()?, Origin::Made))
    }

    /// Makes it under another name, which it loses when it is whole.
    fn furnish(
        &self,
        half: &Path,
        place: &Place,
        wish: &VolumeWish,
        purpose: Purpose,
    ) -> Result<(), PortError> {
        folder(half, 0o701)?;
        folder(&half.join("_data"), 0o755)?;
        let record =
            Record { options: wish.options.clone(), labels: wish.labels.clone(), created_ns: now_ns() };
        let path = half.join(RECORD);
        let bytes = serde_json::to_vec(&record)
            .map_err(|e| PortError::caused(Kind::Bug, format!("encoding {}", path.display()), e))?;
        // One that goes with its container is not brought back by any reboot.
        let brief = purpose == Purpose::Pending(Durability::Daemon);
        let sync = if brief { Sync::None } else { Sync::Name };
        replace(&path, &bytes, sync).map_err(failed("writing", &path))?;
        if matches!(purpose, Purpose::Pending(_)) {
            let path = half.join(PENDING);
            std::fs::write(&path, "").map_err(failed("writing", &path))?;
        }
        std::fs::rename(half, &place.folder).map_err(failed("naming", &place.folder))?;
        if brief { Ok(()) } else { sync_folder(&self.base).map_err(failed("syncing", &self.base)) }
    }
}

/// Makes a folder, with just these permissions whatever the umask.
fn folder(path: &Path, mode: u32) -> Result<(), PortError> {
    std::fs::create_dir_all(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .map_err(failed("making", path))
}

/// Removes a file; absent is fine.
fn drop_file(path: &Path) -> Result<(), PortError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(e)),
        _ => Ok(()),
    }
}

/// Removes a volume whose data is nobody's any more: what is mounted there is taken off first, or stays.
fn remove(place: &Place) -> Result<(), PortError> {
    mount::take_off(&place.data())?;
    if let Some(at) = mountinfo::below(&place.folder)?.first() {
        return Err(PortError::new(Kind::Conflict, format!("volume has active mounts: {}", at.display())));
    }
    discard(&place.folder).map_err(failed("error removing volume path", &place.folder))
}

/// Bytes of all files below, each counted once.
fn size(data: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = BTreeSet::new();
    let (mut sum, mut folders) = (0, vec![data.to_owned()]);
    while let Some(folder) = folders.pop() {
        // What its users remove meanwhile counts no more.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(is) = entry.metadata() else { continue };
            if is.is_dir() {
                folders.push(entry.path());
            } else if seen.insert((is.dev(), is.ino())) {
                sum += is.len();
            }
        }
    }
    sum
}

#[async_trait]
impl Volumes for LocalVolumes {
    async fn list(&self) -> Result<Vec<Volume>, PortError> {
        let this = self.clone();
        blocking(move || {
            let mut all = Vec::new();
            for place in this.places()? {
                match place.read() {
                    Ok(volume) => all.push(volume),
                    Err(error) if error.kind == Kind::NotFound => {}
                    // The others must stay usable.
                    Err(error) => tracing::warn!(volume = place.name, "{}", error.chain()),
                }
            }
            Ok(all)
        })
        .await
    }

    async fn get(&self, name: &str) -> Result<Volume, PortError> {
        let place = self.place(name)?;
        blocking(move || place.read()).await
    }

    async fn create(&self, wish: &VolumeWish, purpose: Purpose) -> Result<(Volume, Origin), PortError> {
        let (this, wish) = (self.clone(), wish.clone());
        blocking(move || this.make(&wish, purpose)).await
    }

    async fn keep(&self, name: &str) -> Result<(), PortError> {
        let place = self.place(name)?;
        blocking(move || drop_file(&place.file(PENDING))).await
    }

    async fn mount(&self, name: &str) -> Result<PathBuf, PortError> {
        let place = self.place(name)?;
        blocking(move || mount::put_on(&place.read()?)).await
    }

    async fn unmount(&self, name: &str) -> Result<(), PortError> {
        let place = self.place(name)?;
        blocking(move || match place.read() {
            Ok(volume) if volume.is_mount() => mount::take_off(&volume.mountpoint),
            _ => Ok(()),
        })
        .await
    }

    async fn populate(&self, name: &str, content: &Content) -> Result<(), PortError> {
        let (place, content) = (self.place(name)?, content.clone());
        blocking(move || filling::fill(&place, content)).await
    }

    async fn size(&self, name: &str) -> Result<u64, PortError> {
        let place = self.place(name)?;
        blocking(move || Ok(size(&place.data()))).await
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        let place = self.place(name)?;
        blocking(move || remove(&place)).await
    }

    async fn ensure_sources(&self, binds: &[Bind]) -> Result<(), PortError> {
        let binds = binds.to_vec();
        blocking(move || binds.iter().try_for_each(sources::ensure)).await
    }

    async fn sweep(&self, known: &BTreeSet<String>, held: &BTreeSet<String>) -> Result<(), PortError> {
        let (this, known, held) = (self.clone(), known.clone(), held.clone());
        blocking(move || this.sweep_all(&known, &held)).await
    }
}

#[cfg(test)]
mod tests;
