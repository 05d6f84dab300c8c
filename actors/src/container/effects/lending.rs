//! A container that does not run is lent to somebody who reaches into it.

use super::{volumes, warn};
use crate::container::messages::Part;
use crate::shared::Shared;
use contract::PortError;
use contract::record::ContainerSpec;
use std::sync::Arc;

/// Mounts what is needed of it, gives it away, and takes it back when that is over.
pub async fn lend<F: Future<Output = ()>>(
    shared: &Shared,
    spec: Arc<ContainerSpec>,
    part: Part,
    give: impl FnOnce(Result<Arc<ContainerSpec>, PortError>) -> F,
) {
    if part == Part::Layers {
        return give(Ok(spec)).await;
    }
    let mut own = ContainerSpec::clone(&spec);
    let mounted = volumes::mount(shared, &mut own).await;
    give(mounted.map(|()| Arc::new(own))).await;
    let errors = volumes::release(shared, &spec).await;
    shared.unmount_events(&spec);
    warn(&spec, errors);
}
