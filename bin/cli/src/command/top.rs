//! `gantry top`: without a container a live view of where lines go and of the daemon's actors; with one Docker's list of its
//! processes.

mod keys;
mod model;
mod moment;
mod rows;
mod screen;
mod tree;
mod view;

use std::time::Duration;

use clap::Args;

use crate::client::Client;
use crate::command::container;
use crate::{error::CommandError, output, terminal};
use model::Model;
use moment::Moment;

const EXAMPLES: &str = "\
Examples:
  gantry top                     where lines go, live
  gantry top --once              the same, once
  gantry top web                 the processes of a container
  gantry top web -o pid,comm     ps options follow the name

Keys: q quits, arrows or j and k move, enter folds, s sorts by another column, / filters, a shows the actors.";

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// Watches where lines go, or lists a container's processes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// Show the state of now and end, as without a terminal
    #[arg(long)]
    once: bool,
    /// Print what the daemon says once, as JSON
    #[arg(long)]
    json: bool,
    /// A container, then options of ps: its processes are listed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_names = ["CONTAINER", "PS_OPTIONS"])]
    container_and_options: Vec<String>,
}

impl Top {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if !self.container_and_options.is_empty() {
            if self.once || self.json {
                let text = "--once and --json are for the view of all containers: leave the name out";
                return Err(CommandError::Refused(text.to_owned()));
            }
            return container::top::processes(client, &self.container_and_options).await;
        }
        if self.json {
            output::line(format!("{:#}", client.get_unversioned("/gantry/top").await?));
            return Ok(0);
        }
        if self.once || !terminal::stdout_is_terminal() || !terminal::stdin_is_terminal() {
            return once(client).await;
        }
        screen::run(client).await
    }
}

/// Two looks, for rates are of the time between.
async fn once(client: &Client) -> Result<u8, CommandError> {
    let mut model = Model::default();
    model.take(look(client, false).await?);
    tokio::time::sleep(TICK).await;
    model.take(look(client, false).await?);
    output::raw(output::align(&view::plain(&model)));
    Ok(0)
}

async fn look(client: &Client, actors: bool) -> Result<Moment, CommandError> {
    let query = if actors { "" } else { "?actors=0" };
    Ok(Moment::read(&client.get_unversioned(&format!("/gantry/top{query}")).await?))
}
