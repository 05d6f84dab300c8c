//! Names between being chosen and being published by their container.

use super::snapshot::Board;
use crate::shared::lock;
use contract::{Kind, PortError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Claimed names and for whom; outlives the directory's actor, so that one rebuilt gives no name twice.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<HashMap<String, String>>>);

/// A name that nobody else gets while this lives. Kept until the container has published the name.
#[must_use]
pub struct Claim {
    claims: Claims,
    name: String,
    id: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = lock(&self.claims.0);
        if held.get(&self.name) == Some(&self.id) {
            held.remove(&self.name);
        }
    }
}

impl Claims {
    /// Fails with Docker's text when another container has the name, or is about to.
    pub fn claim(&self, board: &Board, name: &str, id: &str) -> Result<Claim, PortError> {
        let mut held = lock(&self.0);
        let published = board.holder(name);
        let holder = published.or_else(|| held.get(name).cloned()).filter(|holder| holder != id);
        if let Some(holder) = holder {
            let text = format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have \
                 to remove (or rename) that container to be able to reuse that name."
            );
            return Err(PortError::new(Kind::Conflict, text));
        }
        held.insert(name.to_owned(), id.to_owned());
        Ok(Claim { claims: self.clone(), name: name.to_owned(), id: id.to_owned() })
    }
}
