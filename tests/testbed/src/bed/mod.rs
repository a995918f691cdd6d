//! A signed DNS universe on real servers: BIND, Knot and NSD as authorities, unbound and BIND as recursive servers.
//!
//! Everything comes from one readable table, `universe.zones`: which zones there are, who serves them, how they are signed, what is
//! in them and what is wrong with them. [`run`](place::run) makes the [`Place`] where the servers are; [`Bed::start`] signs the zones
//! with BIND's tools, starts the servers and waits until each answers for each of its zones. Keys are new every time. Dropping
//! the bed ends its servers and removes its files.
//!
//! ```no_run
//! use revouch_testbed::bed::{Bed, Recursive, place};
//!
//! place::run(|place| async move {
//!     let bed = Bed::start(place).await.unwrap();
//!     println!("ask {}, trust {}", bed.recursive(Recursive::Unbound), bed.anchor());
//! });
//! ```

pub mod place;
pub mod table;

mod authorities;
mod delv;
mod recursives;
mod rolling;
mod sign;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

pub use self::delv::{Delv, DelvSaid};
pub use self::place::Place;
pub use self::recursives::Recursive;
pub use self::rolling::{Key, Role, Stage};
pub use self::table::{Authority, Zone};

use crate::process::{Process, temp_dir};

/// Time for all servers to answer.
const START: Duration = Duration::from_secs(20);

/// Why there is no bed.
#[derive(Debug)]
pub struct BedError(String);

impl BedError {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    fn not_installed(program: &str) -> Self {
        Self(format!("{program} is not installed; run `cargo xtask setup`"))
    }
}

impl fmt::Display for BedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BedError {}

impl From<io::Error> for BedError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The universe, served.
pub struct Bed {
    place: Place,
    zones: Vec<Zone>,
    anchor: String,
    files: BTreeMap<String, PathBuf>,
    recursives: BTreeMap<Recursive, Process>,
    authorities: BTreeMap<Authority, Process>,
    directory: TempDir,
}

impl Bed {
    /// Makes the zones and starts all servers.
    ///
    /// # Errors
    /// A program is not installed or fails, or a server does not answer for one of its zones.
    pub async fn start(place: Place) -> Result<Self, BedError> {
        Self::of(place, table::UNIVERSE).await
    }

    /// As [`start`](Self::start), with the zones of another table.
    ///
    /// # Errors
    /// As [`start`](Self::start), or the table cannot be read.
    pub async fn of(place: Place, table: &str) -> Result<Self, BedError> {
        let zones = table::parse(table).map_err(|error| BedError::new(error.to_string()))?;
        let directory = temp_dir()?;
        let knot_config = authorities::knot_keys_config(directory.path(), &zones)?;
        let address_of = |authority: Authority| address(&place, authority).ip().to_string();
        let made = sign::make(directory.path(), &zones, &knot_config, &address_of)?;
        let authorities = start_authorities(&place, directory.path(), &zones, &made.files)?;
        let sign::Made { files, anchor } = made;
        let recursives = BTreeMap::new();
        let mut bed = Self { place, zones, anchor, files, recursives, authorities, directory };
        for zone in &bed.zones {
            let server = address(&bed.place, zone.authority);
            let process = bed.authorities.get(&zone.authority);
            wait_for(server, &zone.name, process).await?;
        }
        for recursive in Recursive::ALL {
            bed.restart(recursive).await?;
        }
        Ok(bed)
    }

