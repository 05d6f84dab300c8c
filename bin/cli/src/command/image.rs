//! `gantry image …`, and the short forms of its commands.

pub mod build;
pub mod history;
pub mod import;
pub mod inspect;
pub mod load;
pub mod ls;
pub mod progress;
pub mod prune;
pub mod pull;
pub mod push;
pub mod rm;
pub mod save;
pub mod tag;

use super::each;

group! {
    /// Commands for images.
    Image of ImageCommand
}

commands! {
    /// Every command for images.
    ImageCommand {
        /// Build an image from a Dockerfile
        Build(Box<build::Build>),
        /// Show the history of an image
        History(history::History),
        /// Import the contents from a tarball to create a filesystem image
        Import(import::Import),
        /// Display detailed information on one or more images
        Inspect(inspect::Inspect),
        /// Load an image from a tar archive or STDIN
        Load(load::Load),
        /// List images
        #[command(alias = "list")]
        Ls(ls::Ls),
        /// Remove unused images
        Prune(prune::Prune),
        /// Download an image from a registry
        Pull(pull::Pull),
        /// Upload an image to a registry
        Push(push::Push),
        /// Remove one or more images
        #[command(alias = "remove")]
        Rm(rm::Rm),
        /// Save one or more images to a tar archive (streamed to STDOUT by default)
        Save(save::Save),
        /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
        Tag(tag::Tag),
    }
}
