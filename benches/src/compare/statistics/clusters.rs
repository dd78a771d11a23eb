//! Which items belong together because they are about one picture.

use std::collections::BTreeMap;

/// A number of items, each in one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    of_item: Vec<usize>,
    count: usize,
}

impl Clusters {
    /// Every item by itself.
    pub fn single(items: usize) -> Self {
        Self { of_item: (0..items).collect(), count: items }
    }

    /// Items with equal keys together.
    pub fn by<K: Ord>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut number = |key| {
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        };
        let of_item = keys.into_iter().map(&mut number).collect();
        Self { of_item, count: numbers.len() }
    }

    /// The clusters of some of the items, in the order given.
    pub fn of_items(&self, items: &[usize]) -> Self {
        Self::by(items.iter().map(|&item| self.of_item[item]))
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every item is by itself.
    pub fn are_single(&self) -> bool {
        self.count == self.of_item.len()
    }

    /// The sum of each cluster.
    pub(super) fn sums(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut sums = vec![0.0; self.count];
        self.of_item.iter().zip(values).for_each(|(&cluster, value)| sums[cluster] += value);
        sums
    }
}
