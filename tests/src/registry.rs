//! Debian's docker-registry on a test's host.

use crate::image;
use crate::place::Place;
use crate::process::{Output, Running, eventually};
use std::sync::Arc;

/// A registry on a place's host, at 127.0.0.1:5000 without TLS if nothing else is said. Stopped when dropped.
#[derive(Debug)]
pub struct Registry {
    _running: Running,
    place: Arc<Place>,
    address: String,
}

impl Registry {
    /// Starts an empty one.
    #[track_caller]
    pub fn empty(place: &Arc<Place>) -> Self {
        Self::at(place, "127.0.0.1:5000", "", "")
    }

    /// Starts an empty one elsewhere, with further lines of its section `http` (in YAML's flow form, beginning with a
    /// comma) and further sections.
    #[track_caller]
    pub fn at(place: &Arc<Place>, address: &str, http: &str, sections: &str) -> Self {
        let (_, port) = address.rsplit_once(':').expect("a port");
        let config = place.path(&format!("registry-{port}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http: {{addr: '{address}'{http}}}\n{sections}",
            place.path(&format!("registry-{port}")).display()
        );
        std::fs::write(&config, text).expect("write the registry's configuration");
        let mut running = place.spawn("docker-registry", ["serve", config.to_str().expect("a plain path")]);
        let port = port.parse().expect("a port");
        eventually("the registry answers", || {
            if running.ended() {
                panic!("the registry ended at once:\n{}", running.stderr());
            }
            place.listens(port).then_some(())
        });
        Self { _running: running, place: Arc::clone(place), address: address.to_owned() }
    }

    /// Starts one that holds `busybox:latest` and `layered:1` of [`image::oci_layout`].
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        let registry = Self::empty(place);
        registry.push("busybox", "busybox:latest", &[]).ok();
        registry.push("layered", "layered:1", &[]).ok();
        registry
    }

    /// Copies an image of the layout into it, with further flags of `skopeo copy`.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str, flags: &[&str]) -> Output {
        let mut command = self.place.command("skopeo");
        command.args(["--insecure-policy", "copy", "--dest-tls-verify=false"]).args(flags);
        command.arg(format!("oci:{}:{image}", image::oci_layout().display()));
        command.arg(format!("docker://{}/{name}", self.address));
        crate::process::run(command)
    }
}
