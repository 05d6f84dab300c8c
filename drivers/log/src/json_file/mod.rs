//! `json-file`: Docker's default format, byte for byte.

mod read;
mod write;

use crate::attrs::{attributes, check_metadata};
use crate::file::FileDriver;
use crate::file::Places;
use crate::file::read::start;
use crate::file::rotate::Limits;
use crate::options::{METADATA, boolean, check_known, decimal_size, integer, invalid};
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    BatchPolicy, LogDriver, LogDriverKind, LogReader, LogSource, OptionSpec, Options, ReadRequest, Reading,
};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use read::JsonParser;
use std::path::PathBuf;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use write::JsonLines;
pub(crate) use write::escape;

static OPTIONS: [OptionSpec; 8] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "max-size", doc: "size at which the file is rotated; unlimited unless given" },
        OptionSpec { name: "max-file", doc: "how many files are kept; 1 unless given" },
        OptionSpec { name: "compress", doc: "compress rotated files" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

/// `json-file`.
pub(crate) struct JsonFile;

fn limits(options: &Options) -> Result<Limits, PortError> {
    let mut limits = Limits { max_size: None, max_file: 1, compress: false };
    if let Some(size) = options.get("max-size") {
        let size = decimal_size(size).map_err(invalid)?;
        if size == 0 {
            return Err(invalid("max-size must be a positive number"));
        }
        limits.max_size = Some(size);
    }
    if let Some(count) = options.get("max-file") {
        limits.max_file = u32::try_from(integer(count).map_err(invalid)?).unwrap_or(0);
        if limits.max_file < 1 {
            return Err(invalid("max-file cannot be less than 1"));
        }
    }
    if let Some(compress) = options.get("compress") {
        limits.compress = boolean(compress).map_err(invalid)?;
        if limits.compress && (limits.max_file < 2 || limits.max_size.is_none()) {
            return Err(invalid(
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ));
        }
    }
    Ok(limits)
}

fn places(source: &LogSource) -> Places {
    Places {
        log: source.directory.join(format!("{}-json.log", source.container_id)),
        cursor: source.directory.join("json-file.cursor"),
    }
}

#[async_trait]
impl LogDriverKind for JsonFile {
    fn name(&self) -> &'static str {
        "json-file"
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
        let format = write::JsonLines::new(&attributes(source, options)?);
        Ok(Box::new(FileDriver::open(format, places(source), limits(options)?).await?))
    }
    fn reader(&self) -> Option<&dyn LogReader> {
        Some(self)
    }
    fn path(&self, source: &LogSource) -> Option<PathBuf> {
        Some(places(source).log)
    }
}

#[async_trait]
impl LogReader for JsonFile {
    async fn read(
        &self,
        source: &LogSource,
        _options: &Options,
        request: ReadRequest,
    ) -> Result<Reading, PortError> {
        start::<read::JsonParser>(places(source), request).await
    }
}
