//! Random numbers: RDSEED and RDRAND where the processor has them, the jitter of its clock always,
//! hashed into the seed of a ChaCha20 generator.
//!
//! [`gather`] never fails and says what it had ([`Sources`]); [`seed`] says that in the log, for a
//! guest without hardware random numbers on an emulator with a counted clock has next to
//! nothing, and nobody must be left to believe otherwise.

use core::arch::x86_64::{
    __cpuid, __cpuid_count, _mm_pause, _rdrand64_step, _rdseed64_step, _rdtsc,
};
use core::fmt;
use core::hint::black_box;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};

/// Words taken from each hardware source.
const HARDWARE_WORDS: u32 = 8;
/// Clock samples taken, if there is hardware and if there is none.
const SAMPLES: [u32; 2] = [512, 8192];
/// Samples that must differ from what came before for one bit to be counted. Jitter is worth more
/// on every machine that we saw; counting low costs nothing.
const SAMPLES_PER_BIT: u32 = 16;

/// What a seed was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Words from RDSEED.
    pub rdseed: u32,
    /// Words from RDRAND.
    pub rdrand: u32,
    /// Bits that the clock's jitter is worth, carefully counted.
    pub jitter_bits: u32,
}

impl Sources {
    /// Whether an attacker cannot guess the seed.
    pub fn is_strong(&self) -> bool {
        self.rdseed >= 4 || self.rdrand >= 4 || self.jitter_bits >= 256
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = |words| if words > 0 { "yes" } else { "no" };
        write!(
            f,
            "rdseed {}, rdrand {}, jitter {} bits{}",
            source(self.rdseed),
            source(self.rdrand),
            self.jitter_bits,
            if self.is_strong() { "" } else { ": WEAK" }
        )
    }
}

/// [`gather`], and says in the log what the seed is made of.
pub fn seed() -> [u8; 32] {
    let (seed, sources) = gather();
    if sources.is_strong() {
        log::info!("{sources}");
    } else {
        log::warn!("{sources}");
    }
    seed
}

/// Collects a seed from all sources that this processor has.
pub fn gather() -> ([u8; 32], Sources) {
    gather_with(Hardware::detect())
}

