//! Specifications of containers out of Docker's JSON, for requests and for builds.

use super::create::{self, Defaults, Sources};
use super::version::ApiMinor;
use crate::host::Host;
use crate::live::Live;
use actors::Engine;
use async_trait::async_trait;
use bollard_stubs::models::ContainerCreateBody;
use contract::image::ImageSummary;
use contract::record::ContainerSpec;
use contract::{Kind, PortError};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What specifications are made with.
#[derive(Clone)]
pub struct Specifier {
    /// Other containers and images.
    pub engine: Engine,
    /// The machine.
    pub host: Arc<Host>,
    /// The configuration of now.
    pub live: Arc<Live>,
    /// Data root.
    pub data_root: PathBuf,
}

impl Specifier {
    /// The specification of `POST /containers/create` with this body in an API version, and its warnings.
    pub async fn specify(
        &self,
        raw: Value,
        api: ApiMinor,
    ) -> Result<(ContainerSpec, Vec<String>), PortError> {
        create::known_restart_policy(&raw)?;
        let body: ContainerCreateBody = serde_json::from_value(create::without_mounts(&raw))
            .map_err(|e| PortError::new(Kind::Invalid, format!("invalid JSON: {e}")))?;
        let image = self.engine.find_image(body.image.as_deref().unwrap_or_default()).await?;
        self.on(&image, body, raw, api)
    }

    fn on(
        &self,
        image: &ImageSummary,
        mut body: ContainerCreateBody,
        raw: Value,
        api: ApiMinor,
    ) -> Result<(ContainerSpec, Vec<String>), PortError> {
        let moved = create::interface_settings(&mut body, api.0)?;
        let config = self.live.get();
        let defaults = Defaults::of(&config, &self.host);
        let mut warnings = create::warnings(&body, &raw, &defaults);
        warnings.extend(moved);
        let mut spec = create::resolve(body, raw, image, &defaults)?;
        create::fill(&mut spec, &config)?;
        let id = |name: &str| self.engine.find(name).ok().map(|other| other.spec.id.clone());
        create::settle_namespaces(&mut spec.namespaces, id);
        let find = |name: &str| self.engine.find(name);
        let sources = Sources { image: &image.config, find: &find, data_root: &self.data_root, api };
        warnings.extend(create::mount(&mut spec, &sources)?);
        Ok((spec, warnings))
    }
}

#[async_trait]
impl build::Specifications for Specifier {
    async fn make(&self, raw: Value) -> Result<(ContainerSpec, Vec<String>), PortError> {
        let body: ContainerCreateBody = serde_json::from_value(create::without_mounts(&raw))
            .map_err(|e| PortError::caused(Kind::Bug, "a step's container", e))?;
        // What the image says stands in the step's own configuration, which may say less by now.
        let image = ImageSummary { id: body.image.clone().unwrap_or_default(), ..ImageSummary::default() };
        self.on(&image, body, raw, ApiMinor::newest())
    }
}
