//! Docker's form: `manifest.json` lists images by the files of their configuration and layers.

use super::{Archive, Found, invalid};
use crate::reference::Reference;
use contract::{Kind, PortError};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

pub(super) fn images(archive: &Archive) -> Result<Vec<Found>, PortError> {
    let items: Option<Vec<Item>> = serde_json::from_slice(&archive.bytes("manifest.json")?)
        .map_err(|e| PortError::caused(Kind::Invalid, "manifest.json in the archive is not valid", e))?;
    let items = items.ok_or_else(|| invalid("invalid manifest, manifest cannot be null (but can be [])"))?;
    let image = |item: Item| {
        let name = |text: &String| {
            let reference = Reference::parse(text)?;
            if reference.tag.is_none() {
                Err(invalid(format!("invalid tag {text:?}")))
            } else {
                Ok(reference)
            }
        };
        Ok(Found {
            config: archive.bytes(&item.config)?,
            layers: item.layers.iter().flatten().map(|l| archive.find(l)).collect::<Result<_, _>>()?,
            names: item.repo_tags.iter().flatten().map(name).collect::<Result<_, _>>()?,
        })
    };
    items.into_iter().map(image).collect()
}