/// A cryptographic generator.
///
/// Not meant to survive a leak of its state: reseed it if that is a worry. Not `Clone`, for a clone
/// would say the same again.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// A generator that starts from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Eight random bytes.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Four random bytes.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A key, or the seed of another generator.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        seed
    }

    /// Mixes `seed` in: what comes out then is at least as hard to guess as before.
    pub fn reseed(&mut self, seed: &[u8; 32]) {
        let mut pool = Pool(self.seed());
        pool.absorb(seed);
        *self = Self::new(pool.0);
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

/// The instructions that there are.
#[derive(Clone, Copy, Debug, Default)]
struct Hardware {
    rdseed: bool,
    rdrand: bool,
}

impl Hardware {
    fn detect() -> Self {
        let highest = __cpuid(0).eax;
        Self {
            rdrand: highest >= 1 && __cpuid(1).ecx & (1 << 30) != 0,
            rdseed: highest >= 7 && __cpuid_count(7, 0).ebx & (1 << 18) != 0,
        }
    }
}

/// What has been collected: each block is hashed in with ChaCha20 as the one-way function.
struct Pool([u8; 32]);

impl Pool {
    fn absorb(&mut self, block: &[u8; 32]) {
        for (byte, new) in self.0.iter_mut().zip(block) {
            *byte ^= new;
        }
        ChaCha20Rng::from_seed(self.0).fill_bytes(&mut self.0);
    }

    fn absorb_words(&mut self, words: [u64; 4]) {
        let mut block = [0; 32];
        for (bytes, word) in block.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.absorb(&block);
    }
}

fn gather_with(hardware: Hardware) -> ([u8; 32], Sources) {
    let mut pool = Pool([0; 32]);
    let mut sources = Sources::default();
    if hardware.rdseed {
        // SAFETY: cpuid says that the instruction exists.
        sources.rdseed = collect(&mut pool, 100, || unsafe { rdseed() });
    }
    if hardware.rdrand {
        // SAFETY: cpuid says that the instruction exists.
        sources.rdrand = collect(&mut pool, 10, || unsafe { rdrand() });
    }
    let has_hardware = sources.is_strong();
    sources.jitter_bits = jitter(&mut pool, SAMPLES[usize::from(!has_hardware)]);
    (pool.0, sources)
}

/// Absorbs words of one hardware source, each tried `retries` times; says how many there were.
fn collect(pool: &mut Pool, retries: u32, mut source: impl FnMut() -> Option<u64>) -> u32 {
    let mut count = 0;
    let mut last = None;
    for _ in 0..HARDWARE_WORDS {
        let word = (0..retries).find_map(|_| {
            let word = source();
            if word.is_none() {
                pause();
            }
            word
        });
        // Processors are known whose RDRAND says all ones, successfully, again and again.
        let Some(word) = word.filter(|&w| w != 0 && w != u64::MAX && last != Some(w)) else {
            continue;
        };
        last = Some(word);
        pool.absorb_words([word, 0, 0, 0]);
        count += 1;
    }
    count
}

/// Absorbs the time that small pieces of work take; says how many bits that is worth.
fn jitter(pool: &mut Pool, samples: u32) -> u32 {
    let mut memory = [0u8; 4096];
    let mut health = Health::default();
    let mut block = [0; 4];
    let mut before = tsc();
    for sample in 0..samples {
        // Memory in an order that depends on what was collected, and some arithmetic.
        let mut at = usize::from(pool.0[0]) << 4 | usize::from(pool.0[1] & 15);
        for byte in pool.0 {
            at = (at * 5 + usize::from(byte) + 1) % memory.len();
            memory[at] = black_box(memory[at].wrapping_mul(3).wrapping_add(byte | 1));
        }
        let now = tsc();
        let delta = now.wrapping_sub(before);
        before = now;
        health.observe(delta);
        block[(sample % 4) as usize] = now ^ delta.rotate_left(32);
        if sample % 4 == 3 {
            pool.absorb_words(block);
        }
    }
    health.lively / SAMPLES_PER_BIT
}

/// Tells a clock that jitters from one that is counted.
#[derive(Default)]
struct Health {
    last: [u64; 2],
    /// Samples whose difference, and whose change of difference, were new.
    lively: u32,
}

impl Health {
    fn observe(&mut self, delta: u64) {
        let [last, before_last] = self.last;
        let change = delta.wrapping_sub(last);
        let last_change = last.wrapping_sub(before_last);
        if delta != last && delta != before_last && change != last_change {
            self.lively += 1;
        }
        self.last = [delta, last];
    }
}

fn tsc() -> u64 {
    // SAFETY: every x86-64 has it; Xen and Linux let ring 3 use it, or emulate it.
    unsafe { _rdtsc() }
}

fn pause() {
    _mm_pause();
}

/// # Safety
///
/// The processor has RDSEED.
#[target_feature(enable = "rdseed")]
unsafe fn rdseed() -> Option<u64> {
    let mut word = 0;
    (_rdseed64_step(&mut word) == 1).then_some(word)
}

/// # Safety
///
/// The processor has RDRAND.
#[target_feature(enable = "rdrand")]
unsafe fn rdrand() -> Option<u64> {
    let mut word = 0;
    (_rdrand64_step(&mut word) == 1).then_some(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::string::ToString;

    use super::*;

    #[test]
    fn seeds_differ_with_and_without_hardware() {
        let mut seeds = BTreeSet::new();
        for hardware in [Hardware::default(), Hardware::detect()] {
            for _ in 0..10 {
                let (seed, sources) = gather_with(hardware);
                assert!(seeds.insert(seed));
                assert_eq!(sources.rdseed > 0, hardware.rdseed);
                assert_eq!(sources.rdrand > 0, hardware.rdrand);
            }
        }
    }

    #[test]
    fn a_clock_that_is_counted_is_worth_nothing() {
        for step in [0u64, 1, 1000] {
            let mut constant = Health::default();
            let mut growing = Health::default();
            for n in 0..1000 {
                constant.observe(step);
                growing.observe(n * step);
            }
            assert!(constant.lively <= 2 && growing.lively <= 2, "{step}");
        }
        let mut rng = Rng::new([7; 32]);
        let mut noisy = Health::default();
        for _ in 0..1000 {
            noisy.observe(1000 + rng.u64() % 64);
        }
        assert!(noisy.lively > 800);
    }

    #[test]
    fn hardware_that_fails_or_repeats_counts_for_nothing() {
        let mut pool = Pool([0; 32]);
        let mut tries = 0;
        let failed = collect(&mut pool, 10, || {
            tries += 1;
            None
        });
        assert_eq!((failed, tries), (0, 10 * HARDWARE_WORDS));
        assert_eq!(collect(&mut pool, 10, || Some(u64::MAX)), 0);
        assert_eq!(collect(&mut pool, 10, || Some(0)), 0);
        assert_eq!(pool.0, [0; 32]);
        assert_eq!(collect(&mut pool, 10, || Some(5)), 1);
        let mut word = 0;
        let counting = collect(&mut pool, 10, || {
            word += 1;
            (word % 3 == 0).then_some(word)
        });
        assert_eq!(counting, HARDWARE_WORDS);
    }

    #[test]
    fn every_block_and_its_place_matter() {
        let pool = |blocks: &[[u8; 32]]| {
            let mut pool = Pool([0; 32]);
            for block in blocks {
                pool.absorb(block);
            }
            pool.0
        };
        let (a, b) = ([1; 32], [2; 32]);
        let all = [
            pool(&[]),
            pool(&[a]),
            pool(&[a, b]),
            pool(&[b, a]),
            pool(&[a, a]),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
    }

    #[test]
    fn the_generator_is_chacha20_and_reseeds() {
        // RFC 8439, A.1, test vector 1: key, nonce and counter zero.
        let mut bytes = [0; 8];
        Rng::new([0; 32]).fill(&mut bytes);
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        assert_eq!(Rng::new([0; 32]).u64().to_le_bytes(), bytes);
        assert_eq!(Rng::new([0; 32]).u32().to_le_bytes(), bytes[..4]);
        let (mut one, mut two) = (Rng::new([0; 32]), Rng::new([0; 32]));
        one.reseed(&[1; 32]);
        two.reseed(&[2; 32]);
        assert_ne!(one.seed(), two.seed());
    }

    #[test]
    fn weakness_is_said() {
        let weak = Sources {
            jitter_bits: 20,
            ..Sources::default()
        };
        assert_eq!(
            weak.to_string(),
            "rdseed no, rdrand no, jitter 20 bits: WEAK"
        );
        let strong = Sources { rdrand: 8, ..weak };
        assert_eq!(strong.to_string(), "rdseed no, rdrand yes, jitter 20 bits");
    }
}
