//! How much faster each kernel is than burn's own operations at the sizes of published models: both
//! take turns in one run. Writes a record; `--out FILE`, `--rounds N`. The number of threads is
//! that of `RAYON_NUM_THREADS`; one thread is timed by what the processor has worked, several by
//! the wall clock.
#![expect(clippy::print_stdout, reason = "the record also goes to the terminal")]

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::Serialize;
use std::hint::black_box;
use std::rc::Rc;
use visor_benches::Environment;
use visor_benches::environment::load;
use visor_benches::speed::clock::Clock;
use visor_benches::speed::record::Times;
use visor_kernels::{Attention, Matrix, MatrixFormat, Rows};
use visor_runtime::device::{DeviceRequest, open};

#[derive(Serialize)]
struct Record {
    schema_version: u32,
    environment: Environment,
    threads: usize,
    clock: String,
    load: Option<[f64; 2]>,
    kernels: Vec<Kernel>,
}

#[derive(Serialize)]
struct Kernel {
    name: String,
    size: String,
    burn_ms: Times,
    kernel_ms: Times,
    /// Median of the kernel over that of burn.
    ratio: f64,
}

/// Something that is done in both ways.
struct Case {
    name: &'static str,
    size: String,
    burn: Box<dyn Fn()>,
    kernel: Box<dyn Fn()>,
}

fn main() -> Result<()> {
    let (mut out, mut rounds) = (None, 21_usize);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = Some(value),
            "--rounds" => rounds = value.parse().context("--rounds takes a number")?,
            other => bail!("unknown option {other}: expected --out FILE or --rounds N"),
        }
    }
    let before = load();
    let clock = match rayon::current_num_threads() {
        1 => Clock::Cpu,
        _ => Clock::Wall,
    };
    let cases = cases(&open(DeviceRequest::Cpu)?);
    let mut times = vec![(Vec::new(), Vec::new()); cases.len()];
    for round in 0..=rounds {
        for (case, (burn, kernel)) in cases.iter().zip(&mut times) {
            let (theirs, ours) =
                (1e3 * clock.seconds(&case.burn), 1e3 * clock.seconds(&case.kernel));
            // The first round warms up.
            if round > 0 {
                burn.push(theirs);
                kernel.push(ours);
            }
        }
    }
    let kernel = |(case, (burn, kernel)): (&Case, (Vec<f64>, Vec<f64>))| {
        let of = |times| Times::of(times).context("--rounds must be at least 1");
        let (burn_ms, kernel_ms) = (of(burn)?, of(kernel)?);
        let ratio = kernel_ms.median / burn_ms.median;
        Ok(Kernel {
            name: case.name.to_owned(),
            size: case.size.clone(),
            burn_ms,
            kernel_ms,
            ratio,
        })
    };
    let record = Record {
        schema_version: 1,
        environment: Environment::here(),
        threads: rayon::current_num_threads(),
        clock: clock.to_string(),
        load: before.zip(load()).map(|(before, after)| [before, after]),
        kernels: cases.iter().zip(times).map(kernel).collect::<Result<_>>()?,
    };
    for Kernel { name, size, burn_ms, kernel_ms, ratio } in &record.kernels {
        let (burn, kernel) = (burn_ms.median, kernel_ms.median);
        println!("{name:<22} {size:<34} {burn:>9.3} ms {kernel:>9.3} ms {ratio:>6.3}");
    }
    if let Some(out) = out {
        let json = serde_json::to_string_pretty(&record)? + "\n";
        std::fs::write(&out, json).with_context(|| format!("cannot write {out}"))?;
    }
    Ok(())
}

/// Numbers between -2 and 2.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 4.0 - 2.0) as f32
    };
    (0..n).map(next).collect()
}

fn tensor<const R: usize>(shape: [usize; R], device: &Device) -> Tensor<R> {
    Tensor::from_data(TensorData::new(noise(shape.iter().product()), shape), device)
}

