//! What Docker's REST API puts on the wire beyond the JSON objects that `bollard-stubs` describes: stream framing,
//! API versions, the error body. Pure data; daemon, command line and tests share it.

pub mod error;
pub mod stdcopy;
pub mod version;
