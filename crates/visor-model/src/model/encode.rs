//! Pictures through the vision encoder, their tiles side by side.

use super::VisorModel;
use crate::cache::owned;
use crate::error::ModelError;
use crate::ragged::{pack, unpack};
use crate::vision::{Observer, Seam};
use burn::tensor::{Tensor, TensorData};
use visor_core::Padding;
use visor_processor::ProcessedPicture;
use visor_runtime::device::HostValues;
use visor_runtime::{BackboneError, Cancelled, Encode};

/// Patches that run through the encoder together on a device that wants wide launches: what bounds
/// the memory of a batch.
const PATCHES: usize = 8192;

/// A tile, and of which sample and which picture it is.
#[derive(Clone, Copy, Debug)]
struct Tile<'a> {
    of: (usize, usize),
    values: &'a [f32],
}

/// The visual tokens `[tiles, N, E]` of those tiles of a picture that were in a batch, and which
/// picture of which sample it is.
type Piece = ((usize, usize), Tensor<3>);

impl VisorModel {
    /// The visual tokens of each sample's pictures in their places, `[places, N, E]` a picture. The
    /// tiles of all samples go through the encoder side by side, as many at once as memory should
    /// hold; `observe` is told of every seam. Before each layer it is asked whether anybody waits.
    ///
    /// One result a sample, in their order.
    pub(super) fn encode_samples(
        &self,
        samples: &[Encode<'_>],
        observe: &mut dyn FnMut(Seam, &Tensor<3>),
    ) -> Vec<Result<Vec<Tensor<3>>, BackboneError>> {
        let mut tiles = Vec::new();
        let mut encoded = Vec::with_capacity(samples.len());
        for (sample, Encode { pictures, .. }) in samples.iter().enumerate() {
            let whole = pictures.iter().try_for_each(|picture| self.expect_tiles(picture));
            encoded.push(whole.map(|()| vec![Vec::new(); pictures.len()]).map_err(Into::into));
            if encoded[sample].is_ok() {
                let pictures = pictures.iter().enumerate();
                tiles.extend(pictures.flat_map(|(picture, of)| tiles_of((sample, picture), of)));
            }
        }
        let waits = |tile: &Tile<'_>| !samples[tile.of.0].is_called_off();
        for tiles in tiles.chunks(self.tiles_at_once()) {
            let batch: Vec<Tile<'_>> = tiles.iter().filter(|tile| waits(tile)).copied().collect();
            let pieces = self.encode_tiles(&batch, &mut |seam, x| {
                observe(seam, x);
                if batch.iter().any(waits) { Ok(()) } else { Err(Cancelled.into()) }
            });
            match pieces.map_err(BackboneError::from) {
                Ok(pieces) => pieces.into_iter().for_each(|((sample, picture), tokens)| {
                    if let Ok(pictures) = &mut encoded[sample] {
                        pictures[picture].push(tokens);
                    }
                }),
                Err(error) => {
                    batch.iter().for_each(|tile| encoded[tile.of.0] = Err(error.clone()));
                }
            }
            let called_off = tiles.iter().filter(|tile| !waits(tile));
            called_off.for_each(|tile| encoded[tile.of.0] = Err(Cancelled.into()));
        }
        let placed = |(pieces, picture): (Vec<Tensor<3>>, &ProcessedPicture)| {
            let tokens = pack(pieces, 0, Padding::None); // [tiles, N, E]
            self.network.connector().pack(tokens, picture.arrangement, self.card.tile_tokens)
        };
        let samples = encoded.into_iter().zip(samples);
        samples
            .map(|(of, sample)| Ok(of?.into_iter().zip(sample.pictures).map(placed).collect()))
            .collect()
    }

    /// One batch of tiles: a piece for each picture that has tiles in it.
    fn encode_tiles(
        &self,
        tiles: &[Tile<'_>],
        observe: Observer<'_>,
    ) -> Result<Vec<Piece>, ModelError> {
        if tiles.is_empty() {
            return Ok(Vec::new());
        }
        let vision = self.network.vision();
        let side = vision.image_size();
        let values: Vec<f32> = tiles.iter().flat_map(|tile| tile.values).copied().collect();
        let pixels = TensorData::new(values, [tiles.len(), 3, side, side]);
        let patches = vision.observed(Tensor::from_data(pixels, &self.device), observe)?; // [tiles, P, E_vision]
        let tokens = self.network.connector().forward(patches); // [tiles, N, E]
        observe(Seam::Connector, &tokens)?;
        let pictures: Vec<&[Tile<'_>]> = tiles.chunk_by(|a, b| a.of == b.of).collect();
        let lengths: Vec<usize> = pictures.iter().map(|tiles| tiles.len()).collect();
        let pieces = unpack(tokens, &lengths, 0).into_iter().map(|piece| match pictures.len() {
            1 => piece,
            // A view would hold the whole batch for as long as its picture is kept.
            _ => owned(&piece),
        });
        Ok(pictures.iter().map(|tiles| tiles[0].of).zip(pieces).collect())
    }

    /// The processor gains nothing by more than one (`docs/performance.md`), and so encodes a
    /// picture to the same bits whatever stands beside it.
    fn tiles_at_once(&self) -> usize {
        let patches = self.encoder_batch.unwrap_or(match HostValues::are_on(&self.device) {
            true => 1,
            false => PATCHES,
        });
        (patches / self.network.vision().n_patches()).max(1)
    }

    /// The same with so many patches at once through the encoder, a tile at least.
    #[must_use]
    pub fn with_encoder_batch(self, patches: usize) -> Self {
        Self { encoder_batch: Some(patches), ..self }
    }

    /// A picture is whole, and its tiles are of the encoder's size: so that it cannot fail others.
    fn expect_tiles(&self, picture: &ProcessedPicture) -> Result<(), ModelError> {
        let [got, _, height, width] = picture.pixels.shape();
        let (tiles, side) = (picture.arrangement.tiles(), self.network.vision().image_size());
        match (got == tiles, height == side && width == side) {
            (false, _) => Err(ModelError::Tiles { expected: tiles, got }),
            (_, false) => Err(ModelError::TileSize { expected: side, height, width }),
            _ => Ok(()),
        }
    }
}

fn tiles_of(of: (usize, usize), picture: &ProcessedPicture) -> impl Iterator<Item = Tile<'_>> {
    let [_, channels, height, width] = picture.pixels.shape();
    let tiles = picture.pixels.data().chunks(channels * height * width);
    tiles.map(move |values| Tile { of, values })
}
