//! Ping, version, info, events, and gantry's own view of its actors.

use super::query::Query;
use super::status::Answer;
#[cfg(not(feature = "fault"))]
use super::status::Failure;
use super::{Shared, json};
use axum::body::Body;
use axum::extract::{RawQuery, State};
#[cfg(not(feature = "fault"))]
use axum::http::StatusCode;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use registry::RegistryConfig;
use serde_json::{Value, json as object};
use wire::version::{API, MIN_API};

pub async fn ping() -> Answer {
    let mut response = Response::new(Body::from("OK"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Clients take "1" as: no BuildKit; and the swarm state spares them a question.
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    Ok(response)
}

pub async fn version(State(gateway): State<Shared>) -> Answer {
    let host = &gateway.host;
    let own = env!("CARGO_PKG_VERSION");
    Ok(json(&object!({
        "Platform": { "Name": "gantry" },
        "Components": [{ "Name": "Engine", "Version": own, "Details": {
            "ApiVersion": API, "MinAPIVersion": MIN_API, "Arch": host.arch(), "Os": "linux",
            "KernelVersion": host.kernel, "Experimental": "false", "GitCommit": "", "GoVersion": "", "BuildTime": "",
        } }],
        "Version": own, "ApiVersion": API, "MinAPIVersion": MIN_API, "GitCommit": "", "GoVersion": "",
        "Os": "linux", "Arch": host.arch(), "KernelVersion": host.kernel, "BuildTime": "",
    })))
}

pub async fn info(State(gateway): State<Shared>) -> Answer {
    let host = &gateway.host;
    let containers = gateway.engine.list();
    let count = |status: &str| containers.iter().filter(|c| c.status.as_str() == status).count();
    let images = gateway.engine.images().await?.len();
    let limits = host.limits;
    let (running, paused) = (count("running"), count("paused"));
    Ok(json(&object!({
        "ID": host.name, "Containers": containers.len(), "ContainersRunning": running, "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused, "Images": images, "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", crate::host::file_system(&gateway.data_root)]],
        "Plugins": { "Volume": [], "Network": ["bridge", "host", "null"], "Authorization": null, "Log": gateway.drivers },
        "MemoryLimit": limits.memory, "SwapLimit": limits.swap, "CpuCfsPeriod": limits.quota,
        "CpuCfsQuota": limits.quota, "CPUShares": limits.shares, "CPUSet": limits.cpuset, "PidsLimit": limits.pids,
        "IPv4Forwarding": crate::host::forwards(), "Debug": gateway.debug, "NFd": 0, "OomKillDisable": false,
        "NGoroutines": 0, "SystemTime": super::render::time(super::now_ns()), "LoggingDriver": gateway.defaults.log_driver,
        "CgroupDriver": "cgroupfs", "CgroupVersion": host.cgroup_version.to_string(), "NEventsListener": 0,
        "KernelVersion": host.kernel, "OperatingSystem": host.system, "OSVersion": host.system_version,
        "OSType": "linux", "Architecture": host.machine, "NCPU": host.cpus, "MemTotal": host.memory,
        "IndexServerAddress": "https://index.docker.io/v1/", "DockerRootDir": gateway.data_root,
        "HttpProxy": "", "HttpsProxy": "", "NoProxy": "", "Name": host.name, "Labels": gateway.labels,
        "ExperimentalBuild": false, "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Runtimes": { "gantry": { "path": "gantry-shim" } }, "DefaultRuntime": "gantry",
        "Swarm": { "LocalNodeState": "inactive" }, "LiveRestoreEnabled": true, "Isolation": "", "InitBinary": "",
        "SecurityOptions": ["name=seccomp,profile=builtin"], "Warnings": [],
        "RegistryConfig": {
            "IndexConfigs": indexes(&gateway.registries), "InsecureRegistryCIDRs": ranges(&gateway.registries),
            "Mirrors": gateway.registries.mirrors,
        },
    })))
}

fn is_range(registry: &&String) -> bool {
    registry.contains('/')
}

/// Address ranges whose registries are spoken to without TLS; loopback always is one.
fn ranges(registries: &RegistryConfig) -> Vec<&str> {
    let own = registries.insecure.iter().filter(is_range).map(String::as_str);
    ["127.0.0.0/8", "::1/128"].into_iter().chain(own).collect()
}

/// Registries named in the configuration.
fn indexes(registries: &RegistryConfig) -> serde_json::Map<String, Value> {
    let named = registries.insecure.iter().filter(|r| !is_range(r));
    let one = |name: &String| {
        (name.clone(), object!({ "Name": name, "Mirrors": [], "Secure": false, "Official": false }))
    };
    named.map(one).collect()
}

/// Registry credentials cannot be checked yet.
pub async fn auth() -> Answer {
    Err(super::create::unsupported("POST /auth").into())
}

pub async fn actors(State(gateway): State<Shared>) -> Answer {
    Ok(json(&gateway.engine.actors()))
}

/// Arms a panic in a named actor or in all of a kind; test builds only.
pub async fn fault(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let target = query.text("target").unwrap_or_default();
    #[cfg(feature = "fault")]
    {
        let armed = gateway.engine.inject(target, query.number("nth")?.unwrap_or(1));
        return Ok(json(&object!({ "Armed": armed })));
    }
    #[cfg(not(feature = "fault"))]
    {
        let _unused = (&gateway, target);
        Err(Failure::new(StatusCode::NOT_FOUND, "page not found"))
    }
}
