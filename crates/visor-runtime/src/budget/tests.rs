//! What can be asked for, by model and prompt.

use super::*;
use crate::dtype::Dtype;
use visor_core::cost::{
    ConnectorShape, CrossShape, DecoderShape, EncoderShape, Keys, ModelShape, Prompt,
};
use visor_core::{Layout, Padding, PositionScheme};
use visor_processor::ImageTokens;

fn card(ladder: Option<Ladder>, dense: DenseMode) -> ModelCard {
    ModelCard {
        name: "tiny".to_owned(),
        ladder,
        dense,
        selector: None,
        shape: ModelShape {
            encoder: EncoderShape {
                n_layers: 0,
                d_model: 8,
                d_ffn: 8,
                n_patches: 4,
                patch_values: 12,
                n_attended: 4,
            },
            connector: ConnectorShape::Mlp { d_vision: 8, d_hidden: 8, d_model: 8 },
            decoder: DecoderShape {
                n_layers: 4,
                d_model: 8,
                n_heads: 2,
                n_kv_heads: 1,
                head_dim: 4,
                d_ffn: 16,
                vocab: 10,
                cross: Some(CrossShape { n_kv_heads: 1 }),
            },
        },
        context: 64,
        positions: PositionScheme::STOCK,
        image_token: 2,
        tile_side: 4,
        tile_tokens: ImageTokens { rows: 2, cols: 2 },
        eos: vec![1],
        rules: Vec::new(),
        vocab: 10,
        parameters: 0,
        dtype: Dtype::F32,
        padding: Padding::None,
        sha256: None,
        selector_sha256: None,
        default_policy: None,
    }
}

fn universal() -> ModelCard {
    let layout = Layout::try_new(4, &[0, 3], &[1, 2]).expect("a layout");
    let rungs = [("sa0", vec![]), ("sa1", vec![2]), ("sa2", vec![1, 2])]
        .map(|(name, layers)| (name.to_owned(), layers));
    let ladder = Ladder::try_new(layout, 1, &rungs).expect("a ladder");
    card(Some(ladder), DenseMode::Unavailable)
}

const PROMPT: Prompt =
    Prompt { n_text: 5, n_question: 4, n_visual: 4, n_tiles: 1, keys: Keys::All };

fn resolve(
    card: &ModelCard,
    policy: PolicyPresence,
    request: Option<&BudgetRequest>,
    ceiling: Option<Flops>,
) -> Result<Resolved, RunError> {
    let costs = CostTable::new(card, PROMPT, None);
    Offer { card, costs: &costs, policy }.resolve(request, ceiling)
}

fn rung(name: &str) -> BudgetRequest {
    BudgetRequest::Rung(name.to_owned())
}

fn name_and_basis(card: &ModelCard, resolved: Resolved) -> (String, Basis) {
    let Resolved::Decided { level, basis } = resolved else { panic!("left to a policy") };
    let costs = CostTable::new(card, PROMPT, None);
    (costs.of(level).name.clone(), basis)
}

const ABSENT: PolicyPresence = PolicyPresence::Absent;

fn cost(card: &ModelCard, rung: usize) -> Flops {
    CostTable::new(card, PROMPT, None).rungs[rung].scopes.end_to_end
}

#[test]
fn without_a_request_it_is_the_largest_rung() {
    let card = universal();
    let resolved = resolve(&card, ABSENT, None, None).expect("a default");
    assert_eq!(name_and_basis(&card, resolved), ("sa2".to_owned(), Basis::Default));
}

#[test]
fn a_stock_model_runs_dense_by_default_and_has_no_rungs() {
    let card = card(None, DenseMode::Available);
    let resolved = resolve(&card, ABSENT, None, None).expect("a default");
    assert_eq!(name_and_basis(&card, resolved), ("dense".to_owned(), Basis::Default));
    let error = resolve(&card, ABSENT, Some(&rung("sa0")), None);
    let message = error.expect_err("no rungs").to_string();
    assert!(message.contains("`sa0`") && message.contains("`dense`"), "{message}");
}

#[test]
fn a_rung_is_had_by_name_and_a_wrong_one_lists_the_legal_ones() {
    let card = universal();
    let ask = |name: &str| resolve(&card, ABSENT, Some(&rung(name)), None);
    let resolved = ask("sa1").expect("a rung");
    assert_eq!(name_and_basis(&card, resolved), ("sa1".to_owned(), Basis::Requested));
    let message = ask("sa7").expect_err("no such rung").to_string();
    assert!(message.contains("`sa0`, `sa1`, `sa2`") && !message.contains("auto"), "{message}");
}

