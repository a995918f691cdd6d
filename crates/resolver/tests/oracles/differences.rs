//! The list of questions on which the programs differ, with the paragraph that decides.

use std::fmt::Write as _;

use super::questions::{Asked, rows};
use super::verdict::Verdict;

const LIST: &str = include_str!("../../testdata/oracle-differences.tsv");

/// One line of the list.
struct Row<'l> {
    line: usize,
    /// Owner names, `*` standing for anything.
    owners: Vec<&'l str>,
    /// Types, `*` for all.
    types: Vec<&'l str>,
    said: Said,
    used: usize,
}

/// Who said what. A dash stands for a program that did not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) unbound: String,
    pub(crate) bind: String,
    pub(crate) delv: String,
    pub(crate) ours: String,
}

impl Said {
    /// As it stands in the list: states alone, unless it is the kinds that differ.
    pub(crate) fn new(unbound: &Verdict, bind: &Verdict, delv: Option<&Verdict>, ours: &Verdict) -> Self {
        let known = [Some(unbound), Some(bind), Some(ours)];
        let kinds: Vec<_> = known.into_iter().flatten().filter_map(|verdict| verdict.kind.as_ref()).collect();
        let whole = kinds.iter().any(|kind| *kind != kinds[0]);
        let word = |verdict: &Verdict| if whole { verdict.word() } else { verdict.state_word() };
        let delv = delv.map_or_else(|| "-".into(), word);
        Self { unbound: word(unbound), bind: word(bind), delv, ours: word(ours) }
    }
}

/// The list, and what of it was met.
pub(crate) struct Differences<'l> {
    rows: Vec<Row<'l>>,
    unlisted: String,
}

impl Differences<'_> {
    pub(crate) fn read() -> Self {
        let rows = rows(LIST).map(|(line, columns)| {
            let [owners, types, unbound, bind, delv, ours, decides] = columns[..] else {
                panic!("line {line} of the list has not seven columns")
            };
            assert!(decides.contains("RFC"), "line {line} of the list does not say what decides");
            let [unbound, bind, delv, ours] = [unbound, bind, delv, ours].map(str::to_owned);
            let said = Said { unbound, bind, delv, ours };
            Row {
                line,
                owners: owners.split(' ').collect(),
                types: types.split(' ').collect(),
                said,
                used: 0,
            }
        });
        Self { rows: rows.collect(), unlisted: String::new() }
    }

    /// Takes a difference: it must be in the list.
    pub(crate) fn meet(&mut self, asked: &Asked, said: &Said, details: &str) {
        let row = self.rows.iter_mut().find(|row| row.is_about(asked) && row.said == *said);
        match row {
            Some(row) => row.used += 1,
            None => {
                let Said { unbound, bind, delv, ours } = said;
                let (owner, rr_type) = (&asked.owner, &asked.rr_type);
                let _ = writeln!(
                    self.unlisted,
                    "{owner}\t{rr_type}\t{unbound}\t{bind}\t{delv}\t{ours}\t({details})"
                );
            }
        }
    }

    /// What is wrong with the list: differences that are not in it, and lines that nothing was found for.
    pub(crate) fn complaints(self) -> String {
        let mut complaints = self.unlisted;
        for row in self.rows.iter().filter(|row| row.used == 0) {
            let _ = writeln!(complaints, "line {} of the list: no such difference any more", row.line);
        }
        complaints
    }

    /// How many questions each line was met for.
    pub(crate) fn counts(&self) -> String {
        self.rows.iter().map(|row| format!("line {}: {}", row.line, row.used)).collect::<Vec<_>>().join(", ")
    }
}

impl Row<'_> {
    fn is_about(&self, asked: &Asked) -> bool {
        let owner = self.owners.iter().any(|pattern| matches(pattern, &asked.owner));
        owner && self.types.iter().any(|rr_type| *rr_type == "*" || *rr_type == asked.rr_type)
    }
}

/// Whether the name is the pattern, in which each `*` stands for any text. (In names of zones' owners it stands for itself too.)
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
        }),
    }
}

#[test]
fn a_pattern_matches_whole_names() {
    for (pattern, name, expected) in [
        ("a.test.", "a.test.", true),
        ("a.test.", "b.a.test.", false),
        ("*.a.test.", "b.a.test.", true),
        ("*.a.test.", "a.test.", false),
        ("*a.test.", "a.test.", true),
        ("x*.a*.test.", "x.b.aa.test.", true),
        ("x*.a*.test.", "y.b.aa.test.", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}
