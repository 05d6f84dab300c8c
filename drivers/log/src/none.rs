//! The driver that keeps nothing.

use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};

/// `none`.
pub(crate) struct Nothing;

#[async_trait]
impl LogDriverKind for Nothing {
    fn name(&self) -> &'static str {
        "none"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
    fn validate(&self, _options: &Options) -> Result<(), PortError> {
        Ok(())
    }
    fn batching(&self, _options: &Options) -> BatchPolicy {
        BatchPolicy::default()
    }
    async fn open(&self, _source: &LogSource, _options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        Ok(Box::new(Nowhere))
    }
}

struct Nowhere;

#[async_trait]
impl LogDriver for Nowhere {
    async fn deliver(&mut self, _batch: &Batch) -> Result<(), DeliverError> {
        Ok(())
    }
    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        Ok(())
    }
}
