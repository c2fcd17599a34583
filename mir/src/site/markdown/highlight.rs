//! Code in colours: spans with classes, which the stylesheet gives colours for light and for dark.
//!
//! The grammars are those that editors use, collected by `two-face`. What they find is boiled down
//! to a dozen kinds, so that pages stay small and stylesheets simple.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use crate::site::escape;

/// Longer code, and code with a longer line, stays as it is: patterns take time.
const MAX_CODE: usize = 256 << 10;
const MAX_LINE: usize = 2 << 10;

/// What has been highlighted is kept, up to so many bytes: pages are rendered again while they
/// are written, and most of their code is as it was.
const MAX_KEPT: usize = 32 << 20;

static GRAMMARS: LazyLock<SyntaxSet> = LazyLock::new(two_face::syntax::extra_newlines);

/// Kinds of code by the beginnings of scopes, the first that fits.
const KINDS: &[(&str, &str)] = &[
    ("comment", "comment"),
    ("constant.character.escape", "escape"),
    ("constant.other.placeholder", "escape"),
    ("string", "string"),
    ("constant", "constant"),
    ("keyword.operator", ""),
    ("keyword", "keyword"),
    ("storage.type.numeric", "constant"),
    ("storage", "keyword"),
    ("entity.name.tag", "tag"),
    ("entity.name.function", "function"),
    ("entity.name.section", "heading"),
    ("entity.name", "type"),
    ("entity.other.attribute-name", "attribute"),
    ("entity.other.inherited-class", "type"),
    ("support.function", "function"),
    ("support.macro", "function"),
    ("support.type.property-name", "attribute"),
    ("support.type", "type"),
    ("support.class", "type"),
    ("support.constant", "constant"),
    ("variable.function", "function"),
    ("variable.language", "keyword"),
    ("variable.annotation", "attribute"),
    ("meta.annotation", "attribute"),
    ("meta.diff.header", "heading"),
    ("meta.diff.range", "heading"),
    ("markup.inserted", "inserted"),
    ("markup.deleted", "deleted"),
    ("markup.heading", "heading"),
    // What is put into a string is not a part of it.
    ("meta.interpolation", ""),
    ("meta.template.expression", ""),
];

static SCOPES: LazyLock<Vec<(Scope, &str)>> = LazyLock::new(|| {
    let scopes = KINDS.iter().filter_map(|(name, kind)| {
        let scope = Scope::new(name).ok()?;
        Some((scope, *kind))
    });
    scopes.collect()
});

/// `code`, escaped and with its kinds marked; `None` for languages that are not known.
pub(super) fn highlight(language: &str, code: &str) -> Option<Arc<str>> {
    let long = code.len() > MAX_CODE || code.lines().any(|line| line.len() > MAX_LINE);
    if long {
        return None;
    }
    let language = language.to_ascii_lowercase();
    let is_shell = matches!(&*language, "sh" | "bash" | "shell" | "zsh");
    let is_session = matches!(
        &*language,
        "console" | "shell-session" | "sh-session" | "shellsession"
    );
    // Many say shell where they show a session.
    let session = is_session || is_shell && code.starts_with("$ ");
    let grammar = grammar(if session { "sh" } else { &language })?;
    KEPT.get_or(&language, code, || {
        let mut out = Writer::default();
        match session {
            true => shell(grammar, code, &mut out),
            false => whole(grammar, code, &mut out),
        }
        out.close();
        out.html
    })
}

fn grammar(language: &str) -> Option<&'static SyntaxReference> {
    let name = match language {
        "shell" | "zsh" => "sh",
        "dockerfile" => "Dockerfile",
        "c++" => "cpp",
        "text" | "txt" | "plain" => return None,
        other => other,
    };
    GRAMMARS.find_syntax_by_token(name)
}

fn whole(grammar: &SyntaxReference, code: &str, out: &mut Writer) {
    let mut state = ParseState::new(grammar);
    let mut stack = ScopeStack::new();
    let mut kinds = HashMap::new();
    for line in code.split_inclusive('\n') {
        let Ok(changes) = state.parse_line(line, &GRAMMARS) else {
            out.text("", line);
            continue;
        };
        let mut from = 0;
        for (at, change) in &changes {
            let at = (*at).min(line.len());
            if from < at {
                out.text(
                    kind(&stack, &mut kinds),
                    line.get(from..at).unwrap_or_default(),
                );
                from = at;
            }
            // A grammar that takes away more than there is leaves nothing to mark.
            if stack.apply(change).is_err() {
                stack = ScopeStack::new();
            }
        }
        out.text(
            kind(&stack, &mut kinds),
            line.get(from..).unwrap_or_default(),
        );
    }
}

/// What was typed behind a prompt is code; what came of it is not.
fn shell(grammar: &SyntaxReference, code: &str, out: &mut Writer) {
    let mut goes_on = false;
    for line in code.split_inclusive('\n') {
        let prompt = ["$ ", "# ", "> "]
            .into_iter()
            .find(|prompt| line.starts_with(prompt));
        let typed = match prompt {
            Some(prompt) => {
                out.text("prompt", prompt);
                &line[prompt.len()..]
            }
            None if goes_on => line,
            None => {
                out.text("output", line);
                continue;
            }
        };
        whole(grammar, typed, out);
        goes_on = typed.trim_end().ends_with('\\');
    }
}

