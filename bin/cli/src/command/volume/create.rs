//! `gantry volume create`

use bollard::models::VolumeCreateRequest;
use clap::Args;

use crate::options::value::{self, map};
use crate::{client::Client, error::CommandError, output};

const EXAMPLES: &str = "\
Examples:
  gantry volume create data
  gantry volume create -o type=tmpfs -o device=tmpfs -o o=size=100m scratch
  gantry volume create -o type=nfs -o device=:/srv -o o=addr=10.0.0.1,rw share";

/// Makes a place for data that outlives containers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Create {
    /// Specify volume driver name
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = value::label)]
    label: Vec<String>,
    /// Set driver specific options (local: type, device, o, size)
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Specify volume name
    #[arg(long = "name", hide = true)]
    named: Option<String>,
    /// The name [default: a random one]
    #[arg(value_name = "VOLUME")]
    name: Option<String>,
}

impl Create {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if self.named.is_some() && self.name.is_some() {
            let text = "conflicting options: cannot specify a volume-name through both --name and as a positional arg";
            return Err(CommandError::Refused(text.to_owned()));
        }
        let request = VolumeCreateRequest {
            name: self.name.or(self.named),
            driver: Some(self.driver),
            driver_opts: (!self.opt.is_empty()).then(|| map(&self.opt)),
            labels: (!self.label.is_empty()).then(|| map(&self.label)),
            ..Default::default()
        };
        let made = client.docker()?.create_volume(request).await.map_err(|error| client.because(error))?;
        output::line(made.name);
        Ok(0)
    }
}
