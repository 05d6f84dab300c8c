//! `local`: Docker's compact protobuf format.

pub(crate) mod proto;

use crate::attrs::{attributes, check_metadata};
use crate::file::FileDriver;
use crate::file::Places;
use crate::file::read::start;
use crate::file::rotate::Limits;
use crate::options::{METADATA, binary_size, boolean, check_known, integer, invalid};
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    BatchPolicy, LogDriver, LogDriverKind, LogReader, LogSource, OptionSpec, Options, ReadRequest, Reading,
};

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use proto::{Entries, EntryParser};

static OPTIONS: [OptionSpec; 8] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "max-size", doc: "size at which the file is rotated; 20m unless given" },
        OptionSpec { name: "max-file", doc: "how many files are kept; 5 unless given" },
        OptionSpec { name: "compress", doc: "compress rotated files; true unless given" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

/// `local`.
pub(crate) struct Local;

fn limits(options: &Options) -> Result<Limits, PortError> {
    let mut size = 20 << 20;
    let mut limits = Limits { max_size: None, max_file: 5, compress: true };
    if let Some(text) = options.get("max-size") {
        if text.starts_with('-') {
            return Err(invalid("max-size must not be negative"));
        }
        size = binary_size(text).map_err(|e| invalid(format!("invalid value for max-size: {e}")))?;
    }
    if let Some(text) = options.get("max-file") {
        let count = integer(text).map_err(|e| invalid(format!("invalid value for max-file: {e}")))?;
        limits.max_file = u32::try_from(count).map_err(|_| invalid("max-file must not be negative"))?;
    }
    if let Some(text) = options.get("compress") {
        limits.compress = boolean(text).map_err(|e| invalid(format!("invalid value for compress: {e}")))?;
    }
    if limits.compress && limits.max_file == 1 {
        return Err(invalid("compression cannot be enabled when max file count is 1"));
    }
    limits.max_size = (size > 0).then_some(size);
    Ok(limits)
}

fn places(source: &LogSource) -> Places {
    let folder = source.directory.join("local-logs");
    Places { log: folder.join("container.log"), cursor: folder.join("local.cursor") }
}

#[async_trait]
impl LogDriverKind for Local {
    fn name(&self) -> &'static str {
        "local"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        limits(options)?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        attributes(source, options).map(drop)
    }
    fn batching(&self, _options: &Options) -> BatchPolicy {
        BatchPolicy::default()
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let format = proto::Entries { attrs: attributes(source, options)? };
        let places = places(source);
        if let Some(folder) = places.log.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(|e| {
                let text = format!("create {}", folder.display());
                PortError::caused(contract::Kind::Unavailable, text, e)
            })?;
        }
        Ok(Box::new(FileDriver::open(format, places, limits(options)?).await?))
    }
    fn reader(&self) -> Option<&dyn LogReader> {
        Some(self)
    }
}

#[async_trait]
impl LogReader for Local {
    async fn read(
        &self,
        source: &LogSource,
        _options: &Options,
        request: ReadRequest,
    ) -> Result<Reading, PortError> {
        start::<proto::EntryParser>(places(source), request).await
    }
}
