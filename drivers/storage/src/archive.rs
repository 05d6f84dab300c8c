//! Image archives as `docker save`, skopeo and OCI tools write them: unpacked file by file into a folder of our own,
//! under names of our own, so that nothing inside names a place.

use crate::file::{failed, random_hex, remove_tree};
use crate::reference::Reference;
use crate::store::{Core, diff_ids};
use crate::unpack::decompress;
use contract::{ImageId, Kind, PortError};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Largest JSON file taken from an archive, bytes.
const JSON_LIMIT: u64 = 8 << 20;

/// An image found in an archive.
pub(crate) struct Found {
    /// Configuration, byte for byte.
    pub(crate) config: Vec<u8>,
    /// Layer files, lowest first.
    pub(crate) layers: Vec<PathBuf>,
    /// Names it is to have.
    pub(crate) names: Vec<String>,
}

/// An archive's files.
pub(crate) struct Archive {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Drop for Archive {
    fn drop(&mut self) {
        // What stays is swept at the next start.
        let _left = remove_tree(&self.folder);
    }
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

fn normal(path: &str) -> String {
    path.split('/').filter(|p| !p.is_empty() && *p != ".").collect::<Vec<_>>().join("/")
}

impl Archive {
    /// Reads a plain or compressed tar into a folder under `scratch`.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self, PortError> {
        let folder = scratch.join(format!(".load-{}", random_hex(8)));
        std::fs::create_dir_all(&folder).map_err(failed("making", &folder))?;
        let mut archive = Self { folder, files: BTreeMap::new() };
        archive.read(path).map_err(|e| PortError::caused(Kind::Invalid, "the archive cannot be read", e))?;
        Ok(archive)
    }

