//! Volumes: which container has which of them mounted. What there is lies on disk, who may use it is on the board, and
//! mounting is the effects' business.

use crate::shared::lock;
use crate::supervise::{Answer, Ctx, Member, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Which volumes are mounted for which containers; outlives the actor, so that one rebuilt lets go of nothing that is
/// in use. Written only by the actor, before it answers.
#[derive(Debug, Clone, Default)]
pub struct Holds(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Holds {
    /// Whether any container has it mounted.
    pub fn is_held(&self, volume: &str) -> bool {
        lock(&self.0).contains_key(volume)
    }

    /// Every volume that is mounted, and for whom.
    pub fn all(&self) -> BTreeMap<String, BTreeSet<String>> {
        lock(&self.0).clone()
    }
}

/// Counts the users of mounted volumes.
pub struct Volumes(Holds);

impl Volumes {
    /// Finds what is held.
    pub fn new(holds: Holds) -> Self {
        Self(holds)
    }
}

impl Member for Volumes {}

/// A container is about to use volumes, or does already; may be repeated.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The container.
    pub container: String,
    /// Names of the volumes.
    pub volumes: Vec<String>,
}

impl Message for Hold {
    type Result = ();
}

impl Answer<Hold> for Volumes {
    fn answer(&mut self, message: Hold, _: &mut Ctx<Self>) {
        let mut held = lock(&self.0.0);
        for volume in message.volumes {
            held.entry(volume).or_default().insert(message.container.clone());
        }
    }
}

/// A container uses these no more; answers which of them nobody holds now. May be repeated.
#[derive(Debug, Clone)]
pub struct LetGo {
    /// The container.
    pub container: String,
    /// Names of the volumes.
    pub volumes: Vec<String>,
}

impl Message for LetGo {
    type Result = Vec<String>;
}

impl Answer<LetGo> for Volumes {
    fn answer(&mut self, message: LetGo, _: &mut Ctx<Self>) -> Vec<String> {
        let mut held = lock(&self.0.0);
        let mut free = message.volumes;
        for volume in &free {
            if let Some(users) = held.get_mut(volume) {
                users.remove(&message.container);
                if users.is_empty() {
                    held.remove(volume);
                }
            }
        }
        free.retain(|volume| !held.contains_key(volume));
        free
    }
}
