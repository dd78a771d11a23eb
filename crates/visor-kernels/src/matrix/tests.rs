//! Products and what is held, against the definitions of the formats.

use super::*;
use crate::reference::noise;
use proptest::prelude::*;

fn quantised(values: &[f32], shape: [usize; 2]) -> Quantised {
    Quantised::nearest(values, shape).expect("as many values as the shape has")
}

const FORMATS: [(&str, MatrixFormat); 6] = [
    ("f32", MatrixFormat::Single),
    ("bf16", MatrixFormat::Bf16),
    ("bf16, rows", MatrixFormat::Bf16Rows),
    ("f16", MatrixFormat::F16),
    ("int8", MatrixFormat::Int8),
    ("int8, rows", MatrixFormat::Int8Rows),
];

fn held(format: MatrixFormat, values: &[f32], shape: [usize; 2]) -> Matrix {
    Matrix::new(format, values, shape).expect("as many small values as the shape has")
}

/// What a format makes of weights, by the definition of the format.
fn rounded(format: &str, values: &[f32], shape: [usize; 2]) -> Vec<f32> {
    match format {
        "f32" => values.to_vec(),
        "bf16" | "bf16, rows" => values.iter().map(|&v| half::bf16::from_f32(v).to_f32()).collect(),
        "f16" => values.iter().map(|&v| half::f16::from_f32(v).to_f32()).collect(),
        _ => quantised(values, shape).to_f32(),
    }
}

