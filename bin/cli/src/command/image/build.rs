//! `gantry build`

mod context;

use std::io::Write;
use std::path::PathBuf;

use bollard::models::ResourcesUlimits;
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::progress::failure;
use crate::client::{Body, Client, nothing, query, streamed};
use crate::credentials::header;
use crate::options::value::{self, ulimit};
use crate::{error::CommandError, output};
use context::Context;

/// Builds an image from a Dockerfile and a context.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry build -t web:1 .\n  gantry build -f Dockerfile.test --target test --build-arg VERSION=2 .\n  gantry build - < Dockerfile\n  gantry build https://github.com/me/app.git#main:docker"
)]
pub struct Build {
    /// Add a custom host-to-IP mapping ("host:ip")
    #[arg(long, value_name = "HOST:IP", value_parser = value::extra_host)]
    add_host: Vec<String>,
    /// Set build-time variables
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Images to consider as cache sources
    #[arg(long, value_name = "IMAGE")]
    cache_from: Vec<String>,
    /// Set the parent cgroup for the "RUN" instructions during build
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
    /// Limit the CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    cpu_period: Option<i64>,
    /// Limit the CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "MICROSECONDS", value_parser = value::int)]
    cpu_quota: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "SHARES", value_parser = value::int)]
    cpu_shares: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "NODES")]
    cpuset_mems: Option<String>,
    /// Name of the Dockerfile (Default is "PATH/Dockerfile")
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Always remove intermediate containers
    #[arg(long)]
    force_rm: bool,
    /// Write the image ID to the file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Set metadata for an image
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<String>,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES", value_parser = value::bytes)]
    memory: Option<i64>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = value::swap)]
    memory_swap: Option<i64>,
    /// Set the networking mode for the RUN instructions during build
    #[arg(long, value_name = "MODE")]
    network: Option<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<String>,
    /// Always attempt to pull a newer version of the image
    #[arg(long)]
    pull: bool,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    quiet: bool,
    /// Remove intermediate containers after a successful build
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: bool,
    /// Security options
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Size of "/dev/shm"
    #[arg(long, value_name = "BYTES", value_parser = value::bytes)]
    shm_size: Option<i64>,
    /// Name and optionally a tag in the "name:tag" format
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Set the target build stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit::ulimit)]
    ulimit: Vec<ResourcesUlimits>,
    /// PATH | URL | -
    #[arg(value_name = "PATH | URL | -")]
    context: String,
}

impl Build {
    fn query(&self, context: &Context) -> String {
        let flag = |set: bool| set.then(|| "1".to_owned());
        let number = |number: Option<i64>| number.filter(|n| *n != 0).map(|n| n.to_string());
        let mut pairs = vec![
            ("buildargs", arguments(&self.build_arg)),
            ("cachefrom", (!self.cache_from.is_empty()).then(|| json!(self.cache_from).to_string())),
            ("cgroupparent", self.cgroup_parent.clone()),
            ("cpuperiod", number(self.cpu_period)),
            ("cpuquota", number(self.cpu_quota)),
            ("cpusetcpus", self.cpuset_cpus.clone()),
            ("cpusetmems", self.cpuset_mems.clone()),
            ("cpushares", number(self.cpu_shares)),
            ("dockerfile", Some(context.dockerfile.clone())),
        ];
        pairs.extend(self.add_host.iter().map(|host| ("extrahosts", Some(host.clone()))));
        let labels: std::collections::BTreeMap<_, _> = value::map(&self.label).into_iter().collect();
        let ulimits = ulimit::last_of_each(&self.ulimit);
        let ulimits: Vec<Value> = ulimits
            .iter()
            .map(|limit| json!({ "Name": limit.name, "Hard": limit.hard, "Soft": limit.soft }))
            .collect();
        pairs.extend([
            ("forcerm", flag(self.force_rm)),
            ("labels", (!labels.is_empty()).then(|| json!(labels).to_string())),
            ("memory", number(self.memory)),
            ("memswap", number(self.memory_swap)),
            ("networkmode", self.network.clone().filter(|mode| mode != "default")),
            ("nocache", flag(self.no_cache)),
            ("platform", self.platform.as_ref().map(|platform| platform.to_lowercase())),
            ("pull", flag(self.pull)),
            ("q", flag(self.quiet)),
            ("remote", context.remote.clone()),
            ("rm", (!self.rm).then(|| "0".to_owned())),
        ]);
        pairs.extend(self.security_opt.iter().map(|option| ("securityopt", Some(option.clone()))));
        pairs.push(("shmsize", number(self.shm_size)));
        pairs.extend(self.tag.iter().map(|tag| ("t", Some(tag.clone()))));
        pairs.extend([
            ("target", self.target.clone()),
            ("ulimits", (!ulimits.is_empty()).then(|| json!(ulimits).to_string())),
            ("version", Some("1".to_owned())),
        ]);
        query(&pairs)
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if let Some(file) = self.iidfile.as_ref().filter(|file| file.exists()) {
            // An old one must not be taken for this build's.
            std::fs::remove_file(file)
                .map_err(|source| CommandError::File { path: file.display().to_string(), source })?;
        }
        let context = Context::find(&self.context, self.file.as_deref(), self.quiet)?;
        let path = format!("/build?{}", self.query(&context));
        let mut headers = vec![("X-Registry-Config", header(&client.configuration().all_credentials()))];
        let body = match context.content {
            Some(content) => {
                headers.push(("Content-Type", "application/x-tar".to_owned()));
                streamed(content)
            }
            None => nothing(),
        };
        let answer = client.call_with(Method::POST, &path, &headers, body).await?;
        let mut body = Body::new(answer.into_body());
        let mut shown = String::new();
        let mut image = None;
        while let Some(line) = body.json().await? {
            if let Some(text) = failure(&line) {
                let _unseen = std::io::stderr().write_all(shown.as_bytes());
                let code = line.pointer("/errorDetail/code").and_then(Value::as_u64);
                output::error_line(text);
                return Ok(code
                    .and_then(|code| u8::try_from(code).ok())
                    .filter(|code| *code > 0)
                    .unwrap_or(1));
            }
            if let Some(id) = line.pointer("/aux/ID").and_then(Value::as_str) {
                image = Some(id.to_owned());
            }
            match (line.get("stream").and_then(Value::as_str), self.quiet) {
                (Some(text), true) => shown.push_str(text),
                (Some(text), false) => output::raw(text),
                (None, false) => status(&line),
                (None, true) => {}
            }
        }
        if self.quiet {
            output::raw(&shown);
            image = image.or(Some(shown.trim().to_owned()));
        }
        if let (Some(file), Some(image)) = (&self.iidfile, image) {
            std::fs::write(file, image)
                .map_err(|source| CommandError::File { path: file.display().to_string(), source })?;
        }
        Ok(0)
    }
}

/// A pull's line; how far it has come is left out.
fn status(line: &Value) {
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let moving = line.pointer("/progressDetail/current").is_some();
    match (text("id"), text("status")) {
        (_, "") => {}
        _ if moving => {}
        ("", status) => output::line(status),
        (id, status) => output::line(format!("{id}: {status}")),
    }
}

/// Build arguments as the API has them: one without a value has that of this process's environment, or none.
fn arguments(given: &[String]) -> Option<String> {
    let mut map = serde_json::Map::new();
    for argument in given {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), std::env::var(argument).ok()),
        };
        map.insert(name.to_owned(), json!(value));
    }
    map.sort_keys();
    (!map.is_empty()).then(|| Value::Object(map).to_string())
}
