//! `gantry info`

use clap::Args;
use serde_json::Value;

use crate::{client::Client, error::CommandError, output, units};
use template::Template;

/// Describes the daemon and its machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry info\n  gantry info -f '{{.Driver}}'")]
pub struct Info {
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The server's half, in Docker's order and wording.
fn describe(info: &Value) -> String {
    let mut text = String::new();
    let at = |key: &str| info.pointer(key).filter(|value| !value.is_null() && value.as_str() != Some(""));
    let mut line = |indent: usize, label: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{}{label}: {value}\n", " ".repeat(indent)));
        }
    };
    let plain = |key: &str| at(key).map(show);
    line(1, "Containers", plain("/Containers"));
    line(2, "Running", plain("/ContainersRunning"));
    line(2, "Paused", plain("/ContainersPaused"));
    line(2, "Stopped", plain("/ContainersStopped"));
    line(1, "Images", plain("/Images"));
    line(1, "Server Version", plain("/ServerVersion"));
    line(1, "Storage Driver", plain("/Driver"));
    for pair in info.get("DriverStatus").and_then(Value::as_array).into_iter().flatten() {
        line(2, &pair.get(0).map(show).unwrap_or_default(), pair.get(1).map(show));
    }
    line(1, "Logging Driver", plain("/LoggingDriver"));
    line(1, "Cgroup Driver", plain("/CgroupDriver"));
    line(1, "Cgroup Version", plain("/CgroupVersion"));
    if at("/Plugins").is_some() {
        line(1, "Plugins", Some(String::new()));
        line(2, "Volume", plain("/Plugins/Volume"));
        line(2, "Network", plain("/Plugins/Network"));
        line(2, "Log", plain("/Plugins/Log"));
    }
    let runtimes = info.get("Runtimes").and_then(Value::as_object);
    line(1, "Runtimes", runtimes.map(|map| map.keys().cloned().collect::<Vec<_>>().join(" ")));
    line(1, "Default Runtime", plain("/DefaultRuntime"));
    line(1, "Init Binary", plain("/InitBinary"));
    if let Some(options) = at("/SecurityOptions").and_then(Value::as_array) {
        line(1, "Security Options", Some(String::new()));
        for option in options.iter().filter_map(Value::as_str) {
            let name = option.split(',').find_map(|field| field.strip_prefix("name=")).unwrap_or(option);
            line(2, name, Some(String::new()));
        }
    }
    line(1, "Kernel Version", plain("/KernelVersion"));
    line(1, "Operating System", plain("/OperatingSystem"));
    line(1, "OSType", plain("/OSType"));
    line(1, "Architecture", plain("/Architecture"));
    line(1, "CPUs", plain("/NCPU"));
    line(1, "Total Memory", at("/MemTotal").and_then(Value::as_i64).map(units::binary_size));
    line(1, "Name", plain("/Name"));
    line(1, "ID", plain("/ID"));
    line(1, "Docker Root Dir", plain("/DockerRootDir"));
    line(1, "Debug Mode", plain("/Debug"));
    line(1, "Experimental", plain("/ExperimentalBuild"));
    if let Some(registries) = at("/RegistryConfig/InsecureRegistryCIDRs").and_then(Value::as_array) {
        line(1, "Insecure Registries", Some(String::new()));
        registries.iter().map(show).for_each(|registry| text.push_str(&format!("  {registry}\n")));
    }
    let live = at("/LiveRestoreEnabled").map(show);
    text.push_str(&live.map(|live| format!(" Live Restore Enabled: {live}\n")).unwrap_or_default());
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

impl Info {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let format = self.format.filter(|format| !format.is_empty());
        if let Some(format) = format {
            output::line(Template::from_flag(&format)?.render(&client.get("/info").await?)?);
            return Ok(0);
        }
        output::raw(format!("Client: gantry\n Version:    {}\n\nServer:\n", env!("CARGO_PKG_VERSION")));
        let info = client.get("/info").await?;
        output::raw(describe(&info));
        for warning in info.get("Warnings").and_then(Value::as_array).into_iter().flatten() {
            output::error_line(show(warning));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_daemon_knows_is_shown() {
        let info = serde_json::json!({"Containers": 2, "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]],
            "MemTotal": 8_345_010_176i64, "Plugins": {"Log": ["json-file", "syslog"]}});
        assert_eq!(
            describe(&info),
            " Containers: 2\n Storage Driver: overlay2\n  Backing Filesystem: extfs\n Plugins:\n  Log: json-file syslog\n Total Memory: 7.772GiB\n"
        );
    }
}
