//! `gantry exec`

use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;
use clap::Args;
use serde_json::{Value, json};

use super::run::status;
use crate::client::Client;
use crate::error::CommandError;
use crate::options::value::{self, file};
use crate::session::{self, Ending, Sized, Streams};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  gantry exec -it web sh
  gantry exec -u nobody -w /tmp -e LANG=C web env
  tar c . | gantry exec -i web tar x -C /srv";

/// Runs another program in a running container.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = value::env)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The container, the command and its arguments
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_names = ["CONTAINER", "COMMAND"])]
    container_and_command: Vec<String>,
}

impl Exec {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let Some((container, command)) = self.container_and_command.split_first() else { return Ok(1) };
        if !self.detach {
            terminal::check(self.interactive, self.tty)?;
        }
        let mut env = Vec::new();
        for path in &self.env_file {
            env.extend(file::variables(path, |name| std::env::var(name).ok())?);
        }
        env.extend(self.env.iter().cloned());
        let keys = session::detach_keys(client, self.detach_keys);
        let console = terminal::size().filter(|_| self.tty);
        let console = console.map(|(rows, columns)| vec![usize::from(rows), usize::from(columns)]);
        let config = ExecConfig {
            attach_stdin: Some(self.interactive && !self.detach),
            attach_stdout: Some(!self.detach),
            attach_stderr: Some(!self.detach),
            tty: Some(self.tty),
            env: Some(env),
            cmd: Some(command.to_vec()),
            privileged: Some(self.privileged),
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
            detach_keys: keys.clone(),
            console_size: console.clone(),
        };
        let docker = client.docker()?;
        let id = docker.create_exec(container, config).await.map_err(|error| client.because(error))?.id;
        if self.detach {
            let options = StartExecOptions { detach: true, ..Default::default() };
            docker.start_exec(&id, Some(options)).await.map_err(|error| client.because(error))?;
            return Ok(0);
        }
        let mut body = json!({"Detach": false, "Tty": self.tty});
        if let (Some(console), Some(body)) = (console, body.as_object_mut()) {
            body.insert("ConsoleSize".to_owned(), json!(console));
        }
        let connection = client.hijack(&format!("/exec/{id}/start"), Some(&body)).await?;
        let mut helpers = Vec::new();
        if self.tty {
            helpers.push(tokio::spawn(session::follow_size(client.clone(), Sized::Exec(id.clone()))));
        }
        let streams = Streams { tty: self.tty, stdin: self.interactive, detach_keys: keys };
        let whole = async {
            if session::run(connection, &streams).await? == Ending::Detached {
                return Ok(0);
            }
            let ended = client.get(&format!("/exec/{id}/json")).await?;
            Ok(status(ended.get("ExitCode").and_then(Value::as_i64).unwrap_or_default()))
        };
        session::beside(whole, helpers).await
    }
}
