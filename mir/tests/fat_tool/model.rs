//! Changes in any order, beside a model that is a map: after each step the image is clean and holds
//! what the model holds.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{Place, fat, noise, ok, small, tool_ok, tree};

#[derive(Clone, Debug)]
enum Step {
    Put(String, usize),
    Mkdir(String),
    Remove(String),
}

fn path() -> impl Strategy<Value = String> {
    let name = select(vec![
        "a",
        "b.txt",
        "B.TXT",
        "LONGFI~1.TXT",
        "long file name.txt",
        "long file other.txt",
        "ünï",
        "ÜNÏ",
        "👋",
        "x.y.z",
        "DIR",
        "dir",
    ]);
    vec(name, 1..4).prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (path(), select(vec![0, 1, 511, 512, 513, 5000, 40_000])).prop_map(|(p, n)| Step::Put(p, n)),
        1 => path().prop_map(Step::Mkdir),
        2 => path().prop_map(Step::Remove),
    ]
}

/// What an image should hold: paths as FAT compares them, with their names and bytes.
#[derive(Default)]
struct Model(BTreeMap<String, (String, Option<Vec<u8>>)>);

fn fold(path: &str) -> String {
    mir::fat::name::fold(path)
}

impl Model {
    /// Whether all above a path is a folder or not there; makes those that are not there.
    fn make_above(&mut self, path: &str) -> bool {
        let ends: Vec<_> = path.match_indices('/').map(|(at, _)| at).collect();
        let is_file = |end: &usize| matches!(self.0.get(&fold(&path[..*end])), Some((_, Some(_))));
        if ends.iter().any(is_file) {
            return false;
        }
        for end in ends {
            let name = || (path[..end].rsplit('/').next().unwrap().to_owned(), None);
            self.0.entry(fold(&path[..end])).or_insert_with(name);
        }
        true
    }

    fn apply(&mut self, step: &Step, bytes: &[u8]) -> bool {
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        match step {
            Step::Put(path, _) => {
                if matches!(self.0.get(&fold(path)), Some((_, None))) || !self.make_above(path) {
                    return false;
                }
                self.0
                    .insert(fold(path), (name(path), Some(bytes.to_vec())));
                true
            }
            Step::Mkdir(path) => {
                if matches!(self.0.get(&fold(path)), Some((_, Some(_)))) || !self.make_above(path) {
                    return false;
                }
                self.0
                    .entry(fold(path))
                    .or_insert_with(|| (name(path), None));
                true
            }
            Step::Remove(path) => {
                let folded = fold(path);
                let below = format!("{folded}/");
                self.0.retain(|at, _| !at.starts_with(&below));
                self.0.remove(&folded).is_some()
            }
        }
    }

    /// With the names as they are.
    fn tree(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let named = |folded: &str| {
            let ends = folded
                .match_indices('/')
                .map(|(at, _)| at)
                .chain([folded.len()]);
            let names: Vec<_> = ends.map(|end| self.0[&folded[..end]].0.as_str()).collect();
            names.join("/")
        };
        self.0
            .iter()
            .map(|(path, (_, bytes))| (named(path), bytes.clone()))
            .collect()
    }
}

/// fsck.fat is asked after every so many sequences.
const FSCK_EACH: usize = 8;
static SEQUENCES: AtomicUsize = AtomicUsize::new(0);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_changes(
        kind in select(vec!["fat12", "fat16", "fat32"]),
        steps in vec(step(), 1..16),
    ) {
        let place = Place::new();
        let image = place.at("x.img");
        small(kind, &image);
        let mut model = Model::default();
        for (at, step) in steps.iter().enumerate() {
            let before = fs::metadata(&image).unwrap().modified().unwrap();
            let (said, bytes) = match step {
                Step::Put(path, len) => {
                    let bytes = noise(at as u64, *len);
                    place.put(&format!("{at}/{path}"), &bytes);
                    let directory = place.at(&at.to_string());
                    (fat(&["add", &image, "-C", &directory, path]), bytes)
                }
                Step::Mkdir(path) => (fat(&["mkdir", "-p", &image, path]), Vec::new()),
                Step::Remove(path) => (fat(&["rm", "-r", &image, path]), Vec::new()),
            };
            let fits = model.apply(step, &bytes);
            prop_assert_eq!(said.status == 0, fits, "{:?}: {}", step, said.err);
            if !fits {
                prop_assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before);
            }
            let checked = fat(&["check", &image]);
            prop_assert_eq!(checked.status, 0, "{:?}: {}", step, checked.text());
        }
        ok(&["extract", &image, "-o", &place.at("out")]);
        prop_assert!(tree(&place.path().join("out")) == model.tree(), "{steps:?}");
        if SEQUENCES.fetch_add(1, Ordering::Relaxed).is_multiple_of(FSCK_EACH) {
            tool_ok("fsck.fat", &["-n", &image]);
        }
    }
}
