//! Parts of a picture, and pictures on a larger ground.

use super::Picture;

impl Picture {
    /// The square of `side` pixels whose upper left corner is at `x`, `y`; it lies in the picture.
    pub(crate) fn tile(&self, x: u32, y: u32, side: u32) -> Self {
        debug_assert!(x + side <= self.width && y + side <= self.height);
        let (x, y, side_bytes) = (x as usize, y as usize, side as usize * 3);
        let rows = self.rgb.chunks_exact(self.width as usize * 3).skip(y).take(side as usize);
        let rgb = rows.flat_map(|row| &row[x * 3..x * 3 + side_bytes]).copied().collect();
        Self::from_parts(side, side, rgb)
    }

    /// The picture in the middle of a ground of one colour, which is no smaller; an odd pixel goes
    /// to the right and below.
    pub(crate) fn centred(&self, width: u32, height: u32, ground: [u8; 3]) -> Self {
        debug_assert!(width >= self.width && height >= self.height);
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let (left, top) = ((width - self.width) as usize / 2, (height - self.height) as usize / 2);
        let stride = width as usize * 3;
        let mut rgb = ground.repeat(width as usize * height as usize);
        let source = self.rgb.chunks_exact(self.width as usize * 3);
        for (row, source) in rgb.chunks_exact_mut(stride).skip(top).zip(source) {
            row[left * 3..left * 3 + source.len()].copy_from_slice(source);
        }
        Self::from_parts(width, height, rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_pixel_of_ground_is_right_and_below() {
        let dot = Picture::from_parts(1, 1, vec![9, 9, 9]);
        let placed = dot.centred(2, 2, [0; 3]);
        assert_eq!(placed.rgb(), [9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_tile_is_a_square_of_the_picture() {
        let picture = Picture::from_parts(3, 2, (0..18).collect());
        assert_eq!(picture.tile(1, 0, 2).rgb(), [3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17]);
    }
}
