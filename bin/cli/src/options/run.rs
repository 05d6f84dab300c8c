//! What runs in a container, as whom, and what becomes of its output.

use std::collections::HashMap;

use bollard::models::HostConfigLogConfig;
use clap::Args;

use super::value::{self, file, restart};
use super::{Draft, OptionError, some};

/// Flags about the process and its streams.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Process")]
pub struct RunOptions {
    /// Assign a name to the container
    #[arg(long)]
    pub name: Option<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub interactive: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub tty: bool,
    /// Attach to STDIN, STDOUT or STDERR [default: STDOUT and STDERR, and STDIN with -i]
    #[arg(short, long, value_name = "STREAM", value_parser = stream)]
    pub attach: Vec<String>,
    /// Set environment variables (KEY=VALUE, or KEY to pass this shell's value)
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = value::env)]
    pub env: Vec<String>,
    /// Read in a file of environment variables (one KEY=VALUE a line, # begins a comment)
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Overwrite the default ENTRYPOINT of the image ("" resets it)
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)]
    pub user: Option<String>,
    /// Add additional groups to join, by name or number
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    pub init: bool,
    /// Set meta data on a container
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = value::label)]
    pub label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<String>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Write the container ID to the file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long)]
    pub rm: bool,
    /// Restart policy to apply when a container exits (no, on-failure[:MAX-RETRIES], always, unless-stopped) [default: no]
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// Signal to stop the container [default: the image's, or SIGTERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds to wait for the container to stop before it is killed (-1: for ever) [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = value::int)]
    pub stop_timeout: Option<i64>,
    /// Logging driver for the container (json-file, local, syslog, none, …) [default: the daemon's]
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Log driver options, such as max-size=10m
    #[arg(long, value_name = "KEY=VALUE")]
    pub log_opt: Vec<String>,
    /// Runtime to use for this container [default: the daemon's]
    #[arg(long)]
    pub runtime: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    pub platform: Option<String>,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, default_value = "missing", value_name = "WHEN", hide_possible_values = true)]
    pub pull: String,
    /// Suppress the pull output
    #[arg(short, long)]
    pub quiet: bool,
    /// Not supported: put the daemon's socket and credentials into the container
    #[arg(long, hide = true)]
    pub use_api_socket: bool,
    /// Not supported: skip image verification is always so
    #[arg(long, hide = true, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub disable_content_trust: bool,
}

fn stream(text: &str) -> Result<String, String> {
    let name = text.to_lowercase();
    match name.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(name),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

impl RunOptions {
    /// Whether `-a` names `stream`; without any `-a`, output is attached, and input if it is kept open.
    pub fn attaches(&self, stream: &str) -> bool {
        match stream {
            "stdin" => self.interactive || self.attach.iter().any(|name| name == "stdin"),
            _ => self.attach.is_empty() || self.attach.iter().any(|name| name == stream),
        }
    }

    /// Writes these flags into `draft`.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), OptionError> {
        if self.use_api_socket {
            return Err(OptionError::Unsupported {
                flag: "--use-api-socket",
                why: "a container that has the daemon's socket has the host; use -v to give it one knowingly",
            });
        }
        if !self.disable_content_trust {
            return Err(OptionError::Unsupported {
                flag: "--disable-content-trust=false",
                why: "gantry verifies digests, not signatures",
            });
        }
        if !["always", "missing", "never"].contains(&self.pull.as_str()) {
            return Err(OptionError::Value(format!(
                "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
                self.pull
            )));
        }
        let policy = self.restart.as_deref().map(restart::policy).transpose().map_err(OptionError::Value)?;
        if self.rm && policy.as_ref().is_some_and(|policy| policy != &restart::never()) {
            return Err(OptionError::Conflict("cannot specify both --restart and --rm"));
        }
        if self.log_driver.as_deref() == Some("none") && !self.log_opt.is_empty() {
            return Err(OptionError::Value("invalid logging opts for driver none".to_owned()));
        }
        let attach_stdin = self.attaches("stdin");
        let body = &mut draft.body;
        body.hostname = None;
        body.user = self.user.clone();
        body.working_dir = self.workdir.clone();
        // An empty --entrypoint resets the image's, which the API spells [""].
        body.entrypoint = self.entrypoint.clone().map(|entrypoint| vec![entrypoint]);
        body.env = some(self.environment()?);
        body.labels = Some(self.labels()?);
        body.tty = Some(self.tty);
        body.open_stdin = Some(self.interactive);
        body.stdin_once = Some(self.interactive && attach_stdin);
        body.attach_stdin = Some(attach_stdin);
        body.attach_stdout = Some(self.attaches("stdout"));
        body.attach_stderr = Some(self.attaches("stderr"));
        body.stop_signal = self.stop_signal.clone();
        body.stop_timeout = self.stop_timeout;
        let host = &mut draft.host;
        host.auto_remove = Some(self.rm);
        host.container_id_file = self.cidfile.clone();
        host.restart_policy = policy;
        host.group_add = some(self.group_add.clone());
        host.init = self.init.then_some(true);
        host.annotations = (!self.annotation.is_empty()).then(|| value::map(&self.annotation));
        host.runtime = self.runtime.clone();
        host.log_config = (self.log_driver.is_some() || !self.log_opt.is_empty()).then(|| {
            HostConfigLogConfig { typ: self.log_driver.clone(), config: Some(value::map(&self.log_opt)) }
        });
        host.console_size = crate::terminal::size()
            .filter(|_| self.tty)
            .map(|(rows, columns)| vec![usize::from(rows), usize::from(columns)]);
        Ok(())
    }

    fn environment(&self) -> Result<Vec<String>, OptionError> {
        let mut found = Vec::new();
        for path in &self.env_file {
            found.extend(file::variables(path, |name| std::env::var(name).ok())?);
        }
        found.extend(self.env.iter().cloned());
        Ok(found)
    }

    fn labels(&self) -> Result<HashMap<String, String>, OptionError> {
        let mut found = HashMap::new();
        for path in &self.label_file {
            found.extend(value::map(&file::labels(path)?));
        }
        found.extend(value::map(&self.label));
        Ok(found)
    }
}
