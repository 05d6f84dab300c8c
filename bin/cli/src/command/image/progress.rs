//! What the daemon tells of a download or an upload: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::io::Write;

use bollard::models::CreateImageInfo;
use hyper::Method;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::client::{Body, Client, ClientError, nothing};
use crate::error::CommandError;
use crate::output;

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nowhere.
    Nothing,
    /// `pull`.
    Stdout,
    /// `run`, whose standard output belongs to the container.
    Stderr,
}

/// A layer's line, with or without a bar.
fn style(bar: bool) -> ProgressStyle {
    let template = match bar {
        true => "{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes}",
        false => "{prefix}: {msg}",
    };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

/// Shows what the daemon tells of a download: bars on a terminal, lines elsewhere.
pub struct Progress {
    show: Show,
    bars: Option<MultiProgress>,
    by_layer: HashMap<String, ProgressBar>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new(show: Show) -> Self {
        use std::io::IsTerminal;
        let bars = match show {
            Show::Stdout if std::io::stdout().is_terminal() => Some(ProgressDrawTarget::stdout()),
            Show::Stderr if std::io::stderr().is_terminal() => Some(ProgressDrawTarget::stderr()),
            _ => None,
        };
        Self { show, bars: bars.map(MultiProgress::with_draw_target), by_layer: HashMap::new() }
    }

    fn line(&self, text: &str) {
        match (&self.bars, self.show) {
            (_, Show::Nothing) => {}
            (Some(bars), _) => {
                let _ = bars.println(text);
            }
            (None, Show::Stdout) => output::line(text),
            (None, Show::Stderr) => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    /// Shows one line.
    pub fn update(&mut self, info: CreateImageInfo) {
        let status = info.status.unwrap_or_default();
        if status.is_empty() {
            return;
        }
        let Some(layer) = info.id.filter(|id| !id.is_empty()) else { return self.line(&status) };
        let detail = info.progress_detail.unwrap_or_default();
        let total = detail.total.and_then(|total| u64::try_from(total).ok()).filter(|total| *total > 0);
        let current = detail.current.and_then(|current| u64::try_from(current).ok());
        let Some(bars) = &self.bars else {
            // Without a terminal only the steps are told, not how far each has come.
            return if current.unwrap_or(0) == 0 && total.is_none() {
                self.line(&format!("{layer}: {status}"))
            };
        };
        if status.starts_with("Pulling from") {
            return self.line(&format!("{layer}: {status}"));
        }
        let bar = self.by_layer.entry(layer.clone()).or_insert_with(|| {
            let bar = ProgressBar::no_length().with_prefix(layer).with_message(status.clone());
            bars.add(bar.with_style(style(false)))
        });
        if let Some(total) = total {
            bar.set_length(total);
            bar.set_position(current.unwrap_or(0));
        }
        bar.set_style(style(total.is_some()));
        bar.set_message(status.clone());
        if matches!(status.as_str(), "Pull complete" | "Already exists" | "Pushed" | "Layer already exists")
            || status.starts_with("Mounted from")
        {
            bar.abandon();
        } else {
            bar.tick();
        }
    }

    /// Leaves the bars as they are.
    pub fn end(&self) {
        self.by_layer.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        // Bars leave the cursor behind the last of them.
        match self.show {
            _ if self.by_layer.is_empty() => {}
            Show::Stdout => output::line(""),
            _ => output::error_line(""),
        }
    }
}

/// What a line of a stream says went wrong, if it does.
pub fn failure(line: &Value) -> Option<String> {
    let detail = line.pointer("/errorDetail/message").or(line.get("error"))?;
    Some(detail.as_str().unwrap_or_default().to_owned())
}

/// Asks for something that takes its time, with what the registry is to know of the user, and shows how it goes.
pub async fn follow(client: &Client, path: &str, reference: &str, show: Show) -> Result<(), CommandError> {
    let credentials = client.configuration().credentials(&crate::credentials::key(reference))?;
    let headers = [("X-Registry-Auth", credentials.header())];
    let answer = client.call_with(Method::POST, path, &headers, nothing()).await?;
    let mut body = Body::new(answer.into_body());
    let mut progress = Progress::new(show);
    let outcome = loop {
        match body.json().await {
            Ok(None) => break Ok(()),
            Ok(Some(line)) => match failure(&line) {
                Some(text) => break Err(CommandError::Refused(text)),
                None => progress.update(serde_json::from_value::<CreateImageInfo>(line).unwrap_or_default()),
            },
            Err(error) => break Err(ClientError::into(error)),
        }
    };
    progress.end();
    outcome
}
