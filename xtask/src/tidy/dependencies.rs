//! Who may depend on whom: manifests against the table in ARCHITECTURE.md, both ways.

use super::architecture::FILE;
use crate::markdown::{code_spans, table};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The table's columns after the crate.
const COLUMNS: [&str; 3] = ["ours", "others", "in tests"];

/// What a crate depends on, a set for each of [`COLUMNS`].
type Needs = [BTreeSet<String>; 3];

pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    let allowed = allowed(&repo.text(FILE)?)?;
    let mut findings = compare(&allowed, &manifests(repo.root())?);
    findings.extend(upward(&allowed));
    Ok(findings)
}

/// The rows of the table, from the bottom up.
fn allowed(document: &str) -> Result<Vec<(String, Needs)>> {
    let header: Vec<&str> = ["crate"].into_iter().chain(COLUMNS).collect();
    let rows = table(document, &header).context(FILE)?;
    let row = |cells: Vec<String>| {
        let names = |cell: &String| code_spans(cell).into_iter().collect::<BTreeSet<_>>();
        let of_crate = names(&cells[0]).pop_first().context("a row without a crate")?;
        Ok((of_crate, [names(&cells[1]), names(&cells[2]), names(&cells[3])]))
    };
    rows.into_iter().map(row).collect()
}

/// What the manifests say, by crate.
fn manifests(root: &Path) -> Result<BTreeMap<String, Needs>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
        /// `dev`, `build` or nothing.
        kind: Option<String>,
        path: Option<String>,
    }

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata failed: {stderr}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;

    let needs = |dependencies: Vec<Dependency>| {
        let mut needs = Needs::default();
        for Dependency { name, kind, path } in dependencies {
            let column = match (kind.as_deref(), path) {
                (Some("dev"), _) => 2,
                (_, Some(_)) => 0,
                (_, None) => 1,
            };
            needs[column].insert(name);
        }
        needs
    };
    Ok(metadata.packages.into_iter().map(|p| (p.name, needs(p.dependencies))).collect())
}

fn compare(allowed: &[(String, Needs)], found: &BTreeMap<String, Needs>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, needs) in found {
        let Some((_, row)) = allowed.iter().find(|(of_crate, _)| of_crate == name) else {
            findings.push(format!("{name} has no row in the table of {FILE}"));
            continue;
        };
        for ((column, needs), row) in COLUMNS.iter().zip(needs).zip(row) {
            for extra in needs.difference(row) {
                findings.push(format!(
                    "{name} depends on `{extra}`, which its row in {FILE} does not have under \
                     \"{column}\""
                ));
            }
            for gone in row.difference(needs) {
                findings.push(format!(
                    "{name} does not depend on `{gone}`, which its row in {FILE} has under \
                     \"{column}\""
                ));
            }
        }
    }
    let strangers = allowed.iter().filter(|(name, _)| !found.contains_key(name));
    findings.extend(strangers.map(|(name, _)| format!("{FILE} has a row for {name}, no crate")));
    findings
}

/// Rows run from the bottom up: a crate may depend on those above it alone.
fn upward(allowed: &[(String, Needs)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, (name, [ours, ..])) in allowed.iter().enumerate() {
        let below: BTreeSet<&String> = allowed[..at].iter().map(|(name, _)| name).collect();
        for up in ours.iter().filter(|on| !below.contains(on)) {
            findings.push(format!("{name} depends on {up}, which comes later in {FILE}'s table"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
| crate | ours | others | in tests |
|---|---|---|---|
| `base` | - | `serde` | `proptest` |
| `top` | `base` | - | - |
";

    fn rows() -> Vec<(String, Needs)> {
        allowed(DOCUMENT).expect("a table")
    }

    fn found() -> BTreeMap<String, Needs> {
        rows().into_iter().collect()
    }

    #[test]
    fn manifests_that_equal_the_table_are_fine() {
        assert_eq!(compare(&rows(), &found()), [""; 0]);
        assert_eq!(upward(&rows()), [""; 0]);
    }

    #[test]
    fn a_difference_either_way_is_found() {
        let mut more = found();
        more.get_mut("top").expect("top")[1].insert("image".to_owned());
        assert!(compare(&rows(), &more)[0].starts_with("top depends on `image`"));
        let mut less = found();
        less.get_mut("base").expect("base")[2].clear();
        assert!(compare(&rows(), &less)[0].starts_with("base does not depend on `proptest`"));
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let mut other = found();
        let needs = other.remove("top").expect("top");
        other.insert("new".to_owned(), needs);
        let findings = compare(&rows(), &other);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn a_dependency_that_points_up_is_found() {
        let mut rows = rows();
        rows.reverse();
        assert_eq!(upward(&rows).len(), 1);
    }

    #[test]
    fn the_manifest_of_this_crate_is_read() {
        let repo = Repo::here().expect("this repository");
        let manifests = manifests(repo.root()).expect("metadata");
        let [ours, others, _] = &manifests["xtask"];
        assert!(ours.is_empty());
        assert!(others.contains("serde_json"));
    }
}
