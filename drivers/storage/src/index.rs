//! Which names stand for which images: decisions only, no I/O.

use crate::reference::Reference;
use contract::{Kind, PortError};
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
    /// When an image last got a name, ns since the epoch.
    pub(crate) tagged: BTreeMap<String, i64>,
    /// The image that an image was made from here.
    pub(crate) parents: BTreeMap<String, String>,
    /// Images that were deleted while stopped containers stand on them, with their diff ids.
    pub(crate) kept: BTreeMap<String, Vec<String>>,
}

impl Index {
    /// The image a name or id stands for; `true` when it was an id.
    pub(crate) fn find(&self, text: &str) -> Result<(String, bool), PortError> {
        if self.images.contains_key(text) {
            return Ok((text.to_owned(), true));
        }
        let parsed = Reference::parse(text);
        if let Some(id) = parsed.as_ref().ok().and_then(|r| self.names.get(&r.key())) {
            return Ok((id.clone(), false));
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            let prefix = format!("sha256:{hex}");
            let mut found = self.images.keys().filter(|id| id.starts_with(&prefix));
            // A prefix of several is a prefix of none.
            if let (Some(id), None) = (found.next(), found.next()) {
                return Ok((id.clone(), true));
            }
        }
        let shown = match parsed {
            _ if text.starts_with("sha256:") || hex.len() == 64 => text.to_owned(),
            Ok(reference) => reference.key(),
            Err(error) => return Err(error),
        };
        Err(PortError::new(Kind::NotFound, format!("No such image: {shown}")))
    }

    /// Adds an image, and gives it the names, taking them from whoever has them.
    pub(crate) fn add(&mut self, id: &str, layers: Vec<String>, names: &[String], now_ns: i64) {
        self.kept.remove(id);
        self.images.insert(id.to_owned(), layers);
        for name in names {
            self.name(name, id, now_ns);
        }
    }

    /// Gives an image a name.
    pub(crate) fn name(&mut self, name: &str, id: &str, now_ns: i64) {
        if self.names.insert(name.to_owned(), id.to_owned()).as_deref() != Some(id) {
            self.tagged.insert(id.to_owned(), now_ns);
        }
    }

    /// Forgets an image and what is left of its names; answers its layers.
    pub(crate) fn forget(&mut self, id: &str) -> Vec<String> {
        self.tagged.remove(id);
        self.parents.remove(id);
        self.names.retain(|_, i| i != id);
        self.images.remove(id).unwrap_or_default()
    }

    /// Layers of an image that a container stands on, lowest first.
    pub(crate) fn layers_below(&self, id: &str) -> Option<&Vec<String>> {
        self.images.get(id).or_else(|| self.kept.get(id))
    }

    /// Forgets every image that needs a layer; answers them with their names.
    pub(crate) fn forget_with(&mut self, layer: &str) -> Vec<(String, Vec<String>)> {
        let lost = self.images.iter().filter(|(_, layers)| layers.iter().any(|l| l == layer));
        let lost: Vec<String> = lost.map(|(id, _)| id.clone()).collect();
        lost.into_iter()
            .map(|id| {
                let names = self.names_of(&id);
                self.forget(&id);
                (id, names)
            })
            .collect()
    }

    /// Whether another image was made from it.
    pub(crate) fn has_children(&self, id: &str) -> bool {
        self.parents.values().any(|parent| parent == id)
    }

    /// Names of an image.
    pub(crate) fn names_of(&self, id: &str) -> Vec<String> {
        self.names.iter().filter(|(_, i)| i.as_str() == id).map(|(n, _)| n.clone()).collect()
    }

    /// Which of these layers no image uses any more.
    pub(crate) fn unused<'a>(&self, layers: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let mut asked: BTreeSet<&String> = layers.into_iter().collect();
        for used in self.images.values().chain(self.kept.values()).flatten() {
            if asked.is_empty() {
                break;
            }
            asked.remove(used);
        }
        asked.into_iter().cloned().collect()
    }
}
