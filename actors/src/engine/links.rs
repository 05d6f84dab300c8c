//! Links between containers, as the gateway shows and removes them.

use super::Engine;
use crate::Snapshot;
use crate::container::messages::Unlink;
use crate::links;
use contract::{ContainerId, Kind, PortError};

impl Engine {
    /// `HostConfig.Links` of a container.
    pub fn links(&self, snapshot: &Snapshot) -> Vec<String> {
        links::shown(&self.shared.board, snapshot)
    }

    /// Names under which others have linked it, `/web/mysql`.
    pub fn linked_as(&self, snapshot: &Snapshot) -> Vec<String> {
        let linkers = links::linkers(&self.shared.board, &snapshot.spec.id);
        linkers.into_iter().map(|(linker, alias)| format!("/{}/{alias}", linker.state.name)).collect()
    }

    /// Takes the link `web/mysql` away from its linker.
    pub async fn unlink(&self, path: &str) -> Result<(), PortError> {
        let found = links::find(&self.shared.board, path)
            .ok_or_else(|| PortError::new(Kind::NotFound, format!("No such container: {path}")))?;
        let alias = found.alias;
        let linker = ContainerId::new(found.linker.spec.id.clone());
        self.call(&linker, |reply| Unlink { alias, reply }).await
    }
}
