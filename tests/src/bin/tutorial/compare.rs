//! What a command prints beside what the tutorial says it prints.

/// Whether the lines `said` by the tutorial are those `printed`. Numbers may be others, but stand where they stand, and so
/// may what is in the place of `...`: in a line a part of it, alone in a line any lines. White space at ends of lines is nobody's.
pub(crate) fn same(said: &[String], printed: &str) -> bool {
    let said: Vec<_> = said.iter().map(|line| plain(line)).collect();
    let printed: Vec<_> = printed.lines().map(plain).collect();
    lines(&said, &printed)
}

fn plain(line: &str) -> String {
    let mut out = String::new();
    for c in line.trim_end().chars() {
        match c {
            // One digit for each number.
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            c => out.push(c),
        }
    }
    // Numbers in columns.
    while let Some(at) = out.find("  ") {
        out.remove(at);
    }
    out
}

fn lines(said: &[String], printed: &[String]) -> bool {
    match said.split_first() {
        None => printed.iter().all(String::is_empty),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|skip| lines(rest, &printed[skip..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| one(first, line) && lines(rest, others)),
    }
}

fn one(said: &str, printed: &str) -> bool {
    match said.split_once("...") {
        None => said == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && one(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dots() {
        let says = |said: &str, printed| {
            let said: Vec<_> = said.lines().map(str::to_owned).collect();
            same(&said, printed)
        };
        assert!(says("", "") && says("a", "a\n") && !says("a", "b\n") && !says("", "a\n"));
        assert!(says("took 12 ms", "took 7 ms\n") && !says("took 12 ms", "took ms"));
        assert!(says("[    0.012] x", "[   12.999] x"));
        assert!(says("a ... c", "a b c") && !says("a ... c", "a b d"));
        assert!(
            says("a\n...", "a\nb\nc")
                && says("a\n...\nc", "a\nb\nc")
                && !says("a\n...\nd", "a\nb\nc")
        );
        assert!(!says("a\nb", "a") && !says("a", "a\nb"));
    }
}