/// `x W^T + bias` in double precision.
fn obvious(x: &[f32], weights: &[f32], inputs: usize, bias: Option<&[f32]>) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let of_row = |x| {
        let sums = weights.chunks_exact(inputs).map(move |weights| dot(x, weights));
        sums.enumerate().map(|(i, sum)| sum + bias.map_or(0.0, |bias| f64::from(bias[i])))
    };
    x.chunks_exact(inputs).flat_map(of_row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn products_are_those_of_the_rounded_weights(
        rows in 1_usize..40,
        outputs in 1_usize..150,
        inputs in 1_usize..90,
        biased in any::<bool>(),
        seed in 0_u32..1000,
    ) {
        let values = noise(outputs * inputs, seed);
        let x: Vec<f32> = noise(rows * inputs, seed + 1).iter().map(|x| 3.0 * x + 0.5).collect();
        let bias = biased.then(|| noise(outputs, seed + 2));
        for (name, format) in FORMATS {
            let matrix = held(format, &values, [outputs, inputs]);
            prop_assert_eq!(matrix.dims(), [outputs, inputs]);
            let weights = rounded(name, &values, [outputs, inputs]);
            let want = obvious(&x, &weights, inputs, bias.as_deref());
            let got = matrix.product(&x, bias.as_deref());
            prop_assert_eq!(got.len(), want.len());
            for (place, (&got, want)) in got.iter().zip(want).enumerate() {
                let row = &x[place / outputs * inputs..][..inputs];
                let of_output = &weights[place % outputs * inputs..][..inputs];
                let size: f32 = of_output.iter().map(|weight| weight.abs()).sum();
                // Rows that are rounded are off by half a step at most, with rounding of the zero.
                let tolerance = match name {
                    "int8" => {
                        let (least, most) = row.iter().fold((0.0_f32, 0.0_f32), |(a, b), &x| {
                            (a.min(x), b.max(x))
                        });
                        // In steps of seven bits at worst.
                        size * (most - least) / 127.0
                    }
                    // By half a step of 8 bits, where the processor multiplies bf16.
                    "bf16" => size * row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 256.0,
                    _ => 0.0,
                } + 2e-5 * (1.0 + 4.0 * size);
                let error = (f64::from(got) - want).abs();
                prop_assert!(error <= f64::from(tolerance), "{name}: {got} for {want}");
            }
            if name != "int8" {
                let row = outputs - 1;
                let held = matrix.row(row).expect("rows can be read");
                prop_assert_eq!(held, weights[row * inputs..].to_vec());
                prop_assert_eq!(matrix.values(), Some(weights));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_matrix_that_comes_in_pieces_is_the_one_that_comes_whole(
        outputs in 1_usize..150,
        inputs in 1_usize..90,
        cuts in prop::collection::vec(0.0_f64..1.0, 0..6),
        seed in 0_u32..1000,
    ) {
        let (values, x) = (noise(outputs * inputs, seed), noise(3 * inputs, seed + 1));
        let mut ends: Vec<usize> =
            cuts.iter().map(|cut| (cut * values.len() as f64) as usize).collect();
        ends.push(values.len());
        ends.sort_unstable();
        for (name, format) in FORMATS {
            let whole = held(format, &values, [outputs, inputs]);
            let mut builder = MatrixBuilder::new(format, [outputs, inputs]).expect("a matrix");
            let mut start = 0;
            for &end in &ends {
                builder.push(&values[start..end]).expect("small values");
                start = end;
            }
            let pieces = builder.finish().expect("all rows");
            prop_assert_eq!((pieces.dims(), pieces.bytes()), (whole.dims(), whole.bytes()));
            prop_assert_eq!(pieces.values(), whole.values(), "{}", name);
            let bits = |matrix: &Matrix| -> Vec<u32> {
                matrix.product(&x, None).into_iter().map(f32::to_bits).collect()
            };
            prop_assert_eq!(bits(&pieces), bits(&whole), "{}", name);
        }
    }
}

#[test]
fn tensors_one_behind_the_other_make_one_matrix_with_the_products_of_each() {
    let (inputs, heights) = (37, [40, 3, 65]);
    let tensors: Vec<Vec<f32>> =
        heights.iter().zip(5..).map(|(height, seed)| noise(height * inputs, seed)).collect();
    let x = noise(2 * inputs, 4);
    for (name, format) in FORMATS {
        let outputs = heights.iter().sum();
        let mut builder = MatrixBuilder::new(format, [outputs, inputs]).expect("a matrix");
        tensors.iter().for_each(|tensor| builder.push(tensor).expect("small values"));
        let joined = builder.finish().expect("all rows").product(&x, None);
        let alone: Vec<Vec<f32>> = tensors
            .iter()
            .zip(heights)
            .map(|(tensor, height)| held(format, tensor, [height, inputs]).product(&x, None))
            .collect();
        for (row, joined) in joined.chunks_exact(outputs).enumerate() {
            let parts = alone.iter().zip(heights);
            let parts: Vec<&[f32]> =
                parts.map(|(own, height)| &own[row * height..][..height]).collect();
            assert_eq!(joined, parts.concat(), "{name}");
        }
    }
}

#[test]
fn pieces_that_do_not_make_up_the_matrix_are_an_error_that_counts_them() {
    for (name, format) in FORMATS {
        let begun = || {
            let mut builder = MatrixBuilder::new(format, [2, 3]).expect("a matrix");
            builder.push(&[1.0; 4]).expect("within it");
            builder
        };
        let size = |got| MatrixError::Size { outputs: 2, inputs: 3, got };
        assert_eq!(begun().finish().expect_err("a row and a third"), size(4), "{name}");
        assert_eq!(begun().push(&[1.0; 3]).expect_err("one too many"), size(7), "{name}");
        let mut builder = begun();
        builder.push(&[]).and_then(|()| builder.push(&[1.0; 2])).expect("the rest");
        assert_eq!(builder.finish().expect("all rows").dims(), [2, 3], "{name}");
    }
    let error = MatrixBuilder::new(MatrixFormat::Bf16, [usize::MAX, 2]).expect_err("no such size");
    assert_eq!(error, MatrixError::Size { outputs: usize::MAX, inputs: 2, got: 0 });
    let error = MatrixBuilder::new(MatrixFormat::Int8, [1, MAX_INPUTS + 1]).expect_err("too wide");
    assert_eq!(error, MatrixError::TooWide { inputs: MAX_INPUTS + 1 });
}

#[test]
fn a_value_that_a_format_does_not_hold_is_counted_through_all_pieces() {
    for cut in [0, 3, 4, 6] {
        let mut values = [0.5; 8];
        values[6] = 7e4;
        let mut builder = MatrixBuilder::new(MatrixFormat::F16, [4, 2]).expect("a matrix");
        let (first, rest) = values.split_at(cut);
        builder.push(first).expect("small values");
        let error = builder.push(rest).expect_err("above 65504");
        assert_eq!(error, MatrixError::Overflow { place: 6, value: 7e4, format: "f16" });
    }
}

#[test]
fn memory_is_taken_when_values_come_and_its_want_is_an_error() {
    let outputs = 1 << 59;
    for (name, format) in FORMATS {
        let mut builder = MatrixBuilder::new(format, [outputs, 2]).expect("nothing is taken yet");
        let error = builder.push(&[1.0, 2.0]).expect_err("more than any machine has");
        assert_eq!(error, MatrixError::Memory { outputs, inputs: 2 }, "{name}");
    }
}

#[test]
fn sums_of_whole_numbers_are_exact() {
    // Rows whose least and largest value are 0 and 255 are whole numbers already, and weights of
    // largest size 127 too: nothing is rounded.
    let (rows, outputs, inputs) = (9, 70, 1100);
    let weights: Vec<f32> = (0..outputs * inputs)
        .map(|i| if i % inputs == 0 { 127.0 } else { (i * 31 % 255) as f32 - 127.0 })
        .collect();
    let gemm = rten_gemm::GemmExecutor::<u8, i8, i32>::new();
    let most = if gemm.may_saturate() { 127 } else { 255 };
    let x: Vec<f32> = (0..rows * inputs)
        .map(|i| if i % inputs == 1 { most as f32 } else { (i * 17 % (most + 1)) as f32 })
        .collect();
    let got = held(MatrixFormat::Int8, &weights, [outputs, inputs]).product(&x, None);
    for (got, want) in got.iter().zip(obvious(&x, &weights, inputs, None)) {
        assert_eq!(f64::from(*got), f64::from(want as f32));
    }
}

#[test]
fn what_was_rounded_to_eight_bits_rounds_to_itself() {
    let shape = [200, 37];
    let mut values = noise(200 * 37, 8);
    for (row, values) in values.chunks_mut(37).enumerate() {
        values.iter_mut().for_each(|value| *value *= 1.1_f32.powi(row as i32 - 100));
    }
    let once = quantised(&values, shape);
    let size = |values: &[i8]| values.iter().map(|value| value.unsigned_abs()).max();
    assert!(once.values().chunks(37).all(|row| size(row) == Some(127)));
    assert_eq!(quantised(&once.to_f32(), shape), once);
    let parts = (once.values().to_vec(), once.scales().to_vec());
    assert_eq!(Quantised::from_parts(parts.0, parts.1, 37), Ok(once));
}

#[test]
fn neither_threads_nor_other_rows_change_a_bit_of_a_product() {
    let (outputs, inputs) = (333, 260);
    let values = noise(outputs * inputs, 1);
    let x = noise(61 * inputs, 2);
    for (name, format) in FORMATS {
        let matrix = held(format, &values, [outputs, inputs]);
        let with = |threads: usize, rows: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let x = &x[..rows * inputs];
            pool.expect("threads").install(|| matrix.product(x, None))
        };
        let all = with(1, 61);
        for (threads, rows) in [(1, 1), (2, 1), (3, 2), (2, 5), (3, 17), (2, 61), (16, 61)] {
            let got = with(threads, rows);
            let equal = got == all[..rows * outputs];
            assert!(equal, "{name}: {rows} rows on {threads} threads");
        }
    }
}

#[test]
fn weights_take_half_or_a_quarter_of_their_bytes() {
    let shape = [512, 576];
    let values = noise(512 * 576, 3);
    let single = 4 * values.len();
    for ((name, format), share) in FORMATS.into_iter().zip([1.0, 0.5, 0.5, 0.5, 0.26, 0.26]) {
        let bytes = held(format, &values, shape).bytes();
        assert!(bytes as f64 <= share * single as f64, "{name}: {bytes} of {single}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_an_error_that_says_where() {
    let large = [1.0, 7e4, 0.0, 2.0];
    let error = Matrix::new(MatrixFormat::F16, &large, [2, 2]).expect_err("above 65504");
    assert_eq!(error, MatrixError::Overflow { place: 1, value: 7e4, format: "f16" });
    assert!(Matrix::new(MatrixFormat::Bf16, &large, [2, 2]).is_ok());
    let error = Matrix::new(MatrixFormat::Bf16, &[f32::MAX], [1, 1]);
    let error = error.expect_err("rounds up to infinity");
    assert!(matches!(error, MatrixError::Overflow { format: "bf16", .. }), "{error}");
    let error = Matrix::new(MatrixFormat::Bf16, &large, [3, 2]).expect_err("too few");
    assert_eq!(error, MatrixError::Size { outputs: 3, inputs: 2, got: 4 });
    let error = Quantised::nearest(&vec![0.0; MAX_INPUTS + 1], [1, MAX_INPUTS + 1]);
    assert_eq!(error, Err(MatrixError::TooWide { inputs: MAX_INPUTS + 1 }));
    let error = Quantised::from_parts(vec![0; 5], vec![1.0; 2], 2);
    assert_eq!(error, Err(MatrixError::Size { outputs: 2, inputs: 2, got: 5 }));
}

#[test]
fn zeros_stay_zeros_and_what_is_no_number_stays_none() {
    let matrix = held(MatrixFormat::Int8, &[0.0, 0.0, 1.0, -2.0], [2, 2]);
    assert_eq!(matrix.product(&[0.0, 0.0, 5.0, 0.0], None)[..3], [0.0, 0.0, 0.0]);
    let lost = matrix.product(&[f32::NAN, 1.0, f32::INFINITY, 0.0], None);
    assert!(lost.iter().all(|value| value.is_nan()), "{lost:?}");
    assert!(matrix.row(0).is_none() && matrix.product(&[], None).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn eight_bits_give_the_same_bits_with_and_without_the_instruction_for_them(
        rows in 1_usize..60,
        outputs in 1_usize..150,
        inputs in 1_usize..90,
        biased in any::<bool>(),
        seed in 0_u32..1000,
    ) {
        let weights = quantised(&noise(outputs * inputs, seed), [outputs, inputs]);
        let x = noise(rows * inputs, seed + 1);
        let bias = biased.then(|| noise(outputs, seed + 2));
        let product = |vnni| {
            let mut gathering = dynamic::Gathering::new([outputs, inputs], vnni);
            gathering.push(&weights).expect("memory");
            let mut out = vec![0.0; rows * outputs];
            gathering.finish().product(&x, bias.as_deref(), &mut out);
            out
        };
        // Where processors lack it, both are the executor's.
        prop_assert_eq!(product(vnni::Vnni::detect()), product(None));
    }
}
