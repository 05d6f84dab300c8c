//! What the machine's metadata server says, where the machine is one of Google's.

use super::entry::Instance;
use crate::tls::Identity;
use reqwest::Client;
use reqwest::redirect::Policy;
use std::time::Duration;

/// Where it answers.
const ADDRESS: &str = "169.254.169.254";
/// It is beside the machine. On others nobody answers, perhaps not even by a refusal.
const LIMIT: Duration = Duration::from_secs(2);
const FLAVOR: &str = "Metadata-Flavor";

/// What is known of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) project: String,
    pub(super) instance: Instance,
}

/// Whom to ask: Google's tools take another address from the environment.
pub(super) fn host() -> String {
    let given = std::env::var("GCE_METADATA_HOST").ok();
    given.filter(|host| !host.is_empty()).unwrap_or_else(|| ADDRESS.to_owned())
}

/// Asks; none where no machine of Google's answers.
pub(super) async fn ask(host: &str) -> Option<Machine> {
    // It is asked without TLS, and never through a proxy.
    let tls = Identity::nobody().client().ok()?;
    let client = Client::builder().tls_backend_preconfigured((*tls).clone()).timeout(LIMIT).no_proxy();
    let client = client.redirect(Policy::none()).build().ok()?;
    let project = value(&client, host, "project/project-id").await?;
    // projects/NUMBER/zones/ZONE
    let zone = value(&client, host, "instance/zone").await.unwrap_or_default();
    let zone = zone.rsplit('/').next().unwrap_or_default().to_owned();
    let name = value(&client, host, "instance/name").await.unwrap_or_default();
    let id = value(&client, host, "instance/id").await.unwrap_or_default();
    Some(Machine { project, instance: Instance { zone, name, id } })
}

async fn value(client: &Client, host: &str, path: &str) -> Option<String> {
    let url = format!("http://{host}/computeMetadata/v1/{path}");
    let answer = client.get(url).header(FLAVOR, "Google").send().await.ok()?;
    // Others have theirs at the same address.
    if !answer.status().is_success() || answer.headers().get(FLAVOR).is_none_or(|flavor| flavor != "Google") {
        return None;
    }
    answer.text().await.ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    /// A metadata server that answers with the end of the path it is asked for.
    async fn server(flavor: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut first, mut line) = (String::new(), String::new());
                while stream.read_line(&mut line).await.is_ok_and(|n| n > 2) {
                    if first.is_empty() {
                        first = line.split(' ').nth(1).unwrap().to_owned();
                    }
                    line.clear();
                }
                let body = first.rsplit('/').next().unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\nmetadata-flavor: {flavor}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        host
    }

    #[tokio::test]
    async fn a_machine_of_googles_says_what_it_is() {
        let instance = Instance { zone: "zone".into(), name: "name".into(), id: "id".into() };
        let wanted = Machine { project: "project-id".into(), instance };
        assert_eq!(ask(&server("Google").await).await, Some(wanted));
    }

    #[tokio::test]
    async fn what_others_answer_at_that_address_is_not_believed() {
        assert_eq!(ask(&server("Other").await).await, None);
        assert_eq!(ask("127.0.0.1:1").await, None);
    }
}
