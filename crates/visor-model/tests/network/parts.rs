//! Single parts against naive versions.

use crate::plain::rotate;
use crate::support::*;
use burn::tensor::{Tensor, TensorData};
use visor_core::Rotary;
use visor_model::attention::attend;
use visor_model::conditional::ConditionalPosition;
use visor_model::config::{ConnectorConfig, PatchPositions, Tiling, VisionConfig};
use visor_model::connector::Connector;
use visor_model::mlp::gelu_tanh;
use visor_model::rotary::{Position, RotaryConfig};
use visor_model::vision::VisionEncoder;
use visor_model::weights;

fn tensor<const R: usize>(values: &[f32], shape: [usize; R]) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &cpu())
}

fn random<const R: usize>(name: &str, shape: [usize; R]) -> Tensor<R> {
    tensor(&value(5, name, &shape), shape)
}

#[test]
fn grouped_attention_equals_attention_with_repeated_keys() {
    let (b, h, g, t, s, d) = (2, 6, 2, 3, 5, 4);
    let (q, k, v) =
        (random("q", [b, h, t, d]), random("k", [b, g, s, d]), random("v", [b, g, s, d]));
    let bias = random("bias", [b, 1, t, s]) * 4.0;
    let repeat = |x: &Tensor<4>| {
        let x = x.clone().reshape([b, g, 1, s, d]).expand([b, g, h / g, s, d]);
        x.reshape([b, h, s, d])
    };
    for bias in [None, Some(&bias)] {
        let grouped = attend(q.clone(), k.clone(), v.clone(), bias);
        let repeated = attend(q.clone(), repeat(&k), repeat(&v), bias);
        assert_eq!(grouped.dims(), [b, h, t, d]);
        assert_close(&values(grouped), &values(repeated), 1e-6);
    }
}

#[test]
fn rotary_positions_turn_halves_and_not_neighbours() {
    let (heads, d) = (2, 8);
    let places = [0_usize, 1, 5, 300];
    let x = value(5, "x", &[heads * places.len(), d]);
    let config = RotaryConfig { scheme: Rotary::OneD, base: 100.0, head_dim: d };
    let rows = [places.map(Position::at).to_vec()];
    let turned = config.table(&rows, &cpu()).turn(tensor(&x, [1, heads, places.len(), d]));
    let expected: Vec<f32> = x
        .chunks(d)
        .enumerate()
        .flat_map(|(row, head)| rotate(head, places[row % places.len()], 100.0))
        .collect();
    assert_close(&values(turned), &expected, 1e-4);
}

#[test]
fn two_dimensional_positions_turn_half_of_the_pairs_by_row_and_half_by_column() {
    let d = 8;
    let config = |scheme, head_dim| RotaryConfig { scheme, base: 100.0, head_dim };
    let head = value(5, "head", &[1, d]);
    let position = Position { row: 3, column: 11 };
    let turned = config(Rotary::TwoD, d).table(&[vec![position]], &cpu());
    let turned = values(turned.turn(tensor(&head, [1, 1, 1, d])));
    // Pairs (0, 4) and (1, 5) are a head of width 4 at the row, (2, 6) and (3, 7) at the column.
    let by_row = rotate(&[head[0], head[1], head[4], head[5]], 3, 100.0);
    let by_column = rotate(&[head[2], head[3], head[6], head[7]], 11, 100.0);
    let expected = [
        by_row[0],
        by_row[1],
        by_column[0],
        by_column[1],
        by_row[2],
        by_row[3],
        by_column[2],
        by_column[3],
    ];
    assert_close(&turned, &expected, 1e-5);
}

