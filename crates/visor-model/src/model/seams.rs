//! Every intermediate result of a prefill, for comparison with what another program recorded.

use super::VisorModel;
use super::pass::host;
use super::states::EncodedPictures;
use crate::decoder::Pass;
use crate::layer::{Refinement, Streams};
use crate::vision::Seam;
use burn::tensor::Tensor;
use visor_core::Schedule;
use visor_processor::{EncodedPrompt, ProcessedPicture};
use visor_runtime::{BackboneError, Cancel, Encode, Prefill, Start};

/// What passes one place of a network: rows of equal length, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// The place, by the name that recordings use.
    pub name: String,
    /// Values of a row.
    pub width: usize,
    /// All rows.
    pub values: Vec<f32>,
}

impl VisorModel {
    /// The intermediate results of a dense prefill, in the order in which they come:
    /// `vision_embeddings`, `vision_layer_0` and on, `vision_post_layernorm` where the model has
    /// that norm, and `connector`, all with the rows of all tiles; `image_features`, the visual tokens of the prompt;
    /// `hidden_0`, the embedded prompt with its pictures, `hidden_1` and on behind each layer, the
    /// last of them normalised; `logits` of every position. The same code that answers computes
    /// them.
    ///
    /// # Errors
    /// As of encoding and of a prefill.
    pub fn seams(
        &self,
        pictures: &[ProcessedPicture],
        prompt: &EncodedPrompt,
    ) -> Result<Vec<Activation>, BackboneError> {
        let mut seams = Collected::default();
        let cancel = Cancel::new();
        let sample = Encode { pictures, owners: vec![&cancel] };
        let observe = &mut |seam, x: &Tensor<3>| seams.extend(&vision_name(seam), x.clone());
        let encoded = self.encode_samples(&[sample], observe).into_iter();
        let encoded: Result<Vec<_>, BackboneError> = encoded.collect();
        let encoded = EncodedPictures::new(encoded?.concat());
        encoded.pictures().iter().for_each(|x| seams.extend("image_features", x.clone()));
        let decoder = self.network.decoder();
        let schedule = Schedule::dense(decoder.n_layers());
        let start = Start::Dense;
        let visual = if pictures.is_empty() { Vec::new() } else { vec![&encoded] };
        let capacity = prompt.n_text();
        let prefill = Prefill { prompt, visual, start, capacity, cancel: &cancel };
        let (begun, streams) = self.begin(&prefill)?;
        let in_order = |streams: &Streams| in_prompt_order(streams, prompt);
        seams.add("hidden_0".to_owned(), in_order(&streams));
        let last = decoder.n_layers() - 1;
        let layers = 0..decoder.n_layers();
        let pass = Pass {
            layers,
            schedule: &schedule,
            at: &begun.prompt.at,
            refinement: Refinement::Apply,
        };
        let streams = decoder.run(streams, &pass, None, &mut |layer, streams| {
            if layer.0 < last {
                seams.add(format!("hidden_{}", layer.0 + 1), in_order(streams));
            }
            Ok(())
        })?;
        let Streams { text, visual } = streams;
        let each = |x: Tensor<3>| decoder.normalise(x);
        let normed = Streams { text: each(text.clone()), visual: visual.clone().map(each) };
        seams.add(format!("hidden_{}", last + 1), in_order(&normed));
        let each = |x: Tensor<3>| {
            let [b, rows, e] = x.dims();
            let logits = self.network.logits(x.reshape([b * rows, e])); // [rows, vocab]
            let [_, vocab] = logits.dims();
            logits.reshape([b, rows, vocab])
        };
        let logits = Streams { text: each(text), visual: visual.map(each) };
        seams.add("logits".to_owned(), in_order(&logits));
        Ok(seams.0)
    }
}

fn vision_name(seam: Seam) -> String {
    match seam {
        Seam::Embeddings => "vision_embeddings".to_owned(),
        Seam::Layer(index) => format!("vision_layer_{index}"),
        Seam::PostNorm => "vision_post_layernorm".to_owned(),
        Seam::Connector => "connector".to_owned(),
    }
}

#[derive(Default)]
struct Collected(Vec<Activation>);

impl Collected {
    /// Adds rows to the activation of this name, which tiles and pictures share.
    fn extend(&mut self, name: &str, x: Tensor<3>) {
        let [_, _, width] = x.dims();
        let values = host(x);
        match self.0.iter_mut().find(|activation| activation.name == name) {
            Some(activation) => activation.values.extend(values),
            None => self.0.push(Activation { name: name.to_owned(), width, values }),
        }
    }

    fn add(&mut self, name: String, (width, values): (usize, Vec<f32>)) {
        self.0.push(Activation { name, width, values });
    }
}

/// The rows of both streams, `[1, V, E]` and `[1, T, E]`, in the order of the dense prompt.
fn in_prompt_order(streams: &Streams, prompt: &EncodedPrompt) -> (usize, Vec<f32>) {
    let [_, _, width] = streams.text.dims();
    let mut values = vec![0.0; prompt.len() * width];
    let mut place = |positions: &mut dyn Iterator<Item = usize>, x: Tensor<3>| {
        for (position, row) in positions.zip(host(x).chunks(width)) {
            values[position * width..(position + 1) * width].copy_from_slice(row);
        }
    };
    place(&mut prompt.text_positions().iter().copied(), streams.text.clone());
    if let Some(visual) = &streams.visual {
        place(&mut prompt.visual_positions(), visual.clone());
    }
    (width, values)
}
