//! Chance that comes from a number alone, the same on every machine and with every version.

/// A generator of numbers: a Weyl sequence whose steps are spread by the finaliser of MurmurHash3.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(spread(seed ^ 0x5157_6368_706f_7374))
    }

    /// Another generator, whose numbers have nothing to do with those of this one.
    pub fn fork(&mut self) -> Self {
        Self(spread(self.next() ^ 0xa5a5_a5a5_0f0f_0f0f))
    }

    pub fn next(&mut self) -> u64 {
        // The odd number next to 2⁶⁴ divided by the golden ratio: the sequence meets every number once.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        spread(self.0)
    }

    /// From `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Whether something happens that happens `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}