    fn read(&mut self, path: &Path) -> std::io::Result<()> {
        let mut tar = tar::Archive::new(decompress(File::open(path)?)?);
        let mut links = Vec::new();
        for (number, entry) in tar.entries()?.enumerate() {
            let mut entry = entry?;
            let name = normal(&entry.path()?.to_string_lossy());
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                if let Some(target) = entry.link_name()? {
                    let parent =
                        if kind.is_symlink() { name.rsplit_once('/').map_or("", |(p, _)| p) } else { "" };
                    links.push((name.clone(), join(parent, &target.to_string_lossy())));
                }
            } else if kind.is_file() {
                let file = self.folder.join(number.to_string());
                std::io::copy(&mut entry, &mut File::create_new(&file)?)?;
                self.files.insert(name, file);
            }
        }
        for (name, target) in links {
            if let Some(file) = self.files.get(&target).cloned() {
                self.files.insert(name, file);
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Result<&PathBuf, PortError> {
        self.files.get(&normal(name)).ok_or_else(|| invalid(format!("the archive lacks {name}")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, PortError> {
        let path = self.file(name)?;
        let mut out = Vec::new();
        let read = File::open(path).and_then(|f| f.take(JSON_LIMIT).read_to_end(&mut out));
        read.map_err(failed("reading", path))?;
        Ok(out)
    }

    fn json(&self, name: &str) -> Result<Value, PortError> {
        serde_json::from_slice(&self.bytes(name)?)
            .map_err(|e| PortError::caused(Kind::Invalid, format!("{name} in the archive is not valid"), e))
    }

    /// The images in it.
    pub(crate) fn images(&self) -> Result<Vec<Found>, PortError> {
        if self.files.contains_key("manifest.json") {
            return self.docker();
        }
        if self.files.contains_key("index.json") {
            return self.oci();
        }
        Err(invalid("invalid archive: does not contain a manifest.json"))
    }

    fn docker(&self) -> Result<Vec<Found>, PortError> {
        let manifest = self.json("manifest.json")?;
        let mut out = Vec::new();
        for entry in manifest.as_array().into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let list = |key: &str| {
                entry.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
            };
            out.push(Found {
                config: self.bytes(text("Config"))?,
                layers: list("Layers").map(|l| self.file(l).cloned()).collect::<Result<_, _>>()?,
                names: list("RepoTags").map(str::to_owned).collect(),
            });
        }
        Ok(out)
    }

    /// A blob whose content is checked against its name.
    fn blob(&self, descriptor: &Value) -> Result<(String, &PathBuf), PortError> {
        let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
        let hex = digest
            .strip_prefix("sha256:")
            .ok_or_else(|| invalid(format!("unsupported digest {digest:?}")))?;
        let name = format!("blobs/sha256/{hex}");
        let path = self.file(&name)?;
        let mut hasher = Hasher(Sha256::new());
        File::open(path)
            .and_then(|mut f| std::io::copy(&mut f, &mut hasher))
            .map_err(failed("reading", path))?;
        if hex::encode(hasher.0.finalize()) != hex {
            return Err(invalid(format!("the content of {name} is not what its digest says")));
        }
        Ok((name, path))
    }

    fn oci(&self) -> Result<Vec<Found>, PortError> {
        let index = self.json("index.json")?;
        let mut out = Vec::new();
        for descriptor in index.get("manifests").and_then(Value::as_array).into_iter().flatten() {
            let note =
                |key: &str| descriptor.get("annotations").and_then(|a| a.get(key)).and_then(Value::as_str);
            let name = note("io.containerd.image.name").or_else(|| note("org.opencontainers.image.ref.name"));
            let (file, _) = self.blob(descriptor)?;
            let mut manifest = self.json(&file)?;
            if let Some(list) = manifest.get("manifests").and_then(Value::as_array) {
                let own = list.iter().find(|d| fits(d)).or(list.first());
                let own = own.ok_or_else(|| invalid("the archive's image index is empty"))?;
                manifest = self.json(&self.blob(own)?.0)?;
            }
            let (config, _) = self.blob(manifest.get("config").unwrap_or(&Value::Null))?;
            let layers = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
            out.push(Found {
                config: self.bytes(&config)?,
                layers: layers.map(|l| self.blob(l).map(|(_, p)| p.clone())).collect::<Result<_, _>>()?,
                names: name.filter(|n| n.contains([':', '/'])).map(str::to_owned).into_iter().collect(),
            });
        }
        Ok(out)
    }
}

fn fits(descriptor: &Value) -> bool {
    let platform = |key: &str| descriptor.get("platform").and_then(|p| p.get(key)).and_then(Value::as_str);
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    platform("os") == Some("linux") && platform("architecture") == Some(own)
}

fn join(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in relative.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Stores every image of an archive; answers their names, or ids where there are none.
pub(crate) fn load(core: &Core, scratch: &Path, path: &Path) -> Result<Vec<String>, PortError> {
    let archive = Archive::open(path, scratch)?;
    let mut loaded = Vec::new();
    for found in archive.images()? {
        let ids = diff_ids(&found.config)?;
        if ids.len() != found.layers.len() {
            return Err(invalid(format!(
                "invalid archive: {} layers for {} diff ids",
                found.layers.len(),
                ids.len()
            )));
        }
        let names = found
            .names
            .iter()
            .map(|n| Reference::parse(n).map(|r| r.tagged()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut added = Vec::new();
        let mut unpack_all = || {
            for (id, file) in ids.iter().zip(&found.layers) {
                if !core.layers.has(id) {
                    let reader = File::open(file).map_err(failed("opening", file))?;
                    core.layers.add(reader, Some(id))?;
                    added.push(id.clone());
                }
            }
            core.add_image(&found.config, &names)
        };
        match unpack_all() {
            Ok(id) if names.is_empty() => loaded.push(id.to_string()),
            Ok(_) => loaded.extend(names),
            Err(error) => {
                core.collect(&added)?;
                return Err(error);
            }
        }
    }
    Ok(loaded)
}

/// Makes an image of one root file system.
pub(crate) fn import(
    core: &Core,
    path: &Path,
    names: &[String],
    message: &str,
    changes: &[String],
) -> Result<ImageId, PortError> {
    let config = crate::changes::apply(changes)?;
    let reader = File::open(path).map_err(failed("opening", path))?;
    let layer = core.layers.add(reader, None)?;
    let now = jiff::Timestamp::now().to_string();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let image = serde_json::json!({
        "architecture": arch, "os": "linux", "created": now, "config": config,
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        "history": [{ "created": now, "comment": if message.is_empty() { "Imported from -" } else { message } }],
    });
    core.add_image(image.to_string().as_bytes(), names)
}