/// A kernel that changes its values, beside operations that give new ones. Both get a copy of the
/// same values each time, as a network's next layer would find them.
fn elementwise(
    name: &'static str,
    [rows, width]: [usize; 2],
    device: &Device,
    burn: impl Fn(Tensor<2>) -> Tensor<2> + 'static,
    kernel: impl Fn(&mut [f32]) + 'static,
) -> Case {
    let (x, values) = (tensor([rows, width], device), noise(rows * width));
    let zero = x.clone() * 0.0;
    Case {
        name,
        size: format!("{rows} x {width}"),
        burn: Box::new(move || {
            black_box(burn(x.clone() + zero.clone()).into_data());
        }),
        kernel: Box::new(move || {
            let mut values = values.clone();
            kernel(&mut values);
            black_box(values);
        }),
    }
}

fn cases(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    let up = tensor([1118, 1536], device);
    let beside = noise(1118 * 1536);
    cases.push(elementwise(
        "silu times",
        [1118, 1536],
        device,
        move |gate| activation::silu(gate) * up.clone(),
        move |gate| visor_kernels::silu_times(gate, &beside),
    ));
    cases.push(elementwise(
        "gelu (tanh)",
        [1024, 3072],
        device,
        |x| {
            let cube = x.clone() * x.clone() * x.clone();
            x.clone() * activation::sigmoid((x + cube * 0.044_715) * 1.595_769_121_605_730_8)
        },
        visor_kernels::gelu_tanh,
    ));
    let gelu = |x| activation::gelu(x);
    cases.push(elementwise("gelu (erf)", [729, 896], device, gelu, visor_kernels::gelu));
    cases.push(elementwise(
        "softmax",
        [9 * 1118, 1118],
        device,
        |x| activation::softmax(x, 1),
        |x| visor_kernels::softmax(x, 1118),
    ));
    let (gamma, weight) = (tensor([1, 576], device), noise(576));
    cases.push(elementwise(
        "rms norm",
        [1118, 576],
        device,
        move |x| {
            let mean_square = x.clone().square().mean_dim(1);
            x / (mean_square + 1e-5).sqrt() * gamma.clone()
        },
        move |x| visor_kernels::rms_norm(x, &weight, 1e-5),
    ));
    let (gamma, beta) = (tensor([1, 768], device), tensor([1, 768], device));
    let (weight, bias) = (noise(768), noise(768));
    cases.push(elementwise(
        "layer norm",
        [1024, 768],
        device,
        move |x| {
            let centred = x.clone() - x.mean_dim(1);
            let variance = centred.clone().square().mean_dim(1);
            centred / (variance + 1e-6).sqrt() * gamma.clone() + beta.clone()
        },
        move |x| visor_kernels::layer_norm(x, &weight, &bias, 1e-6),
    ));
    cases.push(rotary(device));
    cases.push(attention("attention, full", [1024, 12, 12], Reads::All, device));
    cases.push(attention("attention, causal", [1118, 9, 3], Reads::Past, device));
    // Of SmolVLM's sizes: decoding, a short prompt, a tile of the encoder, the head.
    for (rows, shape) in
        [(1, [1536, 576]), (94, [1536, 576]), (1024, [3072, 768]), (1, [49280, 576])]
    {
        cases.extend(products(rows, shape, device));
    }
    cases
}

