//! `revouch demo`: the real proxy between a cast of peers and an echo service, with a DNS of its own. No root, no network, nothing
//! installed.
//!
//! What is shown as the verdict is the proxy's own: it is read from its access log, never computed again here.

mod cast;
mod peer;
mod stage;

use std::io::Write as _;
use std::time::{Duration, Instant};

use revouch_validator::reason::Reason;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::Outcome;
use crate::exit::Failure;
use crate::show::{Colour, Style, print, print_json};
use cast::Member;
use peer::Seen;
use stage::Stage;

/// The longest wait for a line of the log.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(after_help = "Example: revouch demo --once")]
pub(crate) struct Args {
    /// End when every peer has been; exit with 0 if all went as the rules say. Without it the stage stays up to try by hand.
    #[arg(long)]
    once: bool,
}

/// One row of the table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    peer: String,
    source: String,
    expected: String,
    verdict: String,
    /// What the peer saw: `echo`, or the alert's number and name.
    seen: String,
    as_expected: bool,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no thread can be started: {error}")))?;
    // From the very start, so that the stage is taken down whenever it comes.
    let mut interrupted = runtime.spawn(interrupted());
    let (stage, cast) = stage::set(&runtime)?;
    let mut rows = Vec::new();
    if !json {
        print(&head(style))?;
    }
    for member in &cast.members {
        if interrupted.is_finished() {
            return Err(Failure::new("interrupted"));
        }
        let row = visit(&runtime, &stage, member)?;
        if !json {
            print(&told(&row, style))?;
        }
        rows.push(row);
    }
    let well = rows.iter().all(|row| row.as_expected);
    let right = rows.iter().filter(|row| row.as_expected).count();
    if json {
        print_json(&rows)?;
    } else {
        let text = format!(
            "{right} of {} peers as the rules say; {} DNS questions",
            rows.len(),
            stage.dns.queries().total()
        );
        print(&style.headline(well, &text))?;
    }
    if !args.once {
        invite(&stage, json, style)?;
        let ended = runtime.block_on(&mut interrupted).map_err(std::io::Error::other).and_then(|ended| ended);
        ended.map_err(|error| Failure::new(format!("signals: {error}")))?;
    }
    drop(stage.proxy);
    Ok(well)
}

/// Lets one peer try, and reads what the proxy says of it.
fn visit(runtime: &Runtime, stage: &Stage, member: &Member) -> Result<Row, Failure> {
    let before = stage::log_lines(stage.dir.path()).len();
    let (seen, port) = runtime.block_on(peer::visit(member, stage.listener));
    let line = wait_for_line(stage, before)?;
    let word =
        |field: &str| line.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let verdict = match word("outcome").as_str() {
        "accepted" => format!("accepted {}", word("identity")),
        outcome => format!("{outcome} {}", word("reason")),
    };
    let (alert, told) = match &seen {
        Seen::Echo => (None, "echo".to_owned()),
        Seen::Alert(alert) => {
            (Some(u8::from(*alert)), format!("alert {} ({})", u8::from(*alert), name(&verdict)))
        }
        Seen::Other(text) => (None, text.clone()),
    };
    let wanted_alert = verdict
        .strip_prefix("refused ")
        .and_then(|reason| reason.parse::<Reason>().ok())
        .and_then(Reason::alert);
    let alert_fits = alert == wanted_alert.map(revouch_validator::alert::Alert::number);
    let echo_fits = (seen == Seen::Echo) == verdict.starts_with("accepted");
    Ok(Row {
        peer: member.who.to_owned(),
        source: format!("{}:{port}", member.source.ip()),
        expected: member.expected.to_owned(),
        as_expected: verdict == member.expected && alert_fits && echo_fits,
        verdict,
        seen: told,
    })
}

/// The name of the alert that belongs to a refusal.
fn name(verdict: &str) -> &'static str {
    let reason = verdict.strip_prefix("refused ").and_then(|reason| reason.parse::<Reason>().ok());
    reason.and_then(Reason::alert).map_or("of the TLS library", revouch_validator::alert::Alert::name)
}

#[allow(clippy::disallowed_methods, reason = "no runtime's thread: this is the main thread of a command")]
fn wait_for_line(stage: &Stage, number: usize) -> Result<serde_json::Value, Failure> {
    let started = Instant::now();
    loop {
        if let Some(line) = stage::log_lines(stage.dir.path()).into_iter().nth(number) {
            return Ok(line);
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::new("the proxy's access log does not tell of the last peer"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn head(style: Style) -> String {
    let text = format!(
        "     {:35} {:28} {:28} {}",
        "peer", "expected by the rules", "verdict and reason", "what the peer saw"
    );
    style.paint(Colour::Bold, &text)
}

fn told(row: &Row, style: Style) -> String {
    let (mark, colour) = if row.as_expected { ("ok  ", Colour::Green) } else { ("FAIL", Colour::Red) };
    let (mark, seen) = (style.paint(colour, mark), style.paint(Colour::Dim, &row.seen));
    format!("{mark} {:35} {:28} {:28} {seen}", row.peer, row.expected, row.verdict)
}

/// How to try it by hand.
fn invite(stage: &Stage, json: bool, style: Style) -> Result<(), Failure> {
    let dir = stage.dir.path().display();
    let text = format!(
        "\n{}\n  openssl s_client -connect {} -servername demo.test -bind 127.0.2.1 -cert {dir}/a.pem -cert_chain {dir}/a.pem -key {dir}/a.key\n\
         From 127.0.2.7, which has no PTR record, the same certificate is refused. The files are in {dir},\n\
         the access log is {dir}/access.log, metrics are at http://{}/metrics, the DNS at {}. Ctrl-C ends it.",
        style.paint(Colour::Bold, "Try it by hand:"),
        stage.listener,
        stage.metrics,
        stage.dns.address(),
    );
    if json {
        // Standard output holds the one JSON document.
        drop(writeln!(std::io::stderr(), "{text}"));
        return Ok(());
    }
    print(&text)
}

/// Waits for Ctrl-C, or for whoever ends processes politely.
async fn interrupted() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}
