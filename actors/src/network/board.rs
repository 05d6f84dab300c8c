//! The bridge networks there are, with their actors: read without asking anybody.

use super::actor::{Leases, Network};
use crate::supervise::Link;
use contract::record::NetworkSpec;
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A network.
#[derive(Clone)]
pub struct Known {
    /// What it is.
    pub spec: Arc<NetworkSpec>,
    /// Its addresses' actor.
    pub link: Link<Network>,
    /// Its addresses.
    pub leases: Leases,
}

/// All networks by id.
#[derive(Clone, Default)]
pub struct NetworkBoard(Arc<RwLock<BTreeMap<String, Known>>>);

impl NetworkBoard {
    /// Puts a network up.
    pub fn publish(&self, network: Known) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(network.spec.id.clone(), network);
    }

    /// Takes a removed one down.
    pub fn withdraw(&self, id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// By full id.
    pub fn get(&self, id: &str) -> Option<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<Known> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut out: Vec<Known> = map.values().cloned().collect();
        out.sort_by(|a, b| (a.spec.created_ns, &a.spec.id).cmp(&(b.spec.created_ns, &b.spec.id)));
        out
    }

    /// By id, name or unique prefix, in this order, as Docker does.
    pub fn find(&self, term: &str) -> Result<Known, PortError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(exact) = map.get(term).or_else(|| map.values().find(|n| n.spec.name == term)) {
            return Ok(exact.clone());
        }
        let mut matching = map.values().filter(|n| !term.is_empty() && n.spec.id.starts_with(term));
        match (matching.next(), matching.count()) {
            (Some(one), 0) => Ok(one.clone()),
            (Some(_), more) => {
                let n = more + 1;
                let text = format!("network {term} is ambiguous ({n} matches found based on ID prefix)");
                Err(PortError::new(Kind::Invalid, text))
            }
            (None, _) => Err(PortError::new(Kind::NotFound, format!("network {term} not found"))),
        }
    }
}
