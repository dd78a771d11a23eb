//! The random numbers of the suite: one small PCG, and the mixing that turns names into seeds.
//!
//! Everything here is integer arithmetic with wrapping defined by the language, so that a seed gives
//! the same picture on every platform and with every version of every dependency.

/// Joins two words into one that depends on all bits of both (the finaliser of SplitMix64).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(25) ^ b.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A PCG-XSH-RR generator: 64 bits of state, 32 bits out.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: u64,
    stream: u64,
}

impl Rng {
    /// Starts the stream that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self { state: mix(seed, 1), stream: mix(seed, 2) | 1 };
        rng.word();
        rng
    }

    /// The next 32 uniform bits.
    pub(crate) fn word(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.stream);
        let folded = (((old >> 18) ^ old) >> 27) as u32;
        folded.rotate_right((old >> 59) as u32)
    }

    /// A uniform number below `n`, without bias; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = n as u32;
        if n < 2 {
            return 0;
        }
        // The multiply-and-shift of Lemire: reject the few low products that would favour some values.
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u64::from(self.word()) * u64::from(n);
            if wide as u32 >= threshold {
                return (wide >> 32) as usize;
            }
        }
    }

    /// A uniform number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below((high + 1).saturating_sub(low))
    }

    /// True in half of the draws.
    pub(crate) fn coin(&mut self) -> bool {
        self.word() >> 31 == 1
    }

    /// A uniform choice, `None` from an empty list.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { Some(list[self.below(list.len())]) }
    }

    /// Puts the list into a uniformly random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// A uniform value below `n` that is not `taken`.
    pub(crate) fn other_than(&mut self, taken: usize, n: usize) -> usize {
        (taken + 1 + self.below(n - 1)) % n
    }
}

/// A running 64-bit FNV-1a digest, used to tell scenes apart; not for security.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest(u64);

impl Digest {
    /// An empty digest.
    pub(crate) fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    /// Takes in bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    /// The digest of everything taken in so far.
    pub(crate) fn value(self) -> u64 {
        mix(self.0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_words() {
        let mut rng = Rng::new(7);
        let words: Vec<u32> = (0..3).map(|_| rng.word()).collect();
        let mut again = Rng::new(7);
        assert_eq!(words, (0..3).map(|_| again.word()).collect::<Vec<_>>());
        assert_ne!(words[0], Rng::new(8).word());
    }

    #[test]
    fn bounded_draws_are_uniform_and_stay_below_the_bound() {
        let mut rng = Rng::new(1);
        let mut seen = [0_usize; 7];
        for _ in 0..70_000 {
            seen[rng.below(7)] += 1;
        }
        assert!(seen.iter().all(|&n| (9_600..10_400).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| rng.other_than(2, 5) != 2));
    }
}
