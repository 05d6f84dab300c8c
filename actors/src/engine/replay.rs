//! Stored lines sent to another driver.

use super::{Engine, LogsRequest};
use crate::log::replay::{self, News, ReplaySpec};
use contract::log::{FANOUT, Options, is_common, is_record_option};
use contract::{ContainerId, Kind, PortError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

impl Engine {
    /// Sends what is stored of a container's lines to a driver, with the times they have. What is told has to be kept: once
    /// it is dropped, the replay ends. It is given up when nothing has arrived for as long as `patience`.
    pub async fn replay(
        &self,
        id: &ContainerId,
        request: LogsRequest,
        (driver, options): (&str, &Options),
        patience: Duration,
    ) -> Result<mpsc::Receiver<News>, PortError> {
        let invalid = |text: String| PortError::new(Kind::Invalid, text);
        let drivers = &self.shared.ports.drivers;
        drivers.validate(driver, options).await?;
        if matches!(driver, FANOUT | "none" | "json-file" | "local") {
            return Err(invalid(format!(
                "replay: {driver} sends lines nowhere: choose one driver that does"
            )));
        }
        let unknown = || invalid(format!("logger: no log driver named '{driver}' is registered"));
        let kind = drivers.find(driver).ok_or_else(unknown)?;
        let snapshot = self.find(id.as_str())?;
        let source = Arc::clone(&self.shared.logging(&snapshot.spec, &snapshot.state.name)?.source);
        let lines = self.logs(id, LogsRequest { follow: false, ..request }).await?;
        // As of any destination: what concerns delivery and records is no option of the driver.
        let own = options.iter().filter(|(key, _)| !is_common(key) && !is_record_option(key));
        let options: Options = own.map(|(k, v)| (k.clone(), v.clone())).collect();
        kind.fits(&source, &options)?;
        let spec = ReplaySpec { source, lines, kind, options, patience };
        Ok(replay::replay(spec, &self.shared.registry))
    }
}
