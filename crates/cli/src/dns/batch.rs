//! Many questions at once, answered in the order in which they were asked.
//!
//! Promises: at most [`IN_FLIGHT`] questions are under way; lines are read as they are needed, so that a program may write a line
//! and wait for its answer; every line that is not empty and no comment gives one object, a bad one too.

use std::path::Path;

use futures_util::stream::{self, Stream, StreamExt as _};
use revouch_validator::evidence::Question;
use revouch_validator::name::NameError;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::report::{Report, Status};
use super::{Asker, name, rr_type};
use crate::Outcome;
use crate::exit::Failure;
use crate::show::print_json_line;

/// The most questions that are under way.
const IN_FLIGHT: usize = 64;
/// The longest line, in octets: a name has at most 1010 in presentation format.
const MAX_LINE: u64 = 4096;

pub(super) async fn run(asker: &Asker, path: &Path) -> Outcome {
    if path.as_os_str() == "-" {
        return answer(asker, BufReader::new(tokio::io::stdin())).await;
    }
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    answer(asker, BufReader::new(file)).await
}

async fn answer(asker: &Asker, reader: impl AsyncBufRead + Unpin) -> Outcome {
    let questions = lines(reader).map(|line| async move {
        match line? {
            Line::Question(question) => Ok(asker.ask(&question).await),
            Line::Bad(report) => Ok(report),
        }
    });
    let mut answers = std::pin::pin!(questions.buffered(IN_FLIGHT));
    let (mut bogus, mut failed, mut all) = (0_u64, 0_u64, 0_u64);
    while let Some(report) = answers.next().await {
        let report: Report = report?;
        print_json_line(&report)?;
        all += 1;
        bogus += u64::from(report.status == Status::Bogus);
        failed += u64::from(report.status == Status::Error);
    }
    match (failed, bogus) {
        (0, 0) => Ok(true),
        (0, _) => Ok(false),
        _ => Err(Failure::new(format!("{failed} of {all} questions have no answer"))),
    }
}

enum Line {
    Question(Question),
    Bad(Report),
}

/// The lines that ask something.
fn lines(reader: impl AsyncBufRead + Unpin) -> impl Stream<Item = Result<Line, Failure>> {
    stream::unfold((Some(reader), 0_usize), |(reader, mut number)| async move {
        let mut reader = reader?;
        loop {
            number += 1;
            match next_line(&mut reader, number).await {
                Err(failure) => return Some((Err(failure), (None, number))),
                Ok(None) => return None,
                Ok(Some(text)) => {
                    if let Some(line) = parse(&text, number) {
                        return Some((Ok(line), (Some(reader), number)));
                    }
                }
            }
        }
    })
}

async fn next_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    number: usize,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = reader.take(MAX_LINE).read_until(b'\n', &mut line).await;
    let read = read.map_err(|error| Failure::new(format!("line {number}: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == MAX_LINE && line.last() != Some(&b'\n') {
        return Err(Failure::new(format!("line {number} is longer than {MAX_LINE} octets")));
    }
    Ok(Some(line))
}

/// `None` for an empty line or one that begins with `;`, as comments do in zone files.
fn parse(line: &[u8], number: usize) -> Option<Line> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let owner = words.next().filter(|word| !word.starts_with(b";"))?;
    let (wanted, more) = (words.next().unwrap_or_default(), words.next());
    let bad =
        |why: String| Some(Line::Bad(Report::of_bad_line(owner, wanted, format!("line {number}: {why}"))));
    if more.is_some() || wanted.is_empty() {
        return bad("a NAME and a TYPE are wanted".to_owned());
    }
    // Neither has an octet that is not ASCII; such a line is told with its own octets.
    let text = |word| str::from_utf8(word).map_err(|_| NameError::NotAscii.to_string());
    let parsed_name = text(owner).and_then(|text| name(text).map_err(|error| error.to_string()));
    match (parsed_name, text(wanted).and_then(rr_type)) {
        (Ok(name), Ok(rr_type)) => Some(Line::Question(Question::new(name, rr_type))),
        (Err(error), _) | (_, Err(error)) => bad(error),
    }
}
