//! What is executed equals what the formulas say, to the last operation.

use crate::support::*;
use visor_core::cost::{Decode, Keys, Looks, ModelShape, PolicyShape, Prompt};
use visor_core::{LayerMode, Padding, Patches, Schedule};
use visor_model::attention::AttentionBias;
use visor_model::config::ConnectorConfig;
use visor_model::counter::count;
use visor_model::{Head, Network, parameters, weights};
use visor_runtime::{Backbone, Cancel, RoutingToken, Start};

fn shape() -> ModelShape {
    config().shape(Some(extension().cross.n_kv_heads))
}

fn sizes(ids: &[u32]) -> Prompt {
    let prompt = prompt(ids);
    let (n_text, n_question) = (prompt.n_text(), prompt.question().len());
    let (n_visual, n_tiles) = (prompt.n_visual(), prompt.images().len());
    Prompt { n_text, n_question, n_visual, n_tiles, keys: Keys::All }
}

#[test]
fn a_prefill_executes_what_the_formula_says_at_every_level() {
    let (model, cancel, ladder) = (model(SCRATCH, 7), Cancel::new(), ladder());
    for (ids, pictures) in prompts() {
        let sizes = sizes(&ids);
        let (visual, vision) =
            count(|| (!pictures.is_empty()).then(|| model.encode(&pictures, &cancel).unwrap()));
        for way in ways() {
            let scopes = shape().scopes(&way.schedule(), sizes, None);
            let (_, lm) = count(|| {
                let start = way.start(&ladder);
                let state = model
                    .prefill_to_decision(&prompt(&ids), visual.as_ref(), start, 9, &cancel)
                    .unwrap();
                model.prefill_rest(state, &way.schedule(), &cancel).unwrap()
            });
            assert_flops(lm, scopes.lm_prefill, &format!("prefill, {way:?}, {ids:?}"));
            assert_flops(vision + lm, scopes.end_to_end, &format!("end to end, {way:?}"));
        }
    }
}

#[test]
fn the_vision_side_is_what_a_prefill_executes_beyond_the_same_text_alone() {
    let (model, cancel, ladder) = (model(SCRATCH, 7), Cancel::new(), ladder());
    for (ids, pictures) in prompts() {
        let visual = (!pictures.is_empty()).then(|| model.encode(&pictures, &cancel).unwrap());
        let prompt = prompt(&ids);
        // The same text, each token where it stands, through every layer on text alone.
        let at = placement(&[map(&ids)], SCRATCH);
        let text = streams(model.network(), &ids, &[], Way::Dense);
        let (_, blind) = count(|| one_pass(model.network(), text, &Schedule::blind(7), &at));
        for way in ways() {
            let (_, lm) = count(|| {
                let start = way.start(&ladder);
                let state =
                    model.prefill_to_decision(&prompt, visual.as_ref(), start, 9, &cancel).unwrap();
                model.prefill_rest(state, &way.schedule(), &cancel).unwrap()
            });
            let scopes = shape().scopes(&way.schedule(), sizes(&ids), None);
            let head = shape().decoder.head();
            assert_flops(lm - head - blind, scopes.vision_side, &format!("{way:?}, {ids:?}"));
        }
    }
}

#[test]
fn a_decode_step_executes_what_the_formula_says_at_every_level() {
    let model = model(SCRATCH, 7);
    for (ids, pictures) in prompts() {
        let sizes = sizes(&ids);
        for way in ways() {
            let scopes = shape().scopes(&way.schedule(), sizes, None);
            let (_, mut state) = prefill(&model, &ids, &pictures, way, 16);
            for step in 1..4 {
                let (_, flops) = count(|| model.decode_step(&mut state, 5).unwrap());
                let at = Decode {
                    context: sizes.n_text + step,
                    n_visual: sizes.n_visual,
                    looks: sizes.looks(),
                };
                let formula = shape().decoder.decode_step(&way.schedule(), at);
                assert_flops(flops, formula, &format!("step {step}, {way:?}, {ids:?}"));
                if step == 1 {
                    assert_flops(flops, scopes.decode_step, "the first step");
                }
            }
        }
    }
}

