//! Which layers of a decoder read the picture, and which may refine it.

use crate::Schedule;
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// The index of a decoder layer, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerIdx(pub usize);

impl fmt::Display for LayerIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a layout cannot exist.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// A layer is named that the decoder does not have.
    #[error("layer {layer} is out of range: the decoder has {n_layers} layers, 0..{n_layers}")]
    OutOfRange {
        /// The layer.
        layer: usize,
        /// Number of layers.
        n_layers: usize,
    },
    /// A layer is both a cross-attention and a self-attention layer.
    #[error("layer {layer} is listed both as cross-attention and as self-attention capable")]
    Overlap {
        /// The layer.
        layer: usize,
    },
    /// A layer is listed twice, or the list is not ascending.
    #[error("the list of {list} layers must ascend without repeats, got {got:?}")]
    NotAscending {
        /// Which list.
        list: &'static str,
        /// The list.
        got: Vec<usize>,
    },
    /// Nothing reads what the last self-attention layer refines.
    #[error(
        "self-attention layer {layer} is not followed by a cross-attention layer: nothing would \
         read the picture that it refines"
    )]
    Unread {
        /// The layer.
        layer: usize,
    },
    /// A decoder without cross-attention has no cheap way to see the picture.
    #[error("self-attention capable layers {0:?} without any cross-attention layer")]
    NoCrossAttention(Vec<usize>),
    /// A layer is switched on that cannot run self-attention over the picture.
    #[error("layer {layer} is not self-attention capable")]
    NotCapable {
        /// The layer.
        layer: usize,
    },
    /// There is no default layout for this depth.
    #[error("no default layout for {n_layers} layers: known depths are 24, 28, 30 and 32")]
    NoDefault {
        /// Number of layers.
        n_layers: usize,
    },
}

/// The cross-attention layers and the self-attention capable layers of one decoder.
///
/// The two sets are disjoint and the last self-attention capable layer is followed by a
/// cross-attention layer. A layout without either is a stock decoder, which runs dense alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    n_layers: usize,
    cross: BTreeSet<LayerIdx>,
    self_capable: BTreeSet<LayerIdx>,
}

impl Layout {
    /// Checks the two ascending lists of layer indices against the layout rules.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn try_new(
        n_layers: usize,
        cross: &[usize],
        self_capable: &[usize],
    ) -> Result<Self, LayoutError> {
        let cross = ascending("cross-attention", n_layers, cross)?;
        let self_capable = ascending("self-attention", n_layers, self_capable)?;
        if let Some(both) = cross.intersection(&self_capable).next() {
            return Err(LayoutError::Overlap { layer: both.0 });
        }
        match (self_capable.last(), cross.last()) {
            (Some(_), None) => {
                Err(LayoutError::NoCrossAttention(self_capable.iter().map(|l| l.0).collect()))
            }
            (Some(refine), Some(read)) if read < refine => {
                Err(LayoutError::Unread { layer: refine.0 })
            }
            _ => Ok(Self { n_layers, cross, self_capable }),
        }
    }

    /// A decoder without VISOR layers: it runs dense alone.
    pub fn stock(n_layers: usize) -> Self {
        Self { n_layers, cross: BTreeSet::new(), self_capable: BTreeSet::new() }
    }

    /// The layout used when a stock model of this depth is converted: cross-attention in every
    /// third layer from 0, self-attention capable layers of period 3 in between (method, section 1).
    ///
    /// # Errors
    /// [`LayoutError::NoDefault`] for other depths than 24, 28, 30 and 32.
    pub fn conversion_default(n_layers: usize) -> Result<Self, LayoutError> {
        let (last_cross, last_self) = match n_layers {
            24 => (21, 19),
            28 => (24, 22),
            30 => (27, 25),
            32 => (30, 28),
            _ => return Err(LayoutError::NoDefault { n_layers }),
        };
        let cross: Vec<usize> = (0..=last_cross).step_by(3).collect();
        let self_capable: Vec<usize> = (4..=last_self).step_by(3).collect();
        Self::try_new(n_layers, &cross, &self_capable)
    }

    /// Number of decoder layers.
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// The cross-attention layers, ascending.
    pub fn cross(&self) -> &BTreeSet<LayerIdx> {
        &self.cross
    }

    /// The self-attention capable layers, ascending.
    pub fn self_capable(&self) -> &BTreeSet<LayerIdx> {
        &self.self_capable
    }

    /// The first self-attention capable layer: every rung agrees on all layers before it, so a
    /// policy is asked when a sample reaches it. The depth of the decoder if there is none.
    pub fn decision_layer(&self) -> LayerIdx {
        self.self_capable.first().copied().unwrap_or(LayerIdx(self.n_layers))
    }

    /// The schedule with these self-attention layers active, whether a ladder lists them or not:
    /// for training, which meets every subset before it chooses the rungs.
    ///
    /// # Errors
    /// [`LayoutError::NotCapable`].
    pub fn schedule(&self, active: &[usize]) -> Result<Schedule, LayoutError> {
        let active: BTreeSet<LayerIdx> = active.iter().copied().map(LayerIdx).collect();
        match active.difference(&self.self_capable).next() {
            Some(layer) => Err(LayoutError::NotCapable { layer: layer.0 }),
            None => Ok(Schedule::new(self, &active)),
        }
    }

    /// Whether this is a stock decoder.
    pub fn is_stock(&self) -> bool {
        self.cross.is_empty() && self.self_capable.is_empty()
    }
}

