//! What the numbers mean, and what each row is.

use super::{coded, of_table};
use crate::compare::record::{CompareRecord, EQUAL_COST};
use crate::compare::render::tables::{Table, TableRow};

/// The last part of the report.
pub(super) fn section(record: &CompareRecord) -> String {
    let mut html = String::from("<section class=\"methods\">\n<h2>Methods</h2>\n<dl>\n");
    for (name, text) in conventions(record) {
        html.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", coded(name), coded(&text)));
    }
    html.push_str("</dl>\n<h3>What each row is</h3>\n");
    html.push_str(&of_table(&rows(record), &[2]));
    html + "</section>\n"
}

fn conventions(record: &CompareRecord) -> Vec<(&'static str, String)> {
    let full = &record.full;
    let scope = record.cost_scope.title();
    let mut texts = vec![
        (
            "FLOPs",
            "2 a multiply-add; aware of grouped heads, no halving for causal attention, three \
             matrices in a SwiGLU. Norms, activations, softmax and embeddings are not counted. \
             Computed from sizes before anything runs."
                .to_owned(),
        ),
        (
            "Scopes",
            "End to end: everything before the first token, with vision encoder, connector, policy \
             and selector. LM prefill: the decoder alone. Vision-side LM: what the decoder does \
             because of the picture. Decode step: one further token."
                .to_owned(),
        ),
        (
            "Savings",
            match &record.dense {
                Some(dense) => format!("Mean cost of `{dense}` over mean cost of the row: a ratio of means."),
                None => "Not given: no dense row was observed.".to_owned(),
            },
        ),
        (
            "Accuracy",
            "Mean score over questions. Intervals of 95 %: Wilson's where scores are right or wrong, \
             Student's where they are soft. Questions about one picture count as a cluster."
                .to_owned(),
        ),
        (
            "Differences",
            format!(
                "Paired: mean of the differences question by question, against `{full}` unless said \
                 otherwise, with Student's interval; p is McNemar's, exact and two-sided. Where no \
                 question differs the interval is what could have gone unseen. Nothing is corrected \
                 for the number of comparisons."
            ),
        ),
        (
            "Easy and hard",
            "Means over families, each family weighing alike. Which family is which was declared \
             with the suite."
                .to_owned(),
        ),
        (
            "Dominated",
            "Another rung, routed row or baseline is at least as accurate at no more cost, and better \
             in one of both. By means alone: near ties can turn round."
                .to_owned(),
        ),
        (
            "Equal cost",
            format!("Mean costs that differ by at most {} %, by FLOPs {scope}.", 100.0 * EQUAL_COST),
        ),
        (
            "References",
            "Computed from what every rung answered. The oracle knows which rungs are right; \
             mixtures, look-ups and chance have expected scores, not drawn ones. Those fitted on \
             these very questions are flattered, which is in favour of the reference."
                .to_owned(),
        ),
    ];
    if let Some(protocol) = &record.protocol {
        texts.push((
            "Times",
            format!(
                "Medians and 95th percentiles of requests one by one, after {} warm-up requests a \
                 row; {}.",
                protocol.warm_up, protocol.order
            ),
        ));
    }
    texts
}

fn rows(record: &CompareRecord) -> Table {
    let mut rows: Vec<_> = record.main_rows().collect();
    rows.sort_by_key(|row| row.group);
    let none = || "-".to_owned();
    let row = |row: &&crate::compare::record::RowRecord| TableRow {
        cells: vec![
            row.name.clone(),
            row.group.word().to_owned(),
            row.about.clone(),
            row.network.clone().unwrap_or_else(|| "the compared model".to_owned()),
            row.visual_tokens.map_or_else(none, |tokens| tokens.to_string()),
        ],
        group: Some(row.group),
    };
    Table {
        title: String::new(),
        note: String::new(),
        header: ["budget", "kind", "what it is", "network", "visual tokens"]
            .map(str::to_owned)
            .into(),
        words: 4,
        rows: rows.iter().map(row).collect(),
    }
}