#[test]
fn encoder_and_connector_execute_what_the_formula_says() {
    let mut config = config();
    let mut check = |n_layers: usize, connector: ConnectorConfig, image_size: usize| {
        config.vision.n_layers = n_layers;
        config.vision.image_size = image_size;
        config.connector = connector;
        let network = filled(Network::new(&config, None, Head::Tied, &cpu()), 7);
        for tiles in [1, 3] {
            let pixels = burn::tensor::Tensor::zeros([tiles, 3, image_size, image_size], &cpu());
            let (encoded, flops) = count(|| network.encode(pixels, &|| Ok(())).unwrap());
            let [_, tokens, _] = encoded.dims();
            assert_eq!(tokens, config.token_grid().pow(2));
            let shape = config.shape(None);
            let formula = shape.vision(tiles);
            assert_flops(flops, formula, "encoder and connector");
        }
    };
    let mlp = |d_hidden| ConnectorConfig::Mlp { d_hidden, bias: visor_model::linear::Bias::With };
    check(0, mlp(36), 12);
    check(3, mlp(20), 12);
    check(2, ConnectorConfig::PixelShuffle { scale: 2 }, 16);
    // A remainder of pixels is not looked at.
    check(1, mlp(36), 15);
}

#[test]
fn a_routing_token_executes_what_the_formula_says_of_its_row() {
    let (model, cancel, ladder) = (model(SCRATCH, 7), Cancel::new(), ladder());
    let routing = RoutingToken(value(3, "routing", &[32]));
    let policy = PolicyShape { d_input: 64, d_hidden: 8, n_rungs: 4 };
    for (ids, pictures) in prompts() {
        let visual = (!pictures.is_empty()).then(|| model.encode(&pictures, &cancel).unwrap());
        for rung in ladder.ids() {
            let schedule = ladder.schedule(rung);
            let run = |routing| {
                let start = Start::Budgeted { ladder: &ladder, routing, patches: Patches::All };
                count(|| {
                    let prompt = prompt(&ids);
                    let state = model
                        .prefill_to_decision(&prompt, visual.as_ref(), start, 9, &cancel)
                        .unwrap();
                    model.prefill_rest(state, &schedule, &cancel).unwrap()
                })
                .1
            };
            let executed = run(Some(&routing)) - run(None);
            let cost = |policy| shape().scopes(&schedule, sizes(&ids), policy).end_to_end;
            let formula = cost(Some((policy, ladder.decision_layer().0))) - cost(None);
            assert_flops(executed, formula - policy.decision(), "the routing token's row");
        }
    }
}

#[test]
fn key_and_value_bytes_are_what_the_caches_hold() {
    let decoder = shape().decoder;
    let ladder = ladder();
    let (n_text, n_visual) = (5, 9);
    for way in ways() {
        let schedule = way.schedule();
        let own: usize = schedule
            .modes()
            .iter()
            .map(|mode| match mode {
                LayerMode::TextOnly => n_text,
                // Cross-attention's own keys, the null key among them.
                LayerMode::CrossAttention => n_text + n_visual + 1,
                LayerMode::SelfAttention => n_text + n_visual,
            })
            .sum();
        let expected = (own * 2 * 2 * 8 * 4) as u64;
        assert_eq!(
            decoder.kv_bytes(&schedule, n_text, n_visual, Looks::alike(n_visual), 4, Padding::None),
            expected
        );
    }
    assert_eq!(ladder.rungs().len(), 4);
}

#[test]
fn the_number_of_weights_follows_from_the_configuration() {
    let count = |network: &Network| {
        weights::named(network).iter().map(|tensor| tensor.data.len() as u64).sum::<u64>()
    };
    let shuffle = || ConnectorConfig::PixelShuffle { scale: 3 };
    for (extension, head, connector, post_norm) in [
        (Some(extension()), Head::Tied, config().connector, false),
        (Some(extension()), Head::Own, shuffle(), true),
        (None, Head::Tied, config().connector, true),
        (None, Head::Own, shuffle(), false),
    ] {
        let mut config = config();
        config.connector = connector;
        config.vision.post_norm = post_norm;
        for bias in [AttentionBias::Nowhere, AttentionBias::Inputs, AttentionBias::Everywhere] {
            config.text.attention_bias = bias;
            let network = Network::new(&config, extension.as_ref(), head, &cpu());
            assert_eq!(parameters(&config, extension.as_ref(), head), count(&network));
        }
    }
}
