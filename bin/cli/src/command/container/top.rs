//! `gantry top`

use bollard::query_parameters::TopOptions;
use clap::Args;

use crate::{client::Client, error::CommandError, output};

/// Lists a container's processes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry top web\n  gantry top web -o pid,comm    ps options follow the name"
)]
pub struct Top {
    /// The container, then options of ps
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["CONTAINER", "PS_OPTIONS"])]
    container_and_options: Vec<String>,
}

impl Top {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (container, options) = match self.container_and_options.split_first() {
            Some((container, options)) => (container.clone(), options.join(" ")),
            None => Default::default(),
        };
        let ps_args = if options.is_empty() { "-ef".to_owned() } else { options };
        let listed = client.docker()?.top_processes(&container, Some(TopOptions { ps_args })).await;
        let listed = listed.map_err(|error| client.because(error))?;
        let rows = listed.titles.into_iter().chain(listed.processes.unwrap_or_default());
        let lines: Vec<String> = rows.map(|row| row.join("\t")).collect();
        output::raw(output::align(&lines));
        Ok(0)
    }
}
