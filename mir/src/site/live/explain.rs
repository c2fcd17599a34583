//! The page that is shown in place of one that cannot be: what is wrong, where, and what stands there.

use std::fmt::Write;

use super::Broken;
use crate::problem::Problem;
use crate::site::escape::html;
use crate::site::plan::Plan;
use crate::site::walk::read_text;

/// Problems that are shown one by one; the rest are counted.
const SHOWN: usize = 100;
/// Problems whose places are shown, and lines above and below each.
const PLACES: usize = 10;
const AROUND: usize = 2;
/// Characters of a line that are shown.
const WIDTH: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font-family:ui-monospace,monospace}\
pre{overflow-x:auto;padding:.5rem 1rem;border-left:.25rem solid #888}\
mark{background:#c003;color:inherit}";

/// The page, complete.
pub(super) fn page(plan: &Plan, broken: &Broken) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_page(&mut out, plan, &broken.0);
    out
}

fn write_page(out: &mut String, plan: &Plan, own: &[Problem]) -> std::fmt::Result {
    let title = own.first().map(place).unwrap_or_default();
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>This page cannot be shown</h1>\n",
        html(&title)
    )?;
    for (at, problem) in own.iter().take(SHOWN).enumerate() {
        write_problem(out, problem)?;
        if at < PLACES {
            write_place(out, plan, problem)?;
        }
    }
    let others = plan.problems.iter().filter(|other| !own.contains(other));
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        out.push_str("<h2>Wrong elsewhere in the site</h2>\n");
        for problem in others.iter().take(SHOWN) {
            write_problem(out, problem)?;
        }
    }
    let more = own.len().saturating_sub(SHOWN) + others.len().saturating_sub(SHOWN);
    if more > 0 {
        writeln!(out, "<p>And {more} more.</p>")?;
    }
    out.push_str("</body>\n</html>\n");
    Ok(())
}

fn place(problem: &Problem) -> String {
    match problem.line {
        Some(line) => format!("{}:{line}", problem.file),
        None => problem.file.clone(),
    }
}

fn write_problem(out: &mut String, problem: &Problem) -> std::fmt::Result {
    let (place, what) = (html(&place(problem)), html(&problem.what.to_string()));
    writeln!(out, "<p><code>{place}</code>: {what}</p>")
}

/// The lines around the one that is named.
fn write_place(out: &mut String, plan: &Plan, problem: &Problem) -> std::fmt::Result {
    let Some((line, source)) = problem.line.zip(plan.scan.text(&problem.file)) else {
        return Ok(());
    };
    // It may be gone by now, or no text: then the place has to do.
    let Ok(text) = read_text(source) else {
        return Ok(());
    };
    let first = line.saturating_sub(AROUND).max(1);
    let lines = text.lines().enumerate().skip(first - 1);
    let lines: Vec<_> = lines.take(line + AROUND + 1 - first).collect();
    if lines.is_empty() {
        return Ok(());
    }
    out.push_str("<pre>");
    for (at, text) in lines {
        let text: String = text.chars().take(WIDTH).collect();
        let text = format!("{:>5} {}", at + 1, html(&text));
        match at + 1 == line {
            true => writeln!(out, "<mark>{text}</mark>")?,
            false => writeln!(out, "{text}")?,
        }
    }
    out.push_str("</pre>\n");
    Ok(())
}
