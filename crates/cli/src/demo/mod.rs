//! `revouch demo`: the real proxy between a cast of peers and an echo service, with a DNS of its own. No root, no network, nothing
//! installed.
//!
//! What is shown as the verdict is the proxy's own: it is read from its access log, never computed again here.

mod cast;
mod peer;
mod stage;

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
    let (stage, cast) = stage::set(&runtime)?;
    let mut rows = Vec::new();
    for member in &cast.members {
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
        stay(&runtime, &stage, style)?;
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

fn told(row: &Row, style: Style) -> String {
    let (mark, colour) = if row.as_expected { ("ok  ", Colour::Green) } else { ("FAIL", Colour::Red) };
    let mut text = format!(
        "{} {:36} {:32} {}",
        style.paint(colour, mark),
        row.peer,
        row.verdict,
        style.paint(Colour::Dim, &row.seen)
    );
    if row.verdict != row.expected {
        text.push_str(&format!("\n     expected by the rules: {}", row.expected));
    }
    text
}

/// Stays up until Ctrl-C or SIGTERM, so that the directory is removed.
fn stay(runtime: &Runtime, stage: &Stage, style: Style) -> Result<(), Failure> {
    let dir = stage.dir.path().display();
    print(&format!(
        "\n{}\n  openssl s_client -connect {} -bind 127.0.2.1 -cert {dir}/a.pem -cert_chain {dir}/a.pem -key {dir}/a.key\n\
         From 127.0.2.7, which has no PTR record, the same certificate is refused. The files are in {dir},\n\
         the access log is {dir}/access.log, metrics are at http://{}/metrics, the DNS at {}. Ctrl-C ends it.",
        style.paint(Colour::Bold, "Try it by hand:"),
        stage.listener,
        stage.metrics,
        stage.dns.address(),
    ))?;
    let ended = async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    };
    runtime.block_on(ended).map_err(|error| Failure::new(format!("signals: {error}")))
}
