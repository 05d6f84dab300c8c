//! Unpacked layers, one folder per diff id, shared by all images and containers.

use crate::erase::remove_tree;
use crate::file::{failed, random_hex};
use crate::limits::Limits;
use crate::pieces::{Counted, Pieces};
use crate::reference::is_digest;
use crate::settle::{self, Settling};
use crate::stream::{DIFF, Restored};
use crate::unpack::{Unpacked, unpack};
use contract::image::{KnownBlob, Passed};
use contract::{Kind, PortError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Layers under `<data_root>/layers`: `<hex>/diff`, `<hex>/size` and the record of its stream.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    base: PathBuf,
    limits: Limits,
    settling: Settling,
}

/// Prefix of what is being made or removed.
const HALF: &str = ".half-";

impl Layers {
    pub(crate) fn open(data_root: &Path, limits: Limits) -> Result<Self, PortError> {
        let base = data_root.join("layers");
        std::fs::create_dir_all(&base).map_err(failed("making", &base))?;
        let settling = Settling::new(&base);
        Ok(Self { base, limits, settling })
    }

    /// Bounds of what an archive may unpack to now.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.on_disk(&self.base)
    }

    fn folder(&self, diff_id: &str) -> PathBuf {
        self.base.join(diff_id.strip_prefix("sha256:").unwrap_or(diff_id))
    }

    pub(crate) fn diff(&self, diff_id: &str) -> PathBuf {
        self.folder(diff_id).join(DIFF)
    }

    pub(crate) fn has(&self, diff_id: &str) -> bool {
        is_digest(diff_id) && self.diff(diff_id).is_dir()
    }

    pub(crate) fn size(&self, diff_id: &str) -> u64 {
        let text = std::fs::read_to_string(self.folder(diff_id).join("size"));
        text.ok().and_then(|s| s.trim().parse().ok()).unwrap_or(0)
    }

    /// The layer's tar stream, byte for byte as its diff id was made.
    pub(crate) fn stream(&self, diff_id: &str) -> Result<Restored, PortError> {
        if !self.has(diff_id) {
            return Err(PortError::new(Kind::NotFound, format!("layer {diff_id} does not exist")));
        }
        Restored::open(&self.folder(diff_id), diff_id).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                let text = format!(
                    "layer {diff_id} was unpacked by an older gantry, which kept no record of its stream: remove the image, and pull or load it again"
                );
                PortError::new(Kind::Unsupported, text)
            }
            _ => PortError::caused(Kind::Bug, format!("reading layer {diff_id}"), e),
        })
    }

    /// Reads the layer back; fails unless what is there makes up its diff id.
    pub(crate) fn verify(&self, diff_id: &str) -> Result<(), PortError> {
        let damaged = |e| PortError::caused(Kind::Bug, format!("verifying layer {diff_id}"), e);
        self.stream(diff_id)?.verify().map_err(damaged)
    }

    /// Forms of a layer that registries are known to have, the latest last.
    pub(crate) fn known(&self, diff_id: &str) -> Vec<KnownBlob> {
        crate::known::read(&self.folder(diff_id))
    }

    /// Remembers one.
    pub(crate) fn learn(&self, diff_id: &str, blob: KnownBlob) -> Result<(), PortError> {
        crate::known::learn(&self.folder(diff_id), blob)
    }

    /// Unpacks a layer under a temporary name; nothing stays when that fails.
    pub(crate) fn make(&self, source: impl Pieces, passed: Option<Passed>) -> Result<Half, PortError> {
        let mut half = Half { path: self.base.join(format!("{HALF}{}", random_hex(8))), unpacked: None };
        let diff = half.path.join(DIFF);
        std::fs::create_dir_all(&diff).map_err(failed("making", &diff))?;
        set_mode(&diff).map_err(failed("making", &diff))?;
        let unpacked = unpack(Counted::new(source, passed), &half.path, self.limits());
        let unpacked = unpacked.map_err(|e| {
            let kind = match e.kind() {
                std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::StorageFull => Kind::Exhausted,
                _ => Kind::Invalid,
            };
            PortError::new(kind, format!("failed to register layer: {e}"))
        })?;
        let size = half.path.join("size");
        std::fs::write(&size, unpacked.size.to_string()).map_err(failed("writing", &size))?;
        self.settling.mark(&half.path)?;
        half.unpacked = Some(unpacked);
        Ok(half)
    }

    /// Gives an unpacked layer its name, if that is `expected` or nothing is.
    pub(crate) fn publish(&self, half: Half, expected: Option<&str>) -> Result<Unpacked, PortError> {
        let unpacked =
            half.unpacked.clone().ok_or_else(|| PortError::new(Kind::Bug, "layer is not unpacked"))?;
        if let Some(id) = expected.filter(|id| *id != unpacked.diff_id) {
            return Err(mismatch(&unpacked.diff_id, id));
        }
        let target = self.folder(&unpacked.diff_id);
        match std::fs::rename(&half.path, &target) {
            Ok(()) => {
                self.settling.named(&target);
                Ok(unpacked)
            }
            // Somebody else unpacked the same meanwhile.
            Err(_) if self.has(&unpacked.diff_id) => Ok(unpacked),
            Err(e) => Err(failed("naming", &target)(e)),
        }
    }

    /// Brings what is new to the disk, behind the caller's back.
    pub(crate) fn settle(&self) {
        self.settling.begin();
    }

    /// Reads back the layers of which a power cut may have taken a part; answers those that it has, and why.
    pub(crate) fn broken(&self) -> Result<Vec<(String, PortError)>, PortError> {
        let mut broken = Vec::new();
        for id in self.all()? {
            let folder = self.folder(&id);
            if !self.settling.is_doubtful(&folder).map_err(failed("reading the mark in", &folder))? {
                continue;
            }
            tracing::info!("the machine may have lost a part of layer {id}: it is read back");
            match self.sound(&id) {
                Ok(()) => settle::unmark(&folder).map_err(failed("unmarking", &folder))?,
                Err(error) => broken.push((id, error)),
            }
        }
        self.settle();
        Ok(broken)
    }

    fn sound(&self, id: &str) -> Result<(), PortError> {
        let size = self.folder(id).join("size");
        let text = std::fs::read_to_string(&size).map_err(failed("reading", &size))?;
        if text.parse::<u64>().is_err() {
            return Err(PortError::new(Kind::Bug, format!("{} is empty", size.display())));
        }
        self.verify(id)
    }

    /// Takes a layer's name away; its content goes with the answer, so that a crash leaves no half layer under the name.
    pub(crate) fn take(&self, diff_id: &str) -> Result<Option<Half>, PortError> {
        let half = Half { path: self.base.join(format!("{HALF}{}", random_hex(8))), unpacked: None };
        let folder = self.folder(diff_id);
        match std::fs::rename(&folder, &half.path) {
            Ok(()) => Ok(Some(half)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("removing", &folder)(e)),
        }
    }

    /// Every complete layer's diff id.
    pub(crate) fn all(&self) -> Result<BTreeSet<String>, PortError> {
        let entries = std::fs::read_dir(&self.base).map_err(failed("listing", &self.base))?.flatten();
        Ok(entries
            .map(|e| format!("sha256:{}", e.file_name().to_string_lossy()))
            .filter(|id| is_digest(id))
            .collect())
    }

    /// Removes what a killed daemon left half made or half removed. What cannot be removed is told and stays.
    pub(crate) fn sweep(&self) -> Result<(), PortError> {
        for entry in std::fs::read_dir(&self.base).map_err(failed("listing", &self.base))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                drop(Half { path: entry.path(), unpacked: None });
            }
        }
        Ok(())
    }
}

/// A layer is not the one it was said to be.
pub(crate) fn mismatch(diff_id: &str, wanted: &str) -> PortError {
    let text = format!("layers from manifest don't match image configuration: {diff_id} is not {wanted}");
    PortError::new(Kind::Invalid, text)
}

/// Layers as overlay wants them, topmost first.
pub(crate) fn stack(folders: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut lower: Vec<PathBuf> = Vec::new();
    for diff in folders {
        let opaque = crate::place::is_opaque(&diff);
        // Overlay refuses a folder named twice; the upper occurrence decides.
        if !lower.contains(&diff) {
            lower.push(diff);
        }
        // Overlay does not heed this mark on a root, so what is below is left out.
        if opaque {
            break;
        }
    }
    lower
}

/// A layer without a name; removed from the disk with this value.
#[derive(Debug)]
pub(crate) struct Half {
    path: PathBuf,
    unpacked: Option<Unpacked>,
}

impl Half {
    /// Diff id of what was unpacked.
    pub(crate) fn diff_id(&self) -> &str {
        self.unpacked.as_ref().map_or("", |u| &u.diff_id)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!("removing {}: {error}", self.path.display());
        }
    }
}

fn set_mode(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