#[test]
fn pixel_shuffle_takes_the_patches_of_a_square_row_by_row() {
    let (e, scale, grid) = (3, 2, 4);
    let mut config = config();
    let width = e * scale * scale;
    config.vision = VisionConfig { d_model: e, ..config.vision };
    config.text.d_model = width;
    let connector = ConnectorConfig::PixelShuffle { scale };
    let connector =
        Connector::new(&connector, &Tiling::Whole, &config.vision, &config.text, &cpu());
    // The identity shows the order of the values that go into the projection.
    let connector = weights::fill(connector, &cpu(), &mut |_, shape| {
        let n = shape[0];
        Ok((0..n * n).map(|i| f32::from(i / n == i % n)).collect())
    })
    .unwrap();
    let (patches, tiles) = (grid * grid, 2);
    let x = value(5, "patches", &[tiles * patches, e]);
    let got = connector.forward(tensor(&x, [tiles, patches, e]));
    let squares = grid / scale;
    assert_eq!(got.dims(), [tiles, squares * squares, width]);
    let mut expected = Vec::new();
    for tile in 0..tiles {
        for (i, j) in (0..squares).flat_map(|i| (0..squares).map(move |j| (i, j))) {
            for (a, b) in (0..scale).flat_map(|a| (0..scale).map(move |b| (a, b))) {
                let patch = tile * patches + (i * scale + a) * grid + j * scale + b;
                expected.extend_from_slice(&x[patch * e..(patch + 1) * e]);
            }
        }
    }
    assert_eq!(values(got), expected);
}

#[test]
fn the_patch_embedding_equals_a_naive_convolution_and_drops_the_remainder() {
    let (side, patch, e, tiles) = (11, 4, 6, 2);
    let config = VisionConfig {
        d_model: e,
        d_ffn: 8,
        n_layers: 0,
        n_heads: 1,
        image_size: side,
        patch_size: patch,
        layer_norm_eps: 1e-6,
        post_norm: false,
        positions: PatchPositions::InOrder,
    };
    let encoder = filled(VisionEncoder::new(&config, &cpu()), 5);
    let pixels = value(5, "pixels", &[tiles * 3 * side, side]);
    let got = encoder.forward(tensor(&pixels, [tiles, 3, side, side]), &|| Ok(())).unwrap();
    let kernel = value(5, "embeddings.patch_embedding.weight", &[e, 3, patch, patch]);
    let bias = value(5, "embeddings.patch_embedding.bias", &[e]);
    let grid = side / patch;
    let places = value(5, "embeddings.position_embedding.weight", &[grid * grid, e]);
    let mut expected = Vec::new();
    for tile in 0..tiles {
        for place in 0..grid * grid {
            for out in 0..e {
                let mut sum = bias[out] + places[place * e + out];
                for channel in 0..3 {
                    for (y, x) in (0..patch).flat_map(|y| (0..patch).map(move |x| (y, x))) {
                        let row = place / grid * patch + y;
                        let column = place % grid * patch + x;
                        let pixel = ((tile * 3 + channel) * side + row) * side + column;
                        let tap = ((out * 3 + channel) * patch + y) * patch + x;
                        sum += pixels[pixel] * kernel[tap];
                    }
                }
                expected.push(sum);
            }
        }
    }
    assert_eq!(got.dims(), [tiles, grid * grid, e]);
    assert_close(&values(got), &expected, 1e-5);
}

#[test]
fn the_conditional_position_is_a_residual_convolution_over_each_picture_by_itself() {
    let (b, v, e) = (2, 5, 4);
    let conditional = filled(ConditionalPosition::new(e, &cpu()), 5);
    let x = value(5, "pictures", &[b * v, e]);
    let got = values(conditional.forward(tensor(&x, [b, v, e])));
    let weight = value(5, "weight", &[e, 1, 7]);
    let mut expected = x.clone();
    for (picture, place, channel) in
        (0..b).flat_map(|b| (0..v).flat_map(move |v| (0..e).map(move |e| (b, v, e))))
    {
        for tap in 0..7 {
            let Some(from) = (place + tap).checked_sub(3).filter(|from| *from < v) else {
                continue;
            };
            let value = x[(picture * v + from) * e + channel] * weight[channel * 7 + tap];
            expected[(picture * v + place) * e + channel] += value;
        }
    }
    assert_close(&got, &expected, 1e-6);
}

#[test]
fn gelu_is_the_tanh_approximation() {
    let x: Vec<f32> = (-40..=40).map(|i| i as f32 / 8.0).collect();
    let got = values(gelu_tanh(tensor(&x, [x.len()])));
    let gelu = |x: f32| {
        let x = f64::from(x);
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        (0.5 * x * (1.0 + inner.tanh())) as f32
    };
    let expected: Vec<f32> = x.iter().map(|&x| gelu(x)).collect();
    assert_close(&got, &expected, 1e-6);
}
