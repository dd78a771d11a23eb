//! The table at the end of a run.

use crate::table::{aligned, layers};
use std::collections::BTreeMap;
use visor_train::evaluate::Scores;
use visor_train::record::{Record, RungRow};

/// Accuracy and cost of each budget by the record, in percent and millions.
pub(crate) fn of_record(record: &Record) -> String {
    let families: Vec<&String> =
        record.rungs.first().map_or_else(Vec::new, |rung| rung.families.keys().collect());
    let mut header = ["budget", "SA layers", "MFLOPs", "saving"].map(str::to_owned).to_vec();
    header.extend(families.iter().map(|family| (*family).clone()));
    header.extend(["one look", "refinement"].map(str::to_owned));
    let row = |rung: &RungRow| {
        let mut row = vec![
            rung.name.clone(),
            layers(&rung.self_attention_layers),
            format!("{:.2}", rung.gflops.end_to_end * 1e3),
            format!("{:.2}x", rung.saving_end_to_end),
        ];
        row.extend(families.iter().map(|family| {
            rung.families.get(*family).map_or_else(String::new, |found| percent(found.accuracy))
        }));
        row.extend([percent(rung.one_look_mean), percent(rung.refinement_mean)]);
        row
    };
    let rows: Vec<Vec<String>> = [header].into_iter().chain(record.rungs.iter().map(row)).collect();
    aligned(&rows)
}

/// Accuracy of each budget on validation pictures, in percent.
pub(crate) fn of_scores(scores: &[(String, Scores)]) -> String {
    let by_name = |scores: &Scores| -> BTreeMap<String, f64> {
        scores.families.iter().map(|(name, found)| (name.to_string(), found.accuracy())).collect()
    };
    let mut header = vec!["budget".to_owned()];
    header.extend(scores.first().into_iter().flat_map(|(_, scores)| by_name(scores).into_keys()));
    let row = |(name, scores): &(String, Scores)| {
        let shares = by_name(scores).into_values().map(percent);
        [name.clone()].into_iter().chain(shares).collect()
    };
    let rows: Vec<Vec<String>> = [header].into_iter().chain(scores.iter().map(row)).collect();
    aligned(&rows)
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}
