//! Health checks.

use bollard::models::HealthConfig;
use clap::Args;

use super::{Draft, OptionError, value};

/// Flags about whether a container is well.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthOptions {
    /// Command to run to check health
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h) [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub health_interval: Option<i64>,
    /// Maximum time to allow one check to run (ms|s|m|h) [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub health_timeout: Option<i64>,
    /// Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub health_start_period: Option<i64>,
    /// Time between running the check during the start period (ms|s|m|h) [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub health_start_interval: Option<i64>,
    /// Consecutive failures needed to report unhealthy [default: 3]
    #[arg(long, value_name = "COUNT", value_parser = value::int)]
    pub health_retries: Option<i64>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    pub no_healthcheck: bool,
}

impl HealthOptions {
    /// Writes these flags into `draft`.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), OptionError> {
        let nonzero = |value: Option<i64>| value.filter(|value| *value != 0);
        let config = HealthConfig {
            test: self
                .health_cmd
                .clone()
                .filter(|command| !command.is_empty())
                .map(|command| vec!["CMD-SHELL".to_owned(), command]),
            interval: nonzero(self.health_interval),
            timeout: nonzero(self.health_timeout),
            start_period: nonzero(self.health_start_period),
            start_interval: nonzero(self.health_start_interval),
            retries: nonzero(self.health_retries),
        };
        let asked = config != HealthConfig::default();
        if self.no_healthcheck {
            if asked {
                let text = "--no-healthcheck conflicts with --health-* options";
                return Err(OptionError::Value(text.to_owned()));
            }
            let none = HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() };
            draft.body.healthcheck = Some(none);
            return Ok(());
        }
        let signed = [
            ("interval", config.interval),
            ("timeout", config.timeout),
            ("retries", config.retries),
            ("start-period", config.start_period),
            ("start-interval", config.start_interval),
        ];
        if let Some((name, _)) = signed.iter().find(|(_, value)| value.is_some_and(|value| value < 0)) {
            return Err(OptionError::Value(format!("--health-{name} cannot be negative")));
        }
        draft.body.healthcheck = asked.then_some(config);
        Ok(())
    }
}