fn ascending(
    list: &'static str,
    n_layers: usize,
    layers: &[usize],
) -> Result<BTreeSet<LayerIdx>, LayoutError> {
    if let Some(&layer) = layers.iter().find(|&&layer| layer >= n_layers) {
        return Err(LayoutError::OutOfRange { layer, n_layers });
    }
    if layers.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(LayoutError::NotAscending { list, got: layers.to_vec() });
    }
    Ok(layers.iter().copied().map(LayerIdx).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_for_conversion_keeps_the_layout_rules() {
        for n_layers in [24, 28, 30, 32] {
            let layout = Layout::conversion_default(n_layers).expect("a default");
            assert_eq!(layout.decision_layer(), LayerIdx(4));
            assert!(layout.cross().last() > layout.self_capable().last());
        }
        let layout = Layout::conversion_default(24).expect("a default");
        let cross: Vec<usize> = layout.cross().iter().map(|l| l.0).collect();
        let refine: Vec<usize> = layout.self_capable().iter().map(|l| l.0).collect();
        assert_eq!(cross, [0, 3, 6, 9, 12, 15, 18, 21]);
        assert_eq!(refine, [4, 7, 10, 13, 16, 19]);
        assert_eq!(Layout::conversion_default(12), Err(LayoutError::NoDefault { n_layers: 12 }));
    }

    #[test]
    fn a_last_self_attention_layer_that_nothing_reads_is_refused() {
        assert_eq!(Layout::try_new(6, &[0, 2, 4], &[1, 5]), Err(LayoutError::Unread { layer: 5 }));
        assert_eq!(Layout::try_new(6, &[], &[1]), Err(LayoutError::NoCrossAttention(vec![1])));
    }

    #[test]
    fn lists_must_ascend_stay_in_range_and_be_disjoint() {
        assert_eq!(Layout::try_new(4, &[1, 3], &[1]), Err(LayoutError::Overlap { layer: 1 }));
        assert_eq!(
            Layout::try_new(4, &[4], &[]),
            Err(LayoutError::OutOfRange { layer: 4, n_layers: 4 })
        );
        assert!(matches!(
            Layout::try_new(4, &[3, 1], &[]),
            Err(LayoutError::NotAscending { list: "cross-attention", .. })
        ));
    }
}
