//! ARCHITECTURE.md §2 against what Cargo and the files say.

use gantry_tests::workspace;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages of the workspace by folder, with the names of their direct dependencies (build and test ones apart).
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let all = metadata();
    let mut out = BTreeMap::new();
    for package in all["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder =
            manifest.parent().unwrap().strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal =
            dependencies.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned());
        out.insert(folder, normal.collect());
    }
    out
}

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(workspace());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names() -> BTreeMap<String, String> {
    let all = metadata();
    let packages = all["packages"].as_array().unwrap().iter();
    packages
        .map(|p| {
            let manifest = Path::new(p["manifest_path"].as_str().unwrap());
            let folder =
                manifest.parent().unwrap().strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
            (p["name"].as_str().unwrap().to_owned(), folder)
        })
        .collect()
}

/// The workspace folders that each folder depends on.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let names = names();
    let own = |deps: BTreeSet<String>| deps.iter().filter_map(|d| names.get(d).cloned()).collect();
    packages().into_iter().map(|(folder, deps)| (folder, own(deps))).collect()
}

#[test]
fn the_arrows_are_those_of_the_architecture() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("config", &[][..]),
        ("drivers/contract", &[]),
        ("drivers/dockerfile", &[]),
        ("drivers/log", &["drivers/contract", "drivers/template"]),
        ("drivers/template", &[]),
        ("drivers/registry", &["drivers/contract"]),
        ("drivers/patterns", &[]),
        ("drivers/storage", &["drivers/contract", "drivers/dockerfile", "drivers/patterns"]),
        ("drivers/network", &["drivers/contract"]),
        ("drivers/sandbox", &["drivers/contract"]),
        ("drivers/runtime", &["drivers/contract", "drivers/sandbox"]),
        ("actors", &["drivers/contract"]),
        ("actors/build", &["actors", "drivers/contract", "drivers/dockerfile"]),
        ("bin/wire", &[]),
        ("bin/shim", &["drivers/sandbox"]),
        ("bin/cli", &["bin/wire", "drivers/patterns", "drivers/template"]),
        ("tests", &["bin/wire"]),
    ]);
    for (folder, uses) in arrows() {
        // The daemon puts everything together.
        if folder == "bin/daemon" {
            assert!(
                !uses.contains("bin/cli") && !uses.contains("bin/shim") && !uses.contains("tests"),
                "{uses:?}"
            );
            continue;
        }
        let allowed =
            allowed.get(folder.as_str()).unwrap_or_else(|| panic!("{folder} is not in ARCHITECTURE.md §2"));
        for used in &uses {
            assert!(allowed.contains(&used.as_str()), "{folder} may not depend on {used}");
        }
    }
}

#[test]
fn every_crate_is_described() {
    let text = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    for folder in packages().keys() {
        assert!(text.contains(&format!("| `{folder}` |")), "{folder} has no row in §2");
    }
}

#[test]
fn what_must_stay_small_or_sync_is() {
    let packages = packages();
    for (folder, forbidden) in [
        ("bin/shim", &["tokio", "actix", "hyper", "reqwest"][..]),
        ("drivers/sandbox", &["tokio", "actix", "hyper", "reqwest"]),
        ("drivers/contract", &["actix", "nix", "hyper"]),
        ("actors", &["nix", "hyper", "axum", "reqwest", "rtnetlink"]),
        ("bin/cli", &["actix", "axum"]),
    ] {
        for name in forbidden {
            assert!(!packages[folder].contains(*name), "{folder} may not depend on {name}");
        }
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "-p", "gantry-shim"])
        .current_dir(workspace());
    let tree = String::from_utf8(cargo.output().unwrap().stdout).unwrap();
    assert!(tree.contains("gantry-sandbox"), "{tree}");
    for name in ["tokio", "actix", "actix-rt"] {
        assert!(!tree.lines().any(|l| l.split(' ').next() == Some(name)), "the shim is built with {name}");
    }
}

#[test]
fn a_panic_unwinds_in_every_profile_but_the_shims() {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let mut profile = String::new();
    let mut unwinding = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            profile = section.trim_end_matches(']').strip_prefix("profile.").unwrap_or_default().to_owned();
        }
        if profile.is_empty() {
            continue;
        }
        if let Some(value) = line.strip_prefix("panic").and_then(|l| l.split('=').nth(1)) {
            let wanted = if profile == "shim" { "\"abort\"" } else { "\"unwind\"" };
            assert_eq!(value.trim(), wanted, "profile {profile}");
            unwinding.push(profile.clone());
        }
    }
    // An unwritten setting is cargo's default, unwind; the one that is shipped must say it.
    assert!(unwinding.contains(&"release".to_owned()) && unwinding.contains(&"shim".to_owned()));
}

#[test]
fn no_source_file_is_longer_than_600_lines() {
    /// Tables: data, not code.
    const TABLES: [&str; 1] = ["drivers/sandbox/src/seccomp/table.rs"];
    for file in sources() {
        let name = file.strip_prefix(workspace()).unwrap().to_str().unwrap();
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600 || TABLES.contains(&name), "{name} has {lines} lines");
    }
}

#[test]
fn unsafe_is_only_where_it_is_allowed() {
    /// System calls that no crate in use has.
    const FILES: [&str; 4] = [
        "bin/shim/src/foreign.rs",
        "drivers/network/src/netns.rs",
        "drivers/storage/src/quota/sys.rs",
        "tests/guest/probe.rs",
    ];
    for file in sources() {
        let name = file.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
        let allowed = name.starts_with("drivers/sandbox/") || FILES.contains(&name.as_str());
        let text = std::fs::read_to_string(&file).unwrap();
        let opens = |l: &str| {
            !l.trim_start().starts_with("//")
                && (l.contains(concat!("un", "safe {")) || l.contains(concat!("allow(un", "safe_code")))
        };
        assert!(allowed || !text.lines().any(opens), "{name} has code that is not safe");
    }
}

fn sources() -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["actors", "bin", "config", "drivers", "tests"].iter().map(|f| workspace().join(f)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What cargo-fuzz built is nobody's source.
                folders.extend(Some(path).filter(|p| p.file_name().is_some_and(|name| name != "target")));
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    out
}
