//! The calls to a plugin: JSON by POST, where an answer's `Err` says what went wrong.

use super::places::Address;
use super::spelling::read;
use crate::http::reason;
use crate::options::invalid;
use contract::PortError;
use contract::log::LogSource;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
/// A plugin may have to reach its own far side before it reads.
const START: Duration = Duration::from_secs(60);
/// An answer that is followed ends when somebody ends it.
const FOLLOWED: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const READ: &str = "LogDriver.ReadLogs";
/// What plugins are asked for, and in which version of their protocol.
const VERSION: &str = "application/vnd.docker.plugins.v1.2+json";
/// The host that requests over a socket name.
const LOCAL: &str = "http://plugin.moby.localhost";
/// What a plugin for logs says it is.
const KIND: &str = "LogDriver";
/// What those say that Docker knows as managed plugins: it never asks them.
const MANAGED: &str = "LoggingDriver";

/// Somebody to call.
pub(super) struct Plugin {
    name: String,
    client: Client,
    base: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    // Plugins in other languages than Go say null where there is nothing.
    err: Option<String>,
    implements: Option<Vec<String>>,
    cap: Option<Able>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Able {
    read_logs: bool,
}

/// The names in answers.
const NAMES: [&str; 4] = ["Err", "Implements", "Cap", "ReadLogs"];

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody answered in time, or nothing that could be read.
    #[error("plugin {plugin}: {method}: {text}")]
    Away { plugin: String, method: &'static str, text: String },
    /// It answered that it could not.
    #[error("plugin {plugin}: {method}: {text}")]
    Told { plugin: String, method: &'static str, text: String },
    /// It is a plugin for something else.
    #[error(
        "Plugin does not implement the requested driver: plugin=\"{plugin}\", requested implementation=\"{KIND}\""
    )]
    Other { plugin: String },
}

impl Plugin {
    /// Connects with the first call; each may take so long.
    pub(super) fn new(name: &str, address: &Address, patience: Duration) -> Result<Self, PortError> {
        let accept: HeaderMap = [(ACCEPT, HeaderValue::from_static(VERSION))].into_iter().collect();
        let builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(patience)
            .default_headers(accept);
        let (base, identity, builder) = match address {
            Address::Unix(path) => {
                (LOCAL, crate::tls::Identity::nobody(), builder.unix_socket(path.as_path()))
            }
            Address::Web(url, identity) if url.starts_with("https:") => {
                (url.as_str(), identity.clone(), builder)
            }
            Address::Web(url, _) => (url.as_str(), crate::tls::Identity::nobody(), builder),
        };
        let tls = identity.client()?;
        let client = builder.tls_backend_preconfigured((*tls).clone()).build();
        let client = client.map_err(|e| invalid(format!("plugin {name}: {}", reason(e))))?;
        Ok(Self { name: name.to_owned(), client, base: base.to_owned() })
    }

    async fn call(&self, method: &'static str, body: Option<&Value>) -> Result<Said, CallError> {
        self.call_within(None, method, body).await
    }

    /// The same with a patience of its own.
    async fn call_within(
        &self,
        patience: Option<Duration>,
        method: &'static str,
        body: Option<&Value>,
    ) -> Result<Said, CallError> {
        let plugin = || self.name.clone();
        let away = |e: reqwest::Error| CallError::Away { plugin: plugin(), method, text: reason(e) };
        let mut request = self.client.post(format!("{}/{method}", self.base));
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(away)?;
        let said = read::<Said>(&text, &NAMES);
        let told = |text: String| CallError::Told { plugin: plugin(), method, text };
        match said {
            Ok(Said { err: Some(err), .. }) if !err.is_empty() => Err(told(err)),
            Ok(said) if status == StatusCode::OK => Ok(said),
            _ if status != StatusCode::OK => {
                Err(told(format!("{status} - {}", String::from_utf8_lossy(&text).trim())))
            }
            Ok(_) => Err(told(status.to_string())),
            Err(e) => Err(CallError::Away { plugin: plugin(), method, text: e.to_string() }),
        }
    }

