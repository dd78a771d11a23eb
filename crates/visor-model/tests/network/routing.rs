//! The routing token: a row that reads and is not read.

use crate::plain::{self, Sizes};
use crate::stock::{plain_weights, sizes};
use crate::support::*;
use burn::tensor::Tensor;
use visor_core::{Patches, PositionScheme};
use visor_model::decoder::Pass;
use visor_model::layer::{Refinement, Streams};
use visor_model::{Head, Network, Placement, TextToken, TokenMap, weights};
use visor_runtime::{Backbone, Cancel, RoutingState, RoutingToken, Start, device};

const D_MODEL: usize = 32;

fn routing() -> RoutingToken {
    RoutingToken(value(3, "routing", &[D_MODEL]))
}

/// The tokens of `ids` with a routing token behind them.
fn routed(ids: &[u32]) -> TokenMap {
    let mut map = map(ids);
    map.text.push(TextToken { position: prompt(ids).len(), segment: 0 });
    map
}

/// What the runtime's trait gives a policy.
fn state(ids: &[u32], seed: u64, pictures: &[visor_processor::ProcessedPicture]) -> RoutingState {
    let (model, cancel, ladder) = (model(SCRATCH, seed), Cancel::new(), ladder());
    let visual = (!pictures.is_empty()).then(|| model.encode(pictures, &cancel).unwrap());
    let routing = routing();
    let start = Start::Budgeted { ladder: &ladder, routing: Some(&routing), patches: Patches::All };
    let state =
        model.prefill_to_decision(&prompt(ids), visual.as_ref(), start, 8, &cancel).unwrap();
    model.routing_state(&state)
}

/// The layers before the decision over text whose last row is a routing token.
fn to_decision(network: &Network, streams: Streams, at: &Placement) -> Streams {
    let schedule = Way::Rung(ladder().cheapest()).schedule();
    let layers = 0..ladder().decision_layer().0;
    let pass = Pass { layers, schedule: &schedule, at, refinement: Refinement::Apply };
    network.decoder().run(streams, &pass, None, &mut |_, _| Ok(())).unwrap()
}

fn last_row(text: Tensor<3>) -> Tensor<3> {
    let [_, t, _] = text.dims();
    text.narrow(1, t - 1, 1)
}

#[test]
fn a_routing_token_changes_no_logit_and_stays_in_no_cache() {
    let (cancel, ladder) = (Cancel::new(), ladder());
    let routing = RoutingToken(value(3, "routing", &[32]));
    for positions in [PositionScheme::STOCK, SCRATCH] {
        let model = model(positions, 7);
        for (ids, pictures) in prompts() {
            let visual = (!pictures.is_empty()).then(|| model.encode(&pictures, &cancel).unwrap());
            for rung in ladder.ids() {
                let way = Way::Rung(rung);
                let prompt = prompt(&ids);
                let capacity = prompt.n_text() + 1;
                let (mut without, mut other) = prefill(&model, &ids, &pictures, way, capacity);
                let start = Start::Budgeted {
                    ladder: &ladder,
                    routing: Some(&routing),
                    patches: Patches::All,
                };
                let state = model
                    .prefill_to_decision(&prompt, visual.as_ref(), start, capacity, &cancel)
                    .unwrap();
                let seen = model.routing_state(&state);
                assert_eq!(seen.token.map(|token| token.len()), Some(32));
                assert_eq!(seen.visual_mean.is_some(), !pictures.is_empty());
                let (with, mut decoding) =
                    model.prefill_rest(state, &way.schedule(), &cancel).unwrap();
                assert_close(&with.0, &without, 1e-5);
                // The caches have room for exactly one more token: the routing token took none.
                let with = model.decode_step(&mut decoding, 9).unwrap();
                without = model.decode_step(&mut other, 9).unwrap().0;
                assert_close(&with.0, &without, 1e-5);
            }
        }
    }
}

