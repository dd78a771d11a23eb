//! Documents: links inside of the repository, and blocks that records fill.

use crate::generated;
use crate::markdown::links;
use crate::repo::Repo;
use anyhow::Result;

pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    let mut findings: Vec<String> = repo
        .texts()
        .filter(|(file, _)| file.ends_with(".md"))
        .flat_map(|(file, text)| dead_links(repo, file, &text))
        .collect();
    findings.extend(generated::outdated(repo)?.into_iter().map(|document| {
        format!(
            "{}: a generated block is not what its record says; run `cargo run -p xtask -- readme`",
            document.file
        )
    }));
    Ok(findings)
}

fn dead_links(repo: &Repo, file: &str, text: &str) -> Vec<String> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    links(text)
        .into_iter()
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter(|target| {
            let path = target.split('#').next().unwrap_or(target);
            !repo.exists(format!("{folder}/{path}").trim_start_matches('/'))
        })
        .map(|target| format!("{file}: the link to {target} leads nowhere"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_the_folder_of_their_document() {
        let repo = Repo::here().expect("this repository");
        let dead = |file, target: &str| dead_links(&repo, file, &format!("[x]({target})")).len();
        assert_eq!(dead("README.md", "xtask/src/main.rs#L1"), 0);
        assert_eq!(dead("xtask/README.md", "src/main.rs"), 0);
        assert_eq!(dead("xtask/README.md", "../Cargo.toml"), 0);
        assert_eq!(dead("README.md", "https://example.org/nowhere"), 0);
        assert_eq!(dead("README.md", "src/main.rs"), 1);
    }
}
