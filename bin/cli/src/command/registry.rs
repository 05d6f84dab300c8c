//! Commands about registries.

pub mod login;
pub mod logout;
pub mod search;

use crate::credentials::HUB;

/// The key of a server's credentials and what it is called in messages.
fn server(given: Option<&str>) -> String {
    match given.map(|given| given.trim_end_matches('/')) {
        None | Some("" | "docker.io" | "index.docker.io" | "registry-1.docker.io") => HUB.to_owned(),
        Some(given) if HUB.trim_end_matches('/') == given => HUB.to_owned(),
        Some(given) => {
            let bare = given.strip_prefix("https://").or(given.strip_prefix("http://")).unwrap_or(given);
            bare.split('/').next().unwrap_or_default().to_owned()
        }
    }
}