/// Products with weights in each format beside burn's in single precision. Enough copies take turns
/// that weights come from memory where they would in a decode step.
fn products(rows: usize, [outputs, inputs]: [usize; 2], device: &Device) -> Vec<Case> {
    const CACHES: usize = 150_000_000;
    let shape = [outputs, inputs];
    let copies = if rows == 1 { CACHES.div_ceil(4 * outputs * inputs).max(2) } else { 1 };
    let values = noise(outputs * inputs);
    let held = |format| -> Vec<Matrix> {
        let matrix = |_| Matrix::new(format, &values, shape).expect("small values");
        (0..copies).map(matrix).collect()
    };
    let formats: [(&'static str, Vec<Matrix>); 4] = [
        ("product, bf16", held(MatrixFormat::Bf16)),
        ("product, f16", held(MatrixFormat::F16)),
        ("product, int8", held(MatrixFormat::Int8)),
        ("product, int8 rows", held(MatrixFormat::Int8Rows)),
    ];
    let x = noise(rows * inputs);
    let weights: Vec<Tensor<2>> = (0..copies).map(|_| tensor(shape, device)).collect();
    let weights = Rc::new(weights);
    let case = |(name, matrices): (&'static str, Vec<Matrix>)| {
        let (weights, x) = (Rc::clone(&weights), x.clone());
        let lifted = Tensor::<2>::from_data(TensorData::new(x.clone(), [rows, inputs]), device);
        Case {
            name,
            size: format!("{rows} x {inputs} by {outputs}, {copies} in turn"),
            burn: Box::new(move || {
                for weight in weights.iter() {
                    black_box(lifted.clone().matmul(weight.clone().transpose()).into_data());
                }
            }),
            kernel: Box::new(move || {
                for matrix in &matrices {
                    black_box(matrix.product(&x, None));
                }
            }),
        }
    };
    formats.into_iter().map(case).collect()
}

fn rotary(device: &Device) -> Case {
    let (tokens, heads, half) = (1118, 9, 32);
    let x = tensor([1, heads, tokens, 2 * half], device);
    let (cos, sin) = (tensor([1, 1, tokens, half], device), tensor([1, 1, tokens, half], device));
    let (values, table) = (noise(tokens * heads * 2 * half), noise(tokens * half));
    Case {
        name: "rotary",
        size: format!("{tokens} x {heads} x {}", 2 * half),
        burn: Box::new(move || {
            let (first, second) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
            let turned = first.clone() * cos.clone() - second.clone() * sin.clone();
            let other = second * cos.clone() + first * sin.clone();
            black_box(Tensor::cat(vec![turned, other], 3).into_data());
        }),
        kernel: Box::new(move || {
            let mut values = values.clone();
            visor_kernels::turn(&mut values, tokens, 2 * half, &table, &table);
            black_box(values);
        }),
    }
}

#[derive(Clone, Copy)]
enum Reads {
    All,
    Past,
}

fn attention(
    name: &'static str,
    [n, heads, kv_heads]: [usize; 3],
    reads: Reads,
    device: &Device,
) -> Case {
    const WIDTH: usize = 64;
    const HIDDEN: f32 = -3e4;
    let [q, k, v] = [heads, kv_heads, kv_heads].map(|heads| tensor([1, heads, n, WIDTH], device));
    let values = [heads, kv_heads, kv_heads].map(|heads| noise(n * heads * WIDTH));
    let past = || (0..n * n).map(|i| if i % n <= i / n { 0.0 } else { HIDDEN }).collect::<Vec<_>>();
    let bias = match reads {
        Reads::All => None,
        Reads::Past => Some(past()),
    };
    let lifted = bias
        .clone()
        .map(|bias| Tensor::<4>::from_data(TensorData::new(bias, [1, 1, n, n]), device));
    let scale = (WIDTH as f32).powf(-0.5);
    Case {
        name,
        size: format!("{n} queries, {heads} of {kv_heads} heads"),
        burn: Box::new(move || {
            let q = (q.clone() * scale).reshape([1, kv_heads, heads / kv_heads * n, WIDTH]);
            let scores = q.matmul(k.clone().swap_dims(2, 3)).reshape([1, heads, n, n]);
            let scores = match &lifted {
                Some(bias) => scores + bias.clone(),
                None => scores,
            };
            let weights = activation::softmax(scores, 3);
            let weights = weights.reshape([1, kv_heads, heads / kv_heads * n, n]);
            black_box(weights.matmul(v.clone()).into_data());
        }),
        kernel: Box::new(move || {
            let rows = |values| Rows { values, row: WIDTH, head: n * WIDTH };
            let [q, k, v] = values.each_ref().map(|values| rows(values.as_slice()));
            let attention = Attention {
                q,
                k,
                v,
                bias: bias.as_deref(),
                hidden: HIDDEN / 2.0,
                scale,
                queries: n,
                keys: n,
                heads,
                kv_heads,
                head_dim: WIDTH,
            };
            black_box(attention.run(None));
        }),
    }
}
