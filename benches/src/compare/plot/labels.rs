//! Where the names of points stand, so that none covers another name or a point.
//!
//! Every name tries places around its point, near ones and such to the right first, and takes the
//! one that costs least; after a first round all are taken up again and tried once more, since the
//! first ones did not know the last.

use super::scene::{Point, at};
use std::cmp::Reverse;

/// A point that is to be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) point: Point,
    /// Size of the name.
    pub(super) width: f64,
    pub(super) height: f64,
    /// Whether it is placed before others.
    pub(super) first: bool,
}

/// An upright rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) low: Point,
    pub(super) high: Point,
}

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) area: Area,
    /// From the point to the name, where they are not beside each other.
    pub(super) leader: Option<(Point, Point)>,
}

/// Half the side of a point's marker, with room around it.
const MARKER: f64 = 7.0;
/// Nearer than this a name needs no line to its point.
const BESIDE: f64 = 13.0;
/// Rounds in which every name is placed once more.
const ROUNDS: usize = 4;
/// Orders that are tried.
const ORDERS: usize = 12;
const DISTANCES: [f64; 10] = [8.0, 12.0, 18.0, 26.0, 36.0, 48.0, 62.0, 80.0, 100.0, 125.0];
const DIRECTIONS: usize = 24;

impl Area {
    fn around(point: Point, half: f64) -> Self {
        Self { low: at(point.x - half, point.y - half), high: at(point.x + half, point.y + half) }
    }

    /// Common area.
    fn overlap(&self, other: &Self) -> f64 {
        let wide = self.high.x.min(other.high.x) - self.low.x.max(other.low.x);
        let tall = self.high.y.min(other.high.y) - self.low.y.max(other.low.y);
        wide.max(0.0) * tall.max(0.0)
    }

    fn holds(&self, other: &Self) -> bool {
        let low = self.low.x <= other.low.x && self.low.y <= other.low.y;
        low && other.high.x <= self.high.x && other.high.y <= self.high.y
    }

    fn nearest(&self, point: Point) -> Point {
        at(point.x.clamp(self.low.x, self.high.x), point.y.clamp(self.low.y, self.high.y))
    }

    /// Whether a line meets it.
    fn meets(&self, (from, to): (Point, Point)) -> bool {
        // The part of the line, from 0 to 1, that is between both pairs of sides.
        let (mut enters, mut leaves) = (0.0_f64, 1.0_f64);
        for (start, step, low, high) in [
            (from.x, to.x - from.x, self.low.x, self.high.x),
            (from.y, to.y - from.y, self.low.y, self.high.y),
        ] {
            if step == 0.0 {
                if start < low || start > high {
                    return false;
                }
                continue;
            }
            let (a, b) = ((low - start) / step, (high - start) / step);
            (enters, leaves) = (enters.max(a.min(b)), leaves.min(a.max(b)));
        }
        enters < leaves
    }
}

/// A place for every name within `frame`, which keeps clear of `lines` where it can.
pub(super) fn place(frame: Area, named: &[Named], lines: &[(Point, Point)]) -> Vec<Placed> {
    let board = Board {
        markers: named.iter().map(|n| Area::around(n.point, MARKER)).collect(),
        candidates: named.iter().map(|n| candidates(frame, n)).collect(),
        lines,
    };
    let mut order: Vec<usize> = (0..named.len()).collect();
    // Of those alike, crowded points first: they have the fewest places.
    let crowd = |point: Point| {
        named.iter().filter(|n| (n.point.x - point.x).hypot(n.point.y - point.y) < 60.0).count()
    };
    order.sort_by_key(|&number| (!named[number].first, Reverse(crowd(named[number].point))));
    let mut best: Option<(Vec<Option<Placed>>, f64)> = None;
    let part = order.len() / 5;
    for number in 0..ORDERS {
        let (placed, cost) = board.settle(&order);
        if best.as_ref().is_none_or(|(_, least)| cost < *least) {
            best = Some((placed, cost));
        }
        // Who comes first has the choice: give others their turn.
        match number % 2 {
            0 => order.reverse(),
            _ => order.rotate_left(part),
        }
    }
    let anywhere = |named: &Named| Placed { area: area_at(named, at(1.0, 0.0), 8.0), leader: None };
    let placed = best.map(|(placed, _)| placed).unwrap_or_default();
    placed.into_iter().zip(named).map(|(p, n)| p.unwrap_or_else(|| anywhere(n))).collect()
}

/// What names are placed among.
struct Board<'a> {
    markers: Vec<Area>,
    /// Of each name.
    candidates: Vec<Vec<(Placed, f64)>>,
    lines: &'a [(Point, Point)],
}