    /// Asks whether it takes logs.
    pub(super) async fn activate(&self) -> Result<(), CallError> {
        let said = self.call("Plugin.Activate", None).await?;
        let takes = said.implements.iter().flatten().any(|kind| kind == KIND || kind == MANAGED);
        takes.then_some(()).ok_or_else(|| CallError::Other { plugin: self.name.clone() })
    }

    /// Has it read the fifo at that path.
    pub(super) async fn start(&self, file: &str, info: &Value) -> Result<(), CallError> {
        let body = json!({ "File": file, "Info": info });
        self.call_within(Some(START), "LogDriver.StartLogging", Some(&body)).await.map(drop)
    }

    /// Whether it says that it gives lines back. As in Docker, one that does not know the question does not.
    pub(super) async fn reads(&self) -> Result<bool, CallError> {
        match self.call("LogDriver.Capabilities", None).await {
            Ok(said) => Ok(said.cap.is_some_and(|able| able.read_logs)),
            Err(away @ CallError::Away { .. }) => Err(away),
            Err(_) => Ok(false),
        }
    }

    /// Has it give lines back, in an answer without a foreseeable end.
    pub(super) async fn read(&self, info: &Value, config: &Value) -> Result<Response, CallError> {
        let body = json!({ "Info": info, "Config": config }).to_string();
        let request = self.client.post(format!("{}/{READ}", self.base)).timeout(FOLLOWED).body(body);
        let answer = request.send().await.map_err(|e| self.away(READ, reason(e)))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        Err(self.unread(format!("{status} - {}", text.trim())))
    }

    /// Why lines that it gives back could not be read.
    pub(super) fn unread(&self, text: impl Into<String>) -> CallError {
        CallError::Told { plugin: self.name.clone(), method: READ, text: text.into() }
    }

    /// Why nothing is known of what became of a call.
    pub(super) fn away(&self, method: &'static str, text: String) -> CallError {
        CallError::Away { plugin: self.name.clone(), method, text }
    }

    /// Tells it that nothing more comes there.
    pub(super) async fn stop(&self, file: &str) -> Result<(), CallError> {
        self.call("LogDriver.StopLogging", Some(&json!({ "File": file }))).await.map(drop)
    }
}

/// Docker's `Info` of a container.
pub(super) fn info(source: &LogSource, options: &Map<String, Value>) -> Value {
    let created = jiff::Timestamp::from_nanosecond(i128::from(source.created_ns)).unwrap_or_default();
    let (entrypoint, args) = source.args.split_first().map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
    json!({
        "Config": options,
        "ContainerID": source.container_id,
        "ContainerName": format!("/{}", source.container_name),
        "ContainerEntrypoint": entrypoint,
        "ContainerArgs": args,
        "ContainerImageID": source.image_id,
        "ContainerImageName": source.image_name,
        "ContainerCreated": created.to_string(),
        "ContainerEnv": source.env,
        "ContainerLabels": source.labels,
        "LogPath": "",
        "DaemonName": "docker",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn a_plugin_that_says_null_where_nothing_is_wrong_or_writes_err_small_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let plugin = Plugin::new("p", &Address::Unix(path), Duration::from_secs(5)).unwrap();
        let answers = tokio::spawn(async move {
            for body in [
                r#"{"Implements":["LogDriver"],"Err":null}"#,
                r#"{"Implements":["LoggingDriver"]}"#,
                r#"{"Implements":null}"#,
                r#"{"Err":null}"#,
                r#"{"err":"no"}"#,
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        plugin.activate().await.unwrap();
        plugin.activate().await.expect("plugins that Docker knows as managed say it in another word");
        assert!(matches!(plugin.activate().await, Err(CallError::Other { .. })));
        plugin.start("/fifo", &Value::Null).await.unwrap();
        let refused = plugin.stop("/fifo").await;
        assert!(
            matches!(refused, Err(CallError::Told { text, .. }) if text == "no"),
            "in small letters, too"
        );
        answers.await.unwrap();
    }
}
