//! Stages that are complete, by name and by number.

use std::collections::BTreeMap;

/// Why a stage cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// Two stages have the name.
    #[error("{0} stage name already used")]
    Taken(String),
    /// `--from` is the number of the stage it stands in.
    #[error("invalid from flag value {0}: refers to current build stage")]
    Current(String),
    /// `--from` is a number that no stage has.
    #[error("invalid from flag value {0}: index out of bounds")]
    OutOfBounds(String),
}

/// Images of complete stages.
#[derive(Debug, Default)]
pub(super) struct Stages {
    images: Vec<String>,
    names: BTreeMap<String, String>,
}

impl Stages {
    pub(super) fn is_free(&self, name: Option<&str>) -> Result<(), StageError> {
        match name.filter(|n| self.named(n).is_some()) {
            Some(name) => Err(StageError::Taken(name.to_owned())),
            None => Ok(()),
        }
    }

    pub(super) fn add(&mut self, name: Option<String>, image: String) -> Result<(), StageError> {
        self.is_free(name.as_deref())?;
        self.names.extend(name.map(|n| (n.to_lowercase(), image.clone())));
        self.images.push(image);
        Ok(())
    }

    /// The image of a stage; empty when nothing was made in it.
    pub(super) fn named(&self, name: &str) -> Option<&str> {
        self.names.get(&name.to_lowercase()).map(String::as_str)
    }

    /// The same by name or number; `None` = it is no stage.
    pub(super) fn find(&self, text: &str) -> Result<Option<&str>, StageError> {
        if let Some(image) = self.named(text) {
            return Ok(Some(image));
        }
        let Ok(number) = text.parse::<i64>() else { return Ok(None) };
        match usize::try_from(number).map(|n| (n, self.images.get(n))) {
            Ok((_, Some(image))) => Ok(Some(image)),
            Ok((n, None)) if n == self.images.len() => Err(StageError::Current(text.to_owned())),
            _ => Err(StageError::OutOfBounds(text.to_owned())),
        }
    }
}
