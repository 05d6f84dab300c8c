//! `gantry create`

use bollard::query_parameters::CreateContainerOptions;
use clap::Args;

use bollard::models::ContainerCreateBody;

use crate::client::Client;
use crate::command::image::pull::{self, Show, split_reference};
use crate::options::ContainerOptions;
use crate::{error::CommandError, output};

/// Makes a container without starting it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  id=$(gantry create -it busybox sh) && gantry start -ai $id")]
pub struct Create {
    #[command(flatten)]
    options: ContainerOptions,
}

/// Creates the container `body` describes, downloading its image if need be. Returns its identifier.
pub async fn create(
    client: &Client,
    options: &ContainerOptions,
    body: ContainerCreateBody,
) -> Result<String, CommandError> {
    let image = options.image();
    let options = &options.run;
    if let Some(path) = &options.cidfile
        && std::path::Path::new(path).exists()
    {
        let text =
            format!("container ID file found, make sure the other container isn't running or delete {path}");
        return Err(CommandError::Refused(text));
    }
    let docker = client.docker()?;
    let query = CreateContainerOptions {
        name: options.name.clone(),
        platform: options.platform.clone().unwrap_or_default(),
    };
    let show = if options.quiet { Show::Nothing } else { Show::Stderr };
    if options.pull == "always" {
        pull::pull(client, image, options.platform.as_deref(), show).await?;
    }
    let mut created = docker.create_container(Some(query.clone()), body.clone()).await;
    if options.pull == "missing"
        && let Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, message }) = &created
        && message.to_lowercase().contains("no such image")
    {
        if !options.quiet {
            let (repository, tag) = split_reference(image);
            let shown = match tag {
                None => format!("{repository}:latest"),
                Some(_) => image.to_owned(),
            };
            output::error_line(format!("Unable to find image '{shown}' locally"));
        }
        pull::pull(client, image, options.platform.as_deref(), show).await?;
        created = docker.create_container(Some(query), body).await;
    }
    let created = created.map_err(|error| client.because(error))?;
    for warning in &created.warnings {
        output::error_line(format!("WARNING: {warning}"));
    }
    if let Some(path) = &options.cidfile {
        std::fs::write(path, &created.id)
            .map_err(|source| CommandError::File { path: path.clone(), source })?;
    }
    Ok(created.id)
}

impl Create {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let body = self.options.body().map_err(|error| CommandError::from(error).in_command("create"))?;
        output::line(create(client, &self.options, body).await?);
        Ok(0)
    }
}