    /// Ends a recursive server, if it runs, and starts it anew with empty caches.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self, recursive: Recursive) -> Result<(), BedError> {
        self.recursives.remove(&recursive);
        let servers: Vec<SocketAddr> =
            self.zones.iter().map(|zone| address(&self.place, zone.authority)).collect();
        let plan = recursives::Plan {
            directory: self.directory.path(),
            address: self.recursive(recursive),
            zones: &self.zones,
            servers: &servers,
            by_delegations: self.place.has_port_53(),
            anchor: &self.anchor,
        };
        let process = recursives::start(recursive, &plan)?;
        wait_for(plan.address, "ns.", Some(&process)).await?;
        self.recursives.insert(recursive, process);
        Ok(())
    }

    /// The zones.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The root's key, as a DNSKEY record in presentation format.
    #[must_use]
    pub fn anchor(&self) -> &str {
        &self.anchor
    }

    /// Where a recursive server answers, over UDP and TCP.
    #[must_use]
    pub fn recursive(&self, recursive: Recursive) -> SocketAddr {
        self.place.recursive(match recursive {
            Recursive::Unbound => 0,
            Recursive::Bind => 1,
            Recursive::PlainUnbound => 2,
            Recursive::PlainBind => 3,
        })
    }

    /// Where an authoritative server answers.
    #[must_use]
    pub fn authority(&self, authority: Authority) -> SocketAddr {
        address(&self.place, authority)
    }

    /// What a recursive server logged so far.
    #[must_use]
    pub fn log(&self, recursive: Recursive) -> Vec<String> {
        self.recursives.get(&recursive).map(Process::stderr).unwrap_or_default()
    }

    /// `delv`, asking this recursive server and validating by itself.
    ///
    /// # Errors
    /// Its anchors cannot be written.
    pub fn delv(&self, by_way_of: Recursive) -> Result<Delv, BedError> {
        Delv::new(self.directory.path(), &self.anchor, self.recursive(by_way_of))
    }

    /// The directory with all files of the bed; gone with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // NSD has children of its own, which a kill would leave behind.
        if let Some(nsd) = self.authorities.get(&Authority::Nsd) {
            end_gently(nsd);
        }
    }
}

fn address(place: &Place, authority: Authority) -> SocketAddr {
    place.authority(match authority {
        Authority::Bind => 0,
        Authority::Knot => 1,
        Authority::Nsd => 2,
    })
}

fn start_authorities(
    place: &Place,
    directory: &Path,
    zones: &[Zone],
    files: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<Authority, Process>, BedError> {
    let all = [Authority::Bind, Authority::Knot, Authority::Nsd];
    let start = |authority| {
        let zones = authorities::share(authority, zones, files);
        let plan = authorities::Plan { directory, address: address(place, authority), zones };
        Ok((authority, authorities::start(authority, &plan)?))
    };
    all.into_iter().filter(|own| zones.iter().any(|zone| zone.authority == *own)).map(start).collect()
}

/// Where distributions put servers: often not on an ordinary user's path.
const DIRECTORIES: [&str; 3] = ["", "/usr/sbin/", "/usr/local/sbin/"];

fn spawn(program: &str, arguments: &[&str]) -> Result<Process, BedError> {
    for directory in DIRECTORIES {
        match Process::spawn(Command::new(format!("{directory}{program}")).args(arguments)) {
            Ok(process) => return Ok(process),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(BedError::not_installed(program))
}

/// Waits until the server answers for the zone without an error.
async fn wait_for(server: SocketAddr, zone: &str, process: Option<&Process>) -> Result<(), BedError> {
    let end = Instant::now() + START;
    let mut last = "no answer".to_owned();
    while Instant::now() < end && process.is_none_or(|process| process.ended().is_none()) {
        match timeout(Duration::from_millis(500), ask_soa(server, zone)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(code)) => last = format!("response code {code}"),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {}
        }
        sleep(Duration::from_millis(20)).await;
    }
    let said = process.map(|process| process.stderr().join("\n")).unwrap_or_default();
    Err(BedError::new(format!("{server} does not answer for {zone} ({last}); it said:\n{said}")))
}

/// The response code to a question for the zone's SOA.
async fn ask_soa(server: SocketAddr, zone: &str) -> io::Result<u8> {
    let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in zone.split('.').filter(|label| !label.is_empty()) {
        question.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(b"\x00\x00\x06\x00\x01");
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut response = [0; 512];
    let length = socket.recv(&mut response).await?;
    match response.get(..length) {
        Some([0x12, 0x34, _, code, ..]) => Ok(code & 15),
        _ => Err(io::Error::other("not the answer")),
    }
}

/// Asks a server to end, and waits until it has, but not for long.
fn end_gently(process: &Process) {
    if process.signal("TERM").is_ok() {
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while process.ended().is_none() && std::time::Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}
