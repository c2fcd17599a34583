//! Inputs made from others. The same seed and corpus give the same inputs.

/// The longest input that is made.
pub const MAX: usize = 32 * 1024;

/// Numbers at which things tend to break.
const NUMBERS: [u32; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
];

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that leads nowhere.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, evenly from all.
    pub fn draw(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// One from 0 to `limit` - 1; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.draw()) * limit as u64) >> 32) as usize
    }
}

/// An endless row of inputs.
pub struct Inputs {
    corpus: Vec<Vec<u8>>,
    random: Random,
    made: Vec<u8>,
    first: usize,
}

impl Inputs {
    /// All of `corpus` as it is, then what comes of it.
    pub fn new(mut corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        corpus.push(Vec::new());
        Inputs {
            corpus,
            random: Random::new(seed),
            made: Vec::new(),
            first: 0,
        }
    }

    /// The next one.
    pub fn make(&mut self) -> &[u8] {
        let Inputs {
            corpus,
            random,
            made,
            first,
        } = self;
        made.clear();
        if let Some(as_it_is) = corpus.get(*first) {
            *first += 1;
            made.extend_from_slice(as_it_is);
            return made;
        }
        made.extend_from_slice(&corpus[random.below(corpus.len())]);
        // Mostly few changes, for many make anything look like nothing.
        let changes = 1 + (random.draw() & random.draw() & 7);
        for _ in 0..changes {
            change(made, corpus, random);
        }
        made.truncate(MAX);
        made
    }
}

fn change(made: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(made.len() + 1);
    let longest = 1 << random.below(8);
    let run = 1 + random.below(longest);
    let end = (at + run).min(made.len());
    match random.below(10) {
        0 => made.truncate(at),
        1 => drop(made.drain(at..end)),
        2 => {
            let bytes: Vec<u8> = (0..run).map(|_| random.draw() as u8).collect();
            made.splice(at..at, bytes);
        }
        3 => {
            let copy = made[at..end].to_vec();
            let to = random.below(made.len() + 1);
            made.splice(to..to, copy);
        }
        4 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            made.truncate(at);
            made.extend_from_slice(&other[from..]);
        }
        5 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let number = number.wrapping_add(random.draw() % 3).wrapping_sub(1);
            let bytes = match random.below(2) {
                0 => number.to_le_bytes(),
                _ => number.to_be_bytes(),
            };
            let len = 1 << random.below(3);
            for (to, from) in made.iter_mut().skip(at).zip(&bytes[..len]) {
                *to = *from;
            }
        }
        6 => made[at..end].fill(random.draw() as u8),
        7 | 8 => {
            if let Some(byte) = made.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            if let Some(byte) = made.get_mut(at) {
                *byte = random.draw() as u8;
            }
        }
    }
}
