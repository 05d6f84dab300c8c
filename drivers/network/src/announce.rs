//! An address that changes hands is told to the neighbours, so that it is reached at once.
//!
//! A bridge learns a little after the interface that its port has come up, and drops what is sent before: so the telling
//! waits, as in moby, and happens more than once.

use crate::Bridges;
use contract::network::Endpoint;
use std::path::PathBuf;
use std::time::Duration;

/// When it is told, counted from the attachment and from the time before.
const AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(900)];

/// Has the kernel tell it in the background. What fails is not worth a word: the neighbours find out by themselves later.
pub fn soon(bridges: Bridges, endpoint: Endpoint, netns: PathBuf) {
    tokio::spawn(async move {
        for pause in AFTER {
            tokio::time::sleep(pause).await;
            let (endpoint, netns) = (endpoint.clone(), netns.clone());
            let _later = bridges.run(move |k| k.announce(&endpoint, &netns)).await;
        }
    });
}
