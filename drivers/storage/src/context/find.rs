//! What an instruction copies.

use super::{BuildContexts, descriptors, git, opened, remote};
use crate::file::blocking;
use crate::transfer::survey::{NOTHING, Owners, survey};
use contract::archive::Sighting;
use contract::build::{Context, Found, Origin, Piece, Shape, Sources, Verb};
use contract::{Kind, PortError};
use sha2::{Digest, Sha256};
use std::sync::Arc;

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Copy => "COPY",
        Verb::Add => "ADD",
    }
}

/// Finds it, with Docker's texts.
pub(super) async fn find(
    contexts: &BuildContexts,
    origin: &Origin,
    sources: &Sources,
) -> Result<Found, PortError> {
    let verb = word(sources.verb);
    let found = gather(contexts, origin, sources).await.map_err(|e| {
        let text = format!("{verb} failed: {}", e.chain());
        PortError::new(e.kind, text)
    })?;
    let (digests, pieces): (Vec<String>, Vec<Piece>) = found.into_iter().unzip();
    if pieces.len() > 1 && !sources.target.ends_with('/') {
        let text = format!(
            "When using {verb} with more than one source file, the destination must be a directory and end with a /"
        );
        return Err(PortError::new(Kind::Invalid, text));
    }
    let digest = match digests.as_slice() {
        [one] => one.clone(),
        several => format!("multi:{}", hex::encode(Sha256::digest(several.join(",")))),
    };
    Ok(Found { digest, pieces })
}

async fn gather(
    contexts: &BuildContexts,
    origin: &Origin,
    sources: &Sources,
) -> Result<Vec<(String, Piece)>, PortError> {
    if let Origin::Layers(layers) = origin {
        let found = contexts.archives.survey(layers.clone(), sources.patterns.clone()).await?;
        return Ok(pieces(found, origin, sources.verb));
    }
    let mut out = Vec::new();
    for pattern in &sources.patterns {
        let is_url = remote::is_url(pattern);
        if is_url && sources.verb == Verb::Copy {
            return Err(PortError::new(Kind::Invalid, "source can't be a URL for COPY"));
        }
        if sources.verb == Verb::Add && git::is_repository(pattern) {
            let text =
                format!("a git repository ({pattern}) can only be added by BuildKit, which gantry has not");
            return Err(PortError::new(Kind::Unsupported, text));
        }
        if is_url {
            let into = contexts.fresh().await?;
            let limits = contexts.limits;
            let (folder, name) =
                remote::file(&*contexts.downloads, pattern, &sources.target, into, limits).await?;
            let found = within(&folder, name, "").await?;
            // What was fetched is never unpacked.
            out.extend(pieces(found, &Origin::Context(folder), Verb::Copy));
            continue;
        }
        let Origin::Context(context) = origin else {
            return Err(PortError::new(Kind::Invalid, "missing build context"));
        };
        match within(
            context,
            pattern.clone(),
            "file not found in build context or excluded by .dockerignore: ",
        )
        .await
        {
            Ok(found) => out.extend(pieces(found, origin, sources.verb)),
            // Another pattern may name something.
            Err(e) if e.text == NOTHING => {}
            Err(e) => return Err(e),
        }
    }
    if out.is_empty() {
        return Err(PortError::new(Kind::Invalid, NOTHING));
    }
    Ok(out)
}

async fn within(
    context: &Context,
    pattern: String,
    missing: &'static str,
) -> Result<Vec<Sighting>, PortError> {
    let context = Arc::clone(context);
    blocking(move || {
        let found = survey(&opened(context.path())?, &descriptors()?, &[pattern], Owners::Vary);
        found.map_err(|e| match e.kind {
            Kind::NotFound => PortError::new(Kind::NotFound, format!("{missing}{}", e.text)),
            _ => e,
        })
    })
    .await
}

fn pieces(found: Vec<Sighting>, origin: &Origin, verb: Verb) -> Vec<(String, Piece)> {
    let piece = |sighting: Sighting| {
        let shape = match (sighting.shape, verb) {
            (Shape::File, Verb::Add) => Shape::Archive,
            (shape, _) => shape,
        };
        (sighting.digest, Piece { origin: origin.clone(), path: sighting.path, shape })
    };
    found.into_iter().map(piece).collect()
}
