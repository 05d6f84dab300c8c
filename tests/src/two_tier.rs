//! The images of a real application: a MariaDB server and an Apache with PHP, of Debian's own packages.

use crate::process::run_within;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// What decides the images' content: images made by another version of it are not used.
const MAKERS: [&str; 5] = [
    include_str!("../two_tier/make"),
    include_str!("../two_tier/database"),
    include_str!("../two_tier/database.cnf"),
    include_str!("../two_tier/apache2.conf"),
    include_str!("../two_tier/index.php"),
];

/// Half a minute where the packages' mirror is near.
const MAKING: Duration = Duration::from_secs(600);

/// Their root file systems, as tars: the database's and the site's. Made once and kept in cargo's folder for tests' files.
#[track_caller]
pub fn tars() -> (PathBuf, PathBuf) {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let makers = hex::encode(Sha256::digest(MAKERS.concat()));
        let folder = crate::workspace().join("target/tmp").join(format!("two-tier.{}", &makers[..12]));
        std::fs::create_dir_all(&folder).expect("make a folder for images");
        if !["database.tar", "site.tar"].iter().all(|tar| folder.join(tar).exists()) {
            let mut make = Command::new(crate::workspace().join("tests/two_tier/make"));
            make.arg(&folder);
            run_within(make, MAKING).ok();
        }
        folder
    });
    (folder.join("database.tar"), folder.join("site.tar"))
}
