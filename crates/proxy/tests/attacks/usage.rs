//! What the proxy's process uses, by `/proc`.

use crate::stage::Stage;

/// The resident memory, in octets.
pub fn resident(stage: &Stage) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The processor time so far, in milliseconds; Linux counts in hundredths of a second.
pub fn processor_ms(stage: &Stage) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stage.proxy.pid())).unwrap();
    // The name of the program, in parentheses, may hold spaces.
    let behind = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = behind.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
    // utime and stime are fields 14 and 15; the state, behind the name, is field 3.
    (ticks(11) + ticks(12)) * 10
}
