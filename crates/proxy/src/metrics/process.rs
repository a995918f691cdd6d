//! What the process uses, read from `/proc/self` whenever metrics are gathered. Names are those that Prometheus clients share.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The largest number of bytes read of a file in `/proc`.
const MAX_PROC_FILE: u64 = 64 * 1024;

/// Gathers resident memory, file descriptors, processor time and the time of the start.
pub(super) struct ProcessCollector {
    resident: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    cpu: Counter,
    start: Gauge,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let start =
            Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        Ok(Self {
            resident: Gauge::new("process_resident_memory_bytes", "Resident memory, in bytes.")?,
            open_fds: Gauge::new("process_open_fds", "Open file descriptors.")?,
            max_fds: Gauge::new("process_max_fds", "How many file descriptors may be open.")?,
            cpu: Counter::new("process_cpu_seconds_total", "Processor time used, in seconds.")?,
            start,
        })
    }

    fn gauges(&self) -> [&Gauge; 4] {
        [&self.resident, &self.open_fds, &self.max_fds, &self.start]
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).chain(self.cpu.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.resident.set(resident_bytes().unwrap_or(0.0));
        self.open_fds.set(open_fds());
        // No limit at all is written as 0, which no limit can be.
        self.max_fds.set(as_float(getrlimit(Resource::Nofile).current.unwrap_or(0)));
        let now = cpu_time().as_secs_f64();
        self.cpu.inc_by((now - self.cpu.get()).max(0.0));
        self.gauges().into_iter().flat_map(Collector::collect).chain(self.cpu.collect()).collect()
    }
}

/// `VmRSS` of `/proc/self/status`, which is in KiB whatever the size of a page is.
fn resident_bytes() -> Option<f64> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open("/proc/self/status").ok()?.take(MAX_PROC_FILE).read_to_string(&mut text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(as_float(kib.saturating_mul(1024)))
}

/// One less than what the directory lists: reading it takes a descriptor too.
fn open_fds() -> f64 {
    let listed = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    as_float(u64::try_from(listed.saturating_sub(1)).unwrap_or(u64::MAX))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[allow(clippy::cast_precision_loss, reason = "a metric is a float; the error is beyond 2^53")]
fn as_float(number: u64) -> f64 {
    number as f64
}
