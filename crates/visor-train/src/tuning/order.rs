//! Which examples a step learns from: every example once an epoch, in an order that a seed gives,
//! with examples of one length side by side so that little is padded.

use visor_model::init::Noise;

/// Steps whose examples are sorted by length among themselves.
const WINDOW: usize = 16;

/// The order of a run: a function of seed and step alone.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    batch: usize,
    /// What an example's length is compared by.
    lengths: Vec<(usize, usize)>,
}

impl Order {
    /// An order over examples with these lengths, of pictures and of text, which are at least one.
    pub fn new(seed: u64, batch: usize, lengths: Vec<(usize, usize)>) -> Self {
        Self { seed, batch, lengths }
    }

    /// The examples of a step, counted from 0.
    pub fn step(&self, step: u64) -> Vec<usize> {
        let window = step / WINDOW as u64;
        let size = (self.batch * WINDOW) as u64;
        let mut taken = self.stream(window * size, self.batch * WINDOW);
        // Sorting is stable: what is as long stays in the order of the epoch.
        taken.sort_by_key(|&example| self.lengths[example]);
        let mut places: Vec<usize> = (0..WINDOW).collect();
        shuffle(&mut places, &mut Noise::new(self.seed ^ (window << 20), "window"));
        let place = places[(step % WINDOW as u64) as usize];
        taken[place * self.batch..][..self.batch].to_vec()
    }

    /// A part of the endless sequence of epochs.
    fn stream(&self, start: u64, n: usize) -> Vec<usize> {
        let all = self.lengths.len() as u64;
        let mut taken = Vec::with_capacity(n);
        let mut epoch = start / all;
        let mut skip = (start % all) as usize;
        while taken.len() < n {
            let mut order: Vec<usize> = (0..self.lengths.len()).collect();
            shuffle(&mut order, &mut Noise::new(self.seed ^ (epoch << 20), "epoch"));
            taken.extend(order.into_iter().skip(skip).take(n - taken.len()));
            (epoch, skip) = (epoch + 1, 0);
        }
        taken
    }
}

fn shuffle(items: &mut [usize], noise: &mut Noise) {
    for last in (1..items.len()).rev() {
        items.swap(last, noise.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn order(n: usize) -> Order {
        Order::new(3, 4, (0..n).map(|i| (i % 3, i * 7 % 11)).collect())
    }

    #[test]
    fn every_example_comes_once_an_epoch() {
        // 24 examples in batches of four: a window of sixteen steps is 64 of them.
        let order = order(64);
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for step in 0..32 {
            for example in order.step(step) {
                *seen.entry(example).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), 64);
        assert!(seen.values().all(|&times| times == 2), "{seen:?}");
        assert_ne!(order.step(0), order.step(16), "epochs differ");
    }

    #[test]
    fn few_examples_are_repeated_until_a_step_is_full() {
        let order = order(3);
        for step in 0..40 {
            assert_eq!(order.step(step).len(), 4);
            assert_eq!(order.step(step), order.step(step));
        }
    }

    #[test]
    fn a_step_has_examples_of_about_one_length() {
        let order = order(64);
        let spread = |step| {
            let lengths: Vec<_> = order.step(step).iter().map(|&e| order.lengths[e].0).collect();
            lengths.iter().max() != lengths.iter().min()
        };
        assert!((0..16).filter(|&step| spread(step)).count() <= 2);
    }
}
