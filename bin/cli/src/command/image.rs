//! `gantry image …`, and the short forms of its commands.

pub mod import;
pub mod load;
pub mod ls;
pub mod pull;
pub mod rm;
pub mod tag;

use super::each;

group! {
    /// Commands for images.
    Image of ImageCommand
}

commands! {
    /// Every command for images.
    ImageCommand {
        /// Import the contents from a tarball to create a filesystem image
        Import(import::Import),
        /// Load an image from a tar archive or STDIN
        Load(load::Load),
        /// List images
        #[command(alias = "list")]
        Ls(ls::Ls),
        /// Download an image from a registry
        Pull(pull::Pull),
        /// Remove one or more images
        #[command(alias = "remove")]
        Rm(rm::Rm),
        /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
        Tag(tag::Tag),
    }
}
