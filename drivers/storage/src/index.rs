//! Which names stand for which images: decisions only, no I/O.

use crate::reference::Reference;
use contract::image::Removed;
use contract::{ImageId, Kind, PortError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names and images of the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Index {
    /// `busybox:latest` or `busybox@sha256:…` → image id.
    pub(crate) names: BTreeMap<String, String>,
    /// Every image id, named or not, with its diff ids.
    pub(crate) images: BTreeMap<String, Vec<String>>,
}

fn repository(name: &str) -> &str {
    match name.split_once('@') {
        Some((repository, _)) => repository,
        None => name.rsplit_once(':').map_or(name, |(repository, _)| repository),
    }
}

fn short(id: &str) -> String {
    ImageId::new(id).short().to_owned()
}

fn conflict(text: String) -> PortError {
    PortError::new(Kind::Conflict, format!("conflict: {text}"))
}

impl Index {
    /// The image a name or id stands for; `true` when it was an id.
    pub(crate) fn find(&self, text: &str) -> Result<(String, bool), PortError> {
        if self.images.contains_key(text) {
            return Ok((text.to_owned(), true));
        }
        let parsed = Reference::parse(text);
        if let Ok(id) = parsed.as_ref().map_err(|_| ()).and_then(|r| self.names.get(&r.key()).ok_or(())) {
            return Ok((id.clone(), false));
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            let prefix = format!("sha256:{hex}");
            let mut found = self.images.keys().filter(|id| id.starts_with(&prefix));
            match (found.next(), found.next()) {
                (Some(id), None) => return Ok((id.clone(), true)),
                (Some(_), Some(_)) => {
                    return Err(PortError::new(Kind::Invalid, format!("ambiguous image id prefix: {text}")));
                }
                _ => {}
            }
        }
        let shown = match parsed {
            _ if text.starts_with("sha256:") || hex.len() == 64 => text.to_owned(),
            Ok(reference) => reference.key(),
            Err(error) => return Err(error),
        };
        Err(PortError::new(Kind::NotFound, format!("No such image: {shown}")))
    }

    /// Names of an image.
    pub(crate) fn names_of(&self, id: &str) -> Vec<String> {
        self.names.iter().filter(|(_, i)| i.as_str() == id).map(|(n, _)| n.clone()).collect()
    }

    /// Layers no image uses any more.
    pub(crate) fn unused<'a>(&self, layers: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let used: BTreeSet<&String> = self.images.values().flatten().collect();
        layers.into_iter().filter(|l| !used.contains(l)).cloned().collect()
    }

    /// Takes a name or an image away by Docker's rules.
    pub(crate) fn remove(
        &mut self,
        text: &str,
        force: bool,
        used_by: &[(String, bool)],
    ) -> Result<Vec<Removed>, PortError> {
        let (id, by_id) = self.find(text)?;
        let names = self.names_of(&id);
        let one_repository = names.iter().map(|n| repository(n)).collect::<BTreeSet<_>>().len() <= 1;
        let tags = names.iter().filter(|n| !n.contains('@')).count();
        let mut removed = Vec::new();
        if by_id {
            if !force && (!one_repository || tags > 1) {
                let why = "image is referenced in multiple repositories";
                return Err(conflict(format!("unable to delete {} (must be forced) - {why}", short(&id))));
            }
            if let Some((container, _)) = used_by.iter().find(|(_, running)| *running) {
                let why = format!("image is being used by running container {}", short(container));
                return Err(conflict(format!("unable to delete {} (cannot be forced) - {why}", short(&id))));
            }
            if let Some((container, _)) = used_by.first().filter(|_| !force) {
                let why = format!("image is being used by stopped container {}", short(container));
                return Err(conflict(format!("unable to delete {} (must be forced) - {why}", short(&id))));
            }
            self.untag(names, &mut removed);
        } else {
            let key = Reference::parse(text)?.key();
            let last = one_repository && (tags <= 1 || names.len() == 1);
            if let Some((container, _)) = used_by.first().filter(|_| last && !force) {
                return Err(conflict(format!(
                    "unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
                    short(container),
                    short(&id)
                )));
            }
            let of = repository(&key).to_owned();
            let tagged = !key.contains('@');
            self.untag(vec![key], &mut removed);
            let mut left = self.names_of(&id);
            // Digests of a repository whose last tag went say nothing to the user.
            if tagged && !left.iter().any(|n| repository(n) == of && !n.contains('@')) {
                let (digests, others) = left.into_iter().partition(|n| repository(n) == of);
                self.untag(digests, &mut removed);
                left = others;
            }
            if !left.is_empty() {
                return Ok(removed);
            }
        }
        // A container still needs the layers: the image stays, nameless.
        if used_by.is_empty() {
            self.images.remove(&id);
            removed.push(Removed::Deleted(id));
        }
        Ok(removed)
    }

    fn untag(&mut self, names: Vec<String>, removed: &mut Vec<Removed>) {
        for name in names {
            self.names.remove(&name);
            removed.push(Removed::Untagged(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let id = format!("sha256:{}", "ab".repeat(32));
        let mut index = Index::default();
        index.names.insert("busybox:latest".into(), id.clone());
        index.names.insert(format!("busybox@{id}"), id.clone());
        index.images.insert(id, vec!["l1".into()]);
        index
    }

    #[test]
    fn an_image_in_use_gives_up_its_last_name_only_by_force() {
        let mut index = index();
        let user = [("c".repeat(64), true)];
        let refused = index.remove("busybox", false, &user).unwrap_err();
        assert_eq!(
            refused.text,
            "conflict: unable to remove repository reference \"busybox\" (must force) - container cccccccccccc is using its referenced image abababababab"
        );
        let by_id = index.remove("abab", true, &user).unwrap_err();
        assert_eq!(
            by_id.text,
            "conflict: unable to delete abababababab (cannot be forced) - image is being used by running container cccccccccccc"
        );
        assert_eq!(index.remove("busybox", true, &user).unwrap().len(), 2);
        assert_eq!(index.images.len(), 1);
    }

    #[test]
    fn the_last_name_takes_the_image_along() {
        let mut index = index();
        let id = index.find("docker.io/library/busybox").unwrap().0;
        index.names.insert("other:1".into(), id.clone());
        assert_eq!(
            index.remove("abababababab", false, &[]).unwrap_err().text,
            "conflict: unable to delete abababababab (must be forced) - image is referenced in multiple repositories"
        );
        index.remove("busybox:latest", false, &[]).unwrap();
        assert_eq!(
            index.remove("other:1", false, &[]).unwrap(),
            [Removed::Untagged("other:1".into()), Removed::Deleted(id)]
        );
        assert_eq!(index.find("other:1").unwrap_err().text, "No such image: other:1");
        assert_eq!(index.find("gone").unwrap_err().text, "No such image: gone:latest");
    }
}
