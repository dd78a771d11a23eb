//! The record of a trained checkpoint, as far as documents quote it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

const SCHEMA_VERSION: u32 = 1;

/// Accuracy and cost of every rung, cheapest first.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    schema_version: u32,
    pub(crate) test_pictures: u64,
    pub(crate) rungs: Vec<Rung>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rung {
    pub(crate) name: String,
    pub(crate) self_attention_layers: Vec<usize>,
    pub(crate) gflops: Gflops,
    /// Dense cost over this rung's.
    pub(crate) saving_end_to_end: f64,
    pub(crate) families: BTreeMap<String, Accuracy>,
    pub(crate) one_look_mean: f64,
    pub(crate) refinement_mean: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Gflops {
    pub(crate) end_to_end: f64,
}

/// A share of right answers with its interval.
#[derive(Debug, Deserialize)]
pub(crate) struct Accuracy {
    pub(crate) accuracy: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) n: u64,
}

impl Record {
    /// Reads a record and checks that it says something that can be.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let record: Self = serde_json::from_str(json).context("not a record")?;
        let version = record.schema_version;
        ensure!(version == SCHEMA_VERSION, "schema version {version}, not {SCHEMA_VERSION}");
        let first = record.rungs.first().context("a record without rungs")?;
        for rung in &record.rungs {
            let same = rung.families.keys().eq(first.families.keys());
            ensure!(same, "rung `{}` has other families", rung.name);
            for (family, Accuracy { accuracy, low, high, n }) in &rung.families {
                let order = 0.0 <= *low && low <= accuracy && accuracy <= high && *high <= 1.0;
                let at = || format!("rung `{}`, family `{family}`", rung.name);
                ensure!(order, "{}: {low} <= {accuracy} <= {high} must be shares", at());
                ensure!(*n > 0, "{}: no questions", at());
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two rungs and three families.
    pub(crate) const SAMPLE: &str = r#"{
        "schema_version": 1,
        "test_pictures": 2000,
        "rungs": [
            {"name": "sa0", "self_attention_layers": [],
             "gflops": {"vision_side": 0.001, "lm_prefill": 0.006, "end_to_end": 0.0097,
                        "decode_step": 0.0007},
             "saving_end_to_end": 2.876, "one_look_mean": 0.99, "refinement_mean": 0.605,
             "families": {"chain": {"accuracy": 0.605, "low": 0.55, "high": 0.66, "n": 400},
                          "new": {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 400},
                          "shape": {"accuracy": 0.99, "low": 0.98, "high": 1.0, "n": 300}}},
            {"name": "sa2", "self_attention_layers": [1, 4],
             "gflops": {"vision_side": 0.001, "lm_prefill": 0.012, "end_to_end": 1.25,
                        "decode_step": 0.0007},
             "saving_end_to_end": 1.7, "one_look_mean": 1.0, "refinement_mean": 0.9,
             "families": {"chain": {"accuracy": 0.9, "low": 0.86, "high": 0.93, "n": 400},
                          "new": {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 400},
                          "shape": {"accuracy": 1.0, "low": 0.99, "high": 1.0, "n": 300}}}
        ],
        "training": {"seed": 1}
    }"#;

    #[test]
    fn a_record_that_cannot_be_is_refused() {
        let refused = |from: &str, to: &str| {
            let json = SAMPLE.replacen(from, to, 1);
            assert_ne!(json, SAMPLE);
            Record::parse(&json).expect_err(to).to_string()
        };
        assert!(refused(r#"_version": 1"#, r#"_version": 2"#).contains("schema version 2"));
        assert!(refused(r#""high": 0.66"#, r#""high": 0.6"#).contains("`chain`"));
        assert!(refused(r#""n": 400"#, r#""n": 0"#).contains("no questions"));
        assert!(refused(r#""shape""#, r#""twin""#).contains("other families"));
        assert!(Record::parse(r#"{"schema_version": 1, "rungs": []}"#).is_err());
    }
}
