//! A thousand corrupted images: each is read as far as it can be, or refused with a reason.

use tests::fat_image::{Dice, check, sample};
use www::fat::Kind;

#[test]
fn a_thousand_corrupted_images() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut harmed, mut tried) = (0, 0);
    for (kind, clusters) in [(Kind::Fat12, 600), (Kind::Fat16, 4200), (Kind::Fat32, 900)] {
        let image = sample(kind, clusters);
        assert!(!check(image.bytes.clone(), "unharmed"));
        let table = image.table(0);
        // Boot sector, first table, root directory, and where directories and files are.
        let regions = [
            0..512,
            table.clone(),
            table.start..table.start + 600,
            image.table(1).end..image.cluster(400).end,
        ];
        for number in 0..334 {
            let mut bytes = image.bytes.clone();
            let what = format!("{kind:?} number {number}");
            if number % 12 == 0 {
                bytes.truncate(dice.roll(bytes.len()));
            } else {
                let region = regions[number % regions.len()].clone();
                for _ in 0..[1, 8, 64, 1024][number / 4 % 4] {
                    let at = region.start + dice.roll(region.len());
                    bytes[at] ^= 1 << dice.roll(8);
                }
            }
            harmed += usize::from(check(bytes, &what));
            tried += 1;
        }
    }
    assert!(tried >= 1000);
    // Otherwise the sweep would show little.
    assert!(harmed > 200, "{harmed} of {tried} had something broken");
}
