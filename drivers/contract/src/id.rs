//! Identifiers, as newtypes so that one cannot stand for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps text known to be an identifier of this kind.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The whole identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// The first twelve characters after any `algorithm:` prefix.
            pub fn short(&self) -> &str {
                let bare = self.0.split_once(':').map_or(self.0.as_str(), |(_, hex)| hex);
                bare.get(..12).unwrap_or(bare)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A container's 64 hex digits.
    ContainerId
);
id!(
    /// An exec session's 64 hex digits.
    ExecId
);
id!(
    /// An image: `sha256:` and the digest of its configuration.
    ImageId
);
