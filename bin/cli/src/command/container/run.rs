//! `gantry run`

use bollard::query_parameters::{RemoveContainerOptions, StartContainerOptions};
use clap::Args;

use super::{create::create, wait};
use crate::client::{Client, encode, query};
use crate::options::ContainerOptions;
use crate::session::{self, Ending, Sized, Streams};
use crate::{error::CommandError, output, terminal};

const EXAMPLES: &str = "\
Examples:
  gantry run --rm -it busybox sh                   a throw-away shell
  gantry run -d --name web -p 8080:80 nginx        a server, reachable at port 8080
  gantry run --rm -v \"$PWD\":/work -w /work busybox ls
  gantry run -d --restart unless-stopped -m 256m --log-opt max-size=10m app

Exit status: that of the container; 125 if gantry itself failed, 126 if the
command cannot be run, 127 if it is not there. Ctrl-p ctrl-q detaches.";

/// Makes a container and starts it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// Run container in background and print container ID
    #[arg(short, long)]
    pub detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sig_proxy: bool,
    /// What to run.
    #[command(flatten)]
    pub options: ContainerOptions,
}

/// The query of an attach call.
pub fn attach_query(streams: &Streams, out: bool, err: bool, logs: bool) -> String {
    let flag = |yes: bool| yes.then(|| "1".to_owned());
    query(&[
        ("stream", Some("1".to_owned())),
        ("stdin", flag(streams.stdin)),
        ("stdout", flag(out)),
        ("stderr", flag(err)),
        ("logs", flag(logs)),
        ("detachKeys", streams.detach_keys.clone()),
    ])
}

/// An exit status as this process can pass it on.
pub fn status(code: i64) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(125)
}

impl Run {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let options = &self.options.run;
        if self.detach && !options.attach.is_empty() {
            let text = "conflicting options: cannot specify both --attach and --detach".to_owned();
            return Err(CommandError::Refused(text));
        }
        let mut body = self.options.body().map_err(|error| CommandError::from(error).in_run())?;
        if self.detach {
            for attach in [&mut body.attach_stdin, &mut body.attach_stdout, &mut body.attach_stderr] {
                *attach = Some(false);
            }
            body.stdin_once = Some(false);
        } else {
            terminal::check(options.attaches("stdin"), options.tty)?;
            terminal::DetachKeys::parse(self.keys(client).as_deref())
                .map_err(|error| CommandError::from(error).in_run())?;
        }
        let id = create(client, &self.options, body).await.map_err(CommandError::in_run)?;
        if !self.detach {
            return self.foreground(client, id).await;
        }
        if let Err(error) = self.start(client, &id).await {
            self.discard(client, &id).await;
            return Err(error.in_run());
        }
        output::line(id);
        Ok(0)
    }

    fn keys(&self, client: &Client) -> Option<String> {
        session::detach_keys(client, self.detach_keys.clone())
    }

    async fn start(&self, client: &Client, id: &str) -> Result<(), CommandError> {
        let options = StartContainerOptions { detach_keys: self.keys(client).filter(|_| !self.detach) };
        let started = client.docker()?.start_container(id, Some(options)).await;
        Ok(started.map_err(|error| client.because(error))?)
    }

    /// Removes what `--rm` promised to remove but never ran. The daemon may have been faster.
    async fn discard(&self, client: &Client, id: &str) {
        if self.options.run.rm
            && let Ok(docker) = client.docker()
        {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            let _ = docker.remove_container(id, Some(options)).await;
        }
    }

    async fn foreground(&self, client: &Client, id: String) -> Result<u8, CommandError> {
        let options = &self.options.run;
        let streams =
            Streams { tty: options.tty, stdin: options.attaches("stdin"), detach_keys: self.keys(client) };
        let mut helpers = Vec::new();
        if self.sig_proxy {
            helpers.push(tokio::spawn(session::forward_signals(client.clone(), id.clone())));
        }
        let attach = attach_query(&streams, options.attaches("stdout"), options.attaches("stderr"), false);
        // Attached and waiting before the start, so that neither a byte nor the exit can be missed.
        let connection = client.hijack(&format!("/containers/{}/attach?{attach}", encode(&id)), None).await;
        let connection = connection.map_err(|error| CommandError::from(error).in_run())?;
        let condition = if options.rm { "removed" } else { "next-exit" };
        let waiting =
            wait::begin(client, &id, condition).await.map_err(|error| CommandError::from(error).in_run())?;
        if let Err(error) = self.start(client, &id).await {
            self.discard(client, &id).await;
            return Err(error.in_run());
        }
        if options.tty {
            helpers.push(tokio::spawn(session::follow_size(client.clone(), Sized::Container(id))));
        }
        let whole = async {
            match session::run(connection, &streams).await? {
                Ending::Detached => Ok(0),
                Ending::Finished => wait::finish(waiting)
                    .await
                    .map(status)
                    .map_err(|error| CommandError::from(error).in_run()),
            }
        };
        session::beside(whole, helpers).await
    }
}
