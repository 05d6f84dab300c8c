//! `gantry login`

use std::io::{BufRead, Read, Write};

use clap::Args;
use serde_json::json;

use super::server;
use crate::client::{Client, ClientError};
use crate::credentials::Credentials;
use crate::listing::text;
use crate::{error::CommandError, output, terminal};

/// Bytes of a password.
const PASSWORD: u64 = 1 << 20;

/// Proves to a registry who the user is, and keeps the proof.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry login registry.local:5000\n  pass registry | gantry login -u me --password-stdin registry.local:5000"
)]
pub struct Login {
    /// Username
    #[arg(short, long)]
    username: Option<String>,
    /// Password or Personal Access Token (PAT)
    #[arg(short, long)]
    password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    password_stdin: bool,
    /// The registry; without one Docker Hub
    server: Option<String>,
}

fn refused(text: impl Into<String>) -> CommandError {
    CommandError::Refused(text.into())
}

/// Asks at the terminal; a password is not shown.
fn ask(question: &str, secret: bool) -> Result<String, CommandError> {
    if !terminal::stdin_is_terminal() {
        return Err(refused("Error: Cannot perform an interactive login from a non TTY device"));
    }
    let failed = |source| CommandError::File { path: "read stdin".into(), source };
    if !secret {
        output::raw(question);
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim().to_owned());
    }
    // Before it is asked for: what is typed at once must not be shown either.
    let raw = terminal::RawMode::enter()?;
    output::raw(question);
    let mut typed = Vec::new();
    for byte in std::io::stdin().lock().bytes() {
        match byte.map_err(failed)? {
            b'\r' | b'\n' | 4 => break,
            3 => {
                typed.clear();
                break;
            }
            8 | 127 => drop(typed.pop()),
            byte => typed.push(byte),
        }
    }
    drop(raw);
    output::line("");
    Ok(String::from_utf8_lossy(&typed).into_owned())
}

impl Login {
    /// Runs the command.
    pub async fn execute(mut self, client: &Client) -> Result<u8, CommandError> {
        if self.password.is_some() {
            if self.password_stdin {
                return Err(refused(
                    "conflicting options: cannot specify both --password and --password-stdin",
                ));
            }
            output::error_line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        }
        if self.password_stdin {
            if self.username.is_none() {
                return Err(refused("the --password-stdin option requires --username to be set"));
            }
            let mut password = String::new();
            let read = std::io::stdin().lock().take(PASSWORD).read_to_string(&mut password);
            read.map_err(|source| CommandError::File { path: "read stdin".into(), source })?;
            let password = password.strip_suffix('\n').unwrap_or(&password);
            self.password = Some(password.strip_suffix('\r').unwrap_or(password).to_owned());
        }
        let server = server(self.server.as_deref());
        if self.username.is_none() && self.password.is_none() {
            let known = client.configuration().credentials(&server)?;
            if known != Credentials::default() {
                output::raw("Authenticating with existing credentials...");
                match prove(client, &known).await {
                    Ok(status) => {
                        output::line(format!("\n{status}"));
                        return Ok(0);
                    }
                    Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
                    Err(error) => {
                        output::line("");
                        output::error_line(format!("Login did not succeed, error: {error}"));
                    }
                }
            }
        }
        let username = match self.username.take() {
            Some(name) => name,
            None => ask("Username: ", false)?,
        };
        if username.is_empty() {
            return Err(refused("username is required"));
        }
        let password = match self.password.take() {
            Some(password) => password,
            None => ask("Password: ", true)?,
        };
        if password.is_empty() {
            return Err(refused("password is required"));
        }
        let given = Credentials { username, password, serveraddress: server.clone(), ..Default::default() };
        let (status, kept) = prove_and_keep(client, &server, given).await?;
        if kept {
            let file = client.configuration().folder.join("config.json");
            let warning = format!(
                "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
                file.display()
            );
            let _unseen = writeln!(std::io::stderr(), "{warning}");
        }
        output::line(status);
        Ok(0)
    }
}

async fn answer(client: &Client, who: &Credentials) -> Result<(String, String), ClientError> {
    let answer = client.post("/auth", Some(&json!(who))).await?;
    let status = match text(&answer, "Status") {
        status if status.is_empty() => "Login Succeeded".to_owned(),
        status => status,
    };
    Ok((status, text(&answer, "IdentityToken")))
}

async fn prove(client: &Client, who: &Credentials) -> Result<String, ClientError> {
    Ok(answer(client, who).await?.0)
}

async fn prove_and_keep(
    client: &Client,
    server: &str,
    mut who: Credentials,
) -> Result<(String, bool), CommandError> {
    let (status, token) = answer(client, &who).await?;
    if !token.is_empty() {
        who.password = String::new();
        who.identitytoken = token;
    }
    Ok((status, client.configuration().keep(server, &who)?))
}