impl Board<'_> {
    /// Places names in an order, each several times, and says what that costs.
    fn settle(&self, order: &[usize]) -> (Vec<Option<Placed>>, f64) {
        let mut placed: Vec<Option<Placed>> = vec![None; order.len()];
        let mut all = 0.0;
        for _ in 0..ROUNDS {
            all = 0.0;
            for &own in order {
                placed[own] = None;
                let others: Vec<Placed> = placed.iter().flatten().copied().collect();
                let cost = |(candidate, dislike): &(Placed, f64)| {
                    (*candidate, dislike + self.disturbance(candidate, own, &others))
                };
                let costs = self.candidates[own].iter().map(cost);
                let best = costs.min_by(|(_, a), (_, b)| a.total_cmp(b));
                placed[own] = best.map(|(placed, _)| placed);
                all += best.map_or(0.0, |(_, cost)| cost);
            }
        }
        (placed, all)
    }

    /// What a place covers and crosses.
    fn disturbance(&self, candidate: &Placed, own: usize, others: &[Placed]) -> f64 {
        let mut cost = 0.0;
        let covers = |area: &Area| match candidate.area.overlap(area) {
            0.0 => 0.0,
            common => 400.0 + 4.0 * common,
        };
        let meets = |area: &Area, leader: Option<(Point, Point)>| {
            leader.is_some_and(|leader| area.meets(leader))
        };
        for (number, marker) in self.markers.iter().enumerate() {
            // Its own point may not be covered either.
            cost += covers(marker);
            cost += if number != own && meets(marker, candidate.leader) { 60.0 } else { 0.0 };
        }
        for other in others {
            cost += covers(&other.area);
            // A line passes under a name, which is better than a long one around it.
            cost += if meets(&other.area, candidate.leader) { 35.0 } else { 0.0 };
            cost += if meets(&candidate.area, other.leader) { 35.0 } else { 0.0 };
            let both = candidate.leader.zip(other.leader);
            cost += if both.is_some_and(|(a, b)| cross(a, b)) { 80.0 } else { 0.0 };
        }
        let met = self.lines.iter().filter(|line| candidate.area.meets(**line)).count();
        let crossed = candidate
            .leader
            .map_or(0, |leader| self.lines.iter().filter(|line| cross(leader, **line)).count());
        cost + 6.0 * met as f64 + 4.0 * crossed as f64
    }
}

/// All places within the frame, with how little they are liked for their own sake.
fn candidates(frame: Area, named: &Named) -> Vec<(Placed, f64)> {
    let mut candidates = Vec::new();
    for distance in DISTANCES {
        for step in 0..DIRECTIONS {
            let angle = std::f64::consts::TAU * step as f64 / DIRECTIONS as f64;
            let direction = at(angle.cos(), -angle.sin());
            let area = area_at(named, direction, distance);
            if !frame.holds(&area) {
                continue;
            }
            let end = area.nearest(named.point);
            let far = (end.x - named.point.x).hypot(end.y - named.point.y);
            let leader = (far > BESIDE).then_some((named.point, end));
            // To the right is best, then above, then below, to the left is worst.
            let turned = 1.5 * (1.0 - direction.x) + if direction.y > 0.0 { 0.5 } else { 0.0 };
            let led = if leader.is_some() { 4.0 } else { 0.0 };
            candidates.push((Placed { area, leader }, turned + 0.6 * far + led));
        }
    }
    candidates
}

/// The area of a name that is so far from its point in a direction.
fn area_at(named: &Named, direction: Point, distance: f64) -> Area {
    let (half_width, half_height) = (named.width / 2.0, named.height / 2.0);
    let x = named.point.x + direction.x * (distance + half_width);
    let y = named.point.y + direction.y * (distance + half_height);
    Area { low: at(x - half_width, y - half_height), high: at(x + half_width, y + half_height) }
}

/// Whether two lines cross.
fn cross((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |from: Point, to: Point, of: Point| {
        (to.x - from.x) * (of.y - from.y) - (to.y - from.y) * (of.x - from.x)
    };
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Area = Area { low: Point { x: 0.0, y: 0.0 }, high: Point { x: 800.0, y: 500.0 } };

    fn named(x: f64, y: f64) -> Named {
        Named { point: at(x, y), width: 70.0, height: 12.0, first: false }
    }

    #[test]
    fn a_lonely_point_has_its_name_to_the_right_without_a_line() {
        let placed = place(FRAME, &[named(400.0, 250.0)], &[]);
        assert!(placed[0].area.low.x > 400.0 + MARKER && placed[0].leader.is_none());
        assert!(placed[0].area.low.y < 250.0 && placed[0].area.high.y > 250.0);
    }

    #[test]
    fn names_of_points_at_the_edge_stay_inside() {
        let points = [named(795.0, 5.0), named(795.0, 495.0), named(3.0, 3.0)];
        assert!(place(FRAME, &points, &[]).iter().all(|placed| FRAME.holds(&placed.area)));
    }

    #[test]
    fn a_line_through_an_area_meets_it_and_one_beside_does_not() {
        let area = Area { low: at(10.0, 10.0), high: at(20.0, 20.0) };
        assert!(area.meets((at(0.0, 0.0), at(30.0, 30.0))));
        assert!(area.meets((at(15.0, 0.0), at(15.0, 30.0))));
        assert!(!area.meets((at(0.0, 15.0), at(5.0, 15.0))));
        assert!(!area.meets((at(0.0, 30.0), at(30.0, 40.0))));
        assert!(cross((at(0.0, 0.0), at(2.0, 2.0)), (at(0.0, 2.0), at(2.0, 0.0))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn names_never_cover_each_other_even_in_a_crowd(
            points in prop::collection::vec((300.0_f64..500.0, 150.0_f64..300.0), 1..25)
        ) {
            let named: Vec<Named> = points.iter().map(|(x, y)| named(*x, *y)).collect();
            let placed = place(FRAME, &named, &[]);
            for (number, one) in placed.iter().enumerate() {
                prop_assert!(FRAME.holds(&one.area));
                for other in &placed[number + 1..] {
                    prop_assert_eq!(one.area.overlap(&other.area), 0.0);
                }
            }
        }
    }
}
