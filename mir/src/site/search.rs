//! The index for searching in the browser: which words are on which pages.
//!
//! `/search.json` holds `pages`, each with its URL, title and description, and `words`, each with
//! the pages that have it: four times the page's number and how much the word says of it, 3 in the
//! title, 2 in headings, tags and the description, 0 in the text.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::nodes::{Node, Nodes};
use super::plan::Plan;
use super::{escape, markdown};
use crate::parallel;

/// Where it is.
pub(crate) const INDEX: &str = "/search.json";
/// The script that looks into it.
pub(crate) const SCRIPT: (&str, &str) = ("/search.js", include_str!("../../theme/search.js"));

/// If the texts of all pages have more words than this, only titles and the like are searched.
const MAX_WORDS: usize = 250_000;
/// The lengths of words that are kept, in letters.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=32;
/// Pages that the page for searching lists.
const LISTED: usize = 1_000;

const TITLE: usize = 3;
const HEADING: usize = 2;
const TEXT: usize = 0;

/// The index as JSON.
pub(crate) fn index(plan: &Plan) -> Vec<u8> {
    let nodes: Vec<_> = plan.nodes.all().filter(|node| is_found(node)).collect();
    let words = parallel::map(nodes.clone(), words);
    let all: usize = words.iter().map(BTreeMap::len).sum();
    let least = if all > MAX_WORDS { HEADING } else { TEXT };
    let mut pages_by_word: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, words) in words.iter().enumerate() {
        for (word, weight) in words.iter().filter(|(_, weight)| **weight >= least) {
            pages_by_word.entry(word).or_default().push(at * 4 + weight);
        }
    }
    let pages: Vec<_> = nodes
        .iter()
        .map(|node| {
            let front = node.page.as_ref().map(|page| &page.front);
            let description = front.and_then(|front| front.description.as_deref());
            [
                escape::percent(&node.path),
                node.title.clone(),
                description.unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let index = serde_json::json!({ "pages": pages, "words": pages_by_word });
    index.to_string().into_bytes()
}

/// All that can be found, by folder, for those who look for it without a script.
pub(crate) fn parts(nodes: &Nodes) -> Value {
    let mut left = LISTED;
    let link = |node: &Node| context! { title => &node.title, url => escape::percent(&node.path) };
    let parts = nodes.sections().map(|(section, children)| {
        let pages: Vec<_> = children.filter(|node| is_found(node)).take(left).collect();
        left -= pages.len();
        let pages = pages.into_iter().map(link).collect::<Value>();
        context! { pages, ..link(section) }
    });
    parts.collect()
}

fn is_found(node: &Node) -> bool {
    node.page.is_some()
}

/// The words of a page, and where the most telling of each is.
fn words(node: &Node) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut add = |text: &str, weight: usize| {
        let lower = text.to_lowercase();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for word in lower.split(|c| !is_word(c)) {
            if LENGTHS.contains(&word.chars().count()) {
                let known: &mut usize = found.entry(word.to_owned()).or_insert(weight);
                *known = weight.max(*known);
            }
        }
    };
    add(&node.title, TITLE);
    if let Some(page) = &node.page {
        page.outline
            .headings
            .iter()
            .for_each(|heading| add(&heading.title, HEADING));
        page.front.tags.iter().for_each(|tag| add(tag, HEADING));
        add(
            page.front.description.as_deref().unwrap_or_default(),
            HEADING,
        );
        add(&markdown::text(&page.body), TEXT);
    }
    found
}
