//! `gantry images`

use bollard::models::ImageSummary;
use bollard::query_parameters::ListImagesOptions;
use clap::Args;
use serde_json::json;

use super::pull::split_reference;
use crate::listing::{self, Headings, Listing, Row};
use crate::{client::Client, error::CommandError, output, units};

/// Lists images.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry images\n  gantry images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"
)]
pub struct Ls {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// REPOSITORY[:TAG]
    repository: Option<String>,
}

/// The columns an image has.
pub const HEADINGS: &Headings = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// One row per tag; an image without any has one row of its own.
pub fn rows(image: &ImageSummary, no_trunc: bool) -> Vec<Row> {
    let id = if no_trunc { image.id.as_str() } else { output::short_id(&image.id) };
    let digest = |repository: &str| {
        image
            .repo_digests
            .iter()
            .filter_map(|digest| digest.split_once('@'))
            .find(|(name, _)| *name == repository)
            .map_or("<none>", |(_, digest)| digest)
    };
    let mut names: Vec<(&str, &str)> = image
        .repo_tags
        .iter()
        .filter(|name| *name != "<none>:<none>")
        .map(|name| split_reference(name))
        .map(|(repository, tag)| (repository, tag.unwrap_or("<none>")))
        .collect();
    if names.is_empty() {
        let repository = image.repo_digests.first().map_or("<none>", |digest| split_reference(digest).0);
        names.push((repository, "<none>"));
    }
    let count = |number: i64| if number < 0 { "N/A".to_owned() } else { number.to_string() };
    names
        .into_iter()
        .map(|(repository, tag)| {
            let shared = |bytes: i64| if bytes < 0 { "N/A".to_owned() } else { units::human_size(bytes) };
            let unique = if image.shared_size < 0 { -1 } else { image.size - image.shared_size };
            let fields = json!({
                "ID": id, "Repository": repository, "Tag": tag, "Digest": digest(repository),
                "CreatedSince": units::ago(image.created), "CreatedAt": units::local_time(image.created),
                "Size": units::human_size(image.size), "VirtualSize": units::human_size(image.size),
                "Containers": count(image.containers), "SharedSize": shared(image.shared_size), "UniqueSize": shared(unique),
            });
            Row::new(fields, &json!({"Labels": image.labels}))
        })
        .collect()
}

impl Ls {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let mut filters = listing::grouped(&self.filter);
        if let Some(repository) = self.repository {
            filters.entry("reference".to_owned()).or_default().push(repository);
        }
        let options = ListImagesOptions {
            all: self.all,
            filters: (!filters.is_empty()).then_some(filters),
            digests: self.digests,
            ..Default::default()
        };
        let mut images =
            client.docker()?.list_images(Some(options)).await.map_err(|error| client.because(error))?;
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        let table = match self.digests {
            true => "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
            false => "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
        };
        let rows = images.iter().flat_map(|image| rows(image, self.no_trunc)).collect();
        let listing = Listing {
            format: self.format.as_deref(),
            configured: client.configuration().images_format.as_deref(),
            quiet: self.quiet.then_some("{{.ID}}"),
            table,
            headings: HEADINGS,
        };
        output::raw(listing.render(rows)?);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_is_a_row_and_an_untagged_image_still_shows() {
        let mut image = ImageSummary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["a:1".into(), "r:5000/b:2".into()],
            size: 4_261_550,
            ..Default::default()
        };
        let found = rows(&image, false);
        assert_eq!(
            (&found[0].fields["Repository"], &found[1].fields["Repository"], &found[1].fields["Tag"]),
            (&json!("a"), &json!("r:5000/b"), &json!("2"))
        );
        assert_eq!(
            (&found[0].fields["ID"], &found[0].fields["Size"]),
            (&json!("0123456789ab"), &json!("4.26MB"))
        );
        image.repo_tags.clear();
        assert_eq!(rows(&image, false)[0].fields["Repository"], "<none>");
    }
}
