//! The rules of the house, one check each.

mod architecture;
mod backends;
mod dependencies;
mod documents;
mod sources;

use crate::repo::Repo;
use anyhow::Result;

/// A rule that holds for the whole repository.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What it keeps true.
    pub(crate) rule: &'static str,
    /// What contradicts it, one sentence each.
    pub(crate) run: fn(&Repo) -> Result<Vec<String>>,
}

/// All of them, quick ones first.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "sources",
        rule: "a module doc first, at most 500 lines, nothing unfinished, no path of a machine",
        run: sources::check,
    },
    Check {
        name: "backends",
        rule: "one module names a backend, four crates do not know burn",
        run: backends::check,
    },
    Check {
        name: "architecture",
        rule: "what ARCHITECTURE.md names is there",
        run: architecture::check,
    },
    Check {
        name: "documents",
        rule: "links lead somewhere, generated blocks are what their records say",
        run: documents::check,
    },
    Check {
        name: "dependencies",
        rule: "manifests and the table in ARCHITECTURE.md agree, and point down only",
        run: dependencies::check,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn expect_tidy(name: &str) {
        let repo = Repo::here().expect("this repository");
        let check = CHECKS.iter().find(|check| check.name == name).expect("a check");
        let findings = (check.run)(&repo).expect("a check that can be made");
        assert!(findings.is_empty(), "{}:\n  {}", check.rule, findings.join("\n  "));
    }

    #[test]
    fn every_source_file_keeps_the_rules_of_the_house() {
        expect_tidy("sources");
    }

    #[test]
    fn only_the_device_file_names_a_backend() {
        expect_tidy("backends");
    }

    #[test]
    fn what_the_architecture_document_names_is_there() {
        expect_tidy("architecture");
    }

    #[test]
    fn documents_are_what_their_records_say() {
        expect_tidy("documents");
    }

    #[test]
    fn dependencies_are_those_of_the_table_and_point_down_only() {
        expect_tidy("dependencies");
    }
}