/// The kind of what the innermost scope that has one says.
fn kind(stack: &ScopeStack, known: &mut HashMap<Scope, Option<&'static str>>) -> &'static str {
    let find = |scope: &Scope| {
        let found = SCOPES
            .iter()
            .find(|(prefix, _)| prefix.is_prefix_of(*scope));
        found.map(|(_, kind)| *kind)
    };
    let mut scopes = stack.as_slice().iter().rev();
    scopes
        .find_map(|scope| *known.entry(*scope).or_insert_with(|| find(scope)))
        .unwrap_or_default()
}

/// Writes text with as few spans as will do.
#[derive(Default)]
struct Writer {
    html: String,
    open: &'static str,
}

impl Writer {
    fn text(&mut self, kind: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        // Space has no colour.
        if kind != self.open && !text.trim().is_empty() {
            self.close();
            if !kind.is_empty() {
                self.html.push_str("<span class=\"hl-");
                self.html.push_str(kind);
                self.html.push_str("\">");
            }
            self.open = kind;
        }
        self.html.push_str(&escape::html(text));
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.html.push_str("</span>");
        }
        self.open = "";
    }
}

static KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);

/// What has been highlighted, by language and code.
#[derive(Default)]
struct Kept(Mutex<Known>);

#[derive(Default)]
struct Known {
    code: HashMap<[u8; 32], Arc<str>>,
    bytes: usize,
}

impl Kept {
    fn get_or(
        &self,
        language: &str,
        code: &str,
        make: impl FnOnce() -> String,
    ) -> Option<Arc<str>> {
        let mut hash = Sha256::new();
        hash.update(language);
        hash.update([0]);
        hash.update(code);
        let key: [u8; 32] = hash.finalize().into();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().code.get(&key) {
            return Some(known.clone());
        }
        let made: Arc<str> = make().into();
        let mut kept = lock();
        if kept.bytes + made.len() > MAX_KEPT {
            *kept = Known::default();
        }
        kept.bytes += made.len();
        kept.code.insert(key, made.clone());
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(language: &str, code: &str) -> String {
        highlight(language, code).expect(language).to_string()
    }

    /// The text of what was marked.
    fn plain(html: &str) -> String {
        let mut out = String::new();
        for part in html.split('<') {
            out.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        }
        let named = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ];
        named
            .iter()
            .fold(out, |out, (name, sign)| out.replace(name, sign))
    }

    #[test]
    fn languages_have_kinds() {
        for (language, code, expected) in [
            (
                "rust",
                "fn main() {} // x\n",
                "<span class=\"hl-keyword\">fn <",
            ),
            ("rust", "let a = \"<\\n\";\n", "hl-escape\">\\n<"),
            (
                "toml",
                "[a]\nb = 1 # x\n",
                "<span class=\"hl-comment\"># x\n</span>",
            ),
            (
                "sh",
                "if true; then echo 'a'; fi\n",
                "<span class=\"hl-string\">&#39;a&#39;</span>",
            ),
            (
                "c",
                "int main(void) { return 0x1; }\n",
                "<span class=\"hl-constant\">0x1</span>",
            ),
            (
                "python",
                "def f(x):\n    return None\n",
                "<span class=\"hl-function\">f</span>",
            ),
            (
                "html",
                "<p class=\"a\">b</p>\n",
                "<span class=\"hl-tag\">p</span>",
            ),
            (
                "css",
                "a { color: red }\n",
                "<span class=\"hl-tag\">a </span>",
            ),
            (
                "json",
                "{\"a\": [true]}\n",
                "<span class=\"hl-constant\">true</span>",
            ),
            (
                "yaml",
                "a: b # c\n",
                "<span class=\"hl-comment\"># c\n</span>",
            ),
            (
                "diff",
                "--- a\n+++ b\n-x\n+y\n",
                "<span class=\"hl-inserted\">+y\n</span>",
            ),
            (
                "bash",
                "$ ls \\\n  'a'\nb\n",
                "<span class=\"hl-output\">b\n</span>",
            ),
            (
                "console",
                "$ ls 'a' # x\nb\n",
                "<span class=\"hl-output\">b\n</span>",
            ),
        ] {
            let html = marked(language, code);
            assert!(html.contains(expected), "{language}: {html}");
            assert_eq!(plain(&html), code);
        }
    }

    #[test]
    fn what_is_not_known_or_too_long_stays() {
        assert_eq!(highlight("text", "a"), None);
        assert_eq!(highlight("nonsense", "a"), None);
        assert_eq!(highlight("rust", &"x".repeat(MAX_LINE + 1)), None);
        assert_eq!(highlight("rust", &"x\n".repeat(MAX_CODE)), None);
    }

    /// No grammar stumbles over code that is none.
    #[test]
    fn nonsense_in_every_language() {
        let nonsense =
            "'\"`<<EOF\n${a[{( <%= /* -- #! \\\n\t<a b='c\n]]> */ ``` r#\"\né\u{2028}(((((\n";
        for grammar in GRAMMARS.syntaxes() {
            let mut out = Writer::default();
            whole(grammar, nonsense, &mut out);
            out.close();
            assert_eq!(plain(&out.html), nonsense, "{}", grammar.name);
        }
    }
}
