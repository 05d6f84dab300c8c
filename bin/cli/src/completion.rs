//! Names of what the daemon has, for the shell to complete.

use std::ffi::OsStr;
use std::time::Duration;

use clap::Arg;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde_json::Value;

use crate::cli::GlobalOptions;
use crate::listing::{list, text};

/// Asks the daemon of this shell's environment, briefly: whoever presses a key does not want to wait.
fn ask(path: &'static str) -> Option<Value> {
    let client = GlobalOptions::default().client(&|name| std::env::var(name).ok()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = async { tokio::time::timeout(Duration::from_secs(2), client.get(path)).await };
    runtime.block_on(answer).ok()?.ok()
}

fn candidates(typed: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = names.into_iter().filter(|name| !name.is_empty() && name.starts_with(typed.as_ref()));
    fitting.map(CompletionCandidate::new).collect()
}

fn containers(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask("/containers/json?all=1").unwrap_or_default();
    let names = found.as_array().into_iter().flatten().flat_map(|container| {
        let names: Vec<String> = list(container, "Names")
            .filter_map(Value::as_str)
            .map(|name| name.trim_start_matches('/').to_owned())
            .collect();
        names
    });
    candidates(typed, names)
}

fn images(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask("/images/json").unwrap_or_default();
    let tags = found.as_array().into_iter().flatten().flat_map(|image| list(image, "RepoTags"));
    candidates(
        typed,
        tags.filter_map(Value::as_str).map(|tag| tag.strip_suffix(":latest").unwrap_or(tag).to_owned()),
    )
}

fn volumes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask("/volumes").unwrap_or_default();
    candidates(typed, list(&found, "Volumes").map(|volume| text(volume, "Name")))
}

fn networks(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask("/networks").unwrap_or_default();
    candidates(typed, found.as_array().into_iter().flatten().map(|network| text(network, "Name")))
}

fn log_drivers(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask("/info").unwrap_or_default();
    let names = found.pointer("/Plugins/Log").and_then(Value::as_array).cloned().unwrap_or_default();
    candidates(typed, names.iter().filter_map(Value::as_str).map(str::to_owned))
}

/// Gives `arg` the completions its placeholder asks for.
pub fn with_names(arg: Arg) -> Arg {
    let placeholder = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let placeholder = placeholder.unwrap_or_else(|| arg.get_id().to_string().to_uppercase());
    let names = match placeholder.as_str() {
        "CONTAINER" | "CONTAINER[:ALIAS]" | "CONTAINER[:ro|rw]" => containers,
        "IMAGE" | "SOURCE_IMAGE" => images,
        "NETWORK" if arg.is_positional() || arg.get_long() == Some("network") => networks,
        "VOLUME" if arg.is_positional() => volumes,
        "DRIVER" if arg.get_long() == Some("log-driver") => log_drivers,
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(names))
}
