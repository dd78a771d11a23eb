//! The whole network as one module: what is trained, loaded and saved.

use crate::conditional::ConditionalPosition;
use crate::config::ModelConfig;
use crate::connector::Connector;
use crate::cross::CrossSizes;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::linear::{Bias, Linear};
use crate::precision::ForEach;
use crate::selector::Selector;
use crate::vision::VisionEncoder;
use crate::weight::Role;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use visor_core::Layout;
use visor_runtime::SelectorCard;

/// VISOR's own sizes, as `visor.json` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which layers read and which may refine.
    pub layout: Layout,
    /// Of cross-attention.
    pub cross: CrossSizes,
    /// What chooses patches, where something does.
    pub selector: Option<SelectorCard>,
}

/// Encoder, connector, conditional position, decoder and head.
#[derive(Module, Debug)]
pub struct Network {
    vision: VisionEncoder,
    connector: Connector,
    conditional: Option<ConditionalPosition>,
    decoder: Decoder,
    head: Option<Linear>,
    selector: Option<Selector>,
}

/// Whether the head has its own weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The embedding table serves as head.
    Tied,
    /// It has its own.
    Own,
}

impl Network {
    /// A network to be filled; without `extension` it is a stock model.
    pub fn new(
        config: &ModelConfig,
        extension: Option<&Extension>,
        head: Head,
        device: &Device,
    ) -> Self {
        let (vision, text) = (&config.vision, &config.text);
        let stock = Layout::stock(text.n_layers);
        let (layout, cross) = match extension {
            Some(extension) => (&extension.layout, extension.cross),
            None => (&stock, CrossSizes::like_the_decoders(text)),
        };
        let reads = !layout.cross().is_empty();
        let own = || Linear::new(text.d_model, text.vocab, Bias::Without, device);
        Self {
            vision: VisionEncoder::new(vision, device),
            connector: Connector::new(&config.connector, &config.tiling, vision, text, device),
            conditional: reads.then(|| ConditionalPosition::new(text.d_model, device)),
            decoder: Decoder::new(text, layout, cross, device),
            head: (head == Head::Own).then(own),
            selector: extension
                .and_then(|extension| extension.selector)
                .map(|sizes| Selector::new(sizes, text.rms_norm_eps, device)),
        }
    }

    /// Pixels `[tiles, 3, side, side]` to visual tokens `[tiles, N, E]`, without conditional
    /// position. `interrupt` is asked before each layer of the encoder.
    ///
    /// # Errors
    /// [`ModelError::TileSize`], or what `interrupt` returns.
    pub fn encode(
        &self,
        pixels: Tensor<4>,
        interrupt: &dyn Fn() -> Result<(), ModelError>,
    ) -> Result<Tensor<3>, ModelError> {
        Ok(self.connector.forward(self.vision.forward(pixels, interrupt)?))
    }

    /// Shows every weight of the large products: of encoder, connector, decoder and head.
    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        self.vision.for_each_weight(each);
        self.connector.for_each_weight(each);
        self.decoder.for_each_weight(each);
        if let Some(head) = &mut self.head {
            each(&mut head.weight, Role::Table);
        }
    }

    /// The vision encoder.
    pub fn vision(&self) -> &VisionEncoder {
        &self.vision
    }

    /// The connector.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Adds the conditional position to whole pictures `[pictures, V, E]`, each one sequence, place
    /// after place.
    pub fn condition(&self, pictures: Tensor<3>) -> Tensor<3> {
        match &self.conditional {
            Some(conditional) => conditional.forward(pictures),
            None => pictures,
        }
    }

    /// What chooses patches, where something does.
    pub fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// The same with a selector.
    #[must_use]
    pub fn with_selector(self, selector: Selector) -> Self {
        Self { selector: Some(selector), ..self }
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn decoder_mut(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Rows of the last layer `[R, E]` to logits `[R, vocab]`.
    pub fn logits(&self, rows: Tensor<2>) -> Tensor<2> {
        let rows = self.decoder.normalise(rows);
        match &self.head {
            Some(head) => head.forward(rows),
            None => self.decoder.tied_head(rows),
        }
    }

    /// With maps of the decoder that read the same rows as one product, to be run.
    #[must_use]
    pub(crate) fn joined(self) -> Self {
        Self { decoder: self.decoder.joined(), ..self }
    }

    /// Folds the gates of cross-attention, for inference.
    #[must_use]
    pub fn fold_gates(self) -> Self {
        Self { decoder: self.decoder.fold_gates(), ..self }
    }
}