#[test]
fn a_routing_token_reads_what_stands_before_it_and_not_itself() {
    // With closed gates the layers before the decision are those of a stock decoder.
    let network = Network::new(&config(), Some(&extension()), Head::Tied, &cpu());
    let network = weights::fill(network, &cpu(), &mut |name, shape| {
        Ok(if name.ends_with("gate") { vec![0.0] } else { value(7, name, shape) })
    })
    .unwrap();
    let ids = [5, 9, 11, 3];
    let RoutingToken(embedding) = routing();
    let table = value(7, "decoder.embed_tokens.weight", &[VOCAB, D_MODEL]);
    let mut rows: Vec<Vec<f32>> = ids
        .iter()
        .map(|&id| table[id as usize * D_MODEL..(id as usize + 1) * D_MODEL].to_vec())
        .collect();
    rows.push(embedding.clone());
    let sizes = Sizes { layers: ladder().decision_layer().0, ..sizes() };
    let expected = plain::layers(&plain_weights(&network), sizes, rows, ids.len());

    let text = network.decoder().embed(text_ids(&ids));
    let row = Tensor::<1>::from_floats(embedding.as_slice(), &cpu()).reshape([1, 1, D_MODEL]);
    let streams = Streams { text: Tensor::cat(vec![text, row], 1), visual: None };
    let at = placement(&[routed(&ids)], PositionScheme::STOCK).with_routing_token();
    let reached = to_decision(&network, streams, &at).text;
    assert_close(&values(reached), &expected.concat(), 1e-5);
}

#[test]
fn the_routing_state_is_the_last_row_and_the_mean_of_the_picture() {
    let (ids, pictures) = (vec![7, IMAGE, 5, 9, 3], vec![picture(1)]);
    let network = network(7);
    let Streams { text, visual } =
        streams(&network, &ids, &pictures, Way::Rung(ladder().cheapest()));
    let RoutingToken(embedding) = routing();
    let row = Tensor::<1>::from_floats(embedding.as_slice(), &cpu()).reshape([1, 1, D_MODEL]);
    let streams = Streams { text: Tensor::cat(vec![text, row], 1), visual };
    let at = placement(&[routed(&ids)], SCRATCH).with_routing_token();
    let reached = to_decision(&network, streams, &at);
    let seen = state(&ids, 7, &pictures);
    assert_close(&seen.token.unwrap(), &values(last_row(reached.text)), 1e-5);
    let mean = values(reached.visual.unwrap().mean_dim(1));
    assert_close(&seen.visual_mean.unwrap(), &mean, 1e-5);
}

#[test]
fn the_routing_rows_of_a_batch_equal_those_of_the_samples_alone() {
    let samples = [
        (vec![IMAGE, 5, 9, 11, 3], picture(1)),
        (vec![IMAGE, 8, 7, 6, 10], picture(2)),
        (vec![IMAGE, 3, 3, 12, 5], picture(3)),
    ];
    let alone: Vec<f32> = samples
        .iter()
        .flat_map(|(ids, picture)| {
            state(ids, 7, std::slice::from_ref(picture)).token.expect("a routing token")
        })
        .collect();

    // As training runs them: rows of one tensor, the embedding the one thing that learns.
    let frozen = network(7);
    let device = device::training(&cpu());
    let network = Network::new(&config(), Some(&extension()), Head::Tied, &device);
    let network =
        weights::fill(network, &device, &mut |name, shape| Ok(value(7, name, shape))).unwrap();
    let way = Way::Rung(ladder().cheapest());
    let each = samples
        .each_ref()
        .map(|(ids, picture)| streams(&frozen, ids, std::slice::from_ref(picture), way));
    let text = Tensor::cat(each.iter().map(|s| s.text.clone()).collect(), 0);
    let visual = Tensor::cat(each.iter().flat_map(|s| s.visual.clone()).collect(), 0);
    let RoutingToken(embedding) = routing();
    let embedding = Tensor::<1>::from_floats(embedding.as_slice(), &device).require_grad();
    let rows = embedding.clone().reshape([1, 1, D_MODEL]).expand([3, 1, D_MODEL]);
    let streams = Streams {
        text: Tensor::cat(vec![Tensor::from_inner(text), rows], 1),
        visual: Some(Tensor::from_inner(visual)),
    };
    let maps = samples.each_ref().map(|(ids, _)| routed(ids));
    let rotary = config().text.rotary(SCRATCH.rotary);
    let at = Placement::prefill(&maps, rotary, SCRATCH.image_mask, None, &device);
    let reached = last_row(to_decision(&network, streams, &at.with_routing_token()).text);
    assert_eq!(reached.dims(), [3, 1, D_MODEL]);
    assert_close(&values(reached.clone()), &alone, 1e-5);
    let gradients = reached.square().sum().backward();
    let gradient = values(embedding.grad(&gradients).expect("the embedding learns"));
    assert!(gradient.iter().all(|value| value.is_finite()));
    assert!(gradient.iter().any(|value| value.abs() > 1e-3));
}