#[test]
fn dense_is_an_error_where_it_was_not_trained() {
    let error = resolve(&universal(), ABSENT, Some(&BudgetRequest::Dense), None);
    assert!(matches!(error, Err(RunError::Budget(BudgetError::NoDense { .. }))));
}

#[test]
fn auto_needs_a_policy() {
    let error = resolve(&universal(), ABSENT, Some(&BudgetRequest::Auto), None);
    assert!(matches!(error, Err(RunError::Budget(BudgetError::NoPolicy { .. }))));
    let present = PolicyPresence::Present;
    let largest = universal().ladder.expect("a ladder").largest();
    for request in [Some(&BudgetRequest::Auto), None] {
        let resolved = resolve(&universal(), present, request, None).expect("left to the policy");
        assert_eq!(resolved, Resolved::ByPolicy { highest: largest });
    }
}

#[test]
fn a_ceiling_takes_the_dearest_rung_below_it() {
    let card = universal();
    let (middle, top) = (cost(&card, 1), cost(&card, 2));
    for (ceiling, expected) in [(top, "sa2"), (Flops(top.0 - 1), "sa1"), (middle, "sa1")] {
        let expected = (expected.to_owned(), Basis::Ceiling);
        let resolved = resolve(&card, ABSENT, None, Some(ceiling)).expect("affordable");
        assert_eq!(name_and_basis(&card, resolved), expected);
        let request = BudgetRequest::AtMost(ceiling);
        let resolved = resolve(&card, ABSENT, Some(&request), None).expect("affordable");
        assert_eq!(name_and_basis(&card, resolved), expected);
    }
    let error = resolve(&card, ABSENT, None, Some(Flops(1))).expect_err("too low").to_string();
    assert!(error.contains("`sa0` costs") && error.contains("--max-gflops"), "{error}");
}

#[test]
fn a_rung_asked_for_by_name_is_never_traded_for_a_cheaper_one() {
    let card = universal();
    let request = rung("sa2");
    let request = Some(&request);
    let error = resolve(&card, ABSENT, request, Some(cost(&card, 1))).expect_err("dearer");
    assert!(matches!(error, RunError::AboveCeiling { .. }), "{error}");
    let advice = error.to_string();
    let advice = advice.split("at least ").nth(1).and_then(|rest| rest.split(',').next());
    let advised = advice.and_then(|giga| giga.parse().ok()).and_then(Flops::from_giga);
    assert!(resolve(&card, ABSENT, request, advised).is_ok(), "{error}");
    assert!(resolve(&card, ABSENT, request, Some(cost(&card, 2))).is_ok());
}

#[test]
fn a_ceiling_caps_what_the_policy_chooses() {
    let card = universal();
    let costs = CostTable::new(&card, PROMPT, None);
    let rungs: Vec<RungId> = card.ladder.as_ref().expect("a ladder").ids().collect();
    let request = Some(&BudgetRequest::Auto);
    let resolved = resolve(&card, PolicyPresence::Present, request, Some(cost(&card, 1)));
    assert_eq!(resolved.expect("affordable"), Resolved::ByPolicy { highest: rungs[1] });
    let choice = |rung| PolicyChoice { rung, probabilities: vec![0.1, 0.2, 0.7] };
    let decided = Decided::by_policy(&costs, &choice(rungs[2]), rungs[1]);
    assert_eq!(decided.name, "sa1");
    assert_eq!(decided.basis, Basis::Capped { predicted: rungs[2] });
    assert_eq!(decided.probabilities[2], ("sa2".to_owned(), 0.7));
    let decided = Decided::by_policy(&costs, &choice(rungs[0]), rungs[1]);
    assert_eq!((decided.name.as_str(), decided.basis), ("sa0", Basis::Predicted));
}

#[test]
fn what_an_answer_adds_covers_the_caches_of_every_level_filled_up_or_not() {
    for padding in [Padding::None, Padding::Steps] {
        let card = ModelCard { padding, ..universal() };
        let costs = |n_text| CostTable::new(&card, Prompt { n_text, ..PROMPT }, None);
        for (n_text, tokens) in (1..30).flat_map(|n_text| (0..40).map(move |t| (n_text, t))) {
            let (before, after) = (costs(n_text), costs(n_text + tokens));
            let levels = before.rungs.iter().chain([&before.dense]);
            for (before_level, after) in levels.zip(after.rungs.iter().chain([&after.dense])) {
                let held = before_level.kv_bytes + before.kv_bytes_of_answer(tokens);
                assert!(after.kv_bytes <= held, "{padding:?}: {n_text} and {tokens}");
                assert!(padding == Padding::Steps || after.kv_bytes == held);
            }
        }
    }
}
