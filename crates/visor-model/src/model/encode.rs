//! One picture through the vision encoder, tile by tile.

use super::VisorModel;
use crate::error::ModelError;
use crate::ragged::pack;
use crate::vision::{Observer, Seam};
use burn::tensor::{Tensor, TensorData};
use visor_processor::ProcessedPicture;

impl VisorModel {
    /// The visual tokens of a picture in its places, `[places, N, E]`. Tiles go through the encoder
    /// one at a time: attention within a tile takes most of the memory, and whoever calls the
    /// request off does not wait for the rest. `observe` is told of every seam of every tile.
    pub(super) fn encode_picture(
        &self,
        picture: &ProcessedPicture,
        observe: Observer<'_>,
    ) -> Result<Tensor<3>, ModelError> {
        let (pixels, arrangement) = (&picture.pixels, picture.arrangement);
        let [tiles, channels, height, width] = pixels.shape();
        let expected = arrangement.tiles();
        if tiles != expected {
            return Err(ModelError::Tiles { expected, got: tiles });
        }
        let tile = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, channels, height, width]);
            let patches =
                self.network.vision().observed(Tensor::from_data(data, &self.device), observe)?;
            let tokens = self.network.connector().forward(patches); // [1, N, E]
            observe(Seam::Connector, &tokens)?;
            Ok(tokens)
        };
        let tiles = pixels.data().chunks(channels * height * width);
        let encoded = tiles.map(tile);
        let encoded = pack(encoded.collect::<Result<Vec<_>, ModelError>>()?, 0); // [tiles, N, E]
        Ok(self.network.connector().pack(encoded, arrangement, self.card.tile_tokens))
    }
}
