//! The geometry of shapes and the inks of colours, shared by cells and pages.

/// Inks by colour class: red, green, blue, yellow, cyan, white.
pub(crate) const INKS: [[u8; 3]; 6] =
    [[230, 38, 38], [38, 191, 51], [51, 77, 242], [242, 217, 38], [51, 217, 230], [242, 242, 242]];

/// Half the width of the widest shape, in shape units.
pub(crate) const REACH: i32 = 13;

/// Whether a shape (square, circle, triangle, cross, ring by class) covers a point.
///
/// The point is given from the shape's centre, to the right and down, in fractions: `unit` of them are
/// one shape unit. Integers alone, so that edges fall alike everywhere.
pub(crate) fn covers(shape: usize, u: i32, v: i32, unit: i32) -> bool {
    let square = u * u + v * v;
    let within = |value: i32, limit: i32| value.abs() <= limit * unit;
    match shape {
        0 => within(u, 12) && within(v, 12),
        1 => square <= 108 * unit * unit,
        2 => within(v, REACH) && 2 * u.abs() <= v + REACH * unit,
        3 => (within(u, 3) && within(v, REACH)) || (within(v, 3) && within(u, REACH)),
        _ => (60 * unit * unit..=170 * unit * unit).contains(&square),
    }
}
