//! Sizes: a file and a function must fit into a reader's head. Tests do not count.

use super::Finding;
use super::source::Source;

const FILE_LINES_MAX: usize = 500;
const FILE_LINES_WARN: usize = 400;
const FUNCTION_LINES_MAX: usize = 80;

/// Files and functions that are too long.
pub fn findings(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.lines_outside_tests().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, {FILE_LINES_MAX} at most: split it by subject");
        findings.push(Finding::new(&source.path, 1, what));
    } else if lines > FILE_LINES_WARN {
        let what = format!("{lines} lines: above {FILE_LINES_WARN} think of splitting it by subject");
        findings.push(Finding::warning(&source.path, 1, what));
    }
    for (name, bytes) in source.functions() {
        let (first, last) = (source.line_at(bytes.start), source.line_at(bytes.end));
        let lines = last - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most: give its parts names");
            findings.push(Finding::new(&source.path, first, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Finding> {
        findings(&Source::new("crates/one/src/lib.rs", text))
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        assert!(found(&"//\n".repeat(400)).is_empty());
        assert!(found(&"//\n".repeat(401))[0].is_warning);
        assert!(!found(&"//\n".repeat(501))[0].is_warning);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(600));
        assert!(found(&tests).is_empty());
    }

    #[test]
    fn long_functions_are_found_with_their_line() {
        let function = |lines: usize| format!("\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines));
        assert!(found(&function(78)).is_empty());
        let findings = found(&function(79));
        assert_eq!((findings.len(), findings[0].line), (1, 2));
        assert!(findings[0].what.contains("81 lines"));
    }
}
